"""Transforms inside each other, of complex numbers: each pair is right, or refused by name.

Every transform here makes, of a function of a complex matrix, another; so any two can be nested,
and a loss of the outer one is differentiated. The oracle is a difference of values.
"""

import numpy as np
import pytest

import tinygrad_digits as td
from tinygrad_digits.digits.runs import checkpoint as saved_file

Z = np.array([[0.3 + 0.7j, 1.1 - 0.2j], [-0.4j + 0.2, 0.6 + 0.1j]])
V = np.array([[1 - 0.5j, 0.3j], [0.7 + 0.2j, -0.4 + 1j]])
TIMES = np.array([0.0, 0.1])


def base(z):
    """Elementwise, and not holomorphic."""
    return np.sin(z) * (1 + 0.1j) + 0.2 * np.conj(z) * np.abs(z)


def with_rule(f):
    return td.custom_vjp(f, lambda z: (f(z), z), lambda z, g: (td.vjp(f, z)[1](g),))


def iterate(f):
    return lambda z: td.scan(lambda c, _: (c + 0.1 * f(c), None), z, None, length=2)[0]


def loop(f):
    def step(state):
        k, c = state
        return k + 1, c + 0.1j * f(c)

    return lambda z: td.while_loop(lambda s: s[0] < 2, step, (0, z), max_steps=3)[1]


def fit(f):
    """The nearest number that f takes to another: a minimum, whose derivative nobody has."""
    return lambda z: td.minimize(lambda x: np.sum(np.abs(f(x) - z) ** 2), 0.5 * z).x


TRANSFORMS = {
    "vmap": td.vmap,
    "jit": td.jit,
    "checkpoint": td.checkpoint,
    "custom_vjp": with_rule,
    "scan": iterate,
    "while_loop": loop,
    "cond": lambda f: lambda z: td.cond(np.all(np.abs(z) < 9), f, lambda z: z * z, z),
    "map": lambda f: lambda z: td.map(f, z),
    "odeint": lambda f: lambda z: td.odeint(lambda y, _t: -1j * f(y), z, TIMES)[-1],
    "odeint back": lambda f: (
        lambda z: td.odeint(lambda y, _t: -1j * f(y), z, TIMES, adjoint="continuous")[-1]
    ),
    "fixed_point": lambda f: (
        lambda z: td.fixed_point(lambda z, x: f(z) + 0.1j * x, z, np.zeros_like(z))
    ),
    "grad": lambda f: td.grad(lambda z: np.sum(np.abs(f(z)) ** 2)),
    "hvp": lambda f: lambda z: td.hvp(lambda z: np.sum(np.abs(f(z)) ** 2), z, 0.1j * z),
    "jvp": lambda f: lambda z: td.jvp(f, z, 0.5j * z)[1],
    "debug": td.debug,
    "minimize": fit,
}


def loss_of(h):
    weights = np.array([[1.0, 2.0], [3.0, 0.5]])
    return lambda z: np.sum(np.abs(h(z)) ** 2 * weights)


def slope(g):
    """Along V, of a gradient of the loss at Z."""
    return np.sum(np.real(np.conj(g) * V))


STEPS_BY_VALUES = {"fixed_point", "minimize", "debug"}
"""What looks at values, so that a program has none of it."""
DIFFERENTIATING = {"grad", "hvp", "jvp"}


def check_refused(names, run):
    with pytest.raises((td.errors.TracedValueError, td.errors.NotDifferentiableError)) as caught:
        run()
    assert any(name in str(caught.value) for name in names), caught.value


@pytest.mark.parametrize("inner", TRANSFORMS)
@pytest.mark.parametrize("outer", TRANSFORMS)
def test_pairs_are_right_or_refused_by_name(outer, inner):
    pair, f = {outer, inner}, loss_of(TRANSFORMS[outer](TRANSFORMS[inner](base)))
    if "minimize" in pair:
        assert_minimised_or_refused(outer, inner, f)
        return
    gradient = td.grad(f)
    if (outer, inner) == ("debug", "odeint"):  # its own tensors, on a tape that odeint cannot see
        check_refused(pair, lambda: gradient(Z))
        return
    h = 1e-5
    if not (outer == "jit" and inner in STEPS_BY_VALUES):
        change = (f(Z + h * V) - f(Z - h * V)) / (2 * h)
        assert slope(gradient(Z)) == pytest.approx(change, rel=2e-5)
    else:
        check_refused(pair, lambda: f(Z))
    if pair & STEPS_BY_VALUES:
        check_refused(pair, lambda: td.jit(gradient)(Z))
    else:
        assert slope(td.jit(gradient)(Z)) == pytest.approx(change, rel=2e-5)


def assert_minimised_or_refused(outer, inner, f):
    """A minimisation has a value, but no derivative; and is part of no program or batch."""
    hidden = outer in DIFFERENTIATING | {"vmap", "jit", "debug"} and inner == "minimize"
    if hidden or outer == inner:
        check_refused({"minimi"}, lambda: f(Z))
    else:
        assert np.isfinite(f(Z))
    check_refused({"minimi", "Tensor", "debug"}, lambda: td.grad(f)(Z))
    check_refused({"minimi", "debug"}, lambda: td.jit(f)(Z))


# --- what looks at complex numbers, or keeps them


def test_records_of_complex_numbers():
    text = str(td.record(td.grad(lambda z: np.sum(np.abs(np.fft.fft(z)) ** 2)), Z[0]))
    assert text.splitlines()[0].split()[:2] == ["%0", "z"]
    assert "complex128" in text
    assert "conjugate" in text.splitlines()[-1]
    of_number = td.record(lambda z: abs(z) ** 2 + z.real, 1 + 2j)
    assert [record.name for _, record in of_number][:2] == ["input", "absolute"]


def test_files_of_complex_numbers(tmp_path):
    whole = {
        "z": np.array([1 + 2j, complex(-0.0, np.inf)]),
        "single": np.complex64(1j),
        "number": 1 - 2j,
        "point": np.array(2j),
        "nothing": np.zeros((0, 3), complex),
        "columns": np.asfortranarray(Z),
        "real": np.ones(2, np.float32),
    }
    path = tmp_path / "tree"
    path.write_bytes(saved_file.dump(whole, {}))
    again = saved_file.restore(saved_file.load(path), whole)
    for name, leaf in whole.items():
        assert type(again[name]) is type(leaf)
        assert np.asarray(again[name]).dtype == np.asarray(leaf).dtype
        np.testing.assert_array_equal(again[name], leaf)
        assert np.array_equal(np.signbit(np.real(again[name])), np.signbit(np.real(leaf)))


def test_a_file_that_takes_complex_numbers(tmp_path):
    path = td.export(lambda x, z: x * z, np.ones(3), 1 + 2j, path=tmp_path / "turn.py")
    space = {}
    exec(path.read_text(), space)
    (turn,) = [f for name, f in space.items() if callable(f) and not name.startswith("_")]
    np.testing.assert_array_equal(turn(np.arange(3.0), 0.5 - 1j), np.arange(3.0) * (0.5 - 1j))
    with pytest.raises(TypeError, match="z must be a number, got a str"):
        turn(np.arange(3.0), "1j")
