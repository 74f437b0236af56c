"""One gradient, three ways: by the tape, by hand, and by central differences."""

import numpy as np

import tinygrad_digits as td


def loss(w, x, y):
    """Mean squared error of a linear model squashed by tanh."""
    return np.mean((np.tanh(x @ w) - y) ** 2)


def by_tape(w, x, y):
    return td.grad(loss)(w, x, y)


def by_hand(w, x, y):
    p = np.tanh(x @ w)  # (n,) predictions
    dp = 2 * (p - y) / len(y)  # d loss / d p
    dz = dp * (1 - p * p)  # tanh' = 1 - tanh^2
    return x.T @ dz  # z = x w, so d z / d w = x


def by_differences(w, x, y, h=1e-5):
    steps = h * np.eye(len(w))
    return np.array([(loss(w + s, x, y) - loss(w - s, x, y)) / (2 * h) for s in steps])


def main() -> None:
    rng = np.random.default_rng(0)
    x, w, y = rng.standard_normal((50, 4)), rng.standard_normal(4), rng.standard_normal(50)
    tape, hand, differences = by_tape(w, x, y), by_hand(w, x, y), by_differences(w, x, y)
    for name, grad in (("tape", tape), ("hand", hand), ("differences", differences)):
        print(f"{name:>12}  {np.array2string(grad, precision=9)}")
    print(f"tape against hand: {np.max(np.abs(tape - hand)):.1e}")
    print(f"tape against differences: {np.max(np.abs(tape - differences)):.1e}")
    np.testing.assert_allclose(tape, hand, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(tape, differences, rtol=1e-6)

    td.check_grads(loss, w, x, y)  # the same comparison, for every argument and to second order
    print("check_grads: every derivative agrees, to second order")


if __name__ == "__main__":
    main()
