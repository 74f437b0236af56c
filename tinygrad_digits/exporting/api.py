"""export : (f, arguments, path) -> a file that runs f's program without this package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..support.files import write_atomically
from ..support.options import suggest_options
from .python_file import MARK, write_python
from .tracing import Exported, trace


@suggest_options
def export(
    f: Callable[..., Any],
    *args: Any,
    path: str | Path,
    batch_argnames: str | tuple[str, ...] = (),
    overwrite: bool = False,
) -> Path:
    """Write the program of f for such arguments as a file that needs NumPy alone; return its path.

    Args:
        f: a function, jitted or not; to leave no trace of an argument, export a
            functools.partial of it, or a lambda.
        args: what it is called with. Arrays, NumPy scalars, floats and random generators are what
            the file's users give; of all else (ints, strings ...) the program has the value.
        path: `digits.py` for a Python file with a function `digits` and the arguments of f. Large
            constants, such as trained parameters, are beside it in `digits.npz`.
        batch_argnames: arguments whose first axis, the batch, may have any length; else shapes are
            those of `args`.
        overwrite: whether to replace a file that this function has not written.

    The file is straight-line NumPy under the lines of f that it comes from. It gives the bits of
    `td.jit(f)`, takes dicts, lists and tuples, and refuses other shapes and dtypes.

    Raises TracedValueError as td.jit does; ExportError, naming op and line, for what is not NumPy
    alone (SciPy's functions, an op whose kernel is not Python), for results in classes of your own,
    and where a program cannot have any length; FileExistsError for a file of somebody else's.

    >>> import tempfile, runpy, tinygrad_digits as td
    >>> w = np.array([1.0, -2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(lambda x: td.nn.relu(x @ w), np.zeros((1, 2)), path=f"{folder}/score.py",
    ...                   batch_argnames="x")
    ...     runpy.run_path(str(path))["score"](np.eye(2))
    array([1., 0.])
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ValueError(f"export writes Python files, as in score.py, not {path.name}")
    if not path.stem.isidentifier():
        raise ValueError(f"{path.name}: its stem is to name a function, as in score.py")
    batch = (batch_argnames,) if isinstance(batch_argnames, str) else tuple(batch_argnames)
    _write_python_files(trace(f, args, batch), path, overwrite)
    return path


def _write_python_files(exported: Exported, path: Path, overwrite: bool) -> None:
    beside = path.with_suffix(".npz")
    written = write_python(exported, path.stem, beside.name, _describe_origin(exported))
    for file in (path, beside) if written.arrays is not None else (path,):
        refuse_others(file, overwrite)
    if written.arrays is not None:
        write_atomically(beside, written.arrays)
    write_atomically(path, written.source.encode())


def refuse_others(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError for a file that `export` has not written."""
    if path.exists() and not overwrite and MARK.encode() not in path.read_bytes():
        raise FileExistsError(
            f"{path} is there, and was not written by export: choose another name, or pass "
            "overwrite=True"
        )


def _describe_origin(exported: Exported) -> str:
    version = import_module(__name__.partition(".")[0]).__version__
    name = getattr(exported.function, "__name__", type(exported.function).__name__)
    return (
        f"{MARK} {version} from `{name}`,\n"
        f"as td.jit traces it with NumPy {np.__version__}: {len(exported.program.equations)} ops."
    )
