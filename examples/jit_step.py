"""One training step on the digits, jitted: its program, its bits, and what it saves.

Needs `pip install "tinygrad-digits[digits]"` for the images alone.
"""

import statistics
import time

import numpy as np
from sklearn.datasets import load_digits

import tinygrad_digits as td


def loss(params, x, labels):
    h = td.nn.relu(x @ params["w1"] + params["b1"])  # (n, 32)
    return td.nn.cross_entropy(h @ params["w2"] + params["b2"], labels)


def step(params, x, labels):
    grads = td.grad(loss)(params, x, labels)
    return td.tree.map(lambda p, g: p - 0.3 * g, params, grads)


def seconds(f, *args):
    start = time.perf_counter()
    for _ in range(20):
        f(*args)
    return (time.perf_counter() - start) / 20


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    x, labels = images[:32] / 16, labels[:32]
    rng = np.random.default_rng(0)
    params = {
        "w1": rng.standard_normal((64, 32)) / 8, "b1": np.zeros(32),
        "w2": rng.standard_normal((32, 10)) / 6, "b2": np.zeros(10),
    }  # fmt: skip

    jitted = td.jit(step)
    print(jitted.program(params, x, labels))

    eager, compiled = params, params
    for _ in range(100):
        eager, compiled = step(eager, x, labels), jitted(compiled, x, labels)
    assert all(eager[name].tobytes() == compiled[name].tobytes() for name in params)
    print(f"after 100 steps: loss {loss(compiled, x, labels):.4f}, the same bits as without jit")

    # In turns, so that whatever else the machine does meets both.
    args = params, x, labels
    times = [(seconds(step, *args), seconds(jitted, *args)) for _ in range(50)]
    ratio = statistics.median(plain / fast for plain, fast in times)
    plain, fast = (1e6 * statistics.median(column) for column in zip(*times, strict=True))
    print(f"a step: {plain:.0f} us, jitted {fast:.0f} us: {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
