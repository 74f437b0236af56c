"""The gradients of the example programs: by the tape, jitted, and by autograd and JAX.

    python -m benchmarks.ports [--seconds 3] [--only fluid lstm_text ...]

A peer runs the example's own lines: the file is loaded once more, and `np` and `td` in it are what
the peer has under these names. All run on one core, in turns; a cell is the median of a gradient,
and in brackets what came before the first result: tracing and compiling.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import tinygrad_digits as td

from . import pinning
from .contenders import BACKENDS, missing
from .timing import interleaved

EXAMPLES = Path(__file__).parent.parent / "examples"
TOLERANCE = 1e-5
"""How far a gradient may be from the tape's, relative to its length: some are of float32, and sums
have another order."""


class Port(NamedTuple):
    """An example's loss, its arguments of which the first is differentiated, and its size."""

    loss: str
    arguments: Callable[[ModuleType], tuple[Any, ...]]
    size: str


# --- the examples, with the arguments that they begin with


def _lstm_text(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return m.init_params(rng), next(m.windows(rng, m.SUMS))


def _hidden_markov(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return m.init_logits(rng), m.roll(rng, 300)[1]


def _gaussian_mixture(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return m.init_params(rng), m.flower(rng)[0]


def _variational_autoencoder(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((m.BATCH, m.CODE)).astype(np.float32)
    return m.init_params(rng), rng.random((m.BATCH, 64), np.float32), noise


def _variational_inference(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((m.SAMPLES, 2))
    return m.init_params(rng, m.LAYERS), noise, m.ring


def _fluid(m: ModuleType) -> tuple[Any, ...]:
    target = m.nabla()
    modes = 0.1 * np.random.default_rng(0).standard_normal((m.MODES, m.MODES))
    return modes, m.disk(target.sum()), target


def _bayesian_optimization(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    params = {"mean": 0.0, "log_lengths": np.log([0.5, 0.5]), "log_amplitude": 0.0}
    x = m.random_points(rng, 30)
    return m.random_points(rng, m.STARTS), params, x, m.camel(x)


def _adversarial_networks(m: ModuleType) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    generator, discriminator = m.init_params(rng)
    code = rng.standard_normal((m.BATCH, m.CODE)).astype(np.float32)
    return discriminator, generator, code, rng.random((m.BATCH, 64), np.float32)


PORTS = {
    "lstm_text": Port("loss", _lstm_text, "47 steps of 64, batch 32"),
    "hidden_markov": Port("loss", _hidden_markov, "300 rolls, 2 states"),
    "gaussian_mixture": Port("loss", _gaussian_mixture, "1000 points, 5 Gaussians"),
    "variational_autoencoder": Port("loss", _variational_autoencoder, "batch 64, float32"),
    "variational_inference": Port("negative_bound", _variational_inference, "6 layers, 256 points"),
    "fluid": Port("loss", _fluid, "40 steps of 64 x 64 cells"),
    "bayesian_optimization": Port("loss", _bayesian_optimization, "30 points known, 40 sought"),
    "adversarial_networks": Port(
        "discriminator_loss", _adversarial_networks, "batch 64, float32, second derivatives"
    ),
}


# --- who computes them


def load(name: str, **instead: Any) -> ModuleType:
    """An example as a module of its own, in which some names are others."""
    spec = importlib.util.spec_from_file_location(f"ports_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(instead)
    return module


def own_gradient(name: str, transform: Callable[[Any], Any]) -> Callable[[], Any]:
    module = load(name)
    gradient = transform(td.grad(getattr(module, PORTS[name].loss)))
    arguments = PORTS[name].arguments(module)
    return lambda: gradient(*arguments)


def jax_gradient(name: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp
    import jax.scipy as jsp

    jax.config.update("jax_enable_x64", True)
    names = {"special": jsp.special, "linalg": jsp.linalg, "scan": jax.lax.scan, "grad": jax.grad}
    plain = load(name)
    arguments = PORTS[name].arguments(plain)
    module = load(name, np=jnp, td=SimpleNamespace(**names))
    arrays = jax.tree.map(lambda x: x if callable(x) else jnp.asarray(x), arguments)
    functions = {i: getattr(module, f.__name__) for i, f in enumerate(arrays) if callable(f)}
    arrays = [functions.get(i, x) for i, x in enumerate(arrays)]
    gradient = jax.jit(jax.grad(getattr(module, PORTS[name].loss)), static_argnums=[*functions])
    return lambda: jax.block_until_ready(gradient(*arrays))


def autograd_gradient(name: str) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp
    import autograd.scipy.linalg
    import autograd.scipy.special

    def scan(f: Any, carry: Any, xs: Any, length: int | None = None) -> Any:
        """A Python loop, which is what its users write; ys are arrays, where there are any."""
        ys = []
        for x in [None] * (length or 0) if xs is None else xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, None if ys[0] is None else anp.stack(ys)

    names = {
        "special": SimpleNamespace(**vars(autograd.scipy.special)),
        "linalg": autograd.scipy.linalg, "scan": scan, "grad": autograd.grad,
    }  # fmt: skip
    names["special"].expit = lambda x: 0.5 * (1 + anp.tanh(0.5 * x))  # it has none of its own
    module = load(name, np=anp, td=SimpleNamespace(**names))
    gradient = autograd.grad(getattr(module, PORTS[name].loss))
    with_numpy = PORTS[name].arguments(load(name))
    arguments = [getattr(module, x.__name__) if callable(x) else x for x in with_numpy]
    return lambda: gradient(*arguments)


PEERS = {"autograd": autograd_gradient, "jax": jax_gradient}


def contenders() -> dict[str, Callable[[str], Callable[[], Any]]]:
    """Those that can run here; the first is what the others are compared with."""

    def own(transform: Callable[[Any], Any]) -> Callable[[str], Callable[[], Any]]:
        return lambda name: own_gradient(name, transform)

    found = {"eager": own(lambda f: f)}
    for name, (backend, _) in BACKENDS.items():
        if not missing(name):
            found[name] = own(lambda f, backend=backend: td.jit(f, backend=backend))
    found |= {name: make for name, make in PEERS.items() if importlib.util.find_spec(name)}
    return found


# --- the measurement


class Measured(NamedTuple):
    """Milliseconds of a gradient, and seconds before the first one."""

    milliseconds: float
    seconds: float


def measure(name: str, budget: float) -> dict[str, Measured | str]:
    """Who took how long, or what was raised; raises AssertionError where gradients differ."""
    ready: dict[str, Callable[[], Any]] = {}
    results: dict[str, Measured | str] = {}
    first: dict[str, float] = {}
    expected = None
    for contender, make in contenders().items():
        start = time.perf_counter()
        try:
            gradient = make(name)
            found = gradient()
        except Exception as error:
            if contender not in PEERS:
                raise
            print(f"{name}: without {contender}, {error!r:.300}", file=sys.stderr, flush=True)
            results[contender] = type(error).__name__
            continue
        first[contender] = time.perf_counter() - start
        expected = found if expected is None else expected
        off = distance(found, expected) / distance(expected)
        assert off < TOLERANCE, f"{name}: {contender} is off by {off:.1e}"
        ready[contender] = gradient
    for contender, timing in interleaved(ready, budget=budget, fewest=3).items():
        results[contender] = Measured(timing.median / 1e3, first[contender])
    return results


def distance(a: Any, b: Any = None) -> float:
    """Between two gradients, leaf by leaf, for JAX sorts a dict's keys; or of one from 0."""
    b = td.tree.map(np.zeros_like, a) if b is None else b
    off = td.tree.map(lambda y, x: np.asarray(x, float) - np.asarray(y, float), b, a)
    return float(np.linalg.norm(td.tree.ravel(off)[0]))


def rows(results: dict[str, dict[str, Measured | str]]) -> Iterator[str]:
    """A markdown table: an example to a line."""
    names = list(contenders())
    yield "| gradient of | " + " | ".join(names) + " |"
    yield "| --- |" + " ---: |" * len(names)
    for port, measured in results.items():
        cells = [_cell(measured[name]) for name in names]
        yield f"| {port}: {PORTS[port].size} | " + " | ".join(cells) + " |"


def _cell(measured: Measured | str) -> str:
    if isinstance(measured, str):
        return measured
    return f"{measured.milliseconds:.3g} ms ({measured.seconds:.2g} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each example")
    parser.add_argument("--only", nargs="+", choices=PORTS, default=list(PORTS))
    options = parser.parse_args()
    pinning.pin()
    results = {name: measure(name, options.seconds) for name in options.only}
    print("\n".join(rows(results)))


if __name__ == "__main__":
    main()
