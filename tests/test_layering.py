"""Imports run one way, and the engine needs NumPy alone."""

import ast
import functools
import graphlib
import io
import re
import subprocess
import sys
import tokenize

import pytest

import tinygrad_digits
from tests.sources import PACKAGE, SOURCES

NAME = PACKAGE.name
HEAVY = (
    "sklearn", "matplotlib", "scipy", "typer", "rich", "pandas", "PIL", "safetensors", "llvmlite",
    "jinja2", "starlette", "uvicorn",
)  # fmt: skip
LAYERS = (
    ("support.errors", "support.signatures", "support.substitutes", "support.text"),
    ("support.numpy_arguments", "support.user_lines", "support.callers", "support.results"),
    ("support.files", "support.memory", "support.rules"),
    ("support.array_methods",),
    ("support.foreign",),
    ("support.loading", "support.options", "support.pickling"),
    ("support.tree",),
    ("support.argnums", "support.outputs"),
    ("engine.primitive",),
    ("engine.cotangent",),
    ("engine.tape",),
    ("engine.tensor",),
    ("engine.apply",),
    ("engine.define",),
    ("engine.run",),
    ("engine.transforms",),
    ("staging",),
    ("ops",),
    ("compiler",),
    ("transforms",),
    ("exporting",),
    ("optim",),
    ("looking",),
    ("errors", "fft", "linalg", "nn", "signal", "special", "tree"),  # the rooms of the public face
    ("digits.errors", "digits.extras"),
    ("digits.data.dataset",),
    ("digits.images",),
    ("digits.data",),
    ("digits.model",),
    ("digits.training",),
    ("digits.runs",),
    ("digits.app",),
    ("digits",),
)
OF_EXTRAS = (
    (
        ("compiler.native.terms", "compiler.native.mathematics", "compiler.native.machine"),
        {"llvmlite"},
    ),
    (("compiler.native", "exporting.object_file", "exporting.own_products"), {"llvmlite"}),
    (("ops.cosines", "ops.gamma", "ops.scipy_linalg", "optim.minimization"), {"scipy"}),
)
"""Modules (or rooms) that import an extra, inside functions or where they are imported so."""
MOST_LINES, MOST_CODE = 1150, 780
"""Of the engine's files together, with and without docstrings and blanks."""
READING_PATH = ("tape", "apply", "primitive", "run", "transforms")
"""The engine's files in the order in which they are read, `apply` as far as its short cuts."""
SHORT_CUTS = "# --- its short cuts"
LONGEST_PATH = 750
MODULES = [*SOURCES]
ENGINE = sorted((PACKAGE / "engine").glob("*.py"))


def dotted(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer(module):
    """The layer of a module, and which of that layer's members it belongs to."""
    for rank, members in enumerate(LAYERS):
        for member in members:
            if module == member or module.startswith(member + "."):
                return rank, member
    return None


@functools.cache
def imports(path):
    """The modules that a file imports at run time: ours without the package's name, and others."""
    ours, others = set(), set()
    parents = [NAME, *path.relative_to(PACKAGE).parts[:-1]]
    module = SOURCES[path]
    for_types = {
        child
        for node in ast.walk(module)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(module):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) + 1 - node.level] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            root, _, rest = name.partition(".")
            if root == NAME:
                ours.add(rest)
            else:
                others.add(root)
    return ours, others


def test_there_is_no_circle_of_imports():
    """Not inside a room either, nor by an import inside a function."""
    there = {dotted(path): path for path in MODULES}
    graph = {}
    for module, path in there.items():
        names = {n if n in there else n.rpartition(".")[0] for n in imports(path)[0]}
        graph[module] = {name for name in names if name in there and name != module}
    assert graph["engine.transforms"] >= {"engine.run", "engine.tape"}
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) == len(there)


def test_imports_run_one_way():
    for path in MODULES:
        check_imports_run_one_way(path)


def check_imports_run_one_way(path):
    here = layer(dotted(path))
    if here is None:  # the package's own __init__ and __main__ stand above all
        assert dotted(path) in ("", "__main__", "engine", "support")
        return
    for name in imports(path)[0]:
        there = layer(name)
        if there is None:  # the public names, on which only the application stands
            assert here[1].startswith("digits"), f"{dotted(path)} imports {name} of {NAME}"
        else:
            assert there[0] < here[0] or there == here, f"{dotted(path)} imports {name}"


def test_the_layers_are_there():
    found = {layer(dotted(path)) for path in MODULES}
    assert {(0, "support.errors"), (layer("ops")[0], "ops"), (len(LAYERS) - 1, "digits")} <= found
    assert "support.errors.ShapeError" in imports(PACKAGE / "support" / "tree.py")[0]


def test_the_engine_depends_on_numpy_alone():
    for path in MODULES:
        name = dotted(path)
        if not name.startswith(("digits", "__main__")):
            rooms = [(extras, room) for rooms, extras in OF_EXTRAS for room in rooms]
            extras = next((e for e, room in rooms if f"{name}.".startswith(f"{room}.")), set())
            assert imports(path)[1] - sys.stdlib_module_names <= {"numpy"} | extras, name


def test_the_compiler_imports_no_chapter_of_ops():
    ours = {name for path in (PACKAGE / "compiler").rglob("*.py") for name in imports(path)[0]}
    assert "staging.lowering.register_lowering" not in ours  # which is for ops to call
    assert not {name for name in ours if name.split(".")[0] == "ops"}


def test_the_compiler_knows_no_op_of_ours_by_name():
    named = {"check_labels", "hits", "nll", "scatter", "cross_entropy", "log_probabilities"}
    for path in (PACKAGE / "compiler").rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not named & set(re.findall(r"\w+", code)), path.name


def test_the_manual_backprop_imports_numpy_and_nothing_of_ours():
    ours, others = imports(PACKAGE / "digits" / "model" / "manual.py")
    assert not ours
    assert others - sys.stdlib_module_names == {"numpy"}


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_importing_the_package_brings_in_nothing_heavy():
    program = f"import sys, {NAME}; print(*sys.modules)"
    modules = {name.partition(".")[0] for name in run(program).split()}
    assert {NAME, "numpy"} <= modules
    assert not modules & set(HEAVY)


@pytest.mark.slow
def test_importing_the_package_brings_in_what_grad_needs():
    later = (
        "compiler.trace", "compiler.traced_call", "compiler.program", "compiler.numpy_backend",
        "optim", "transforms", "looking",
    )  # fmt: skip
    program = f"import sys, {NAME} as td; td.grad(lambda x: x * x)(1.0); print(*sys.modules)"
    modules = set(run(program).split())
    assert f"{NAME}.compiler.api" in modules
    assert not modules & {f"{NAME}.{module}" for module in later}
    program = f"""
import {NAME} as td
assert set(td.__all__) <= set(dir(td))
assert td.optim.adam and td.jit(td.vmap(td.grad(lambda x: x * x)))
from {NAME} import *
print(vmap is td.vmap, jit is td.jit, optim is td.optim, minimize is td.minimize)
"""
    assert run(program) == "True True True True\n"


def test_what_is_imported_later_is_declared_for_type_checkers():
    module = SOURCES[PACKAGE / "__init__.py"]
    (block,) = [node for node in module.body if isinstance(node, ast.If)]
    declared = {alias.name for node in block.body for alias in node.names}
    assert declared == {*tinygrad_digits._LATER, *tinygrad_digits._NAMESPACES}


def test_the_package_works_without_its_extras():
    program = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None  # its import fails
import numpy as np, {NAME} as td
print(td.grad(lambda x: np.sum(np.tanh(x)))(np.zeros(2)))
"""
    assert run(program) == "[1. 1.]\n"


def test_what_is_public_is_there_and_spelled_out():
    for name in tinygrad_digits.__all__:
        assert getattr(tinygrad_digits, name) is not None
    assert sorted(tinygrad_digits.__all__) == sorted(set(tinygrad_digits.__all__))


def test_private_names_stay_in_their_module():
    for path in MODULES:
        names = [name.rpartition(".")[2] for name in imports(path)[0]]
        private = [name for name in names if name.startswith("_") and name != "__version__"]
        # the chapters of ops are one room
        assert not private or dotted(path).startswith("ops."), (dotted(path), private)


def test_nothing_imports_a_star():
    for path in MODULES:
        assert not [name for name in imports(path)[0] if name.endswith(".*")], dotted(path)


def test_no_two_public_classes_share_a_name():
    classes = [
        (node.name, dotted(path))
        for path, module in SOURCES.items()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    names = [name for name, _ in classes]
    assert [where for where in classes if names.count(where[0]) > 1] == []


def code_lines(text):
    """How many lines are neither blank nor comment nor docstring."""
    quiet = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    }  # fmt: skip
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in quiet
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= {*range(node.lineno, node.end_lineno + 1)}
    return len(lines)


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings():
    text = "'''About.\n\nMore.'''\n\n# why\nx = [\n    1,  # one\n]\ny = '''a\nb'''\n"
    assert code_lines(text) == 5


def test_the_engine_can_be_read_in_one_sitting():
    texts = [path.read_text(encoding="utf-8") for path in ENGINE]
    assert sum(len(text.splitlines()) for text in texts) <= MOST_LINES
    assert sum(map(code_lines, texts)) <= MOST_CODE


def test_the_reading_path_is_short_and_meets_the_general_way_first():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in ENGINE}
    general, marker, short_cuts = texts["apply"].partition(SHORT_CUTS)
    assert marker
    assert "def _apply_to_any(" in general
    assert "def _apply_to_one(" in short_cuts
    texts["apply"] = general
    assert sum(len(texts[name].splitlines()) for name in READING_PATH) <= LONGEST_PATH


@pytest.mark.slow
def test_what_scripts_import_of_the_digits_is_there_whatever_its_room():
    program = f"""
import warnings
warnings.simplefilter("error")
from {NAME}.digits import DigitsClassifier, DigitsRegressor, checkpoint, data, model
from {NAME}.digits import run, serve, store
from {NAME}.digits.images import read_images
from {NAME}.digits.model import init_params
assert callable(serve.listening) and callable(serve.server) and callable(serve.application)
assert callable(run.Config.of) and callable(store.load_run) and store.PARAMS and store.FORMAT
assert callable(data.load_digits) and callable(model.logits) and callable(checkpoint.load)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from {NAME}.digits import sealed
assert callable(sealed.seal) and callable(sealed.unseal)
print(*[(one.category.__name__, str(one.message).rpartition(" ")[2]) for one in caught])
"""
    assert run(program) == f"('DeprecationWarning', '{NAME}.digits.runs.checksummed')\n"
