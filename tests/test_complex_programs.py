"""Complex numbers in programs: loops, differential equations, files, and bits."""

import functools
import operator
import runpy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import assert_same
from tinygrad_digits.digits.errors import RunError
from tinygrad_digits.digits.runs import checkpoint
from tinygrad_digits.ops.complex_parts import direction

RNG = np.random.default_rng(0)
Z = RNG.standard_normal(3) + 1j * RNG.standard_normal(3)
A = np.linspace(0.1, 0.9, 5)


# --- loops and branches


def rotate(state, angle):
    state = np.exp(1j * angle) * state + 0.1j * state[::-1] * np.conj(state)
    return state, (np.abs(state) ** 2, state * 2)


def mix(carry, x):
    z, r = carry
    z = z * x / (1 + np.abs(z) ** 2)
    return (z, r + np.sum(np.abs(z))), z.imag


def last_of(pair):
    (state, (sizes, doubled)) = pair
    return np.sum(np.abs(state) ** 2) + np.sum(sizes[0] * np.arange(3)) + np.sum(doubled.imag)


def grow(z, a):
    count, y = td.while_loop(
        lambda c: np.abs(c[1][0]) < 20,
        lambda c: (c[0] + 1, c[1] * (1.5 + 0.2j) * (1 + a[0])),
        (0, z),
        max_steps=20,
    )
    return np.sum(np.abs(y) ** 2) * count


def combine(left, right):
    return left[0] * right[0], right[0] * left[1] + right[1]


LOOPS = {
    "scan": lambda z, a: last_of(td.scan(rotate, z, a)),
    "scan, backwards": lambda z, a: last_of(td.scan(rotate, z, a, reverse=True)),
    "scan, computed again": lambda z, a: last_of(td.scan(rotate, z, a, checkpoint=2)),
    "scan of real and complex": lambda z, a: td.scan(mix, (z, 1.0), a * (1 + 1j))[0][1],
    "scan of complex rows": lambda z, a: np.sum(
        td.scan(lambda c, x: (c * x[0] + np.vdot(x, x), c), 0j, np.outer(a, z))[1].imag
    ),
    "scan over what it closes over": lambda z, a: np.sum(
        np.abs(td.scan(lambda c, x: (c * z / (1 + abs(c)) + x, c), z, a)[0])
    ),
    "fori_loop": lambda z, a: np.sum(
        np.abs(td.fori_loop(0, 4, lambda k, c: c * c * a[k] * (0.5 - 1j) + c, z))
    ),
    "while_loop": grow,
    "cond": lambda z, a: np.sum(
        np.abs(1j + td.cond(a[0] < 0, lambda x: 1j * x, lambda x: np.conj(x) * z, z))
    ),
    "switch": lambda z, a: np.sum(
        td.switch(1, [lambda x: x, lambda x: np.exp(x) * a[:3], np.conj], z).imag
    ),
    "map": lambda z, a: np.sum(
        np.abs(td.map(lambda row: np.sum(row * row) * np.conj(row), np.outer(a, z)))
    ),
    "associative_scan": lambda z, a: np.sum(
        td.associative_scan(combine, (np.outer(a, z), 1j * np.outer(a, z) + a[:, None]))[1].imag
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_complex_numbers(name, backend):
    """Central differences; a program's bits; and a batch."""
    f = LOOPS[name]
    td.check_grads(f, Z, A, order=2, rtol=1e-4)
    both = td.value_and_grad(f, (0, 1))
    got, wanted = td.jit(both, backend=backend)(Z, A), both(Z, A)
    for g, w in zip(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0], strict=True):
        assert g.dtype == w.dtype
        assert_allclose(g, w, rtol=1e-13, atol=1e-14)
    batch = np.stack([Z, 1j * Z, Z - 0.5])
    for k, g in enumerate(td.vmap(td.grad(f), (0, None))(batch, A)):
        assert_allclose(g, td.grad(f)(batch[k], A), rtol=1e-12, atol=1e-13)


def test_a_while_loop_without_a_gradient_says_so(backend):
    def f(z):
        return np.sum(np.abs(td.while_loop(lambda z: np.abs(z[0]) < 9, lambda z: z * (1 + 1j), z)))

    with pytest.raises(td.errors.NotDifferentiableError, match="max_steps"):
        td.jit(td.grad(f), backend=backend)(Z)


# --- differential equations


@pytest.mark.parametrize(
    ("method", "adjoint"),
    [
        ("dopri5", "discrete"),
        pytest.param("tsit5", "continuous", marks=pytest.mark.slow),
        ("rk4", "discrete"),
    ],
)
def test_a_tree_of_real_and_complex_states(method, adjoint):
    matrix = np.array([[1, 0.5 - 0.2j], [0.5 + 0.2j, -1]])

    def slope(y, t, w, h):
        norm = np.sum(np.abs(y["psi"]) ** 2 * np.array([1.0, 2.0]))
        return {"psi": -1j * w * (h @ y["psi"]) * (1 + 0.3 * t), "n": norm - y["n"]}

    def loss(psi, w, h, ts):
        accuracy = {"substeps": 20} if method == "rk4" else {"rtol": 1e-9, "atol": 1e-11}
        start = {"psi": psi, "n": 0.5}
        y = td.odeint(slope, start, ts, w, h, method=method, adjoint=adjoint, **accuracy)
        return np.abs(y["psi"][-1][0]) ** 2 + y["psi"][1][1].imag + y["n"][-1]

    args = np.array([1, 0.3j]), 1.2, matrix, np.linspace(0, 1, 3)
    td.check_grads(loss, *args, order=1, rtol=1e-5)
    both = td.grad(loss, (0, 1, 2, 3))
    for got, wanted in zip(td.jit(both)(*args), both(*args), strict=True):
        assert got.dtype == wanted.dtype
        assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


def test_a_state_in_single_precision_stays():
    psi = np.array([1, 0.5j], np.complex64)
    ts = np.array([0.0, 1.0])
    y = td.odeint(lambda y, _t: -1j * y, psi, ts)
    assert y.dtype == np.complex64
    assert_allclose(y[-1], psi * np.exp(-1j), rtol=1e-5)
    loss = lambda psi: td.odeint(lambda y, _t: -1j * y, psi, ts)[-1].real.sum()  # noqa: E731
    assert td.grad(loss)(psi).dtype == np.complex64


# --- bits of programs

PARTS = st.sampled_from([0.0, -0.0, 1.0, -3.0, 0.5, np.inf, -np.inf, np.nan, 1e-310, 1e300])
NUMBERS = st.builds(complex, PARTS, PARTS)
OPERANDS = (
    1,
    1.0,
    -1,
    2,
    2.0,
    0.5,
    0,
    -0.0,
    1j,
    complex(-0.0, -1),
    complex(1, -0.0),
    np.float64(1),
)
OPS = (
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow),
    *(lambda z, c: c * z, lambda z, c: c - z, lambda z, c: c / z, lambda z, _: np.negative(-z)),
    *(lambda z, _: z.conj().conj(), np.power, lambda z, c: (z * c) * c),
)


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.sampled_from(OPERANDS), st.sampled_from(OPS))
def test_numbers_do_to_complex_arrays_what_numpy_does(numbers, operand, op):
    """1 * z is not z where a zero has a sign, or a part is infinite; z**0.5 is not np.power."""
    z = np.array(numbers)
    with np.errstate(all="ignore"):
        wanted = op(z, operand)
        assert_same(td.jit(lambda z: op(z, operand))(z), wanted)
        assert_same(td.vjp(lambda z: op(z, operand), z)[0], wanted)


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_a_direction_is_numpys_sign(numbers):
    z = np.array(numbers)
    with np.errstate(all="ignore"):
        assert_allclose(direction(z), np.sign(z), rtol=1e-15)


def test_powers_of_complex_arrays_by_operator():
    z = RNG.standard_normal(99) + 1j * RNG.standard_normal(99)
    for dtype in (np.complex64, complex):
        for base in (z.astype(dtype), np.array(z[0], dtype), dtype(z[0])):
            for exponent in (0.5, -1, 2, -0.5, 1, 3):
                f = lambda z, b=exponent: z**b  # noqa: E731
                assert_same(td.jit(f)(base), f(base))
    td.check_grads(lambda z: z**0.5 + z**-1, z[:4])


# --- numbers that are no arrays


def test_a_record_names_complex_constants():
    shown = str(td.record(td.grad(lambda z: np.sum(np.abs(z * 2j) ** 2)), Z))
    assert "2j" in shown
    assert str(td.record(lambda z: (z * 2j, td.tree.ravel({"z": z})[0]), 1 + 1j))


def test_vmap_takes_and_gives_complex_numbers_as_others():
    with pytest.raises(td.errors.ShapeError, match="no axis 0"):
        td.vmap(operator.mul)(A, 2j)
    assert_array_equal(td.vmap(lambda _: 2j)(A), np.full(5, 2j))


def test_a_matrix_function_refuses_to_lose_the_imaginary_part():
    matrix = np.array([[1.0, 0.3], [0.3, 2.0]])
    with pytest.raises(td.errors.NotDifferentiableError, match=r"np\.cos"):
        td.linalg.funm(lambda x: np.exp(1j * x), matrix)


def test_layers_refuse_complex_numbers():
    images = np.ones((1, 2, 4, 4)) * 1j
    for f in (td.nn.gelu, td.nn.layer_norm, lambda x: td.nn.conv2d(x, np.ones((3, 2, 2, 2)))):
        with pytest.raises(td.errors.NotDifferentiableError, match="channels"):
            f(images)
        with pytest.raises(td.errors.NotDifferentiableError, match="channels"):
            td.grad(lambda x: np.sum(f(x).real))(images)  # noqa: B023


NUMBERS_OF_AN_ORDER = [
    *(td.nn.relu, td.nn.leaky_relu, td.nn.elu, td.nn.selu, td.nn.hard_tanh),
    *(functools.partial(f, targets=np.ones(3)) for f in (td.nn.mse, td.nn.huber, td.nn.hinge)),
]


@pytest.mark.parametrize("f", NUMBERS_OF_AN_ORDER, ids=lambda f: getattr(f, "func", f).__name__)
def test_activations_and_losses_refuse_complex_numbers(f):
    z = np.array([1 + 1j, 2j, -1])
    with pytest.raises(td.errors.NotDifferentiableError, match=r"abs"):
        f(z)
    with pytest.raises(td.errors.NotDifferentiableError, match=r"abs"):
        td.grad(lambda z: np.sum(f(z).real))(z)


def test_lists_of_complex_numbers_are_arrays():
    a, b = [[2, 0], [1j, 1]], [1j, 1]
    assert_allclose(td.linalg.solve_triangular(a, b, lower=True), [0.5j, 1.5])
    with pytest.raises(td.errors.NotDifferentiableError, match="eigh"):
        td.linalg.funm(np.exp, a)
    with pytest.raises(td.errors.NotDifferentiableError, match="channels"):
        td.nn.layer_norm(b)


# --- files

CONSTANTS = (complex(np.nan, np.inf), complex(-0.0, -1), complex(-0.0, -0.0), 2j, -1 - 2j)


@pytest.mark.parametrize("constant", CONSTANTS, ids=str)
def test_an_exported_program_has_complex_constants_to_the_bit(constant, tmp_path):
    def loss(z):
        w = np.where(z.real > 0, constant, z) + np.sqrt(z.real * 0 - 1 + constant)
        return np.sum((w * np.array([constant, 1, 2]) + (z - constant)).imag), w

    with np.errstate(all="ignore"):
        path = td.export(loss, Z, path=tmp_path / "program.py")
        assert_same(runpy.run_path(str(path))["program"](Z), td.jit(loss)(Z))


def test_an_object_file_of_complex_numbers_is_refused_by_name(tmp_path):
    with pytest.raises(td.errors.ExportError, match="complex128"):
        td.export(lambda z: np.sum(np.abs(z) ** 2), Z, path=tmp_path / "program.o")


def test_a_checkpoint_has_complex_numbers_as_pairs(tmp_path):
    tree = {"z": Z[None], "one": 1 - 2j, "single": np.complex64(1j), "zero": np.array(-0.0j)}
    path = tmp_path / "checkpoint"
    path.write_bytes(checkpoint.dump(tree, {}))
    found = checkpoint.restore(checkpoint.load(path), tree)
    for name, leaf in tree.items():
        assert type(found[name]) is type(leaf)
        assert_same(np.asarray(found[name]), np.asarray(leaf))
    with pytest.raises(RunError, match="complex64"):
        checkpoint.restore(checkpoint.load(path), {**tree, "z": Z[None].astype(np.complex64)})
    with pytest.raises(RunError, match="float64"):
        checkpoint.restore(checkpoint.load(path), {**tree, "z": np.zeros((1, 3, 2))})
