"""Programs that leave: as Python files that need NumPy alone, with td.jit's bits."""

import collections
import dataclasses
import functools
import itertools
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tinygrad_digits as td
from tests.cases import cases_by_function
from tests.checks import Trial, plain, quiet, value_with_gradients
from tests.jit_programs import assert_own_memory, assert_same
from tests.test_jit_compositions import FUNCTIONS as COMPOSITIONS
from tinygrad_digits.digits.model import conv, kinds, mlp
from tinygrad_digits.exporting.lengths import LENGTHS, Length
from tinygrad_digits.support import files

CASES = cases_by_function()
NOT_PLAIN = {
    *("scipy.special.erf", "scipy.special.digamma", "scipy.special.beta"),
    *("td.linalg.solve_triangular", "td.linalg.cho_solve", "td.linalg.expm", "td.linalg.funm"),
    *(
        f"td.fft.{inverse}{name}"
        for inverse in ("", "i")
        for name in ("dct", "dst", "dctn", "dstn")
    ),
    *("tests.cases.linalg.times_sparse", "tests.cases.linalg.sparse_times"),
    *("td.nn.dropout", "td.nn.gelu"),  # the former's cases have a generator of their own
    *(f"td.special.{name}" for name in ["erf", "erfc", "ndtr", "log_ndtr", "i0", "i1", "erfinv"]),
    *(f"td.special.{name}" for name in ["gammaln", "digamma", "polygamma", "beta", "betaln"]),
    *(
        f"td.{name}"
        for name in ["mills", "excess", "curvature", "erfinv_slope", "iv", "polygamma_rise"]
    ),
}
"""Functions that SciPy computes, or that hold an object of a class."""
PLAIN_AT_TIMES = {"td.nn.dropout-1", *(f"td.nn.gelu-{k}" for k in range(4, 8))}
"""Their cases for which NumPy is enough: a rate of 0, and gelu by tanh."""


def load(path):
    """The function in an exported file."""
    return runpy.run_path(str(path))[path.stem]


def export_and_load(f, *args, folder, **options):
    return load(td.export(f, *args, path=folder / "program.py", **options))


# --- every function


def check_case(name, case, folder):
    trial = Trial(name, case)
    f = functools.partial(value_with_gradients, trial.drawn)
    with quiet():
        wanted = td.jit(f)(*trial.xs)
        got = export_and_load(f, *trial.xs, folder=folder)(*trial.xs)
    assert_same(plain(got), plain(wanted))
    assert_own_memory(got, trial.xs)


def check_function(function, cases, folder):
    for name, case in cases:
        if case.untraced:
            with quiet(), pytest.raises(td.errors.TracedValueError):
                check_case(name, case, folder)
        elif function in NOT_PLAIN and name not in PLAIN_AT_TIMES:
            with pytest.raises(td.errors.ExportError, match=r"cannot be written as NumPy alone"):
                check_case(name, case, folder)
        else:
            check_case(name, case, folder)


@pytest.mark.slow
@pytest.mark.parametrize("function", CASES)
def test_every_function_with_its_gradient_gives_the_bits_of_jit(function, tmp_path):
    check_function(function, [*CASES[function].items()][:1], tmp_path)


@pytest.mark.gate
@pytest.mark.parametrize("function", CASES)
def test_every_other_case_does(function, tmp_path):
    check_function(function, [*CASES[function].items()][1:], tmp_path)


def test_the_functions_that_are_not_plain_are_there():
    assert CASES.keys() >= NOT_PLAIN


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_transforms_leave_too(name, rng, tmp_path):
    f, *shapes = COMPOSITIONS[name]
    first, second = ([rng.uniform(0.25, 1.5, shape) for shape in shapes] for _ in range(2))
    exported = export_and_load(f, *first, folder=tmp_path)
    for args in (first, second):
        assert_same(exported(*args), td.jit(f)(*args))


def step(params, x, y):
    loss, grads = td.value_and_grad(mlp.loss)(params, x, y)
    return {name: params[name] - 0.1 * grads[name] for name in params}, loss


def test_a_training_step_with_its_trees(rng, tmp_path):
    params = mlp.init_params((64, 8, 10))
    args = params, rng.random((5, 64)), np.arange(5)
    exported = export_and_load(step, *args, folder=tmp_path)
    assert_same(exported(*args), step(*args))
    with pytest.raises(ValueError, match=r"labels must be integers in 0 \.\.\. 9, got 0 \.\.\. 10"):
        exported(*args[:2], np.array([0, 1, 2, 3, 10]))


def test_draws_are_those_of_the_generator_that_is_given(tmp_path):
    def f(x, rng):
        return td.nn.dropout(x, 0.5, rng=rng) + rng.normal(size=3)

    exported = export_and_load(f, np.ones(3), np.random.default_rng(0), folder=tmp_path)
    for seed in (1, 2):
        got = exported(np.ones(3), np.random.default_rng(seed))
        assert_same(got, td.jit(f)(np.ones(3), np.random.default_rng(seed)))
    with pytest.raises(TypeError, match=r"rng must be np.random.default_rng\(\.\.\.\), got a int"):
        exported(np.ones(3), 1)


def test_numbers_and_scalars_stay_what_they_are(tmp_path):
    def f(x, rate, scale):
        return x - rate * scale, rate * 2, scale * 2, x[0]

    args = np.ones(3, np.float32), 0.1, np.float32(3)
    exported = export_and_load(f, *args, folder=tmp_path)
    assert_same(exported(*args), td.jit(f)(*args))
    with pytest.raises(TypeError, match="rate must be a number, got a str"):
        exported(args[0], "fast", args[2])


def test_warnings_of_arithmetic_are_those_of_the_function(tmp_path):
    def f(x):
        with np.errstate(divide="ignore"):
            y = 1 / x
        return y * np.log(x)

    exported = export_and_load(f, np.ones(2), folder=tmp_path)
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in log") as caught:
        exported(np.zeros(2))
    assert len(caught) == 1


def test_constants_keep_their_order_in_memory(rng, tmp_path):
    weights = [rng.standard_normal((31, 17)).T, rng.standard_normal((3, 40, 5)).transpose(1, 2, 0)]

    def f(x, y):
        return x @ weights[0], np.tensordot(y, weights[1], 1)

    args = rng.standard_normal((6, 17)), rng.standard_normal((6, 40))
    assert_same(export_and_load(f, *args, folder=tmp_path)(*args), td.jit(f)(*args))


# --- the file


def test_it_reads_like_what_one_would_write(tmp_path):
    params = {"w": np.arange(20.0).reshape(10, 2), "b": np.array([0.5, 1.5])}

    def score(x):
        """How it rises."""
        h = np.maximum(x @ params["w"] + params["b"], 0)
        return h / 3.0

    path = td.export(score, np.zeros((3, 10)), path=tmp_path / "score.py")
    source = path.read_text()
    assert source.startswith('"""score: How it rises.\n\n    x: float64(3, 10)\n')
    body = [line.strip() for line in source.splitlines()]
    start = body.index("def score(x):")
    assert body[start + 1 : start + 7] == [
        "x = _take_array(x, 'x', 'float64', (3, 10))",
        body[start + 2],
        "v1 = np.maximum((x @ w) + b, 0)  # float64(3, 2)",
        body[start + 4],
        "v2 = v1 / 3.0  # float64(3, 2)",
        "return v2",
    ]
    assert body[start + 2].startswith("# test_export.py:")
    assert body[start + 2].endswith('h = np.maximum(x @ params["w"] + params["b"], 0)')
    assert "b = np.array([0.5, 1.5], 'float64')  # float64(2,)" in body
    assert "w = _arrays['w']  # float64(10, 2)" in body
    assert "tinygrad" not in source.replace(files_mark(), "")


def files_mark():
    return "Written by tinygrad_digits"


def test_it_runs_where_this_package_is_not(tmp_path, rng):
    params = mlp.init_params((64, 16, 10), dtype=np.float32)

    def classify(images):
        return td.nn.softmax(mlp.logits(params, images))

    images = rng.random((3, 64), np.float32)
    td.export(classify, images, path=tmp_path / "digits.py", batch_argnames="images")
    np.save(tmp_path / "images.npy", images)
    program = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules |= dict.fromkeys(("tinygrad_digits", "scipy", "sklearn", "safetensors"))
import numpy as np
from digits import digits
np.save(sys.argv[1] + "/got.npy", digits(np.load(sys.argv[1] + "/images.npy")))
"""
    isolated = [sys.executable, "-I", "-c", program, str(tmp_path)]
    subprocess.run(isolated, check=True, timeout=60, cwd=os.sep)
    assert_array_equal(np.load(tmp_path / "got.npy"), td.jit(classify)(images), strict=True)
    command = [sys.executable, "-I", str(tmp_path / "digits.py")]
    told = subprocess.run(
        [*command, "images.npy"], check=True, timeout=60, cwd=tmp_path, capture_output=True
    )
    assert told.stdout.decode().splitlines() == str(td.jit(classify)(images)).splitlines()
    np.save(tmp_path / "image.npy", images[0].reshape(8, 8).astype(np.float64))
    one = subprocess.run([*command, str(tmp_path / "image.npy")], check=True, capture_output=True)
    assert one.stdout.decode().splitlines() == str(td.jit(classify)(images[:1])).splitlines()
    astray = subprocess.run([*command, "none.npy"], capture_output=True, check=False)
    (line,) = astray.stderr.decode().splitlines()
    assert astray.returncode == 1
    assert line.startswith("error: ")
    assert "none.npy" in line
    refused = subprocess.run(command, timeout=60, capture_output=True, check=False)
    assert (refused.returncode, refused.stderr.decode().strip()) == (
        1,
        "usage: python digits.py images.npy",
    )


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        (({"w": np.ones((2, 3)), "b": [np.ones(3)]}, np.ones((4, 3))), ValueError,
         r"x must be float64\(4, 2\), got float64\(4, 3\)"),
        (({"w": np.ones((2, 3)), "b": [np.ones(3)]}, np.ones((4, 2), np.float32)), TypeError,
         r"x must be float64\(4, 2\), got float32\(4, 2\): write x.astype\('float64'\)"),
        (({"w": np.ones((2, 4)), "b": [np.ones(3)]}, np.ones((4, 2))), ValueError,
         r"params\['w'\] must be float64\(2, 3\), got float64\(2, 4\)"),
        (({"w": np.ones((2, 3))}, np.ones((4, 2))), ValueError,
         r"params must have the keys \('w', 'b'\), got \('w',\)"),
        (({"w": np.ones((2, 3)), "b": []}, np.ones((4, 2))), ValueError,
         r"params\['b'\] must have 1 elements, got 0"),
        (({"w": np.ones((2, 3)), "b": [np.ones(3)]}, np.ones((4, 2)), 3), ValueError,
         "power is 2 in this program, got 3"),
    ],
)  # fmt: skip
def test_arguments_are_checked(args, kind, message, tmp_path):
    def f(params, x, power):
        return (x @ params["w"] + params["b"][0]) ** power

    right = {"w": np.ones((2, 3)), "b": [np.zeros(3)]}, np.ones((4, 2)), 2
    exported = export_and_load(f, *right, folder=tmp_path)
    assert_same(exported(*right), f(*right))
    with pytest.raises(kind, match=message):
        exported(*args, *right[len(args) :])


def test_arrays_in_any_order_are_taken_row_by_row(tmp_path, rng):
    x = rng.standard_normal((40, 30))
    exported = export_and_load(lambda x: np.sum(x, axis=0) / 3, x, folder=tmp_path)
    assert_same(exported(np.asfortranarray(x)), exported(x))


# --- trees


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Pair:
    first: object
    second: object


def test_named_tuples_are_made_anew(tmp_path):
    def turn(point):
        return Point(-point.y, point.x), {"both": (point.x, [point.y])}

    point = Point(np.ones(2), np.zeros(3))
    turned, others = export_and_load(turn, point, folder=tmp_path)(point)
    assert (type(turned).__name__, turned._fields) == ("Point", ("x", "y"))
    assert_same([*turned, others], [*turn(point)[0], turn(point)[1]])


def test_dataclasses_are_read_but_not_returned(tmp_path):
    pair = Pair(np.ones(2), np.full(2, 3.0))
    exported = export_and_load(lambda p: p.first * p.second, pair, folder=tmp_path)
    assert_same(exported(pair), pair.second)
    with pytest.raises(td.errors.ExportError, match=r"returns a Pair.*return a dict"):
        td.export(lambda p: Pair(p.second, p.first), pair, path=tmp_path / "f.py")


def test_results_are_the_callers_own(tmp_path):
    table = np.arange(12.0)

    def f(x):
        y = 2 * x
        return x, x[1:], y, y.T, table, table

    args = (np.ones((3, 2)),)
    exported = export_and_load(f, *args, folder=tmp_path)
    first, second = exported(*args), exported(*args)
    assert_same(first, td.jit(f)(*args))
    for a, b in itertools.combinations([*first, *second, *args], 2):
        assert not np.shares_memory(a, b)


def test_names_that_python_needs_itself(tmp_path):
    def f(np_, n, len):
        return np_ + n * len

    args = np.ones(2), np.full(2, 2.0), np.full(2, 3.0)
    assert_same(export_and_load(f, *args, folder=tmp_path)(*args), np.full(2, 7.0))


# --- what is not plain


def test_an_op_of_scipy_is_refused_with_its_line(tmp_path):
    with pytest.raises(td.errors.ExportError) as caught:
        td.export(lambda x: 1 + td.special.gammaln(x), np.ones(3), path=tmp_path / "f.py")
    assert "test_export.py:" in str(caught.value)
    assert "1 + td.special.gammaln(x)" in str(caught.value)
    assert "gammaln cannot be written as NumPy alone" in str(caught.value)
    assert not [*tmp_path.iterdir()]


LIMIT = 3.0


def saturate(x: np.ndarray, *, steepness: float = LIMIT) -> np.ndarray:
    y: np.ndarray = np.clip(x * steepness, -LIMIT, LIMIT)
    return y


def test_an_op_of_ones_own_is_copied_with_all_it_uses(tmp_path):
    op = td.define(saturate, lambda g, _y, x, steepness=LIMIT: g * (np.abs(x) < 1), name="sat")
    halve = td.define(lambda x: x / 2, lambda g, _y, x: g / 2, name="halve", kind="elementwise")
    args = (np.linspace(-2, 2, 5),)
    f = td.value_and_grad(lambda x: np.sum(op(halve(x)) * op(x, steepness=2.0)))
    path = td.export(f, *args, path=tmp_path / "f.py")
    assert_same(load(path)(*args), f(*args))
    assert "def _saturate(x, *, steepness=3.0):" in path.read_text()


def test_an_op_with_a_kernel_of_another_package_is_refused(tmp_path):
    def kernel(x):
        from scipy import special

        return special.erf(x)

    op = td.define(kernel, lambda g, _y, x: g, name="mine")
    with pytest.raises(td.errors.ExportError, match=r"mine cannot be .*: it needs scipy"):
        td.export(op, np.ones(3), path=tmp_path / "f.py")


def test_an_argument_that_nobody_could_give_is_refused(tmp_path):
    with pytest.raises(td.errors.ExportError, match=r"the argument f is a ufunc.*partial"):
        td.export(lambda x, f: f(x), np.ones(2), np.sin, path=tmp_path / "f.py")


def test_a_function_that_asks_for_values_is_refused_as_by_jit(tmp_path):
    with pytest.raises(td.errors.TracedValueError, match=r"np.where"):
        td.export(lambda x: x if x[0] > 0 else -x, np.ones(2), path=tmp_path / "f.py")


def test_a_tensor_of_a_transform_under_way_is_refused(tmp_path):
    def f(x):
        td.export(lambda y: x * y, np.ones(2), path=tmp_path / "f.py")
        return np.sum(x)

    with pytest.raises(td.errors.ExportError, match="under way"):
        td.grad(f)(np.ones(2))


def test_a_jitted_function_leaves_with_its_static_arguments(tmp_path):
    @functools.partial(td.jit, static_argnames="scale")
    def f(x, scale):
        return x * scale

    exported = export_and_load(f, np.ones(2), 2.0, folder=tmp_path)
    assert_same(exported(np.ones(2), 2.0), np.full(2, 2.0))
    with pytest.raises(ValueError, match=r"scale is 2.0 in this program, got 3.0"):
        exported(np.ones(2), 3.0)


# --- loops and branches


W = np.linspace(-1, 1, 16).reshape(4, 4)


def run_recurrent(h, xs):
    def step(h, x):
        h = np.tanh(h @ W + x)
        return h, np.sum(h)

    return td.scan(step, h, xs)


STAGED = {
    "scan": (run_recurrent, (4,), (6, 4)),
    "its gradient": (td.grad(lambda h, xs: np.sum(run_recurrent(h, xs)[1]), (0, 1)), (4,), (6, 4)),
    "scan backwards": (
        lambda c, xs: td.scan(lambda c, x: (c + x, c * x), c, xs, reverse=True),
        (),
        (5,),
    ),
    "fori_loop": (lambda x: td.fori_loop(0, 5, lambda i, c: c * x + i, x), (3,)),
    "while_loop": (lambda x: td.while_loop(lambda c: np.sum(c) < 50, lambda c: c + x, x), (3,)),
    "cond": (lambda x: td.cond(np.sum(x) > 3, np.sin, lambda x: W[0, :3] * x, x), (3,)),
    "switch": (lambda x: td.switch(np.argmax(x), [np.sin, np.cos, np.tanh], x), (3,)),
    "a loop in a loop": (
        lambda h, xs: td.map(lambda h: run_recurrent(h, xs)[0], h),
        (3, 4),
        (6, 4),
    ),
}


@pytest.mark.parametrize("name", STAGED)
def test_loops_stay_loops(name, rng, tmp_path):
    f, *shapes = STAGED[name]
    first, second = ([np.asarray(rng.uniform(0.25, 2, s)) for s in shapes] for _ in range(2))
    exported = export_and_load(f, *first, folder=tmp_path)
    for args in (first, second):
        assert_same(exported(*args), td.jit(f)(*args))


def test_a_step_may_use_an_array_of_any_name(tmp_path):
    x0 = v1 = np.arange(3.0)

    def f(xs):
        return td.scan(lambda c, x: (c * x0 + v1 * x, None), np.ones(3), xs)[0]

    xs = np.arange(4.0)
    assert_same(export_and_load(f, xs, folder=tmp_path)(xs), td.jit(f)(xs))


def test_a_loop_is_as_long_a_text_however_often_it_runs(tmp_path):
    lines = []
    for n in (3, 1000):
        path = td.export(run_recurrent, np.ones(4), np.ones((n, 4)), path=tmp_path / "f.py")
        lines.append(len(path.read_text().splitlines()))
    assert lines[0] == lines[1]


def test_a_constant_of_two_steps_is_kept_once(tmp_path):
    f = STAGED["its gradient"][0]
    source = td.export(f, np.ones(4), np.ones((6, 4)), path=tmp_path / "f.py").read_text()
    assert source.count("_arrays[") == 1


def test_an_op_in_a_step_is_refused_with_the_line_of_its_loop(tmp_path):
    def f(x):
        y = 2 * x
        return td.scan(lambda c, x: (c + td.special.gammaln(x), None), y[0], x)[0]

    message = r"return td\.scan\(.*gammaln cannot be written as NumPy alone"
    with pytest.raises(td.errors.ExportError, match=message):
        td.export(f, np.ones(3), path=tmp_path / "f.py")


def test_a_step_of_a_batch_and_a_batch_of_steps(rng, tmp_path):
    exported = export_and_load(
        run_recurrent, np.ones(4), np.ones((2, 4)), folder=tmp_path, batch_argnames="xs"
    )
    for n in (1, 4):
        args = rng.random(4), rng.random((n, 4))
        assert_same(exported(*args), td.jit(run_recurrent)(*args))

    def many(h, xs):
        def step(h, x):
            return np.tanh(h @ W + x).reshape(len(xs), 4), None

        return td.scan(step, h, np.swapaxes(xs, 0, 1))[0]

    exported = export_and_load(
        many, np.ones((2, 4)), np.ones((2, 6, 4)), folder=tmp_path, batch_argnames=("h", "xs")
    )
    for n in (1, 5):
        args = rng.random((n, 4)), rng.random((n, 6, 4))
        assert_same(exported(*args), td.jit(many)(*args))


# --- batches of any length


@pytest.mark.parametrize("kind", [mlp, conv])
def test_a_batch_of_any_length(kind, rng, tmp_path):
    params = kind.init_params((64, 16, 10), rng, np.float32)

    def classify(images):
        return td.nn.softmax(kinds.logits(params, images))

    example = np.zeros((1, 64), np.float32)
    exported = export_and_load(classify, example, folder=tmp_path, batch_argnames="images")
    for n in (1, 2, 10, 64, 100):
        images = rng.random((n, 64), np.float32)
        assert_same(exported(images), td.jit(classify)(images))
    with pytest.raises(ValueError, match=r"images must be float32\(n, 64\), got float32\(64,\)"):
        exported(images[0])


def test_all_arrays_of_a_batch_have_its_length(tmp_path, rng):
    def gram(pairs, w):
        x, y = pairs["x"], pairs["y"]
        return (x * w) @ y.T, np.mean(x, axis=0)[None].repeat(2, 0), x[1:], x.reshape(-1)

    def draw(n):
        return {"x": rng.standard_normal((n, 3)), "y": rng.standard_normal((n, 3))}, np.ones(3)

    exported = export_and_load(gram, *draw(2), folder=tmp_path, batch_argnames=("pairs",))
    for n in (1, 3, 9):
        args = draw(n)
        assert_same(exported(*args), td.jit(gram)(*args))
    uneven = {"x": np.ones((2, 3)), "y": np.ones((3, 3))}
    with pytest.raises(ValueError, match=r"pairs\['y'\] must have 2 rows as the others .* got 3"):
        exported(uneven, np.ones(3))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x / len(x) ** 0.5,
        lambda x: x + np.arange(len(x)),
        lambda x: x * len(x) ** 2,
        lambda x: x if len(x) < 6 else 2 * x,
        lambda x: np.stack([x[i] for i in range(len(x))]),
    ],
)
def test_a_program_that_depends_on_the_length_otherwise_is_refused(f, tmp_path):
    with pytest.raises(td.errors.ExportError, match=r"length"):
        td.export(f, np.ones(3), path=tmp_path / "f.py", batch_argnames="x")


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (-1, 0), (3, -2), (2, 5)])
def test_a_length_reads_as_what_it_is(slope, offset):
    for n in LENGTHS:
        assert eval(repr(Length(slope, offset)), {"n": n}) == slope * n + offset


def test_a_batch_needs_a_name_and_a_row(tmp_path):
    with pytest.raises(TypeError, match=r"no argument 'y' among \['x'\]"):
        td.export(lambda x: x, np.ones(3), path=tmp_path / "f.py", batch_argnames="y")
    with pytest.raises(td.errors.ShapeError, match="needs a row"):
        td.export(lambda x: x, np.ones((0, 3)), path=tmp_path / "f.py", batch_argnames="x")


# --- files of others


def test_only_its_own_files_are_replaced(tmp_path):
    path, beside = tmp_path / "f.py", tmp_path / "f.npz"
    w = np.arange(100.0)
    path.write_text("years of work\n")
    with pytest.raises(FileExistsError, match=r"f.py is there, and was not written by export"):
        td.export(lambda x: x * w, w, path=path)
    assert path.read_text() == "years of work\n"
    assert not beside.exists()
    td.export(lambda x: x * w, w, path=path, overwrite=True)
    assert_same(load(path)(w), w * w)
    td.export(lambda x: x - w, w, path=path)
    assert_same(load(path)(w), w - w)
    np.savez(beside, w=w)
    with pytest.raises(FileExistsError, match=r"f.npz is there"):
        td.export(lambda x: x + w, w, path=path)
    with pytest.raises(ValueError, match=r"f.npz is damaged, or not what f.py came with"):
        load(path)


def test_a_full_disk_leaves_the_old_program(tmp_path, monkeypatch):
    path = td.export(lambda x: 2 * x, 1.0, path=tmp_path / "f.py")
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "replace", _fail)
    with pytest.raises(OSError, match="No space"):
        td.export(lambda x: 3 * x, 1.0, path=path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def _fail(*_):
    raise OSError(28, "No space left on device")


def test_the_same_program_is_the_same_bytes(tmp_path):
    w = np.arange(100.0)
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        td.export(lambda x: x * w, w, path=folder / "f.py")
        contents.append([(folder / name).read_bytes() for name in ("f.py", "f.npz")])
    assert contents[0] == contents[1]


def test_the_folder_has_to_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone: no such folder to write f\.py into"):
        td.export(np.sin, np.ones(2), path=tmp_path / "gone" / "f.py")


@pytest.mark.parametrize("name", ["program.txt", "program", "2nd.py", "a-b.py"])
def test_a_path_names_a_kind_and_a_function(name, tmp_path):
    with pytest.raises(ValueError, match=r"as in score\.py"):
        td.export(np.sin, np.ones(2), path=tmp_path / name)


@pytest.mark.parametrize("name", ["class.py", "np.py", "numpy.py", "random.py", "int.o", "exp.o"])
def test_a_name_that_means_something_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="choose another name"):
        td.export(np.sin, np.ones(2), path=tmp_path / name)
