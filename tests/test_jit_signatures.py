"""What makes a new program, and what does not: the signature, numbers, trees."""

# ruff: noqa: PLW0108 (the errors name the line of the lambda)

import collections
import dataclasses
import enum
import re
import types
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.jit_programs import ZERO, assert_same, check_calls, skip_without, warned

X = np.array([1.0, -2.0, 3.0])

# --- the signature


def retracing(jitted, calls):
    """The RetraceWarnings of some calls, each with the number of its call."""
    found = []
    for number, (args, kwargs) in enumerate(calls, 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            jitted(*args, **kwargs)
        found += [(number, warning) for warning in caught]
    assert all(warning.category is td.errors.RetraceWarning for _, warning in found)
    return found


def test_an_int_that_changes_each_call_retraces_and_warns():
    @td.jit
    def f(x, settings):
        return x * settings["step"][0]

    calls = [((X, {"step": [n], "name": "a"}), {}) for n in range(17)]
    found = retracing(f, calls)
    assert [number for number, _ in found] == [8, 16]
    message = str(found[0][1].message)
    assert "f has been traced 8 times, because of settings['step'][0] (5, 6, 7)." in message
    assert "pass what changes as a float or an array" in message
    assert found[0][1].filename == __file__
    assert f.cache_info().traces == 17


@pytest.mark.parametrize(
    ("calls", "culprit"),
    [
        ([((np.ones(n),), {}) for n in range(1, 9)], r"x \(float64\(6,\), float64\(7,\), "),
        ([((X,), {"n": n}) for n in range(8)], r"n \(5, 6, 7\)\."),
        ([((X, str(n)), {}) for n in range(8)], r"n \('5', '6', '7'\)\."),
        ([((X[: n % 3], n), {}) for n in range(8)], r"x \(.*\) and n \("),
        ([(({str(n): 1.0},), {}) for n in range(8)], "the structure of its arguments"),
    ],
    ids=["shape", "keyword", "text", "both", "structure"],
)
def test_the_warning_names_what_changes(calls, culprit):
    f = td.jit(lambda x, n=0, *rest: n)
    ((number, warning),) = retracing(f, calls)
    assert number == 8
    assert re.search(culprit, str(warning.message))


def test_dtypes_that_change_retrace():
    f = td.jit(lambda x: x * 2)
    for dtype in (np.float64, np.float32, np.float16, np.int64, bool, complex, ">f8"):
        x = np.ones(3, dtype)
        assert_same(f(x), x * 2)
    assert f.cache_info().traces == 7


def test_a_warning_that_is_an_error_leaves_it_usable():
    f = td.jit(lambda x, n: x * n)
    for n in range(7):
        f(2.0, n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(td.errors.RetraceWarning):
            f(2.0, 7)
        assert f(2.0, 7) == 14


SINGLE = np.ones(3, np.float32)
COMPLEX_NUMBERS = {
    "itself": lambda z: z,
    "array": lambda z: SINGLE * z,
    "real": lambda z: SINGLE * z.real,
    "imag": lambda z: SINGLE * (z.imag * 2.0),
    "abs": lambda z: SINGLE * abs(z),
    "conjugate": lambda z: SINGLE * z.conjugate(),
    "np.conj": lambda z: SINGLE * np.conj(z),
    "np.real": lambda z: SINGLE * np.real(z),
    "np.abs": lambda z: SINGLE * np.abs(z),
    "arithmetic": lambda z: (z * z - 1 / (z + 3)) ** 2 + 2**z,
    "exp": lambda z: SINGLE * np.exp(z),
    "angle": lambda z: SINGLE * np.angle(z),
    "fft": lambda z: np.fft.fft(SINGLE * z),
    "gradient": td.grad(lambda z: abs(z) ** 2),
    "derivative": td.grad(np.sin, holomorphic=True),
    "scan": lambda z: td.scan(lambda c, _: (c * 0.5, c), z, None, length=3)[1],
}


def test_floats_do_not_retrace():
    f = td.jit(lambda x, rate: x * rate)
    for rate in np.linspace(0, 1, 20):
        assert_array_equal(f(X, float(rate)), X * float(rate))
    assert f.cache_info().traces == 1


def test_complex_numbers_do_not_retrace():
    f = td.jit(lambda x, z: x * z)
    for dtype in (np.float32, np.complex64, float, complex):
        x = X.astype(dtype)
        for turn in np.linspace(0, 1, 20):
            z = complex(np.exp(1j * turn))
            assert f(x, z).dtype == (x * z).dtype
            assert_array_equal(f(x, z), x * z)
    assert f.cache_info().traces == 4


@pytest.mark.parametrize("name", COMPLEX_NUMBERS)
def test_complex_numbers_are_weak_as_pythons(name, backend):
    """Their parts and lengths are Python's floats, as in eager, so that float32 stays float32."""
    f = COMPLEX_NUMBERS[name]
    g = td.jit(f, backend=backend)
    for z in (1 + 2j, 0.5 - 1j, -0.25 + 0j):
        got, wanted = g(z), f(z)
        assert type(got) is type(wanted)
        assert np.asarray(got).dtype == np.asarray(wanted).dtype
        assert_allclose(got, wanted, rtol=1e-6 if backend == "native" else 0)
    assert g.cache_info().traces == 1


def test_numbers_in_a_vmap_in_a_program():
    f = td.jit(lambda z: td.vmap(lambda x: x * z)(X))
    assert_array_equal(f(2.0), X * 2)
    assert_array_equal(f(2j), X * 2j)
    assert td.jit(lambda z: X.reshape(-1, 1, 1)[np.ndim(z)])(1.5).shape == (1, 1)


def test_static_arguments():
    seen = []

    @td.jit(static_argnames=("rate", "axes"))
    def f(x, rate, axes=(0,)):
        seen.append(rate)
        return x.sum(axis=axes) * (rate if rate > 0.5 else 0.0)

    x = np.ones((2, 3))
    assert_array_equal(f(x, 0.75), [1.5] * 3)
    assert_array_equal(f(x, 0.25), [0.0] * 3)
    assert_array_equal(f(x, rate=0.75), [1.5] * 3)
    assert_array_equal(f(x, 0.75, (1,)), [2.25] * 2)
    assert_array_equal(f(x, axes=(1,), rate=0.75), [2.25] * 2)
    assert set(seen) == {0.75, 0.25}
    assert len(seen) <= 5
    assert_array_equal(f(x, 0.75), [1.5] * 3)
    traces = len(seen)
    f(x, 0.25)
    assert len(seen) == traces


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: Any
    inner: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    rate: Any


class Pair(NamedTuple):
    rate: Any
    name: str = "pair"


WRAPPED = {
    "bare": lambda value: value,
    "tuple": lambda value: (value, "name"),
    "nested": lambda value: ((1, (value,)),),
    "frozenset": lambda value: frozenset({value}),
    "frozen dataclass": Settings,
    "nested dataclass": lambda value: Settings(1, (Settings(value),)),
    "with slots": Slotted,
    "named tuple": Pair,
}

APART = {
    "zeros": lambda: [0.0, -0.0, 0, False, np.float64(0), np.float64(-0.0), np.int8(0), 0j, -0j],
    "ones": lambda: [1, 1.0, True, np.float32(1), np.True_, 1 + 0j, Fraction(1), Decimal(1)],
    "nans": lambda: [float("nan"), np.float32("nan"), np.float64("nan"), complex("nan")],
    "negative zeros": lambda: [np.float32(-0.0), complex(-0.0, 0.0), complex(0.0, -0.0)],
    "others": lambda: [Decimal("nan"), Decimal("1.0"), Decimal("1.00"), "1", b"1", None, ...],
    "numbers of NumPy's": lambda: [np.int32(1), np.uint8(1), np.float16("nan"), np.str_("1")],
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("values", APART)
def test_static_values_are_what_they_are_written_as(values, wrapped):
    f = td.jit(lambda x, value: x, static_argnames="value")
    count = len(APART[values]())
    with warnings.catch_warnings(action="ignore"):
        for _ in range(3):
            for value in APART[values]():  # made anew: a NaN is not even the same object
                assert f(1.0, WRAPPED[wrapped](value)) == 1.0
    assert f.cache_info().traces == count


def test_a_complex_nan_is_an_argument_like_another():
    f = td.jit(lambda x, tree: x)
    for _ in range(3):
        f(1.0, {"a": [complex("nan"), Decimal("nan")]})
    assert f.cache_info().traces == 1


@pytest.mark.parametrize(
    "values", [(1, 1.0, True), (0.0, -0.0), (0, False), ((1,), (True,), (1.0,))]
)
def test_static_values_that_are_only_equal_are_told_apart(values):
    @td.jit(static_argnames="n")
    def f(x, n):
        return x * n[0] if isinstance(n, tuple) else x * n

    x = np.array([1, 2])
    for n in [*values, *values]:
        assert_same(f(x, n), x * (n[0] if isinstance(n, tuple) else n))
    assert f.cache_info().traces == len(values)


def test_an_unhashable_static_argument_is_named():
    with pytest.raises(TypeError, match="settings: a dict is neither"):
        td.jit(lambda x, settings: x, static_argnames="settings")(X, {"a": 1})
    with pytest.raises(TypeError, match=r"settings\['a'\]\[1\]: a set is neither"):
        td.jit(lambda x, settings: x)(X, {"a": [1, {2}]})


def test_an_array_cannot_be_static():
    with pytest.raises(TypeError, match=r"w: an array .* cannot be static"):
        td.jit(lambda x, w: x * w, static_argnames="w")(X, X)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_an_array_in_a_file_is_a_plain_array(backend, tmp_path):
    skip_without(backend)
    mapped = np.memmap(tmp_path / "x", float, mode="w+", shape=X.shape)
    mapped[:] = X
    f = td.jit(lambda tree: {"turned": tree["x"][::-1], "same": tree["x"]}, backend=backend)
    for _ in range(2):
        assert_same(f({"x": mapped}), {"turned": X[::-1], "same": X})
    f({"x": X})
    assert f.cache_info().traces == 1


def test_an_unhashable_argument_can_be_made_static_by_giving_it_a_hash():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        rate: float
        name: str

    f = td.jit(lambda x, settings: x * settings.rate, static_argnames="settings")
    assert f(2.0, Settings(3.0, "a")) == 6
    assert f(2.0, Settings(3.0, "a")) == 6
    assert f(2.0, Settings(4.0, "a")) == 8
    assert f.cache_info().traces == 2


def test_a_kind_of_leaf_that_was_never_met_is_traced_once():
    class New:
        pass

    new, f = New(), td.jit(lambda x, new: x * 2)
    for _ in range(3):
        f(2.0, new)
    assert f.cache_info().traces == 1


# --- trees


class Layer(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass
class Net:
    layer: Layer
    name: str


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: Any


class Color(enum.IntEnum):
    RED = 1


class Mode(enum.StrEnum):
    FAST = "fast"


TREES = {
    "dict": {"w": X, "b": {"c": X + 1}},
    "namedtuple": Layer(X, 2.0),
    "dataclass": Net(Layer(X, X), "net"),
    "frozen dataclass": Frozen(X),
    "OrderedDict": collections.OrderedDict(b=X, a=X),
    "defaultdict": collections.defaultdict(list, a=X),
    "deque": collections.deque([X, 1.0]),
    "namespace": types.SimpleNamespace(w=X),
    "mapping": types.MappingProxyType({"w": X}),
    "deep": [({"a": (X, [X, {"b": X}])},), (), [], {}],
    "None": {"w": X, "b": None},
    "text": {"w": X, "name": "net", "bytes": b"abc"},
    "flags": [X, True, False, 3, 2.5, np.True_, np.int64(3), np.float32(0.5), Ellipsis],
    "complex": [X, 1j, np.complex64(1j)],
    "enums": {"w": X, "color": Color.RED, "mode": Mode.FAST, "np": np.str_("text")},
    "functions": {"w": X, "activation": np.tanh, "own": td.nn.relu, "dtype": np.float32},
    "dtypes": {"w": X, "dtype": np.dtype("f4"), "range": range(3), "set": frozenset({1})},
    "empty": {},
    "nothing": None,
    "a leaf": X,
}


@pytest.mark.parametrize("name", TREES)
def test_trees_go_in_and_out(name, backend):
    tree = TREES[name]

    def moved(leaf):
        return leaf * 2 if isinstance(leaf, np.ndarray | td.Tensor) and leaf.ndim else leaf

    def f(tree, again=None):
        return td.tree.map(moved, tree), tree, [again]

    jitted = check_calls(f, [(tree,), (tree, tree)], backend)
    (out, same, _), wanted = jitted(tree), f(tree)
    assert type(out) is type(wanted[0])
    assert type(same) is type(tree)


def test_optimisers_carry_other_leaves():
    params = {"w": X, "name": "net", "activation": np.tanh, "on": True, "n": 3}

    def step(params):
        grads = td.grad(lambda p: np.sum(p["activation"](p["w"])))({**params, "n": 3.0})
        return td.optim.gradient_descent(0.1).update({**params, "n": 3.0}, grads, None)

    check_calls(step, [(params,)])


def test_trees_of_results_are_new_each_time():
    f = td.jit(lambda x: {"a": [x, {"b": 1}]})
    first = f(X)
    first["a"][1]["b"] = 2
    first["a"].append(3)
    assert_same(f(X), {"a": [X, {"b": 1}]})


def test_keys_that_are_only_equal_are_told_apart():
    f = td.jit(lambda tree: tree)
    for key in (1, True, 1.0):
        (got,) = f({key: X})
        assert type(got) is type(key)


def test_outputs_of_every_kind(backend):
    def f(x):
        y = x * 2
        return [x, x, y, y, y[0], x[0], 3, 2.5, "text", None, np.pi, x.shape, True, np.float32(1)]

    check_calls(f, [(X,), (-X,)], backend)


def test_a_function_without_inputs(backend):
    check_calls(lambda: np.arange(3.0), [()], backend)
    check_calls(lambda *args, **kwargs: (args, kwargs), [()], backend)
    check_calls(lambda n: np.ones(n), [(3,)], backend)
    check_calls(lambda: None, [()], backend)


def test_an_array_of_another_library_is_left_to_it():
    class Foreign:
        def __array_function__(self, function, types, args, kwargs):
            return f"{function.__name__} of a Foreign"

    f = td.jit(lambda x: np.sum(x))
    assert f(Foreign()) == "sum of a Foreign"
    assert f.cache_info() == (0, 0, 64)


def test_native_code_gives_no_floating_point_warnings():
    skip_without("native")
    f = td.jit(lambda x: np.exp(np.log(x)) * 2, backend="native")
    f(ZERO + 1)
    assert_array_equal(warned(f, ZERO)[0], [0, 2])
