"""A dishonest casino found out: a hidden Markov model fitted by the gradient of its likelihood.

Now and then the house changes to a loaded die and back; only the rolls are seen (Durbin et al.,
Biological Sequence Analysis, 1998, chapter 3). The forward algorithm sums over all that could have
happened in one pass. Its gradient is what textbooks derive by hand as the backward algorithm:
with respect to log emissions it is how probable each state was at each roll, with respect to log
transitions how often each is expected to have occurred (Eisner, 2016).
"""

import argparse
import itertools

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

START = np.log([0.5, 0.5])
TRUTH = {
    "transition": np.log([[0.95, 0.05], [0.10, 0.90]]),
    "emission": np.log([[1 / 6] * 6, [0.1] * 5 + [0.5]]),
}
"""Logarithms of probabilities; state 1 is the loaded die."""


def roll(rng, n):
    """States and what they show: (n,), (n,)."""
    states, state = [], rng.choice(2, p=np.exp(START))
    for _ in range(n):
        states.append(state)
        state = rng.choice(2, p=np.exp(TRUTH["transition"][state]))
    rolls = [rng.choice(6, p=np.exp(TRUTH["emission"][state])) for state in states]
    return np.array(states), np.array(rolls)


def log_likelihood(model, evidence):
    """log p(rolls), of log emissions at each roll: (n, 2) -> (). Scaled as by Rabiner, 1989."""
    transition, emission = np.exp(model["transition"]), np.exp(evidence)

    def step(alpha, probabilities):
        joint = alpha @ transition * probabilities
        total = np.sum(joint)  # p(this roll | those before)
        return joint / total, total

    first = np.exp(START) * emission[0]
    _, totals = td.scan(step, first / np.sum(first), emission[1:])
    return np.log(np.sum(first)) + np.sum(np.log(totals))


def evidence_of(model, rolls):
    return model["emission"][:, rolls].T


def normalize(logits):
    """Rows of log probabilities."""
    return {name: x - td.special.logsumexp(x, axis=-1, keepdims=True) for name, x in logits.items()}


def loss(logits, rolls):
    """Minus the mean log likelihood of a roll."""
    model = normalize(logits)
    return -log_likelihood(model, evidence_of(model, rolls)) / len(rolls)


@td.jit
def expectation_maximization(model, rolls):
    """A step of Baum and Welch: expected counts, which are a gradient, become probabilities."""

    def joint(model):
        return log_likelihood(model, evidence_of(model, rolls))

    value, counts = td.value_and_grad(joint)(model)
    return -value / len(rolls), normalize({name: np.log(n) for name, n in counts.items()})


def enumerate_paths(model, rolls):
    """log p(rolls) by adding up every path of states: 2^n of them."""
    total = -np.inf
    for path in itertools.product(range(2), repeat=len(rolls)):
        log_p = START[path[0]] + model["emission"][path, rolls].sum()
        log_p += sum(model["transition"][pair] for pair in itertools.pairwise(path))
        total = np.logaddexp(total, log_p)
    return total


def init_logits(rng):
    """A fair die and one that shows 6 a little more often, both kept for some rolls."""
    emission = 0.1 * rng.standard_normal((2, 6))
    emission[1, 5] += 0.5
    return {"transition": 2 * np.eye(2), "emission": emission}


def draw(rolls, states, posterior, losses, out) -> None:
    figure = Figure(figsize=(12, 6), layout="constrained")
    above, below = figure.subplots(2, 1)
    n = min(600, len(rolls))
    above.fill_between(range(n), 0, states[:n], step="mid", color="C1", alpha=0.35,
                       label="the die was loaded")  # fmt: skip
    above.plot(posterior[:n, 1], color="C0", label="probability of it, a gradient")
    sixes = np.flatnonzero(rolls[:n] == 5)
    above.plot(sixes, np.full(len(sixes), -0.05), "|k", markersize=5, label="a six")
    above.set(title="What the rolls give away", xlabel="roll", xlim=(0, n), ylim=(-0.12, 1.05))
    above.legend(loc="upper right", ncols=3, fontsize=8)
    best = min(map(min, losses.values()))
    for name, values in losses.items():
        below.semilogy(np.maximum(np.array(values) - best, 1e-12), label=name)
    below.set(
        title="Two ways to the same maximum", xlabel="steps", xlim=(0, len(losses["Baum-Welch"]))
    )
    below.set(ylabel="nats a roll above the best", xlim=(0, 100), ylim=(1e-11, 1))
    below.grid(alpha=0.3)
    below.legend()
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="hidden_markov.png", help="where to draw the picture")
    parser.add_argument("--rolls", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=100, help="of either way")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    states, rolls = roll(rng, options.rolls)
    few = rolls[:12]
    forward, all_paths = log_likelihood(TRUTH, evidence_of(TRUTH, few)), enumerate_paths(TRUTH, few)
    print(f"12 rolls by the forward algorithm {forward:.12f}, by all paths {all_paths:.12f}")

    start, losses = init_logits(rng), {"gradient (BFGS)": [], "Baum-Welch": []}
    evaluate = td.jit(loss)
    found = td.minimize(
        loss, start, "BFGS", args=(rolls,), jit=True, options={"maxiter": options.steps},
        callback=lambda logits: losses["gradient (BFGS)"].append(evaluate(logits, rolls)),
    )  # fmt: skip
    model = normalize(start)
    for _ in range(options.steps):
        value, model = expectation_maximization(model, rolls)
        losses["Baum-Welch"].append(value)
    print(f"nats a roll: truth {loss(TRUTH, rolls):.6f}, fitted by BFGS {found.fun:.6f} in "
          f"{found.evaluations} evaluations,")  # fmt: skip
    print(f"  by Baum-Welch {value:.6f} in {options.steps} steps")

    fitted = normalize(found.x)
    print(f"the loaded die shows a six with {np.exp(fitted['emission'][1, 5]):.3f}, "
          f"is kept with {np.exp(fitted['transition'][1, 1]):.3f}")  # fmt: skip
    posterior = td.grad(log_likelihood, 1)(fitted, evidence_of(fitted, rolls))  # rows sum to 1
    print(f"right about {np.mean((posterior[:, 1] > 0.5) == states):.1%} of the rolls")
    print(f"posteriors add up to 1 within {np.abs(posterior.sum(axis=1) - 1).max():.1e}")
    draw(rolls, states, posterior, losses, options.out)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
