"""Native code gives what eager gives: every row, and (in the gate) every function.

Compiling takes long, and longer for an array than for an operation on its elements, so many rows
share a program, and elementwise ones a loop.
"""

import itertools

import numpy as np
import pytest

import tinygrad_digits as td
from tests.cases import Drawn, cases_by_function
from tests.checks import plain, quiet, value_with_gradients
from tests.coverage import called_from_native_code
from tests.elementwise import OPTIONS, ROWS, draw_arguments, floats, put
from tests.jit_programs import assert_own_memory, assert_same, copied, skip_without
from tinygrad_digits.ops import OPS

TRACED = {
    function: {name: case for name, case in cases.items() if not case.untraced}
    for function, cases in cases_by_function().items()
}


def in_groups(items, size=8):
    """Dicts of so many items each, as parameters."""
    while group := dict(itertools.islice(items, size)):
        yield pytest.param(group, id=next(iter(group)))


def check_native(f, *args, coarsest=np.float64):
    """The native backend gives what eager does, twice, and leaves its arguments as they are."""
    skip_without("native")
    before = copied(args)
    with quiet():
        wanted = f(*args)
        jitted = td.jit(f, backend="native")
        got, again = jitted(*args), jitted(*args)
    assert_same(args, before)
    assert_own_memory(got, again, args)
    for name, results in wanted.items():
        for each in (got, again):
            named = {name: plain(each[name])}, {name: plain(results)}
            assert_same(*named, "native", coarsest=coarsest)


def test_numba_is_an_alias_that_warns():
    skip_without("native")
    with pytest.warns(DeprecationWarning, match=r'called backend="native"') as caught:
        jitted = td.jit(np.sin, backend="numba")
    assert jitted.backend == "native"
    assert caught[0].filename == __file__


# --- rows

DTYPES = [np.float64, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("names", [*in_groups(((name, None) for name in ROWS), 24)])
def test_elementwise_rows(names, dtype):
    """Values and gradients of many rows in one loop, over arrays of one shape."""
    rng = np.random.default_rng(0)
    drawn = {name: draw_arguments(name, [(5,)] * OPS[name].primitive.arity, rng) for name in names}
    narrow = {name: [astype_of(x, dtype) for x in args] for name, args in drawn.items()}

    def all_of_them(drawn):
        return {name: value_and_pulled(name, args) for name, args in drawn.items()}

    check_native(all_of_them, narrow)


def astype_of(x, dtype):
    return x.astype(dtype) if x.dtype.kind == "f" else x


def value_and_pulled(name, args):
    """A row's value, and a cotangent pulled back to each of its arguments."""

    def called(*xs):
        return OPS[name](*put(args, xs), **OPTIONS.get(name, {}))

    y, pullback = td.vjp(called, *[args[i] for i in floats(args)])
    weights = 2 * args[floats(args)[0]] + 1
    return y, pullback(weights.astype(y.dtype))


OTHERS = [name for name in OPS if name not in ROWS]


@pytest.mark.parametrize("names", [*in_groups(((name, None) for name in OTHERS), 8)])
def test_other_rows(names, rows_of_cases):
    """A case for each of them that native code has a form for."""
    cases = {name: rows_of_cases[name] for name in names if not rows_of_cases[name].untraced}
    check_cases(
        {name: case for name, case in cases.items() if name not in called_from_native_code(case)}
    )


def check_cases(group, dtype=np.float64):
    drawn = {name: Drawn(case, np.random.default_rng(0)) for name, case in group.items()}

    def all_of_them(inputs):
        return {name: value_with_gradients(drawn[name], *xs) for name, xs in inputs.items()}

    inputs = {name: [x.astype(dtype) for x in each.xs] for name, each in drawn.items()}
    check_native(all_of_them, inputs, coarsest=dtype)


# --- functions


def nth_cases(n):
    """Of each function that has as many, the n-th case that can be traced."""
    for cases in TRACED.values():
        yield from itertools.islice(cases.items(), n, n + 1)


@pytest.mark.gate
@pytest.mark.parametrize("group", [*in_groups(nth_cases(0))])
def test_every_function(group):
    check_cases(group)


@pytest.mark.gate
@pytest.mark.parametrize("group", [*in_groups(nth_cases(1))])
def test_every_function_in_another_shape_and_float32(group):
    check_cases(group, np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_rows_are_vectors_to_any_formula(dtype, rng):
    """Short rows are, where no formula of the loop needs lanes as wide as registers."""
    expressions = pytest.importorskip("tinygrad_digits.compiler.native.expressions")
    is_complex = np.dtype(dtype).kind == "c"
    table = expressions.OF_COMPLEX if is_complex else expressions.FORMULAS
    table = table.keys() - {np.sin, np.cos, np.tan}
    ufuncs = {f for f in table if isinstance(f, np.ufunc) and f.nout == 1}
    typed = {f.__name__: f for f in ufuncs if np.dtype(dtype).char * f.nin in _operands(f)}
    drawn = [rng.uniform(0.2, 0.4, shape).astype(dtype) for shape in ((6, 5), 5, 5)]

    def compute_all(x, *rows):
        return {name: f(x + rows[0], *rows[: f.nin - 1]) for name, f in typed.items()}

    assert len(typed) > 20
    check_native(compute_all, *drawn)


def _operands(f):
    return {signature.split("->")[0] for signature in f.types}


# --- whole numbers


INTS = [np.dtype(f"{sign}{bits}") for sign in ("int", "uint") for bits in (8, 16, 32, 64)]


def ends(dtype):
    """The least and the largest numbers, and those around 0."""
    info = np.iinfo(dtype)
    numbers = [info.min, info.min + 1, -7, -2, -1, 0, 1, 2, 7, info.max - 1, info.max]
    return np.array(sorted({n for n in numbers if info.min <= n <= info.max}), dtype)


@pytest.mark.parametrize(
    ("first", "second"), [*[(dtype, dtype) for dtype in INTS], ("u8", "i8"), ("i8", "u8")]
)
def test_whole_numbers_at_the_ends_of_their_range(first, second):
    """The remainder of the least number by -1 would trap, and signs may differ."""

    def compute(a, b):
        divided = {"remainder": np.remainder(a, b), "fmod": np.fmod(a, b)}
        compared = {"less": a < b, "at most": a <= b, "equal": a == b, "unequal": a != b}
        return {**divided, **compared, "more": a > b, "at least": a >= b, "sum": a + b}

    check_native(compute, *map(np.ravel, np.meshgrid(ends(first), ends(second))))


@pytest.mark.parametrize("dtype", INTS)
def test_clipping_to_what_a_dtype_cannot_hold(dtype):
    def clip(x):
        return {"both": np.clip(x, -1, 2), "wide": np.clip(x, -(10**6), 10**6), "more": x > -1}

    check_native(clip, ends(dtype))


@pytest.mark.parametrize("dtype", INTS)
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_floats_become_whole_numbers_as_numpys_do(given, dtype):
    """Numbers that fit, and those below 0 for dtypes without a sign, which wrap around."""
    info = np.iinfo(dtype)
    fitting = np.nextafter(np.asarray(2.0 ** (info.bits - (info.min < 0)), given), 0)
    x = np.array([-1.5, -0.5, 0.0, 0.5, 2.5, 100.0, fitting / 2, fitting], given)

    def cut(x):
        cast = x.astype(dtype)
        return {"cast": cast, "one": x[0].astype(dtype), "wide": cast + np.zeros(8)}

    check_native(cut, x)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16"])
def test_no_whole_number_is_outside_its_dtype(dtype):
    """What NaN becomes is left open by C, but as a number of that dtype, also when it is used."""
    skip_without("native")
    sums = td.jit(lambda x: np.sum(x.astype(dtype), axis=0), backend="native")
    with quiet():
        total = sums(np.array([[np.nan, np.inf, -np.inf, 1e30]] * 2))
    assert np.all((total >= 2 * np.iinfo(dtype).min) & (total <= 2 * np.iinfo(dtype).max))


def test_an_element_that_is_added_to_twice_is_true():
    def add(x, y, index):
        return {"at": td.at(x)[index].add(y)}

    x = np.array([False, True, False])
    check_native(add, x, np.array([True, True, True]), np.array([0, 0, 1]))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_power_a_half_is_the_root(dtype):
    """Of -inf and -0.0 too, where pow has other limits than sqrt."""
    x = np.array([-np.inf, -0.0, 0.0, 2.0, -1.0, np.inf], dtype)
    with quiet():
        for root in (x**0.5, td.jit(lambda x: x**0.5)(x), td.vjp(lambda x: x**0.5, x)[0]):
            np.testing.assert_array_equal(root, np.sqrt(x))
            np.testing.assert_array_equal(np.signbit(root[1:3]), [True, False])
    check_native(lambda x: {"operator": x**0.5, "chain": (x + x) ** 0.5}, x)


def test_products_with_ones_are_sums():
    """Of stacks of matrices along the last axis but one."""

    def multiply(x):
        stacks = {"stacks": np.ones(3) @ x, "columns": x @ np.ones((3, 1))}
        return {**stacks, "matrix": np.ones(3) @ x[0], "vector": np.ones(3) @ x[0, 0]}

    check_native(multiply, np.arange(27.0).reshape(3, 3, 3))


def test_a_printed_program_is_what_becomes_native():
    program = td.jit(lambda x: np.clip(x, 0, 1), backend="native").program(np.ones(3))
    assert program.stages[-1].name == "prepare_for_loops"
    assert [eqn.op.name for eqn in program.final.equations.values()] == ["maximum", "minimum"]
    assert str(program.final) in str(program)


def test_a_difference_to_another_maximum_may_be_large():
    """exp(x - log(sum(exp(x)))) is not exp(x) / sum(exp(x)) where exp(x) overflows."""

    def normalise(x, w):
        shifted = x - np.max(w, axis=1, keepdims=True)
        log_total = np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return {"shares": np.exp(shifted - log_total)}

    x = np.arange(6.0).reshape(2, 3)
    check_native(normalise, x + 800, x)


def test_bools_in_short_rows():
    """Rows that are one vector: sums of bools are bools, not counted modulo 2."""

    def combine(x, y):
        return {
            "add": x + y,
            "multiply": x * y,
            "abs": np.abs(x),
            "equal": x == y,
            "any": x.any(-1),
        }

    x = np.array([[[True, False, True]], [[True, True, False]]])
    check_native(combine, x, x[..., :1])
    check_native(combine, x[0], x[0])


@pytest.mark.parametrize("before", range(8))
def test_views_of_views_are_results_wherever_they_come(before):
    """Python makes what is a view after what it is a view of."""

    def look(x):
        shifted = [x + k for k in range(before)]
        turned = x.T
        return {"shifted": shifted, "turned": turned, "square": x * x, "row": turned[0]}

    x = np.arange(12.0).reshape(3, 4)
    assert_same(td.jit(look, backend="native")(x), look(x), "native")


def test_scalars_of_numpys_are_scalars_to_native_code():
    """np.transpose gives a scalar of a scalar, and an array of an array without axes."""

    def compute(x):
        total = np.transpose(x @ x)
        several = {"cos": np.cos(total), "more": x * total, "total": total}
        return {**several, "sorted": x + np.sort(x)[0] * total, "stacked": np.stack([total, total])}

    check_native(compute, np.arange(1.0, 5.0))
