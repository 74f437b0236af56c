"""Assignment, functional and by rebinding; piecewise functions; what moving elements refuses."""

import copy
import operator

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td

X = np.array([1.0, 2.0, 3.0])
M = np.arange(6.0).reshape(2, 3)


# --- td.at


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_assigned_takes_the_dtype_of_the_array(dtype):
    x, v = X.astype(dtype), np.array([5.0, 6.0])
    y, pullback = td.vjp(lambda x, v: td.at(x)[1:].set(v), x, v)
    assert y.dtype == dtype
    gx, gv = pullback(np.ones(3, dtype))
    assert (gx.dtype, gv.dtype) == (dtype, v.dtype)
    assert_array_equal(gx, [1, 0, 0])
    assert_array_equal(gv, [1, 1])
    assert td.at(x)[0].add(1.0).dtype == dtype


def test_the_array_is_not_written():
    x = X.copy()
    for how in ("set", "add", "subtract", "multiply", "divide", "power", "min", "max"):
        y = getattr(td.at(x)[[0, 0, 1]], how)(7.0)
        assert not np.shares_memory(x, y)
        td.grad(lambda x, how=how: getattr(td.at(x)[:2], how)(7.0).sum())(x)
    assert_array_equal(x, X)


def test_of_a_repeated_index_the_last_wins_and_has_the_gradient():
    _, pullback = td.vjp(lambda x, v: td.at(x)[[0, 0, 1]].set(v), X, X)
    gx, gv = pullback(np.array([10.0, 20.0, 30.0]))
    assert_array_equal(gx, [0, 0, 30])
    assert_array_equal(gv, [0, 10, 20])


def test_a_repeated_index_works_through_its_elements_in_order():
    assert_array_equal(td.at(X)[[0, 0, 0]].divide([2.0, 4.0, 8.0]), [1 / 64, 2, 3])
    gradient = td.grad(lambda v: td.at(X)[[1, 1]].multiply(v).sum())(np.array([3.0, 5.0]))
    assert_array_equal(gradient, [10, 6])


def test_minimum_splits_a_tie():
    assert td.grad(lambda v: td.at(X)[1].min(v).sum())(2.0) == 0.5


def test_nan_that_is_replaced_leaves_no_trace():
    x = np.array([np.nan, 4.0, np.inf])
    mask = ~np.isfinite(x)
    for index in (mask, [0, 2], slice(None, None, 2)):
        gradient = td.grad(lambda x, i=index: np.sqrt(td.at(x)[i].set(1.0)).sum())(x)
        assert_array_equal(gradient, [0, 0.25, 0])


def test_plain_arrays_lists_and_scalars():
    assert_array_equal(td.at([1, 2, 3])[0].set(7), [7, 2, 3])
    assert td.at(np.arange(3))[0].set(7.9).dtype == int  # as NumPy casts in an assignment
    assert td.at(np.float64(3.0))[()].set(1.0) == 1
    assert td.grad(lambda x: td.at(x)[()].set(x * x))(3.0) == 6


def test_integers_do_not_swallow_a_gradient():
    with pytest.raises(
        td.errors.NotDifferentiableError, match=r"int64 cannot hold .*astype\(float\)"
    ):
        td.grad(lambda v: td.at(np.arange(3))[0].set(v).sum())(1.0)
    for how in ("add", "multiply"):
        with pytest.raises(td.errors.NotDifferentiableError, match=r"astype\(float\)"):
            td.grad(lambda v, how=how: getattr(td.at(np.arange(3))[[0, 0]], how)(v).sum())(1.0)
    with pytest.raises(td.errors.NotDifferentiableError, match=r"astype\(float\)"):
        td.grad(lambda v: np.insert(np.arange(3), 1, v).sum())(1.0)


def test_errors_of_an_index_are_numpys():
    with pytest.raises(IndexError):
        td.grad(lambda x: td.at(x)[5].set(1.0).sum())(X)
    with pytest.raises(ValueError, match="broadcast"):
        td.grad(lambda x: td.at(x)[:2].set(np.ones(3)).sum())(X)


def test_an_index_that_changes_later_does_not_matter():
    index = np.array([0, 2])
    _, pullback = td.vjp(lambda x: td.at(x)[index].set(0.0), X)
    index[:] = 1
    assert_array_equal(pullback(np.ones(3)), [0, 1, 0])


# --- t[i] = v


def test_assignment_to_an_input():
    def f(x):
        x[0] = 5.0
        x[1:] *= x[:2]
        return np.sum(x**2)

    value, gradient = td.value_and_grad(f)(X)
    assert value == 25 + 100 + 36
    assert_array_equal(gradient, [0, 2 * 2 * 25 + 2 * 2 * 9, 2 * 3 * 4])
    assert_array_equal(X, [1, 2, 3])


def test_assignment_of_tensors_at_higher_orders():
    def f(x):
        y = np.zeros(4) + x[0]
        y[2] = x[1] * x[2]
        y[[0, 0]] = x[:2] ** 3
        y[-1] += x[2]
        return np.sum(y**3)

    td.check_grads(f, X, order=3)


def test_assignment_inside_a_gradient_within_a_gradient():
    def outer(x):
        def inner(w):
            x[0] = w  # x is the outer gradient's: it moves to the inner tape
            return np.sum(x * x) * w

        return td.grad(inner)(2.0) + 0.0

    # d/dw (w^3 + w (x1^2 + x2^2)) = 3 w^2 + x1^2 + x2^2
    value, gradient = td.value_and_grad(outer)(X)
    assert value == 12 + 13
    assert_array_equal(gradient, [0, 4, 6])


def test_an_input_that_moves_away_and_is_not_used():
    def outer(x):
        def inner(w):
            x[0] = w
            return w**2

        return td.grad(inner)(2.0) * 3.0

    with pytest.warns(td.errors.DisconnectedWarning):
        assert_array_equal(td.grad(outer)(X), [0, 0, 0])


def test_a_closed_over_tensor_of_an_outer_tape_keeps_its_gradient():
    def outer(x):
        def inner(w):
            w[1] = x[0] * w[0]
            return np.sum(w**2)

        return np.sum(td.grad(inner)(X) * X)

    # w0^2 + x0^2 w0^2 + w2^2: gradient (2 w0 (1 + x0^2), 0, 2 w2)
    assert_array_equal(td.grad(outer)(X), [4, 0, 0])


@pytest.mark.parametrize(
    "index", [(slice(None), [0, 1]), (0, [0, 2]), ([1], slice(None)), (np.array([True, False]), 0)]
)
def test_a_number_at_several_parts_of_an_index(index):
    def f(x):
        x[index] = 2.0
        return np.sum(x**2)

    x = np.arange(1.0, 7).reshape(2, 3)
    expected = 2 * x
    expected[index] = 0
    assert_array_equal(td.grad(f)(x), expected)


def test_methods_that_write_in_place():
    def f(x):
        x.sort(axis=0)
        y = x.copy()
        y.partition(1)
        z = x.copy()
        z.fill(y[0, 0])
        return np.sum(x * np.arange(6.0).reshape(2, 3)) + y[0, 1] ** 2 + np.sum(z)

    x = np.array([[4.0, 1.0, 6.0], [2.0, 5.0, 3.0]])
    before = x.copy()
    value, slope = td.value_and_grad(f)(x)
    assert_array_equal(x, before)
    assert value == f(x.copy())
    # sorted: [[2, 1, 3], [4, 5, 6]], of which 2 is y[0, 1] and 1 is y[0, 0]
    assert_array_equal(slope, [[3, 1 + 6, 5], [0 + 2 * 2, 4, 2]])
    weights = np.arange(6.0).reshape(2, 3)
    sorted_row = td.grad(lambda x: x[0].sort() or np.sum(x * weights))(x)
    assert_array_equal(sorted_row, [[1, 0, 2], [3, 4, 5]])


def test_rounding_ends_the_gradient():
    def f(x):
        assert round(x[0], 1) == 1.2
        return round(x[0]) * x[1]

    assert_array_equal(td.grad(f)(np.array([1.24, 3.0])), [0, 1])


def test_loops_that_fill_an_array():
    def f(x):
        y = np.zeros(3) * x
        for i in range(3):
            y[i] = np.sin(x[i]) * (y[i - 1] if i else 1.0)
        return y[2]

    td.check_grads(f, X, order=2)


def test_vjp_and_several_inputs():
    def f(a, b):
        a[1] = b[0]
        b[0] = 0.0
        return a * b

    y, pullback = td.vjp(f, X, X + 1)
    assert_array_equal(y, [0, 2 * 3, 3 * 4])
    ga, gb = pullback(np.ones(3))
    assert_array_equal(ga, [0, 0, 4])
    assert_array_equal(gb, [3, 2, 3])


def test_an_input_that_is_returned():
    def f(x):
        x[0] = x[1] * x[2]
        return x

    y, pullback = td.vjp(f, X)
    assert_array_equal(y, [6, 2, 3])
    assert_array_equal(pullback(np.array([1.0, 0.0, 0.0])), [0, 3, 2])


def test_leaves_of_a_tree():
    def f(params):
        params["w"][0] = params["b"]
        return np.sum(params["w"] ** 2)

    params = {"w": X.copy(), "b": 4.0}
    gradient = td.grad(f)(params)
    assert_array_equal(gradient["w"], [0, 4, 6])
    assert gradient["b"] == 8
    assert_array_equal(params["w"], X)


def test_two_names_are_one_tensor_and_a_copy_is_another():
    def f(x):
        same, other, deep = x, copy.copy(x), copy.deepcopy([x])[0]
        own = x.copy()
        x[0] = 9.0
        return same[0], other[0], deep[0], own[0]

    same, *others = td.vjp(f, X)[0]
    assert same == 9
    assert others == [1, 1, 1]


def test_a_tape_made_by_hand():
    tape = td.Tape()
    x = td.Tensor(X, tape)
    y = x.copy()
    y[1] = x[0] ** 2
    assert_array_equal(tape.gradients(np.sum(y * y), x)[0], [2 + 4, 0, 6])
    x[0] = 1.0
    with pytest.raises(td.errors.NotDifferentiableError, match="put"):
        tape.gradients(np.sum(x), x)  # it is not the input any more


COPIES = {
    "x.copy": lambda x: x[0].copy(),
    "x[[0]]": lambda x: x[[0]],
    "x[mask]": lambda x: x[M > 2],
    "x.sum": lambda x: x.sum(0),
    "x.flatten": lambda x: x.flatten(),
    "x.astype": lambda x: x.astype(np.float64),
    "x + 1": lambda x: x[0] + 1,
    "np.tile": lambda x: np.tile(x, 2),
    "np.repeat": lambda x: np.repeat(x, 2),
    "np.roll": lambda x: np.roll(x, 1),
    "np.roll by nothing": lambda x: np.roll(x, 0, axis=1),
    "np.stack": lambda x: np.stack([x]),
    "np.concatenate": lambda x: np.concatenate([x]),
    "np.pad": lambda x: np.pad(x, 1, "edge"),
    "np.pad by nothing": lambda x: np.pad(x, 0, "mean"),
    "np.take": lambda x: np.take(x, 0, axis=0),
    "np.triu": np.triu,
    "np.delete": lambda x: np.delete(x, 0, axis=0),
    "np.insert": lambda x: np.insert(x, 0, 1.0),
    "np.meshgrid": lambda x: np.meshgrid(x[0], x[1])[0],
    "np.diag": lambda x: np.diag(x[0]),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_assigned_to(name):
    def f(x):
        own = COPIES[name](x)
        own[0] = 7.0
        return np.sum(np.sin(own) + 0.0) + np.sum(x)

    value, gradient = td.value_and_grad(f)(M)
    assert_allclose(value, f(M.copy()), rtol=1e-13)
    td.check_grads(f, M, order=1)
    assert_allclose(td.jit(td.grad(f))(M) if "mask" not in name else gradient, gradient)


def test_what_escapes_is_not_assigned_to():
    kept = []
    td.grad(lambda x: kept.append(x) or np.sum(x))(X)
    with pytest.raises(td.errors.EscapedTensorError):
        kept[0][0] = 1.0


# --- t += v


OPERATORS = [
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
    *(operator.ipow, operator.ifloordiv, operator.imod),
]


def by_each_way(f, x):
    """The value of f as NumPy has it, then as each transform has it."""
    wanted = f(x.copy())
    ways = {
        "eager": lambda x: td.value_and_grad(f)(x)[0],
        "jit": td.jit(f),
        "jit of grad": lambda x: td.jit(td.value_and_grad(f))(x)[0],
        "vmap": lambda x: td.vmap(f)(x[None])[0],
        "vmap of grad": lambda x: td.vmap(td.value_and_grad(f))(x[None])[0][0],
        "second order": lambda x: td.jvp(td.value_and_grad(f), (x,), (x,))[0][0],
        "debug": td.debug(f),
        "debug of grad": lambda x: td.debug(td.value_and_grad(f))(x)[0],
    }
    return wanted, {name: way(x) for name, way in ways.items()}


@pytest.mark.parametrize("operate", OPERATORS)
def test_an_array_is_operated_on_in_place_under_all_its_names(operate):
    def f(x):
        y = x * 1.5
        same, before = y, y[1:]
        for v in (2.0, X, x**2):
            y = operate(y, v)
            assert y is same
        return np.sum(same * [1.0, 2.0, 3.0]) + before[0]

    x = X + 0.3
    wanted, got = by_each_way(f, x)
    assert {name: float(value) for name, value in got.items()} == pytest.approx(
        dict.fromkeys(got, wanted), rel=1e-13
    )
    if operate is not operator.ifloordiv:  # which is constant between steps
        td.check_grads(f, x, order=1)


def test_a_matrix_is_multiplied_in_place():
    def f(x):
        y = x * 1.0
        same = y
        y @= x.T @ x
        assert y is same
        return np.sum(y * y)

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-13)
    td.check_grads(f, M)
    with pytest.raises(
        td.errors.ShapeError, match=r"t @= v: the result \(2,\).*t, which is \(2, 3\)"
    ):
        td.grad(lambda x: operator.imatmul(x, X).sum())(M)


def test_parts_are_operated_on_in_place():
    def f(x):
        x[0] += x[1]
        x[1:] *= x[:1]
        n = x.shape[1]
        x[..., 1:n] -= 1.0
        x[[0, 0], 1] /= 2.0
        x[x > 100.0] = 0.0
        for k in range(len(x)):
            x[k] -= x[k].mean()
            x[k, 0] += 3
        return np.sum(x**3)

    def g(x):  # without what jit cannot do
        x[0] += x[1]
        for k in range(len(x)):
            x[k] /= x[k].sum()
        return np.sum(x**3)

    assert td.value_and_grad(f)(M)[0] == f(M.copy())
    td.check_grads(f, M)
    wanted, got = by_each_way(g, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-13)


def test_scalars_are_replaced():
    def f(x):
        total, mean = 0.0, x.mean()
        first, same = x[0], mean
        for k in range(3):
            total += x[k]
            first *= x[k]
            mean -= total
        return total * first * mean + same

    wanted, got = by_each_way(f, X)
    assert_allclose(list(got.values()), wanted, rtol=1e-13)
    assert td.value_and_grad(lambda x: operator.iadd(x, 1.0) * x)(3.0) == (12, 7)

    def twice(x):
        same = x
        x += 1
        x += 1
        return same * 1

    for x in (np.array(3.0), 3.0, np.float64(3.0)):
        expected = twice(x.copy() if isinstance(x, np.ndarray) else x)
        assert td.value_and_grad(twice)(x) == (expected, 1)
        assert td.jit(twice)(x) == expected


def test_what_is_operated_on_in_place_keeps_its_dtype_and_shape():
    x = X.astype(np.float32)

    def f(x):
        x += X * 1e-9
        assert (x.shape, x.dtype) == ((3,), np.float32)
        return np.sum(x)

    assert td.grad(f)(x).dtype == td.jit(td.grad(f))(x).dtype == np.float32
    with pytest.raises(td.errors.ShapeError, match=r"t \*= v: the result \(2, 3\) does not fit"):
        td.grad(lambda x: operator.imul(x, M).sum())(X)
    with pytest.raises(TypeError, match="float64, which t, of int64, cannot hold"):
        td.jit(lambda n: operator.itruediv(n, 2))(np.arange(3))
    assert_array_equal(td.jit(lambda n: operator.ior(n, 2))(np.arange(4)), [2, 3, 2, 3])


def test_a_copy_is_operated_on_in_place():
    def f(x):
        own, rows = x[0].copy(), {"first": x[0] * 1.0}
        own += 2.0
        rows["first"] *= own
        return np.sum(own * x) + np.sum(rows["first"])

    assert td.value_and_grad(f)(M)[0] == f(M.copy())
    td.check_grads(f, M)


def test_the_functions_that_write_show_the_way():
    writers = {
        "put": lambda t: np.put(t, [0], 1.0),
        "place": lambda t: np.place(t, X > 1, 1.0),
        "putmask": lambda t: np.putmask(t, X > 1, 1.0),
        "copyto": lambda t: np.copyto(t, 1.0),
        "put_along_axis": lambda t: np.put_along_axis(t, np.array([0]), 1.0, 0),
        "fill_diagonal": lambda t: np.fill_diagonal(t[:, None] * t, 1.0),
        "copyto an array": lambda t: np.copyto(np.zeros(3), t),
    }
    for write in writers.values():
        with pytest.raises(td.errors.NotDifferentiableError, match=r"td\.at\(x\)\["):
            td.grad(lambda x, write=write: write(x) or np.sum(x))(X)
        with pytest.raises(TypeError, match=r"td\.at\(x\)\["):
            td.jit(lambda x, write=write: write(x) or np.sum(x))(X)


# --- the same in programs


def both(f, *xs):
    eager = td.value_and_grad(f)(*xs)
    jitted = td.jit(td.value_and_grad(f))
    for _ in range(2):
        value, gradient = jitted(*xs)
        assert_array_equal(value, eager[0])
        assert_array_equal(gradient, eager[1])


def test_assignments_in_programs():
    def f(x):
        x[0] = x[1] * 2
        x[1:] += x[0]
        y = np.tanh(x)
        y[y > 0.99] = 0.5  # a mask that is not known while tracing
        return np.sum(y * x)

    both(f, X)


@pytest.mark.parametrize("how", ["set", "add", "subtract"])
def test_an_index_that_is_not_known_while_tracing(how):
    def f(x, index, v):
        return np.sum(getattr(td.at(x)[index], how)(v * x) ** 2)

    for index in (np.array([0, 0, 1]), np.array([2, 1, 2])):
        both(f, X, index, X + 1)
    jitted = td.jit(td.grad(f, 2))
    for index in (np.array([0, 0, 1]), np.array([2, 1, 2])):
        assert_array_equal(jitted(X, index, X + 1), td.grad(f, 2)(X, index, X + 1))


def test_products_at_an_index_that_is_not_known_while_tracing():
    with pytest.raises(td.errors.TracedValueError, match="one by one"):
        td.jit(lambda x, i: td.at(x)[i].multiply(2.0))(X, np.array([0, 0]))
    both(lambda x: np.sum(td.at(x)[np.argmin(x)].multiply(x[1]) ** 2), X)  # names one element
    static = td.jit(lambda x: td.at(x)[[0, 0]].multiply(2.0))
    assert_array_equal(static(X), [4, 2, 3])


def test_arguments_of_a_program_stay_as_they_are():
    def f(x):
        x[0] = 7.0
        return x * 2

    x = X.copy()
    assert_array_equal(td.jit(f)(x), [14, 4, 6])
    assert_array_equal(x, X)


# --- and of many examples at once


def test_assignments_under_vmap():
    def f(x, v):
        x[0] = v
        x[1:] *= v
        return np.sum(td.at(x)[[0, 0]].add(v) ** 2)

    xs, vs = np.stack([X, X + 1]), np.array([2.0, 3.0])
    expected = [f(x.copy(), v) for x, v in zip(xs, vs, strict=True)]
    assert_allclose(td.vmap(f)(xs, vs), expected, rtol=1e-14)
    gradients = [td.grad(f)(x, v) for x, v in zip(xs, vs, strict=True)]
    assert_allclose(td.vmap(td.grad(f))(xs, vs), gradients, rtol=1e-14)
    through_a_view = td.vmap(lambda x: x[:1].__setitem__(0, 1.0) or x)(xs)
    assert_array_equal(through_a_view, [[1, 2, 3], [1, 3, 4]])


# --- td.piecewise


def root(x):
    return td.piecewise([x > 0, x < 0], [np.sqrt, lambda x: x * x], x)


def test_branches_see_their_own_elements_only():
    x = np.array([4.0, -3.0, 0.0, np.nan])
    assert_array_equal(root(x), [2, 9, 0, 0])
    with np.errstate(all="raise"):
        assert_array_equal(td.grad(lambda x: root(x).sum())(x), [0.25, -6, 0, 0])
    td.check_grads(root, np.array([4.0, -3.0]), order=3)


def test_branches_in_a_program():
    def f(x, limit):
        y = td.piecewise([x > limit], [np.log, lambda x: x * x], x)
        return np.sum(y)

    jitted = td.jit(td.value_and_grad(f))
    for x in (np.array([1.0, -3.0, 2.0]), np.array([-1.0, -3.0, 0.0]), np.array([1.0, 1.0, 2.0])):
        value, gradient = td.value_and_grad(f)(x, 0.0)
        again, same = jitted(x, 0.0)
        assert_allclose(again, value, rtol=1e-14)
        assert_allclose(same, gradient, rtol=1e-14)


def test_scalars_and_broadcasting():
    assert root(-3.0) == 9
    assert td.grad(root)(4.0) == 0.25
    y = td.piecewise([np.array([[True], [False]])], [np.add, np.multiply], X, 2.0)
    assert_array_equal(y, [X + 2, X * 2])
    assert td.piecewise([X > 9], [np.sin], X.astype(np.float32)).dtype == np.float32


def test_numpys_piecewise_takes_functions_of_the_whole_branch():
    def f(x):
        return np.sum(np.piecewise(x, [x < 2.5], [lambda v: v.sum() * v, lambda v: v.max()]))

    assert_array_equal(td.grad(f)(X), [6, 6, 1])
    with pytest.raises(td.errors.TracedValueError):
        td.jit(f)(X)


def test_what_piecewise_refuses():
    with pytest.raises(ValueError, match="1 conditions need"):
        td.piecewise([X > 1], [np.sin, np.cos, np.tan], X)
    with pytest.raises(TypeError, match="bools"):
        td.piecewise([X], [np.sin], X)
    with pytest.raises(td.errors.ShapeError, match="returned"):
        td.piecewise([X > 1], [lambda v: v[:1]], X)


# --- what moves elements


def test_the_keywords_that_are_refused():
    out = np.zeros(3)
    calls = {
        "out": lambda t: np.take(t, [0, 1, 2], out=out),
        "casting": lambda t: np.concatenate([t, t], casting="unsafe"),
        "copy": lambda t: np.reshape(t, 3, copy=False),
    }
    for name, call in calls.items():
        with pytest.raises(td.errors.NotDifferentiableError, match=name):
            td.grad(lambda x, call=call: np.sum(call(x)))(X)
    for order in "AK":
        with pytest.raises(ValueError, match=f"order='{order}'"):
            td.grad(lambda x, order=order: np.sum(np.ravel(x, order=order)))(X)
    with pytest.raises(td.errors.NotDifferentiableError, match="mode='empty'"):
        td.grad(lambda x: np.sum(np.pad(x, 1, "empty")))(X)
    with pytest.raises(td.errors.NotDifferentiableError, match="mode="):
        td.grad(lambda x: np.sum(np.pad(x, 1, lambda *_: None)))(X)


@pytest.mark.parametrize(
    ("error", "call"),
    {
        "take": (IndexError, lambda t: np.take(t, [5])),
        "take at no axis": (IndexError, lambda t: np.take(t, [0], axis=1)),
        "take with a mode": (ValueError, lambda t: np.take(t, [0], mode="near")),
        "split": (ValueError, lambda t: np.split(t, 2)),
        "pad": (ValueError, lambda t: np.pad(t, 1, "edge", constant_values=1)),
        "pad nowhere": (ValueError, lambda t: np.pad(t, -1, "constant")),
        "repeat": (ValueError, lambda t: np.repeat(t, [1, 2])),
        "roll": (IndexError, lambda t: np.roll(t, 1, axis=2)),
        "meshgrid": (ValueError, lambda t: np.meshgrid(t, t, indexing="yx")),
        "rot90": (ValueError, lambda t: np.rot90(t[None], axes=(0, 0))),
        "flip": (IndexError, lambda t: np.flip(t, 1)),
        "block": (ValueError, lambda t: np.block([[t], t])),
        "trim_zeros": (ValueError, lambda t: np.trim_zeros(t, "x")),
        "vander": (ValueError, lambda t: np.vander(t[None])),
        "diag": (ValueError, lambda t: np.diag(t[None, None])),
        "select": (ValueError, lambda t: np.select([], []) or t),
        "choose": (TypeError, lambda t: np.choose(t, [t, t])),
        "take_along_axis": (IndexError, lambda t: np.take_along_axis(t, X, 0)),
    }.values(),
)
def test_errors_are_of_numpys_kinds(error, call):
    with pytest.raises(error):
        td.vjp(call, X)
    with pytest.raises((IndexError, TypeError, ValueError)):
        call(X)


def test_counts_that_are_not_known_while_tracing():
    for call in (np.repeat, np.delete, np.resize, np.tile):
        with pytest.raises(td.errors.TracedValueError):
            td.jit(call)(X, np.array([1, 1, 1]))
    with pytest.raises(td.errors.TracedValueError):
        td.jit(lambda x: np.compress(x > 1, x))(X)
    with pytest.raises(td.errors.TracedValueError):
        td.jit(lambda x: np.extract(x > 1, x))(X)


def test_trim_zeros_of_more_axes():
    x = np.zeros((4, 5))
    x[1:3, 2:4] = 3.0
    for options in ({}, {"axis": 1}, {"axis": (0, -1)}, {"trim": "f"}, {"trim": "b", "axis": 0}):
        y, pullback = td.vjp(lambda x, o=options: np.trim_zeros(x, **o), x)
        assert_array_equal(y, np.trim_zeros(x, **options))
        assert pullback(np.ones_like(y)).sum() == y.size
    for trim in ("fb", "f", "b"):
        zeros, _ = td.vjp(lambda x, trim=trim: np.trim_zeros(x, trim), np.zeros(3))
        assert_array_equal(zeros, np.trim_zeros(np.zeros(3), trim))


def test_attributes_of_arrays():
    def f(x):
        assert x.real is x
        assert (x.itemsize, x.nbytes, x.imag.sum()) == (8, 48, 0)
        assert x.flat[4].shape == ()
        return np.sum(x.mT @ x) + x.flat[4] ** 2 + sum(v for v in x.flat)

    td.check_grads(f, M, order=2)


def test_infinity_stays_where_it_is():
    x = np.array([np.inf, 1.0, 2.0])
    for mode in ("reflect", "symmetric"):
        with np.errstate(all="ignore"):
            expected = np.pad(x, (0, 2), mode, reflect_type="odd")
            y, _ = td.vjp(lambda x, m=mode: np.pad(x, (0, 2), m, reflect_type="odd"), x)
        assert_array_equal(y, expected)


# --- x[index] of arrays from other libraries

INDICES = [
    1,
    -1,
    slice(1, None),
    slice(None, None, 2),
    slice(None, None, -1),
    slice(-1, 0, -2),
    slice(2, 2),
    (0, 1),
    (slice(None), -2),
    (..., slice(1, 4, 3)),
    (None, slice(None, None, 3), None, slice(3, None, -1)),
    (slice(1, 2), None, 0),
    (),
    ...,
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_slices_of_foreign_arrays(index):
    from tests.test_protocol_arrays import Foreign

    x = np.arange(20.0).reshape(4, 5)
    y, pullback = td.vjp(lambda x: x[index] * 1.0, x)
    g = np.cos(np.arange(y.size)).reshape(y.shape)
    tape = td.Tape()
    t = td.Tensor(Foreign(x), tape)
    (gradient,) = tape.gradients(t[index] * 1.0, t, g=Foreign(g))
    assert isinstance(gradient, Foreign)
    assert_array_equal(gradient.data, pullback(g))


def test_arrays_as_indices_of_foreign_arrays_are_taken_one_at_a_time():
    from tests.test_protocol_arrays import Foreign

    gradient = td.grad(lambda x: np.sum(x[:, [0, 0, -1]]))(Foreign(M))
    assert_array_equal(gradient.data, [[2, 0, 1]] * 2)
    for index in ([0, 0], [1, 2]), ([0, 0], 1), [[0, 1]]:
        with pytest.raises(td.errors.NotDifferentiableError, match="Foreign takes slices"):
            td.grad(lambda x: np.sum(x[index]))(Foreign(M))  # noqa: B023


# --- adding up


@pytest.mark.parametrize("index", [[0, -1, 1, -2, 0], ([0, 1, -1], [-3, 0, 2]), [[0, 1], [1, -1]]])
def test_gradients_add_up_as_ufunc_at_does(index):
    shape = M[tuple(index) if isinstance(index, tuple) else index].shape
    g = np.cos(np.arange(np.prod(shape))).reshape(shape)
    expected = np.zeros_like(M)
    np.add.at(expected, index, g)
    assert_array_equal(td.vjp(lambda x: x[index], M)[1](g), expected)
