"""An LSTM that reads sums letter by letter: it learns to spell, then learns them by heart.

It is shown "three plus four is seven." and the like, and predicts each next character. One sum in
five is never shown; what surprises it there is the result, which it would have to work out. The
network is that of Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import tinygrad_digits as td

WORDS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
]
SUMS = [(a, b) for a in range(10) for b in range(10)]
ALPHABET = sorted(set(" plus is.".join(WORDS)))
HIDDEN, LENGTH, BATCH = 64, 48, 32


def sentence(a, b):
    return f"{WORDS[a]} plus {WORDS[b]} is {WORDS[a + b]}. "


def encode(text):
    return np.array([ALPHABET.index(character) for character in text])


def init_params(rng):
    """Weights of variance 1 / inputs; forget gates begin open."""

    def weights(inputs, outputs):
        return (rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)

    bias = np.zeros(4 * HIDDEN, np.float32)
    bias[HIDDEN : 2 * HIDDEN] = 1
    return {
        "embedding": weights(len(ALPHABET), 4 * HIDDEN), "bias": bias,
        "recurrent": weights(HIDDEN, 4 * HIDDEN),
        "readout": weights(HIDDEN, len(ALPHABET)), "offset": np.zeros(len(ALPHABET), np.float32),
    }  # fmt: skip


def initial_state(params, n):
    zeros = np.zeros((n, HIDDEN), params["bias"].dtype)
    return zeros, zeros


def predict(params, state, characters):
    """The state after the characters, and log p of what comes after each: (t, n) -> (t, n, 27)."""

    def step(state, x):
        hidden, cell = state
        gates = x + hidden @ params["recurrent"]  # (n, 4 hidden)
        opened = td.special.expit(gates[:, : 3 * HIDDEN])
        enter, keep, leave = np.split(opened, 3, axis=1)
        cell = keep * cell + enter * np.tanh(gates[:, 3 * HIDDEN :])
        hidden = leave * np.tanh(cell)
        return (hidden, cell), hidden

    state, hidden = td.scan(step, state, params["embedding"][characters] + params["bias"])
    z = hidden @ params["readout"] + params["offset"]
    return state, z - td.special.logsumexp(z, axis=2, keepdims=True)


def loss(params, text):
    """Nats a character, of all after the first: (t, n) -> ()."""
    _, log_p = predict(params, initial_state(params, text.shape[1]), text[:-1])
    t, n = np.meshgrid(np.arange(len(text) - 1), np.arange(text.shape[1]), indexing="ij")
    return -np.mean(log_p[t, n, text[1:]])


def windows(rng, sums):
    """Endlessly: batches out of one long text of sums in random order."""
    text = encode("".join(sentence(*sums[k]) for k in rng.integers(len(sums), size=20_000)))
    while True:
        yield text[rng.integers(len(text) - LENGTH, size=BATCH) + np.arange(LENGTH)[:, None]]


def complete(params, prompt, limit=12):
    """The likeliest continuation, up to its full stop."""
    state, log_p = predict(params, initial_state(params, 1), encode(prompt)[:, None])
    answer = ""
    while not answer.endswith(".") and len(answer) < limit:
        answer += ALPHABET[log_p[-1, 0].argmax()]
        state, log_p = predict(params, state, encode(answer[-1])[:, None])
    return answer


def right(params, sums):
    """The share of sums that it completes truly."""
    prompts = {(a, b): f". {WORDS[a]} plus {WORDS[b]} is " for a, b in sums}
    return np.mean([complete(params, p) == f"{WORDS[a + b]}." for (a, b), p in prompts.items()])


def draw(params, sums, losses, out) -> None:
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    page, curve = figure.subplots(1, 2, width_ratios=(3, 1))
    lines = [". " + sentence(*s) for s in sums]
    surprises = np.zeros((len(lines), max(map(len, lines)) - 3))
    for row, line in enumerate(lines):
        _, log_p = predict(params, initial_state(params, 1), encode(line[:-1])[:, None])
        for k, character in enumerate(line[2:-1]):
            surprises[row, k] = -log_p[k + 1, 0, ALPHABET.index(character)]
            color = "w" if surprises[row, k] > 1.5 else "k"
            page.text(k, row, character, ha="center", va="center", size=14, color=color)
    image = page.imshow(surprises, cmap="Oranges", vmin=0, vmax=3, aspect="auto")
    page.set(title="How surprising each character was, in nats", xticks=[], yticks=[])
    page.set_ylabel("shown in training above, never shown below")
    page.axhline(len(lines) / 2 - 0.5, color="k", linewidth=1)
    figure.colorbar(image, ax=page, shrink=0.6)
    curve.semilogy(losses, linewidth=0.5)
    curve.set(title="Nats a character", xlabel="steps")
    curve.grid(alpha=0.3)
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", default="lstm_text.png", help="where to draw the picture")
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    order = [SUMS[k] for k in rng.permutation(len(SUMS))]
    held_out, shown = order[:20], order[20:]
    optimizer = td.optim.adam(td.optim.schedules.cosine(1e-2, options.steps))

    @td.jit
    def step(params, state, text):
        value, grads = td.value_and_grad(loss)(params, text)
        return value, *optimizer.update(params, grads, state)

    params, losses = init_params(rng), []
    state = optimizer.init(params)
    for k, text in zip(range(options.steps), windows(rng, shown), strict=False):
        value, params, state = step(params, state, text)
        losses.append(value)
        if (k + 1) % max(1, options.steps // 5) == 0:
            print(f"step {k + 1}: {value:.3f} nats a character, sums completed truly: "
                  f"{right(params, shown):.0%} of those shown, "
                  f"{right(params, held_out):.0%} of the others", flush=True)  # fmt: skip
    print(f"three plus four is {complete(params, '. three plus four is ')}")
    draw(params, shown[:9] + held_out[:9], losses, options.out)
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
