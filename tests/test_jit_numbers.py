"""Python's numbers in programs: dtypes, promotion, powers."""

import operator

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import BACKENDS, assert_same, check_calls, skip_without
from tinygrad_digits.support import tree

X = np.array([1.0, -2.0, 3.0])

P = np.array([1.0, 2.0, 3.0], np.float32)

UPDATES = {
    "p - rate g": lambda p, g, rate: p - rate * g,
    "rate 0.5 g": lambda p, g, rate: p - rate * 0.5 * g,
    "rate squared": lambda p, g, rate: p - rate**2 * g,
    "power of two": lambda p, g, rate: p - 2**rate * g,
    "-rate": lambda p, g, rate: p + -rate * g,
    "+rate": lambda p, g, rate: p - +rate * g,
    "abs": lambda p, g, rate: p - abs(rate) * g,
    "1 / rate": lambda p, g, rate: p - 1 / rate * g,
    "1 - rate": lambda p, g, rate: rate * p + (1 - rate) * g,
    "rate % 2": lambda p, g, rate: p - rate % 2 * g,
    "rate // 0.01": lambda p, g, rate: p - rate // 0.01 * g,
    "rate * True": lambda p, g, rate: p - rate * True * g,
    "divided": lambda p, g, rate: p / rate - g,
    "rate alone": lambda p, g, rate: (rate, rate * 2, p),
    "rate + rate": lambda p, g, rate: (rate + rate) * p,
    "rate > 0": lambda p, g, rate: p * (rate > 0) + (rate == 0.1) * 1,
    "g ** rate": lambda p, g, rate: np.abs(g) ** rate,
    "np.maximum": lambda p, g, rate: np.maximum(p, rate),
    "np.where": lambda p, g, rate: np.where(g > rate, p, rate),
    "np.exp": lambda p, g, rate: p * np.exp(rate),  # a NumPy scalar in eager, too
    "np.sqrt": lambda p, g, rate: p * np.sqrt(rate),
    "scalar of p": lambda p, g, rate: p[0] * rate + g[1],
    "gradient": lambda p, g, rate: td.grad(lambda p: np.sum(p**rate * g))(p),
    "gradient of rate": lambda p, g, rate: td.grad(lambda r: np.sum(p * r) * r)(rate),
}


@pytest.mark.parametrize("what", UPDATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_numbers_promote_as_in_eager(what, dtype):
    p, g = P.astype(dtype), np.array([0.5, -1.0, 0.25], dtype)
    for kind in (float, np.float32, np.float64, np.array, np.float16):
        check_calls(UPDATES[what], [(p, g, kind(0.1)), (p, g, kind(0.3))])


@pytest.mark.parametrize("exponent", [3, 0.5, -1, 2.5])
def test_powers_of_python_numbers_are_pythons(exponent):
    check_calls(lambda p, rate: (p - rate**exponent * p, rate**exponent), [(P, 0.1), (P, 0.3)])


def test_a_float_a_numpy_scalar_and_a_0d_array_stay_what_they_are():
    def f(x):
        return x, x * 2, np.tanh(x), [x - x]

    for x in (2.0, np.float64(2.0), np.float32(2.0), np.array(2.0), np.array([2.0]), 2, True):
        check_calls(f, [(x,)])


def test_a_ufunc_of_two_python_numbers_is_a_numpy_scalar():
    """np.multiply(0.1, 0.5) is an np.float64, which promotes float32 arrays; 0.1 * 0.5 is not."""
    check_calls(lambda rate: (np.multiply(rate, 0.5) * P, rate * 0.5 * P), [(0.1,), (0.3,)])
    check_calls(lambda rate: (np.less(rate, 0.5), rate < 0.5), [(0.1,), (0.7,)])


SCALAR_POWERS = {
    "cube": lambda v: v[0] ** 3,
    "square": lambda v: v[0] ** 2,
    "root": lambda v: v[1] ** 0.5,
    "inverse": lambda v: v[1] ** -2,
    "of scalars": lambda v: v[1] ** v[0],
    "of a number": lambda v: 2.5 ** v[0],
    "of an array": lambda v: v**2.0 * v[1] ** np.abs(v),
    "of a sum": lambda v: np.sum(v) ** 3,
    "by a captured scalar": lambda v: v[1] ** np.float32(3),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("what", SCALAR_POWERS)
def test_powers_of_numpy_scalars_have_a_routine_of_their_own(what, dtype, rng):
    """np.float64(x) ** 3 and np.power(x, 3) differ in the last bit of every tenth x."""

    def both(v):
        return SCALAR_POWERS[what](v), td.value_and_grad(lambda v: SCALAR_POWERS[what](v).sum())(v)

    f = td.jit(both)
    for v in rng.uniform(0.5, 2, (100, 3)).astype(dtype):
        assert_same(f(v), both(v))


def test_powers_of_captured_numpy_scalars_may_differ_in_the_last_bit(rng):
    """For np.float64(3) ** x, NumPy asks x, as for np.power(3.0, x)."""
    f = td.jit(lambda x: np.float64(3) ** x)
    numbers = rng.random(1000)
    np.testing.assert_allclose([f(x) for x in numbers], [3**x for x in numbers], rtol=1e-15)
    assert_array_equal([f(x) for x in numbers], [np.power(3.0, x) for x in numbers])


COMPLEX_PRODUCTS = {
    "operators": lambda z, w: z * w * (1 - 0.2j) + 2j * z,
    "ufuncs": lambda z, w: np.multiply(np.multiply(z, w), np.square(z)),
    "of a square": lambda z, w: np.square(np.square(z) * w) - 1j * w**2,
    "of a captured scalar": lambda z, w: np.complex128(1.1 + 0.3j) * z / w,
    "of a real number": lambda z, w: np.abs(z) * w * z.real - w / 3,
    "in place": lambda z, w: operator.imul(np.sum(z), np.sum(w)),
    "with conjugates": lambda z, w: np.conj(z) * w + np.exp(z) * np.conj(w),
}


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3, 1)])
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
@pytest.mark.parametrize("what", COMPLEX_PRODUCTS)
def test_products_of_complex_scalars_round_as_their_operators_do(what, dtype, shape, rng):
    """z * w of two np.complex128 and np.multiply(z, w) differ in the last bit of every other z.

    So does a product of one element that is written over an operand.
    """
    product = COMPLEX_PRODUCTS[what]

    def loss(z, w):
        y = product(z, w)
        return np.sum(np.abs(y) ** 2) + np.sum(y.imag)

    plain, gradient = td.jit(product), td.jit(td.grad(loss, (0, 1)))
    for numbers in rng.standard_normal((30, 4, *shape)):
        z, w = [(x + 1j * y).astype(dtype)[()] for x, y in (numbers[:2], numbers[2:])]
        assert_same(plain(z, w), product(z, w))
        assert_same(gradient(z, w), td.grad(loss, (0, 1))(z, w))


def test_compositions_may_have_another_order_in_memory_than_numpys_own(rng):
    x = rng.standard_normal((2, 3, 4))
    f = lambda x: np.sort(x.T, axis=0)  # noqa: E731
    got, wanted = td.jit(f)(x), f(x)
    assert_same(got, wanted)
    assert got.strides != wanted.strides


def test_zero_division_of_python_numbers():
    f = td.jit(lambda x, rate: x * (1 / rate))
    assert_array_equal(f(X, 2.0), X / 2)
    with pytest.raises(ZeroDivisionError):
        f(X, 0.0)
    assert_array_equal(f(X, 4.0), X / 4)


def test_nan_and_infinity_flow(backend):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, 5e-324])

    def f(x):
        return x + 1, np.maximum(x, 0), np.minimum(x, x[::-1]), np.sum(x), np.max(x), np.sign(x)

    with np.errstate(all="ignore"):
        check_calls(f, [(special,), (special[::-1].copy(),)], backend)
        check_calls(td.grad(lambda x: np.sum(td.nn.relu(x) * x)), [(special,)], backend)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_arrays_without_elements(shape, backend):
    def f(x, w):
        return x * 2, np.sum(x, axis=0), x.T @ x, td.grad(lambda x: np.sum(np.tanh(x) * w))(x)

    check_calls(f, [(np.zeros(shape), 2.0)], backend)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8", ">f4", np.complex128, np.int8])
def test_other_dtypes(dtype, backend):
    x = np.array([1, -2, 3]).astype(dtype)
    check_calls(lambda x: (x * 2, x + x[0], np.sum(x), x[::-1], x), [(x,)], backend)
    if x.dtype.kind == "f" and x.dtype.isnative:
        check_calls(td.value_and_grad(lambda x: np.mean(x * x)), [(x,)], backend)


TO_ARRAYS = {
    "stack": lambda a, b: np.stack([a * b, a, 2.0], axis=-1),
    "stack as float32": lambda a, b: np.stack([a, b], dtype=np.float32),
    "hstack": lambda a, b: np.hstack([a * b, b]),
    "reshape": lambda a, b: (np.reshape(a, (1, 1)), np.reshape(a * b, ())),
    "ravel": lambda a, b: np.ravel(a * b),
    "expand_dims": lambda a, b: np.expand_dims(a * b, (0, 1)),
    "atleast_1d": lambda a, b: np.atleast_1d(a),
}


@pytest.mark.parametrize("name", TO_ARRAYS)
@pytest.mark.parametrize(
    "numbers",
    [
        (2.0, 3.0),
        (np.float32(2), np.float32(3)),
        (np.array(2.0), np.float32(3)),
        (np.int64(2), 3.0),
    ],
    ids=str,
)
def test_arrays_are_made_of_numbers_as_numpy_makes_them(name, numbers, backend):
    f = TO_ARRAYS[name]
    assert_same(td.jit(f, backend=backend)(*numbers), f(*numbers), backend)


FORMS = [1.5, np.float64(1.5), np.float32(1.5), np.array(1.5), np.array(1.5, np.float32), 1j]
FORMS += [np.array(1j), np.complex64(1j), np.array([1.5]), np.array([[1.5, 2.0]])]
WITH_KNOWN_SLOPES = {
    "a sum": np.sum,
    "times a scalar of NumPy": lambda x: np.sum(x * np.ones(2)[0]),
    "times a scalar after the sum": lambda x: np.sum(x) * np.float32(2),
    "times ones": lambda x: np.sum(x * np.ones(np.shape(x))),
    "plus a number": lambda x: 2.0 * np.sum(x) + 1,
    "nothing": lambda x: np.sum(x * 0),
    "in single precision": lambda x: np.sum(np.real(x).astype(np.float32)),
    "the square of a sum": lambda x: np.abs(np.sum(x)) ** 2,
    "the parts of a sum": lambda x: np.sum(np.real(x)) - np.imag(np.sum(x)),
    "reshaped": lambda x: np.sum(x, keepdims=True).reshape(()),
}
DERIVATIVES = {
    "value_and_grad": td.value_and_grad,
    "grad": lambda f: lambda x: td.grad(lambda p: f(p["a"]))({"a": x, "b": x}),
    "jvp": lambda f: lambda x: td.jvp(f, x, x),
    "vjp": lambda f: lambda x: td.vjp(f, x)[1](np.float64(1)),
    "hvp": lambda f: lambda x: td.hvp(f, x, x),
}


@pytest.mark.parametrize("f", WITH_KNOWN_SLOPES.values(), ids=WITH_KNOWN_SLOPES)
def test_gradients_are_arrays_where_arguments_are(f):
    for x in FORMS:
        got = td.grad(lambda x: np.real(f(x)))(x)
        assert isinstance(got, np.ndarray) == isinstance(x, np.ndarray), x


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.parametrize("f", WITH_KNOWN_SLOPES.values(), ids=WITH_KNOWN_SLOPES)
def test_derivatives_that_are_known_while_tracing_have_their_form(f, transform, backend):
    skip_without(backend)

    def real_of(x):
        return np.real(f(x))

    for x in FORMS:
        wanted = tree.flatten(transform(real_of)(x))[0]
        got = tree.flatten(td.jit(transform(real_of), backend=backend)(x))[0]
        for a, b in zip(got, wanted, strict=True):
            assert (type(a), np.shape(a), a.dtype) == (type(b), np.shape(b), b.dtype), x
            np.testing.assert_allclose(a, b, rtol=1e-6)
