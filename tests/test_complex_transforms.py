"""Complex numbers through the transforms, the optimisers and what looks on; Fourier transforms."""

import pickle

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import assert_same

Z = np.array([0.3 + 1.2j, -0.7 - 0.1j, 2.1j])
X = np.array([0.3, -0.7, 2.1])
A = np.array([[1 + 1j, 0.5, -0.2j], [0.1 - 0.4j, 2.0, 1 - 1j]])


def energy(z):
    return np.sum(np.abs(np.exp(z) - z**2) ** 2)


def by_parts(f, z, h=1e-6):
    """df/dx + i df/dy, by central differences."""
    units = h * np.eye(z.size).reshape((z.size, *z.shape))
    slopes = [(f(z + u) - f(z - u)) / (2 * h) for u in (*units, *(1j * units))]
    return (np.array(slopes[: z.size]) + 1j * np.array(slopes[z.size :])).reshape(z.shape)


# --- derivatives of every shape


def test_a_gradient_is_that_of_the_parts():
    assert_allclose(td.grad(energy)(Z), by_parts(energy, Z), rtol=1e-7)


def test_tangents_may_be_complex_where_primals_are():
    y, dy = td.jvp(np.sin, Z, Z * 1j)
    assert_allclose([y, dy], [np.sin(Z), np.cos(Z) * Z * 1j])
    _, push = td.linearize(np.abs, 3 + 4j)
    assert_allclose([push(1.0), push(1j)], [0.6, 0.8])
    with pytest.raises(TypeError, match="complex128, not float64"):
        td.jvp(np.sin, X, Z)


@pytest.mark.parametrize("mode", [None, "reverse", "forward"])
def test_jacobians(mode):
    holomorphic = td.jacobian(lambda z: A @ z**2, mode=mode, holomorphic=True)(Z)
    assert_allclose(holomorphic, A * 2 * Z)
    assert_allclose(td.jacobian(lambda x: A @ x**2, mode=mode)(X), A * 2 * X)
    of_real = td.jacobian(lambda z: np.abs(A @ z) ** 2, mode=mode)(Z)
    assert_allclose(of_real, 2 * (A @ Z)[:, None] * A.conj())
    single = td.jacobian(lambda x: 1j * x, mode=mode)(X.astype(np.float32))
    assert single.dtype == np.complex64
    with pytest.raises(TypeError, match=r"holomorphic=True.*td\.tree\.ravel"):
        td.jacobian(lambda z: A @ z, mode=mode)(Z)
    with pytest.raises(TypeError, match="not holomorphic: conjugate"):
        td.jacobian(lambda z: A @ z.conj(), mode=mode, holomorphic=True)(Z)


def test_a_hessian_of_real_and_imaginary_parts():
    vector, unravel = td.tree.ravel({"z": Z, "scale": 2.0})
    assert_array_equal(vector, [*Z.view(float), 2.0])
    h = td.hessian(lambda v: energy(unravel(v)["z"]) * unravel(v)["scale"])(vector)
    assert h.shape == (7, 7)
    assert_allclose(h, h.T)
    direction = np.array([0.2, -1, 0.4, 0.3, -0.8, 0.1, 0])
    along = td.hvp(energy, Z, direction[:6].view(complex))
    assert_allclose((h @ direction)[:6] / 2, along.view(float), rtol=1e-12)


def test_a_hessian_of_complex_numbers_is_one_of_their_parts():
    def loss(z, scale):
        return energy(z["a"]) * scale + np.sum(np.abs(z["b"]) ** 4 * z["x"]).real

    z = {"a": Z, "b": 0.5 + 0.2j, "x": np.array(1.5), "name": "z"}
    h = td.hessian(loss, (0, 1))(z, 2.0)
    aa, ba, a_scale = h[0]["a"][0]["a"], h[0]["b"][0]["a"], h[0]["a"][1]
    shapes = [np.shape(block) for block in (aa, ba, a_scale)]
    assert shapes == [(2, 3, 2, 3), (2, 2, 3), (2, 3)]
    assert h[1][1].shape == h[0]["x"][0]["x"].shape == ()
    assert {leaf.dtype for leaf in td.tree.flatten(h)[0] if hasattr(leaf, "dtype")} == {
        np.dtype(float)
    }
    step = 1e-5
    for direction in np.eye(3):
        for axis, turn in enumerate((1, 1j)):
            ends = [td.grad(loss, (0, 1))(z | {"a": Z + turn * s * direction}, 2.0)
                    for s in (step, -step)]  # fmt: skip
            change = td.tree.map(lambda a, b: (a - b) / (2 * step) if hasattr(a, "dtype") else a,
                                 *ends)  # fmt: skip
            column = aa[..., axis, :] @ direction
            assert_allclose(column[0] + 1j * column[1], change[0]["a"], rtol=1e-8, atol=1e-8)
            column = ba[..., axis, :] @ direction
            assert_allclose(column[0] + 1j * column[1], change[0]["b"], rtol=1e-8, atol=1e-8)
            assert_allclose(h[1][0]["a"][axis] @ direction, change[1], rtol=1e-8, atol=1e-8)


def test_a_hessian_of_complex_numbers_in_other_transforms():
    h = td.hessian(energy)(Z)
    assert_allclose(h.reshape(6, 6), h.reshape(6, 6).T)
    v = np.array([1 - 1j, 0.2j, -0.5])
    along = np.tensordot(h, np.stack([v.real, v.imag]), 2)
    assert_allclose(td.hvp(energy, Z, v), along[0] + 1j * along[1], rtol=1e-12)
    assert_same(td.jit(td.hessian(energy))(Z), h)
    assert_allclose(td.vmap(td.hessian(energy))(np.stack([Z, 2 * Z]))[0], h)
    single = td.hessian(energy)(Z.astype(np.complex64))
    assert single.dtype == np.float32
    assert_allclose(single, h, rtol=1e-4, atol=1e-4)
    value, aux = td.hessian(lambda z: (energy(z), "aux"), has_aux=True)(Z)
    assert_allclose(value, h)
    assert aux == "aux"
    with pytest.raises(TypeError, match=r"^<lambda> returned a complex number, which has no grad"):
        td.hessian(lambda z: np.sum(z**2))(Z)


def test_a_hessian_vector_product_is_how_the_gradient_changes():
    v, h = np.array([1 - 1j, 0.2j, -0.5]), 1e-6
    change = (td.grad(energy)(Z + h * v) - td.grad(energy)(Z - h * v)) / (2 * h)
    assert_allclose(td.hvp(energy, Z, v), change, rtol=1e-7)
    assert_same(td.jit(lambda z, v: td.hvp(energy, z, v))(Z, v), td.hvp(energy, Z, v))


def test_ravel_keeps_dtypes_and_places():
    tree = {"a": np.float32(2), "z": Z.astype(np.complex64).reshape(3, 1), "n": 1j, "name": "x"}
    vector, unravel = td.tree.ravel(tree)
    again = unravel(vector)
    assert vector.dtype == float
    assert again["z"].dtype == np.complex64
    assert_array_equal(again["z"], tree["z"])
    assert again["n"] == 1j
    assert again["name"] == "x"
    g = td.grad(lambda v: np.sum(np.abs(unravel(v)["z"]) ** 2))(vector)
    assert_allclose(g, [0, *2 * tree["z"].view(np.float32).ravel(), 0, 0])


def test_elementwise_slopes():
    assert_allclose(td.elementwise_grad(np.abs)(Z), Z / np.abs(Z))
    with pytest.raises(TypeError, match="two parts"):
        td.elementwise_grad(np.exp)(Z)


def test_batches():
    batch = np.stack([Z, 2 * Z])
    assert_allclose(td.vmap(td.grad(energy))(batch), [td.grad(energy)(z) for z in batch])
    outer = td.grad(lambda b: np.sum(td.vmap(energy)(b)))(batch)
    assert_allclose(outer, [td.grad(energy)(z) for z in batch])


def test_checkpoint_and_stop_gradient():
    assert_array_equal(td.grad(td.checkpoint(energy))(Z), td.grad(energy)(Z))
    assert td.grad(lambda z: (z * td.stop_gradient(z)).real)(1 + 2j) == 1 - 2j
    pair = td.checkpoint(lambda z, x: (np.exp(z), x * 2, z.imag))
    f = lambda z, x: sum(np.sum(np.abs(y)) for y in pair(z, x))  # noqa: E731
    gz, gx = td.grad(f, (0, 1))(Z, X)
    assert_allclose(gz, Z.real * 0 + np.abs(np.exp(Z)) + 1j * np.sign(Z.imag))
    assert_allclose(gx, 2 * np.sign(X))


def test_a_derivative_of_ones_own_is_paired_without_a_conjugate():
    cube = td.custom_vjp(lambda z: z**3, lambda z: (z**3, z), lambda z, g: (g * 3 * z**2,))
    assert_allclose(td.grad(lambda z: np.sum(np.abs(cube(z))))(Z),
                    td.grad(lambda z: np.sum(np.abs(z**3)))(Z))  # fmt: skip
    double = td.custom_vjp(lambda x: 2j * x, lambda x: (2j * x, None), lambda _, g: (2j * g,))
    assert_allclose(td.grad(lambda x: np.sum(double(x).imag))(X), [2, 2, 2])
    assert_allclose(td.grad(cube, holomorphic=True)(1j), -3)


def test_loops_carry_complex_numbers():
    """A Schroedinger equation in steps, against the same in Python."""
    angles = np.linspace(0.1, 0.9, 5)

    def rotate(state, angle):
        state = np.exp(1j * angle) * state + 0.1j * state[::-1]
        return state, np.abs(state) ** 2

    def loss(state, angles):
        state, sizes = td.scan(rotate, state, angles)
        return np.sum(sizes[-1] * np.arange(3)) + np.sum(state.real)

    def plain(state, angles):
        for angle in angles:
            state, size = rotate(state, angle)
        return np.sum(size * np.arange(3)) + np.sum(state.real)

    both = td.grad(loss, (0, 1))
    for got, wanted in zip(both(Z, angles), td.grad(plain, (0, 1))(Z, angles), strict=True):
        assert_allclose(got, wanted, rtol=1e-12)
    for got, wanted in zip(td.jit(both)(Z, angles), both(Z, angles), strict=True):
        assert_same(got, wanted)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_a_schroedinger_equation(adjoint):
    """Against the exponential of its matrix: by the state, the frequency, and the matrix itself."""
    h, psi = np.array([[1, 0.5 - 0.2j], [0.5 + 0.2j, -1]]), np.array([1, 0.3j])

    def measure(state):
        return np.abs(state[0]) ** 2 + state[1].imag

    def loss(psi, w, h):
        path = td.odeint(
            lambda y, _t, w, h: -1j * w * (h @ y), psi, np.linspace(0, 1, 3), w, h,
            adjoint=adjoint, rtol=1e-9, atol=1e-11,
        )  # fmt: skip
        return measure(path[-1])

    def exact(psi, w, h):
        return measure(td.linalg.expm(-1j * w * h) @ psi)

    both = [td.value_and_grad(f, (0, 1, 2))(psi, 1.2, h) for f in (loss, exact)]
    for got, wanted in zip(*[td.tree.flatten(each)[0] for each in both], strict=True):
        assert got.dtype == wanted.dtype
        assert_allclose(got, wanted, atol=1e-8)
    with pytest.raises(td.errors.NotDifferentiableError, match="ts are complex"):
        td.odeint(lambda y, _: 1j * y, psi, np.array([0, 1j]))


def test_an_op_of_ones_own():
    cube = td.define(lambda z: z**3, lambda g, y, z: g * 3 * z**2, name="cube")
    td.check_grads(cube, Z)
    assert_allclose(td.grad(cube, holomorphic=True)(1 + 1j), 3 * (1 + 1j) ** 2)


def test_a_fixed_point_of_complex_numbers():
    def root(a):  # Heron
        return td.fixed_point(lambda a, z: (z + a / z) / 2, a, 1 + 1j)

    assert_allclose(root(2j), 1 + 1j)
    assert_allclose(td.vjp(root, 2j)[1](np.complex128(1)), 0.5 / (1 + 1j))


def test_transforms_of_complex_functions_can_be_pickled():
    g = pickle.loads(pickle.dumps(td.grad(np.sin, holomorphic=True)))
    assert_allclose(g(1j), np.cos(1j))


# --- optimisers


@pytest.mark.parametrize(
    "name", ["gradient_descent", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw"]
)
def test_an_optimiser_keeps_dtypes_and_descends(name):
    optimizer = getattr(td.optim, name)(0.05)
    params = {"z": Z.astype(np.complex64), "x": np.float32(2.0)}
    loss = lambda p: np.sum(np.abs(p["z"] - (1 + 2j)) ** 2) + (p["x"] - 1) ** 2  # noqa: E731
    state, start = optimizer.init(params), loss(params)
    for _ in range(30):
        params, state = optimizer.update(params, td.grad(loss)(params), state)
    assert (params["z"].dtype, params["x"].dtype) == (np.complex64, np.float32)
    assert loss(params) < 0.8 * start


def test_adams_second_moment_is_of_the_size():
    """optax's convention: |g|^2, so that a first step has length 1 whatever its direction."""
    adam = td.optim.adam(0.1)
    params, state = adam.update(Z, np.array([3 + 4j, -2j, 1e-3]), adam.init(Z))
    assert_allclose(Z - params, 0.1 * np.array([0.6 + 0.8j, -1j, 1]), rtol=1e-4)
    assert state[0].square.dtype == float


def test_a_global_norm_is_over_both_parts():
    clip = td.optim.clip_by_global_norm(1.0)
    assert_allclose(clip.apply({"z": np.array([3 + 4j])}, None, None)[0]["z"], [0.6 + 0.8j])


def test_minimize_moves_both_parts():
    params = {"z": Z, "x": 1.5}
    loss = lambda p: np.sum(np.abs(p["z"] - (1 + 2j)) ** 2) + (p["x"] - 3) ** 2  # noqa: E731
    for method in ("BFGS", "Newton-CG", "L-BFGS-B"):
        found = td.minimize(loss, params, method=method).x
        assert_allclose(found["z"], np.full(3, 1 + 2j), atol=1e-5)
    bounded = td.minimize(loss, params, bounds=(-1.0, 1.5)).x
    assert_allclose(bounded["z"], np.full(3, 1 + 1.5j), atol=1e-6)


# --- what looks on


def test_debug_finds_what_is_not_finite():
    with pytest.raises(td.errors.NonFiniteError, match="log"):
        td.debug(td.grad(lambda z: np.log(z).real))(0j)
    assert_allclose(td.debug(td.grad(energy))(Z), td.grad(energy)(Z))


def test_a_record_shows_complex_numbers():
    shown = str(td.record(energy, Z))
    assert "complex128" in shown
    assert "absolute" in shown


def test_check_grads_sees_a_wrong_conjugate():
    wrong = td.define(np.conj, lambda g, _y, _z: g, name="wrong")
    with pytest.raises(td.errors.GradientMismatchError, match="wrong"):
        td.check_grads(wrong, Z)


@pytest.mark.parametrize("value", [np.array(0.7j), np.complex128(0.7j), 0.7j, np.array([0.7j])])
def test_a_gradient_comes_back_as_its_argument_was(value):
    f = td.grad(lambda z: np.sum(np.abs(np.exp(z)) ** 2) + np.sum(z.imag))
    for g in (f(value), td.jit(f)(value), td.hvp(lambda z: np.sum(np.abs(z) ** 2), value, value)):
        assert g.shape == np.shape(value)
        assert isinstance(g, np.ndarray) == isinstance(value, np.ndarray)
        assert g.dtype == complex


# --- random programs, eager against compiled

UNARY = (
    *(np.exp, np.sin, np.conj, np.tanh, np.square, lambda z: z.real + 2j * z.imag),
    *(lambda z: z / (3 + np.abs(z)), lambda z: np.sum(z) * z, np.fft.fft, lambda z: z[::-1]),
)
BINARY = (np.add, np.multiply, np.subtract, lambda a, b: a @ b * a, lambda a, b: np.vdot(a, b) + a)


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 9), st.integers(0, 9)), max_size=6))
def test_a_program_of_complex_numbers_is_eager_to_the_bit_and_right(steps):
    def f(z, x):
        values = [z, x * (1 - 0.5j), x]
        for op, i, j in steps:
            a, b = values[i % len(values)], values[j % len(values)]
            y = UNARY[op](a * 1.0) if op < len(UNARY) else BINARY[op - len(UNARY)](a, b)
            values.append(y / np.sqrt(1 + np.abs(y) ** 2))
        return sum(np.sum(np.abs(v - 0.1j) ** 2) for v in values)

    both = td.value_and_grad(f, (0, 1))
    got, wanted = td.jit(both)(Z, X), both(Z, X)
    assert_same(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0])
    td.check_grads(f, Z, X, order=1, rtol=1e-5)


def test_a_program_leaves_complex_numbers_to_numpy(backend):
    """Also where real loops around them are compiled."""
    x = np.linspace(-1, 1, 24).reshape(4, 6)

    def f(x, z):
        w = np.exp(1j * x) * z + 0.5
        sizes = np.abs(np.fft.fft(w, axis=1)) ** 2
        chosen = np.where(x > 0, w, 0)
        return np.sum(np.tanh(sizes) * x) + np.sum(chosen.real + np.maximum(x, 0) * w.imag)

    both = td.value_and_grad(f, (0, 1))
    z = x + 1j * x[::-1]
    got, wanted = td.jit(both, backend=backend)(x, z), both(x, z)
    for a, b in zip(td.tree.flatten(got)[0], td.tree.flatten(wanted)[0], strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=1e-12, atol=1e-14)


# --- Fourier transforms, beside their cases

ONE = [np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft]


@pytest.mark.parametrize("f", ONE)
@pytest.mark.parametrize("n", [None, 1, 4, 5, 8, 9])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
def test_a_transform_is_its_matrix(f, n, norm, rng):
    """Of the unit vectors; the cotangent of the input is its transpose, in the pairing."""
    real = f in (np.fft.rfft, np.fft.ihfft)
    units = np.eye(6) if real else np.concatenate([np.eye(6), 1j * np.eye(6)])
    matrix = np.stack([f(u, n, norm=norm) for u in units])
    x = rng.standard_normal(6) + (0 if real else 1j * rng.standard_normal(6))
    y, pullback = td.vjp(lambda x: f(x, n, norm=norm), x)
    g = rng.standard_normal(y.shape)
    g = g + 1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else g
    pulled = np.real(matrix @ g)  # what each real part gains, and each imaginary one
    assert_allclose(pullback(g), pulled if real else pulled[:6] - 1j * pulled[6:], atol=1e-13)


def test_parseval():
    """The energy of a spectrum is n times that of the signal."""
    x = np.arange(7.0)
    f = lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2)  # noqa: E731
    assert_allclose(td.grad(f)(x), 14 * x, atol=1e-13)
    assert_allclose(td.hessian(f)(x), 14 * np.eye(7), atol=1e-12)


def test_real_code_through_a_spectrum():
    x = np.random.default_rng(0).standard_normal(16).astype(np.float32)
    g = td.grad(lambda x: np.sum(np.abs(np.fft.rfft(x))))(x)
    assert g.dtype == np.float32
    td.check_grads(lambda x: np.sum(np.abs(np.fft.rfft(x))), x.astype(float))


def test_a_batch_of_transforms_is_one_call():
    x = np.random.default_rng(0).standard_normal((5, 8))
    for f in (*ONE, td.fft.dct, td.fft.dst):
        assert td.vmap(f).loops(x) == ()
    loss = lambda x: np.sum(np.abs(np.fft.rfft(x, 12)) ** 2)  # noqa: E731
    assert td.vmap(td.grad(loss)).loops(x) == ()
    assert_allclose(td.vmap(td.grad(loss))(x), [td.grad(loss)(row) for row in x])


@pytest.mark.parametrize("name", ["dct", "idct", "dst", "idst"])
@pytest.mark.parametrize("type", [1, 2, 3, 4])
def test_an_orthogonal_transform_undoes_its_transpose(name, type):
    f = lambda x: getattr(td.fft, name)(x, type, norm="ortho")  # noqa: E731
    y, pullback = td.vjp(f, X)
    assert_allclose(y, getattr(scipy.fft, name)(X, type, norm="ortho"))
    assert_allclose(pullback(y), X, atol=1e-14)


def test_scipys_transforms_name_ours():
    with pytest.raises(TypeError, match=r"td\.fft"):
        td.grad(lambda x: np.sum(scipy.fft.dct(x)))(X)


def test_a_misspelt_norm_or_type():
    with pytest.raises(ValueError, match="norm"):
        td.fft.dct(X, norm="othro")
    with pytest.raises(ValueError, match="type"):
        td.fft.dct(X, 5)
    with pytest.raises(ValueError, match="norm"):
        td.grad(lambda x: np.fft.rfft(x, norm="othro").real.sum())(X)
    with pytest.raises(ValueError, match="different lengths"):
        td.grad(lambda x: np.fft.fftn(x, (2, 2), (0,)).real.sum())(A)


@pytest.mark.parametrize("name", ["dctn", "idctn", "dstn", "idstn", "hfftn", "ihfftn"])
@pytest.mark.parametrize(
    "options",
    [
        {"axes": (1, 1)},
        {"s": (2, 2), "axes": 0},
        {"s": (2, 2, 2)},
        {"axes": 5},
        {"s": 2, "axes": 0},
    ],
    ids=str,
)
def test_lengths_and_axes_are_scipys(name, options):
    x, results = (A.real if name == "ihfftn" else A), []
    for fft in (scipy.fft, td.fft):
        try:
            results.append(getattr(fft, name)(x, **options))
        except ValueError:  # of which AxisError is one
            results.append(None)
    wanted, got = results
    assert (got is None) == (wanted is None)
    if got is not None:
        assert_allclose(got, wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("real", [True, False])
def test_fast_lengths_are_scipys(real):
    lengths = [*range(1, 300), 10007, 2**17 + 1]
    assert [td.fft.next_fast_len(n, real) for n in lengths] == [
        scipy.fft.next_fast_len(n, real) for n in lengths
    ]


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: td.signal.fftconvolve(x, x, axes=()), "no axes"),
        (lambda x: td.signal.hilbert(x, 0), "at least 1"),
        (lambda x: td.signal.stft(x, window=("tukey", 0.2)), "hamming"),
        (lambda x: td.signal.stft(x, window=np.ones(8)), "8 samples, the signal 3"),
        (lambda x: td.signal.stft(x, window=np.array([1j])), "real"),
    ],
)
def test_what_a_signal_has_not_is_said(f, message):
    with pytest.raises(ValueError, match=message):
        f(X)


def test_single_precision_stays_in_signals():
    x = np.ones(12, np.float32)
    for scaling in ("spectrum", "psd"):
        z = td.signal.stft(x, nperseg=4, scaling=scaling)[2]
        assert z.dtype == np.complex64
        assert td.signal.istft(z, nperseg=4, scaling=scaling)[1].dtype == np.float32


# --- eigenvalues of any matrix, and roots

M = np.array([[0.5, 2.0, -1.0], [-1.5, 0.3, 0.4], [0.2, 0.7, 1.9]])


def test_eigenvalues_of_a_real_matrix():
    assert np.linalg.eigvals(M).dtype == complex
    td.check_grads(np.linalg.eigvals, M)
    td.check_grads(lambda a: np.linalg.eig(a)[0], M)
    lower = np.tril(M)
    value, pullback = td.vjp(np.linalg.eigvals, lower)
    assert value.dtype == float
    vector = np.linalg.eig(lower)[1]
    exact = np.linalg.inv(vector).T @ np.diag([1.0, 0, 0]) @ vector.T
    assert_allclose(pullback(np.array([1.0, 0, 0])), exact)


def test_eigenvectors_in_their_gauge():
    """Length 1 and a real largest component, as LAPACK has it: pairs are right as they come."""
    pair = lambda a: np.linalg.eig(a)[1][:, np.linalg.eigvals(M).imag > 0]  # noqa: E731
    td.check_grads(pair, M)
    products = lambda a: (lambda v: v[:, None] * v)(np.linalg.eig(a)[1])  # noqa: E731
    td.check_grads(products, M)
    td.check_grads(products, M @ M.T)


def test_vectors_of_equal_eigenvalues_warn():
    with pytest.warns(td.errors.DegenerateWarning, match="eig"):
        td.grad(lambda a: np.sum(np.abs(np.linalg.eig(a)[1])))(np.eye(3))


def test_roots_of_polynomials():
    p = np.array([1.0, -6, 11, -6])
    assert np.roots(p).dtype == float
    y, pullback = td.vjp(np.roots, p)
    slopes = np.polyval(np.polyder(p), y)
    assert_allclose(pullback(np.array([1.0, 0, 0])), -(y[0] ** np.arange(3.0, -1, -1)) / slopes[0])
    td.check_grads(np.roots, np.array([1.0, 2, 5]))
    td.check_grads(np.roots, np.array([2.0, 1, 5, 0]))
    assert_array_equal(td.vjp(np.roots, np.array([0.0, 1.0, 2.0]))[0], [-2])
    assert td.vjp(np.poly, np.array([1 + 2j, 1 - 2j]))[0].dtype == float
    td.check_grads(np.poly, M, order=1)
