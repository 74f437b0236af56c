"""The package's own source, parsed once a process, before the objects there are get frozen."""

import ast
import pathlib

import tinygrad_digits

PACKAGE = pathlib.Path(tinygrad_digits.__file__).parent
SOURCES = {
    path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
}
"""{file: its syntax tree, which nobody changes}."""
