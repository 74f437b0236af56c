"""Programs that leave as object files: called as C calls them, and from C itself."""

import ctypes
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_digits as td
from tests.jit_programs import assert_same
from tinygrad_digits.digits.data import load_digits
from tinygrad_digits.digits.model import conv, mlp

llvmlite = pytest.importorskip("llvmlite")
from tinygrad_digits.compiler.native import machine, products  # noqa: E402


class Loaded:
    """An object file in memory: its function, called with pointers and numbers."""

    def __init__(self, path):
        binding = llvmlite.binding
        self.header = path.with_suffix(".h").read_text()
        self.engine = binding.create_mcjit_compiler(
            binding.parse_assembly(""), machine.make_portable_target("native")
        )
        self.engine.add_object_file(binding.ObjectFileRef.from_path(str(path)))
        self.engine.finalize_object()
        address = self.engine.get_function_address(path.stem)
        (declared,) = re.findall(rf"int {path.stem}\((.*)\);", self.header)
        kinds = [_as_ctypes(each) for each in declared.split(", ")]
        self.function = ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(address)

    def __call__(self, *args):
        return self.function(*[x.ctypes.data if isinstance(x, np.ndarray) else x for x in args])


def _as_ctypes(declared):
    if "*" in declared:
        return ctypes.c_void_p
    return {"double": ctypes.c_double, "float": ctypes.c_float}[declared.split()[0]]


def run(f, *args, folder, **options):
    """The results of f's object file, as f itself gives them."""
    path = td.export(f, *args, path=folder / "program.o", **options)
    eager = f(*args)
    leaves, structure = td.tree.flatten(eager)
    results = [np.empty(np.shape(x), x.dtype) for x in leaves]
    assert Loaded(path)(*td.tree.flatten(args)[0], *results) == 0
    as_scalars = [
        y[()] if isinstance(x, np.generic) else y for x, y in zip(leaves, results, strict=True)
    ]
    assert_same(td.tree.unflatten(structure, as_scalars), eager, "native")


def mathematics(x):
    y = np.sin(3 * x) + np.exp(x) * np.log1p(np.abs(x)) + np.tanh(x) + np.power(np.abs(x), 1.3)
    return np.cos(1e9 * x) + y


def step(params, x, y):
    loss, grads = td.value_and_grad(mlp.loss)(params, x, y)
    return {name: params[name] - 0.1 * grads[name] for name in params}, loss


def mix(state, x):
    state = np.tanh(0.5 * state[::-1] + x)
    return state, np.concatenate([state, x])


def scan_both_ways(state, xs):
    return td.scan(mix, state, xs), td.scan(mix, state, xs, reverse=True)


def double_until_large(x):
    return td.while_loop(lambda c: np.sum(c) < 100, lambda c: 2 * c, x)


def halve_or_turn(x):
    return td.cond(np.sum(x) > 0, lambda x: x / 2, lambda x: -x[::-1], x)


def convolve(x, w):
    pooled = td.nn.max_pool2d(td.nn.conv2d(x, w, padding="same"), 3, strides=2, padding=1)
    return pooled, td.nn.conv2d(x, w, strides=(2, 1), dilation=2)


def fit_kernels(x, w):
    def loss(x, w):
        return np.sum(np.square(td.nn.avg_pool2d(td.nn.conv2d(x, w, padding=1), 2)))

    return td.grad(loss, (0, 1))(x, w)


T = np.linspace(0, 1, 4)
PIXELS, KERNELS = (np.sin(np.arange(n)) for n in (2 * 3 * 7 * 8, 4 * 3 * 3 * 3))
IMAGES = PIXELS.reshape(2, 3, 7, 8), KERNELS.reshape(4, 3, 3, 3)
PROGRAMS = {
    "a scan": (scan_both_ways, np.ones(3), np.linspace(-1, 1, 15).reshape(5, 3)),
    "the gradient of a scan": (
        td.grad(lambda state, xs: np.sum(scan_both_ways(state, xs)[0][1] ** 2), (0, 1)),
        np.ones(3),
        np.linspace(-1, 1, 15).reshape(5, 3),
    ),
    "the gradient of a long scan": (
        td.grad(lambda state, xs: td.scan(mix, state, xs, checkpoint=True)[0][0], (0, 1)),
        np.ones(3),
        np.linspace(-1, 1, 60).reshape(20, 3),
    ),
    "a while": (double_until_large, np.arange(3.0)),
    "a branch": (halve_or_turn, np.arange(3.0)),
    "the other branch": (halve_or_turn, -np.arange(3.0)),
    "loops in a loop": (
        lambda x: td.fori_loop(0, 3, lambda i, c: td.map(lambda y: y * i + 1, c), x),
        np.arange(4.0),
    ),
    "a differential equation": (
        lambda y, rate: td.odeint(lambda y, t, rate: -rate * y, y, T, rate, method="rk4"),
        np.arange(3.0),
        np.array(0.5),
    ),
    "a convolution": (convolve, *IMAGES),
    "a convolution of one image": (convolve, IMAGES[0][:1], IMAGES[1]),
    "a convolution of float32": (convolve, *[x.astype(np.float32) for x in IMAGES]),
    "the gradient of a convolution": (fit_kernels, *IMAGES),
    "mathematics": (mathematics, np.linspace(-3, 3, 41)),
    "mathematics of float32": (mathematics, np.linspace(-3, 3, 41, dtype=np.float32)),
    "numbers": (lambda x, a, b: (a * x + b, x > a), np.arange(5.0), 0.5, np.float64(2.0)),
    "what is given": (lambda x: (x, x.T, x[1:, ::2], np.ones(3)), np.arange(12.0).reshape(3, 4)),
    "sums": (lambda x: (np.sum(x, axis=0), np.mean(x), np.max(x, axis=1)), np.eye(4, 3) + 0.25),
    "whole numbers": (lambda i: (i * 2, i == 3), np.arange(6)),
    "rows that are picked": (
        lambda x, i: x[i] * 2,
        np.arange(12.0).reshape(4, 3),
        np.array([3, 0]),
    ),
    "much memory": (
        lambda x: np.sum(x @ x @ x, axis=0),
        np.linspace(0, 1, 14400).reshape(120, 120),
    ),
    "sums of many": (lambda x: (np.sum(x), np.tanh(x)), np.linspace(0, 1, 200_000)),
    "a training step": (step, mlp.init_params((64, 16, 10)), np.ones((5, 64)), np.arange(5)),
    "names of C": (lambda register, double: register - double, np.ones(2), np.full(2, 3.0)),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_object_file_computes_what_python_does(name, tmp_path):
    run(*PROGRAMS[name], folder=tmp_path)


SHAPES = {
    "matrix @ matrix": lambda a, b: a @ b,
    "transposed @ matrix": lambda a, b: np.abs(a.T).T @ b,
    "matrix @ transposed": lambda a, b: a @ np.abs(b.T).T,
    "both": lambda a, b: np.abs(a.T).T @ np.abs(b.T).T,
    "matrix @ vector": lambda a, b: a @ np.abs(b[:, 0]),
    "transposed @ vector": lambda a, b: a.T @ np.abs(a[:, 2]),
    "vector @ matrix": lambda a, b: a[1] @ b,
    "vector @ transposed": lambda a, b: np.abs(b[:, 3]) @ a.T,
    "vector @ vector": lambda a, b: a[0] @ b[:, 0],
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cpu", ["generic", "native"])
def test_products_are_loops_of_their_own(name, dtype, cpu, rng, tmp_path):
    a, b = rng.standard_normal((7, 19)).astype(dtype), rng.standard_normal((19, 33)).astype(dtype)
    run(SHAPES[name], a, b, folder=tmp_path, cpu=cpu)


def test_products_need_no_blas_of_numpys(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(products, "find_routines", dict)
    args = rng.standard_normal((4, 5)), rng.standard_normal((5, 6))
    run(SHAPES["matrix @ matrix"], *args, folder=tmp_path)


def test_a_cblas_is_called_if_wanted(tmp_path):
    names = {}
    for name, cblas in (("loops", False), ("calls", True)):
        path = tmp_path / f"{name}.o"
        f = SHAPES["matrix @ matrix"]
        td.export(f, np.ones((3, 4)), np.ones((4, 5)), path=path, cblas=cblas)
        names[name] = b"cblas_dgemm" in path.read_bytes()
    assert names == {"loops": False, "calls": True}


def test_a_label_that_is_none_is_an_error_code(tmp_path):
    logits, labels = np.zeros((3, 4)), np.array([0, 1, 4])
    path = td.export(td.nn.cross_entropy, logits, labels % 4, path=tmp_path / "loss.o")
    loss, out = Loaded(path), np.zeros(())
    assert loss(logits, labels % 4, out) == 0
    np.testing.assert_allclose(out, np.log(4))
    assert loss(logits, labels, out) == 2
    assert "2 if a label is out of range" in loss.header


def test_the_header_says_what_goes_in_and_out(tmp_path):
    def fit(params, x, rate):
        """One step */ of a line."""
        grads = td.grad(lambda p: np.mean((x * p["slope"] + p["start"]) ** 2))(params)
        return {name: params[name] - rate * grads[name] for name in params}

    params = {"slope": np.ones(()), "start": np.ones(())}
    path = td.export(fit, params, np.arange(3.0), 0.1, path=tmp_path / "fit.o")
    header = path.with_suffix(".h").read_text()
    assert header.startswith("/* fit: One step * / of a line.\n")
    declared = " ".join(header.partition("int fit(")[2].partition(");")[0].split())
    assert declared == (
        "const double *slope, const double *start, const double *x, double rate, "
        "double *out_slope, double *out_start"
    )
    assert " *     x: float64(3,)\n" in header
    assert " *     slope: float64(), params['slope']\n" in header


@pytest.mark.parametrize(
    ("f", "args", "message"),
    [
        (np.linalg.inv, (np.eye(3),), r"test_export_object.py.*: inv is not native code"),
        (lambda x: (x, 3), (np.ones(2),), "the function returns 3, which is no array"),
        (lambda x, rng: td.nn.dropout(x, 0.5, rng=rng), (np.ones(3), np.random.default_rng(0)),
         "is not native code|random generator"),
        (lambda x: np.sum(x.astype(np.float16)), (np.ones(3),), "float16"),
    ],
)  # fmt: skip
def test_what_is_not_native_is_refused(f, args, message, tmp_path):
    with pytest.raises(td.errors.ExportError, match=message):
        td.export(f, *args, path=tmp_path / "f.o")
    assert not [*tmp_path.iterdir()]


def test_an_argument_may_be_called_like_the_result(tmp_path):
    def add(out, int):
        return out + int

    x = np.arange(3.0)
    run(add, x, x + 1, folder=tmp_path)
    header = (tmp_path / "program.h").read_text()
    assert "const double *out, const double *int_, double *out_)" in header


def test_a_c_function_has_one_length(tmp_path):
    with pytest.raises(ValueError, match="a C function is for one length"):
        td.export(np.sin, np.ones(3), path=tmp_path / "f.o", batch_argnames="x")


def test_object_files_of_others_stay(tmp_path):
    (tmp_path / "f.h").write_text("/* mine */")
    with pytest.raises(FileExistsError, match=r"f\.h is there"):
        td.export(lambda x: 2 * x, np.ones(3), path=tmp_path / "f.o")
    assert not (tmp_path / "f.o").exists()
    for _ in range(2):
        td.export(lambda x: 2 * x, np.ones(3), path=tmp_path / "g.o")


def test_without_llvmlite_the_extra_is_named(tmp_path, monkeypatch):
    ours = ("tinygrad_digits.exporting.o", "tinygrad_digits.compiler.native")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(td.errors.MissingExtraError, match=r"tinygrad-digits\[native\]"):
        td.export(np.sin, np.ones(3), path=tmp_path / "f.o")


def make_classifier(kind):
    params = kind.init_params((64, 32, 10), np.random.default_rng(0), np.float32)

    def digits(images):
        return td.nn.softmax(kind.logits(params, images))

    return digits


MAIN = r"""
#include <stdio.h>
#include "digits.h"

int main(void) {
    float image[64], out[10];
    while (fread(image, sizeof image, 1, stdin) == 1) {
        if (digits(image, out) != 0) return 1;
        for (int i = 0; i < 10; i++) printf("%.9g ", out[i]);
        printf("\n");
    }
    return 0;
}
"""


@pytest.mark.gate
@pytest.mark.parametrize("kind", [mlp, conv])
def test_a_c_program_reads_digits_as_python_does(kind, tmp_path):
    """Of the gate, whose machines have a C compiler; the function itself is called above."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the gate needs a C compiler"
    classify, images = make_classifier(kind), load_digits().images[:100].astype(np.float32)
    td.export(classify, images[0], path=tmp_path / "digits.o")
    (tmp_path / "main.c").write_text(MAIN)
    strict = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    command = [compiler, *strict, "main.c", "digits.o", "-o", "read_digits", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    done = subprocess.run(
        [tmp_path / "read_digits"],
        input=images.tobytes(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    got = np.array([line.split() for line in done.stdout.splitlines()], float)
    np.testing.assert_allclose(got, classify(images), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got.argmax(1), classify(images).argmax(1))


@pytest.mark.parametrize("kind", [mlp, conv])
def test_the_classifier_reads_digits_as_python_does(kind, tmp_path):
    classify, images = make_classifier(kind), load_digits().images[:100].astype(np.float32)
    digits = Loaded(td.export(classify, images[0], path=tmp_path / "digits.o"))
    got = np.empty((100, 10), np.float32)
    assert all(digits(image, row) == 0 for image, row in zip(images, got, strict=True))
    np.testing.assert_allclose(got, classify(images), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got.argmax(1), classify(images).argmax(1))
