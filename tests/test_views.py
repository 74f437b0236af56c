"""Views: what is written into one shows in the others, as in NumPy, which is the oracle."""

import copy
import gc
import itertools
import operator
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinygrad_digits as td
from tests.cases import Drawn, chapters
from tests.test_indexing import by_each_way
from tinygrad_digits.ops.views import source_of

M = np.arange(1.0, 7.0).reshape(2, 3)

VIEWS = {
    "x[0]": lambda x: x[0],
    "x[-1:]": lambda x: x[-1:],
    "x[:, 1]": lambda x: x[:, 1],
    "x[np.int64]": lambda x: x[np.int64(1)],
    "x[..., None]": lambda x: x[..., None],
    "x[...]": lambda x: x[...],
    "x[()]": lambda x: x[()],
    "x[0, 0, ...]": lambda x: x[0, 0, ...],
    "x[1:][0]": lambda x: x[1:][0],
    "x[:, ::-2].T": lambda x: x[:, ::-2].T,
    "x.T": lambda x: x.T,
    "x.mT": lambda x: x.mT,
    "x.T[1]": lambda x: x.T[1],
    "x.transpose": lambda x: x.transpose(1, 0),
    "x.swapaxes": lambda x: x.swapaxes(0, 1),
    "x.reshape": lambda x: x.reshape(3, 2),
    "x.reshape(order='F')": lambda x: x.T.reshape(6, order="F"),
    "x[::2].reshape": lambda x: x[:, ::2].reshape(2, 1, 2),
    "x.ravel": lambda x: x.ravel(),
    "x.squeeze": lambda x: x[None].squeeze(),
    "x.real": lambda x: x.real,
    "x.conj": lambda x: x.conj(),
    "x.astype": lambda x: x.astype(float, copy=False),
    "a row of a loop": lambda x: next(iter(x)),
    "np.reshape": lambda x: np.reshape(x, (1, 6)),
    "np.ravel": np.ravel,
    "np.transpose": np.transpose,
    "np.permute_dims": lambda x: np.permute_dims(x, (1, 0)),
    "np.swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "np.moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "np.rollaxis": lambda x: np.rollaxis(x, 1),
    "np.matrix_transpose": np.matrix_transpose,
    "np.expand_dims": lambda x: np.expand_dims(x, 1),
    "np.squeeze": lambda x: np.squeeze(x[:, None]),
    "np.atleast_1d": np.atleast_1d,
    "np.atleast_2d": lambda x: np.atleast_2d(x[0]),
    "np.atleast_3d": np.atleast_3d,
    "np.broadcast_arrays": lambda x: np.broadcast_arrays(x, x[:1])[0],
    "np.meshgrid": lambda x: np.meshgrid(x[0], x[1], copy=False, sparse=True)[1],
    "np.split": lambda x: np.split(x, 2)[1],
    "np.array_split": lambda x: np.array_split(x, 2, axis=1)[0],
    "np.hsplit": lambda x: np.hsplit(x, 3)[2],
    "np.vsplit": lambda x: np.vsplit(x, 2)[0],
    "np.dsplit": lambda x: np.dsplit(x[None], 3)[0],
    "np.unstack": lambda x: np.unstack(x, axis=1)[1],
    "np.flip": lambda x: np.flip(x, 0),
    "np.fliplr": np.fliplr,
    "np.flipud": np.flipud,
    "np.rot90": np.rot90,
    "np.rot90 twice": lambda x: np.rot90(x, 2),
    "np.einsum": lambda x: np.einsum("ij->ji", x),
    "np.einsum of a diagonal": lambda x: np.einsum("...ii->i...", x[:, :2]),
    "np.einsum of all": lambda x: np.einsum("ij", x),
    "np.real": np.real,
    "np.real_if_close": np.real_if_close,
    "np.astype": lambda x: np.astype(x, float, copy=False),
}

READ_ONLY = {
    "np.diagonal": np.diagonal,
    "x.diagonal": lambda x: x.diagonal(1),
    "np.diagonal of x.T": lambda x: np.diagonal(x.T),
    "np.linalg.diagonal": np.linalg.diagonal,
    "np.diag": np.diag,
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    "np.broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "a part of np.broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3))[0],
}

COPIES = {
    "+x": operator.pos,
    "np.positive": np.positive,
    "np.conj": np.conj,
    "np.copy": np.copy,
    "x.copy": lambda x: x.copy(),
    "x.T.copy": lambda x: x.T.copy(),
    "x.flatten": lambda x: x.flatten(),
    "x.astype": lambda x: x.astype(float),
    "x[[0]]": lambda x: x[[0]],
    "x[mask]": lambda x: x[np.array([True, False])],
    "x[True]": lambda x: x[True],
    "x[0-d array]": lambda x: x[np.array(0)],
    "x.T.reshape": lambda x: x.T.reshape(6),
    "x.T.ravel": lambda x: x.T.ravel(),
    "x[0, ::2].ravel": lambda x: x[0, ::2].ravel(),
    "x[:, 1:].reshape": lambda x: x[:, 1:].reshape(4),
    "np.reshape(copy=True)": lambda x: np.reshape(x, 6, copy=True),
    "np.take": lambda x: np.take(x, 0, axis=0),
    "np.take(mode=wrap)": lambda x: np.take(x, 2, axis=0, mode="wrap"),
    "x.flat[1:3]": lambda x: x.flat[1:3],
    "np.meshgrid": lambda x: np.meshgrid(x[0], x[1])[0],
    "x.sum": lambda x: x.sum(0, keepdims=True),
}


def through(name, make):
    """Programs that write into the view, then into the whole, then as `view[i] += v` does."""

    def f(x):
        x = x * 1.0
        view = make(x)
        view *= 3.0
        first = np.sum(view * np.cos(np.sum(x))) + np.sum(x * M)
        x += 1.0
        x[0] *= x[1]
        second = np.sum(np.sin(view)) + np.sum(x * M**2)
        view[...] = view + view[..., :1] if view.ndim else view * 2.0
        return first + second + np.sum(np.cos(view)) + np.sum(x * M**3)

    f.__name__ = name
    return f


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_writing_shows_where_numpy_shows_it(name):
    f = through(name, {**VIEWS, **COPIES}[name])
    if name == "x[mask]":
        assert_allclose(td.value_and_grad(f)(M)[0], f(M.copy()), rtol=1e-12)
        return
    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)
    td.check_grads(f, M, order=2)


OTHERS = pytest.param((np.uint8, bool, np.float16), marks=pytest.mark.gate, id="other dtypes")


@pytest.mark.parametrize("dtypes", [pytest.param((int, np.float32), id="int and float32"), OTHERS])
@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_programs_have_the_views_of_any_dtype_and_shape(name, dtypes):
    shapes = [(2, 3), (2, 1, 3), (2, 0, 0), (3,), (1,), ()]
    for dtype, shape in itertools.product(dtypes, shapes):
        check_views(name, dtype, shape)


def check_views(name, dtype, shape):
    def write_both(x):
        view = {**VIEWS, **COPIES}[name](x)
        view ^= view[..., :1] if view.ndim else view
        x[...] = x + (x > 2)
        view[...] = view + x.size
        return x, view

    def write_floats(x):
        view = {**VIEWS, **COPIES}[name](x)
        view *= 3.0
        x += 1.0
        return x, view

    f = write_floats if np.dtype(dtype).kind == "f" else write_both
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    wanted, got = (values_or_refusal(g, x.copy()) for g in (f, td.jit(f)))
    if not isinstance(got, td.errors.TracedValueError):
        assert isinstance(got, Exception) == isinstance(wanted, Exception), (got, wanted)
        if isinstance(wanted, tuple):
            for a, b in zip(got, wanted, strict=True):
                assert_array_equal(a, b, strict=True)


def values_or_refusal(f, x):
    try:
        return f(x)
    except Exception as error:
        return error


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_read_only_view_shows_what_is_written_but_is_not_written(name):
    def f(x, write=False):
        x = x * 1.0
        view = READ_ONLY[name](x)
        if write:
            view += 1.0
        x[1] *= x[0]
        x.T[0] -= 2.0
        return np.sum(np.sin(view)) + np.sum(x)

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)
    td.check_grads(f, M, order=2)
    with pytest.raises(ValueError, match="read-only"):
        f(M, write=True)
    for way in (td.grad(f), td.jit(f), td.debug(f), td.hessian(f)):
        with pytest.raises(TypeError, match=r"read-only.*\.copy\(\).*td\.at\("):
            way(M, write=True)


def whole(t):
    while (found := source_of(t)) is not None:
        t = found[0]
    return t


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.__name__)
def test_every_function_shares_memory_where_numpys_does(chapter):
    """Over all cases of all functions: the same results are views of the same arguments."""
    rng = np.random.default_rng(0)
    wrong = []
    for case in getattr(chapter, "CASES", ()):
        drawn = Drawn(case, rng)
        xs = [np.array(x, order="C") for x in drawn.xs]
        if any(x.dtype.kind != "f" for x in xs):
            continue
        tape = td.Tape()
        tensors = [td.Tensor(x, tape) for x in xs]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            theirs, ours = drawn(*xs), drawn(*tensors)
        for a, b in zip(theirs, ours, strict=True):
            views = [isinstance(a, np.ndarray) and np.shares_memory(a, x) for x in xs]
            shared = [whole(b) is t and isinstance(a, np.ndarray) for t in tensors]
            if views != shared and np.size(a):
                wrong.append((case.name, case.options, views, shared))
    assert not wrong


CUBE = np.random.default_rng(3).uniform(1.0, 2.0, (4, 6, 6))

LAYOUTS = {
    "columns": lambda: np.asfortranarray(CUBE[0]),
    "gaps in rows": lambda: CUBE[0][:, ::2],
    "gaps between rows": lambda: CUBE[0][::2],
    "gaps in a vector": lambda: CUBE[0, 0][::2],
    "rows backwards": lambda: CUBE[0][::-1],
    "columns backwards": lambda: CUBE[0][:, ::-1],
    "all backwards": lambda: CUBE[0][::-1, ::-1],
    "last axis away": lambda: CUBE[:, :, 0],
    "axes turned": lambda: CUBE.transpose(2, 0, 1),
    "axes swapped": lambda: CUBE.swapaxes(1, 2),
    "foreign memory": lambda: np.frombuffer(bytearray(CUBE[0].tobytes())).reshape(6, 6),
}
RESHAPES = {
    "reshape": lambda x: x.reshape(-1),
    "reshape(order='F')": lambda x: x.reshape(-1, order="F"),
    "ravel": lambda x: x.ravel(),
    "ravel('F')": lambda x: x.ravel("F"),
    "T.reshape": lambda x: x.T.reshape(-1),
    "of a part": lambda x: x[:2].reshape(-1),
    "of every other": lambda x: x[..., ::2].reshape(-1),
}


@pytest.mark.parametrize("reshaped", RESHAPES.values(), ids=RESHAPES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_reshape_of_what_was_written_shares_memory_where_numpys_does(layout, reshaped):
    """NumPy decides it by how an array lies in memory, which no write changes."""
    x = layout()
    for copied in (False, True):

        def f(x, copied=copied):
            x = x * 1.0 if copied else x
            x[0] *= 2.0
            flat = reshaped(x)
            flat += np.arange(1.0, flat.size + 1)
            x += 1.0
            return np.sum(np.sin(flat) * np.arange(flat.size)) + np.sum(np.cos(x))

        before = x.copy()
        value, _ = td.value_and_grad(f)(x)
        assert_array_equal(x, before)
        memory = layout()
        assert memory.strides == x.strides
        wanted = f(memory)  # which writes into what is below
        memory[...] = before
        assert_allclose(value, wanted, rtol=1e-12)


# --- a little language of programs


KINDS = {
    **{f"[{i}]": lambda v, i=i: v[i] for i in (0, -1)},
    "[1:]": lambda v: v[1:],
    "[::2]": lambda v: v[::2],
    "[::-1]": lambda v: v[::-1],
    "[..., :2]": lambda v: v[..., :2],
    "[..., 0]": lambda v: v[..., 0],
    "[None]": lambda v: v[None],
    "[[0]]": lambda v: v[[0]],
    "T": lambda v: v.T,
    "T.copy": lambda v: v.T.copy(),
    "T * 1": lambda v: v.T * 1.0,
    "reshape(-1)": lambda v: v.reshape(-1),
    "reshape(-1, 2)": lambda v: v.reshape(-1, 2),
    "reshape(order='F')": lambda v: v.reshape(-1, order="F"),
    "ravel": lambda v: v.ravel(),
    "flatten": lambda v: v.flatten(),
    "squeeze": np.squeeze,
    "flip": np.flip,
    "diagonal": np.diagonal,
    "broadcast_to": lambda v: np.broadcast_to(v, (2, *v.shape)),
    "real": np.real,
    "copy": lambda v: v.copy(),
    "copy.copy": copy.copy,
    "v * 1": lambda v: v * 1.0,
    "flat[1:3]": lambda v: v.flat[1:3],
    "moveaxis": lambda v: np.moveaxis(v, -1, 0),
    "windows": lambda v: np.lib.stride_tricks.sliding_window_view(v, 2, axis=0),
    "einsum": lambda v: np.einsum("ii->i", v),
    "atleast_3d": np.atleast_3d,
    "np.take": lambda v: np.take(v, 0, axis=0) if v.ndim else +v,
    "split": lambda v: np.split(v, 2)[1],
    "unstack": lambda v: np.unstack(v)[-1],
}
WRITES = {
    "v += 1": lambda v, _: operator.iadd(v, 1.0),
    "v *= w": lambda v, w: operator.imul(v, np.tanh(np.sum(w) / (1 + w.size))),
    "v *= rows": lambda v, _: operator.imul(v, np.cos(np.arange(v.size)).reshape(v.shape)),
    "v -= v[:1]": lambda v, _: operator.isub(v, v[:1]),
    "v[0] += w": lambda v, w: adding(v, 0, np.tanh(np.sum(w) / (1 + w.size))),
    "v[1:] += v[:-1]": lambda v, _: adding(v, slice(1, None), v[:-1]),
    "v[..., 0] = w": lambda v, w: setting(v, (..., 0), np.tanh(np.sum(w) / (1 + w.size))),
    "v[[0, -1]] = 2": lambda v, _: setting(v, [0, -1], 2.0),
    "v[0] = v[-1]": lambda v, _: setting(v, 0, v[-1]),
    "v.flat[1] += w": lambda v, w: (adding(v.flat, 1, np.tanh(np.sum(w) / (1 + w.size))), v)[1],
    "v.sort": lambda v, _: v.sort() or v,
    "v.fill": lambda v, _: filling(v, 0.5),
}


def filling(v, amount):
    if isinstance(v, np.generic):  # fills a copy, which nobody sees; a Tensor refuses
        raise TypeError("no array")
    v.fill(amount)
    return v


def adding(v, index, amount):
    v[index] += amount
    return v


def setting(v, index, amount):
    v[index] = amount
    return v


def run(program, names):
    """Run what NumPy can run; the statements that it could, and the values after each of them."""
    done, values = [], []
    for statement in program:
        what, i, j = statement
        v, w = names[i % len(names)], names[j % len(names)]
        try:
            if what in KINDS:
                names.append(KINDS[what](v))
            else:
                names[i % len(names)] = WRITES[what](v, w)
        except (ValueError, IndexError, TypeError, AttributeError) as error:
            if isinstance(error, AttributeError) and isinstance(v, np.ndarray):
                raise
            continue
        done.append(statement)
        values.append([np.array(td.stop_gradient(name)) for name in names])
    return done, values


STATEMENTS = st.lists(
    st.tuples(st.sampled_from([*KINDS, *KINDS, *WRITES]), st.integers(0, 9), st.integers(0, 9)),
    min_size=2,
    max_size=10,
)


@given(STATEMENTS, st.booleans())
def test_programs_are_numpys(program, of_columns):
    start = np.random.default_rng(1).uniform(0.5, 2.0, (4, 4)).cumsum(axis=1)

    def begun(x):
        x = x * 1.0
        return [x.T * 1.0 if of_columns else x]

    done, wanted = run(program, begun(start))

    def f(x):
        names = begun(x)
        ran, values = run(done, names)
        if type(x) is not np.ndarray:
            assert ran == done
            for theirs, ours in zip(wanted, values, strict=True):
                for a, b in zip(theirs, ours, strict=True):
                    assert_allclose(b, a, rtol=1e-12, atol=1e-12)
        return sum(np.sum(np.sin(k + v)) for k, v in enumerate(names))

    slope = td.grad(f)(start)
    direction = np.random.default_rng(2).standard_normal(start.shape)
    step = 1e-6
    difference = (f(start + step * direction) - f(start - step * direction)) / (2 * step)
    assert_allclose(np.sum(slope * direction), difference, rtol=1e-5, atol=1e-5)


# --- programs


class Rows:
    """A container that makes a new view whenever it is asked."""

    def __init__(self, x):
        self.x = x

    def __getitem__(self, i):
        return self.x[i]

    def __setitem__(self, i, v):
        pass


def in_a_container(x):
    rows = Rows(x)
    rows[0] += x[1] ** 2
    rows[1] *= 2.0


def in_a_list(x):
    rows = [x[0], x[1]]
    rows[0] += 1.0
    rows[1] *= rows[0]


def in_a_dict(x):
    params = {"w": x[:1], "b": x[1:]}
    params["w"][0, 0] += 1.0
    params["b"] *= params["w"]


def in_a_call(x):
    rows = {0: 0.0}
    rows[0] = operator.iadd(x[0], 1.0)
    rows[0] *= 2.0


def in_a_loop(x):
    for row in x:
        row /= row.sum()


def in_a_closure(x):
    row = x[0]

    def add(v):
        nonlocal row
        row += v

    add(x[1])
    add(1.0)


def of_views(x):
    x[1:][0] += x[0]
    x[:, ::2].T[1:] *= 3.0


def swapped(x):
    first = x[0]
    x[0] = x[1]
    x[1] = first


def beside_another(x):
    left, right = x[:, :2], x[:, 1:]
    left *= right
    right += left


def of_itself(x):
    x[:, 1:] += x[:, :-1]
    x += x.T[0, 0]
    x[0] += x[0]


WAYS = (in_a_container, in_a_list, in_a_dict, in_a_call, in_a_loop, in_a_closure)
WAYS += (of_views, swapped, beside_another, of_itself)


@pytest.mark.parametrize("write", WAYS)
def test_writing_by_another_name(write):
    def f(x):
        write(x)
        return np.sum(np.sin(x) * M)

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)
    td.check_grads(f, M, order=2)
    recorded = td.record(f, M)
    assert len(recorded) > 2
    checkpointed = td.grad(lambda x: f(td.checkpoint(lambda x: x * 2.0)(x)))(M)
    assert_allclose(checkpointed, td.grad(lambda x: f(x * 2.0))(M))
    _, push = td.linearize(f, M)
    assert_allclose(push(M), np.sum(td.grad(f)(M) * M), atol=1e-12)


@pytest.mark.parametrize("operate", [operator.iadd, operator.isub, operator.imul, operator.ipow])
def test_what_stays_of_a_write_that_is_refused(operate):
    """Nothing is written where something cannot be."""

    def f(x):
        part = x[:1]
        flat = np.broadcast_to(part, (2, 3))
        with pytest.raises(TypeError, match="read-only"):
            operate(flat, 2.0)
        with pytest.raises((td.errors.ShapeError, ValueError)):
            operate(part, M)
        return np.sum(x) + np.sum(part) + np.sum(flat)

    assert td.value_and_grad(f)(M)[0] == np.sum(M) + 3 * np.sum(M[0])


def test_the_second_write_is_free():
    tape = td.Tape()
    x = td.Tensor(M, tape)
    before = len(tape)
    x[0] += 1.0
    assert [record.name for record in tape][before:] == ["getitem", "add", "put"]
    x[:, 1:] *= 2.0
    x.T[0] -= 1.0
    names = [record.name for record in tape][before + 3 :]
    rows = ["transpose", "getitem", "subtract", "put", "transpose"]
    assert names == ["getitem", "multiply", "put", *rows]


def test_a_scalar_is_no_view():
    def f(x):
        first, number = x[0, 0], np.sum(x)
        raised = np.reshape(number, (1,))
        raised += 1.0
        first += 1.0
        x[0, 0] += first
        return first * x[0, 0] * number + raised[0]

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)


@pytest.mark.parametrize("index", [..., (), None, np.True_])
def test_a_scalar_has_no_items(index):
    def f(x):
        number = np.sum(x)
        number[index] = 2.0
        return number

    for transform in (lambda f: f, td.grad, td.jit, td.vmap):
        with pytest.raises(TypeError):
            transform(f)(M)


def test_arguments_stay_as_they_are():
    x = M.copy()

    def f(x):
        x[0] += 1.0
        for row in x:
            row *= 2.0
        return np.sum(x**2)

    for transform in (td.grad, td.value_and_grad, td.hessian, td.jit, td.debug, td.jacobian):
        transform(f)(x)
        assert_array_equal(x, M)


def test_views_across_gradients():
    def outer(x):
        row = x[0]

        def inner(w):
            row[0] = 3.0  # on the outer tape alone
            return np.sum(x * w)

        return td.grad(inner)(2.0) + np.sum(row**2)

    value, slope = td.value_and_grad(outer)(M)
    assert value == 3 + 2 + 3 + 4 + 5 + 6 + 9 + 4 + 9
    assert_array_equal(slope, [[0, 5, 7], [1, 1, 1]])

    def leaving(x):
        row = x[0]

        def inner(w):
            row[0] = w  # x becomes what depends on w
            return np.sum(x * x) * w

        return td.grad(inner)(2.0), x, row

    # d/dw (w^3 + w s) = 3 w^2 + s
    value, slope = td.value_and_grad(lambda x: leaving(x)[0] * 1.0)(M)
    assert value == 12 + np.sum(M**2) - 1
    assert_array_equal(slope, 2 * M * (M > 1))
    for k in (1, 2):
        with pytest.raises(td.errors.EscapedTensorError):
            td.grad(lambda x, k=k: np.sum(leaving(x)[k]))(M)


def test_an_index_that_is_not_known_while_tracing_makes_a_view_too():
    def f(x):
        row = x[np.argmax(x[:, 0])]
        row *= 2.0
        x[np.argmin(x[:, 0])] += 1.0
        return np.sum(x * M) + np.sum(row)

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)


def test_of_flat():
    def f(x):
        x = x * 1.0
        x.T.flat[1] = 5.0
        part = x.flat[1:3]
        part += 10.0  # of a copy
        x.flat[2:4] += x.flat[0]
        return np.sum(np.sin(x) * M) + np.sum(part)

    wanted, got = by_each_way(f, M)
    assert_allclose(list(got.values()), wanted, rtol=1e-12)


def test_views_make_no_cycles_and_go_when_nobody_needs_them():
    gc.collect()
    gc.disable()
    try:
        tape = td.Tape()
        x = td.Tensor(M, tape)
        view = x[0]
        whole, part = weakref.ref(x), weakref.ref(view)
        view += 1.0
        del view
        assert part() is None
        part = x[1:]
        del x
        assert whole() is not None  # as NumPy's view.base
        del part
        assert whole() is None
        y = td.Tensor(M, tape)
        for _ in range(5000):
            y[0]
        assert len(y.views) < 2000
    finally:
        gc.enable()


def test_many_views_of_views():
    def f(x):
        view = x
        for _ in range(3000):
            view = view[...]
        view *= 2.0
        x += 1.0
        return np.sum(view)

    value, slope = td.value_and_grad(f)(M)
    assert value == np.sum(M * 2 + 1)
    assert_array_equal(slope, np.full((2, 3), 2))
