"""export : (f, arguments, path) -> a file that runs f's program without this package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..support.errors import extra
from ..support.files import write_atomically
from ..support.options import suggest_options
from ..support.pickling import name_of
from .constants import MARK
from .names import TAKEN
from .python_file import write_python
from .tracing import Exported, trace


@suggest_options
def export(
    f: Callable[..., Any],
    *args: Any,
    path: str | Path,
    batch_argnames: str | tuple[str, ...] = (),
    overwrite: bool = False,
    cblas: bool = False,
    cpu: str = "generic",
) -> Path:
    """Write the program of f for such arguments as a file that others run; return its path.

    Args:
        f: a function, jitted or not; to leave no trace of an argument, export a
            functools.partial of it, or a lambda.
        args: what it is called with. Arrays, NumPy scalars, floats and random generators are what
            the file's users give; of all else (ints, strings ...) the program has the value.
        path: `digits.py` for a Python file that needs NumPy alone, with a function `digits` of the
            arguments of f; large constants, such as trained parameters, are beside it in
            `digits.npz`. `digits.o` for an object file that needs nothing (extra `native`), with a
            C function `int digits(const float *images, float *out)` that `digits.h` declares.
        batch_argnames: arguments whose first axis, the batch, may have any length; else shapes are
            those of `args`, as they always are in C.
        overwrite: whether to replace a file that this function has not written.
        cblas: of an object file, whether products are calls of cblas_sgemm and its kin, which its
            users then link, instead of plain loops.
        cpu: of an object file, the processor: "generic" for all of this computer's kind, "native"
            for those that can do what this one can, or a name of LLVM's.

    The Python file is straight-line NumPy under the lines of f that it comes from, and gives the
    bits of `td.jit(f)`; the object file's results are as close as `backend="native"` is. Both take
    dicts, lists and tuples apart; the Python file puts results together again, and refuses other
    shapes and dtypes.

    Raises TracedValueError as td.jit does; ExportError, naming op and line, for what is not NumPy
    alone (SciPy's functions, an op whose kernel is not Python) or has no native form, for results
    in classes of your own, and where a program cannot have any length; FileExistsError for a file
    of somebody else's; FileNotFoundError where there is no such folder.

    >>> import tempfile, runpy, tinygrad_digits as td
    >>> w = np.array([1.0, -2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(lambda x: td.nn.relu(x @ w), np.zeros((1, 2)), path=f"{folder}/score.py",
    ...                   batch_argnames="x")
    ...     runpy.run_path(str(path))["score"](np.eye(2))
    array([1., 0.])
    """
    path = Path(path)
    if path.suffix not in (".py", ".o") or not path.stem.isidentifier():
        raise ValueError(
            f"export writes files that are named after a function, as in score.py or score.o, not "
            f"{path.name}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} into")
    if path.stem in TAKEN[path.suffix]:
        raise ValueError(
            f"{path.name}: {path.stem} means something else there; choose another name"
        )
    batch = (batch_argnames,) if isinstance(batch_argnames, str) else tuple(batch_argnames)
    if batch and path.suffix == ".o":
        raise ValueError("batch_argnames: a C function is for one length; leave the batch to C")
    exported = trace(f, args, batch)
    if path.suffix == ".py":
        files = _write_python(exported, path)
    else:
        files = _write_object(exported, path, cblas=cblas, cpu=cpu)
    for file in files:
        _refuse_others(file, overwrite)
    for file, content in files.items():
        write_atomically(file, content)
    return path


def _write_python(exported: Exported, path: Path) -> dict[Path, bytes]:
    """The files and their contents, the one that has the function last."""
    beside = path.with_suffix(".npz")
    written = write_python(exported, path.stem, beside.name, _describe_origin(exported))
    arrays = {} if written.arrays is None else {beside: written.arrays}
    return {**arrays, path: written.source.encode()}


def _write_object(exported: Exported, path: Path, *, cblas: bool, cpu: str) -> dict[Path, bytes]:
    with extra("native"):
        from .object_file import write_object
    origin = _describe_origin(exported)
    compiled = write_object(exported, path.stem, origin, cblas=cblas, cpu=cpu, mark=MARK)
    return {path.with_suffix(".h"): compiled.header.encode(), path: compiled.code}


def _refuse_others(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError for a file that `export` has not written."""
    if path.exists() and not overwrite and MARK.encode() not in path.read_bytes():
        raise FileExistsError(
            f"{path} is there, and was not written by export: choose another name, or pass "
            "overwrite=True"
        )


def _describe_origin(exported: Exported) -> str:
    version = import_module(__name__.partition(".")[0]).__version__
    return (
        f"{MARK} {version} from `{name_of(exported.function)}`,\n"
        f"as td.jit traces it with NumPy {np.__version__}: {len(exported.program.equations)} ops."
    )
