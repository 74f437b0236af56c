"""A program as a Python file that needs NumPy alone, and a file of its constants beside it.

    def digits(images):
        images = _take_array(images, 'images', 'float32', (None, 64))    the arguments, checked
        v1 = np.maximum((images @ w0) + b0, 0)  # float32(n, 64)         statements
        return v1                                                        results

In front of the function are its constants, behind it the functions that it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiler.program import Aval
from .arguments import Arguments
from .constants import Constants
from .draft import Draft, describe
from .lengths import Length
from .results import Results
from .statements import Statements
from .tracing import Exported, check_structure


class Written(NamedTuple):
    """The two files: their contents."""

    source: str
    arrays: bytes | None
    """Of a .npz file; None where no constant is large."""


def write_python(exported: Exported, name: str, arrays_name: str, made_by: str) -> Written:
    """Write a program down as a function of this name.

    Raises ExportError, naming op and line, for what is not NumPy alone.
    """
    check_structure(exported.structure)
    draft = Draft(exported, name)
    arguments, constants, results = Arguments(draft), Constants(draft), Results(draft)
    opening = arguments.write()
    statements = Statements(draft, draft.scope, constants, exported.lines, exported.name_line)
    body = [*statements.write(), f"return {results.write(statements.expressions)}"]
    body = [*opening, *arguments.write_length(body), *body]
    arrays = constants.pack()
    loading = [] if arrays is None else constants.write_loading(arrays, arrays_name)
    main = _write_main(draft)
    needs = "NumPy alone" if arrays is None else f"NumPy and {arrays_name} beside this file"
    blocks = [
        [
            *_write_docstring(draft, results, f"{made_by}\nIt needs {needs}."),
            *_write_imports(draft),
        ],
        [*loading, *constants.lines],
        [*results.write_classes()],
        [f"def {name}({', '.join(draft.parameters)}):", *[f"    {line}" for line in body]],
        *[[source] for source in draft.copier.sources],
        main,
    ]
    text = "\n\n\n".join("\n".join(block) for block in blocks if block)
    return Written(f"{text}\n", arrays)


# --- around the function


def _write_docstring(draft: Draft, results: Results, made_by: str) -> list[str]:
    about = draft.exported.summary.replace("\\", "/").replace('"""', "'''")
    return [
        f'"""{draft.name}: {about}',
        "",
        *[f"    {path}: {describe(aval)}" for path, aval in draft.program.inputs.values()],
        f"    returns: {results.describe()}",
        "",
        *made_by.splitlines(),
        '"""',
        "",
    ]


def _write_imports(draft: Draft) -> list[str]:
    standard = [f"import {module}" for module in sorted(draft.copier.modules - {"numpy"})]
    return [*standard, *[""] * bool(standard), "import numpy as np"]


def _write_main(draft: Draft) -> list[str]:
    """Run on .npy files, where all arguments are arrays."""
    exported, parameters = draft.exported, draft.parameters
    if not parameters or not all(isinstance(x, np.ndarray | np.generic) for x in exported.args):
        return []
    draft.copier.modules.add("sys")
    avals = [aval for _, aval in draft.program.inputs.values()]
    loads = [
        f"{name} = np.load(sys.argv[{k}], allow_pickle=False)"
        f".astype({aval.dtype.name!r}, casting='same_kind').reshape({_write_reshape(aval)})"
        for k, (name, aval) in enumerate(zip(parameters, avals, strict=True), 1)
    ]
    usage = " ".join([f"usage: python {draft.name}.py", *[f"{name}.npy" for name in parameters]])
    return [
        'if __name__ == "__main__":',
        f"    if len(sys.argv) != {len(parameters) + 1}:",
        f"        sys.exit({usage!r})",
        "    try:",
        *[f"        {load}" for load in loads],
        "    except (OSError, TypeError, ValueError) as error:",
        "        sys.exit(f'error: {error}')",
        f"    print({draft.name}({', '.join(parameters)}))",
    ]


def _write_reshape(aval: Aval) -> str:
    shape = tuple(-1 if isinstance(k, Length) else k for k in aval.shape)
    return repr(aval.shape if shape.count(-1) > 1 else shape)
