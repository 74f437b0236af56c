"""The results of an exported function, put together as the caller knows them."""

from __future__ import annotations

from collections.abc import Iterator

from ..compiler.numpy_statements import may_alias
from ..compiler.program import Var
from ..support import tree
from .copying import write_value
from .draft import Draft, describe
from .expressions import Expressions


class Results:
    """The expression that is returned, and the classes that it needs."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.classes: dict[type, str] = {}
        """Of named tuples, and what the file calls them."""

    def describe(self) -> str:
        """The same tree with dtypes and shapes."""
        program = self.draft.program
        described = [
            describe(program.aval(x.index)) if isinstance(x, Var) else repr(x)
            for x in program.outputs
        ]
        return self._close(self.draft.exported.structure, iter(described))

    def write(self, expressions: Expressions) -> str:
        """The source of the tree of results."""
        given: set[int] = set()
        leaves = []
        for x in self.draft.program.outputs:
            text = expressions.write_operand(x).text
            if isinstance(x, Var):
                text = self._own(x.index, text, x.index in given)
                given.add(x.index)
            leaves.append(text)
        return self._close(self.draft.exported.structure, iter(leaves))

    def _own(self, i: int, name: str, given: bool) -> str:
        """A result as the caller's own, which no input, constant or other result shares."""
        aval = self.draft.program.aval(i)
        if aval.form != "array":
            return name
        eqn = self.draft.program.equations.get(i)
        fresh = eqn is not None and not may_alias(eqn, self.draft.program) and not given
        return name if fresh else f"{name}.copy(order='K')"

    def _close(self, structure: tree.Structure, leaves: Iterator[str]) -> str:
        """The source of a tree."""
        if structure is None:
            return next(leaves)
        _, like, keys, nested = structure
        children = [self._close(child, leaves) for child in nested or [None] * len(keys)]
        if isinstance(like, dict):
            pairs = zip(keys, children, strict=True)
            return f"{{{', '.join(f'{write_value(key)}: {child}' for key, child in pairs)}}}"
        inner = ", ".join(children)
        if isinstance(like, list):
            return f"[{inner}]"
        if hasattr(like, "_fields"):
            return f"{self._name_class(type(like))}({inner})"
        return f"({inner}{',' * (len(children) == 1)})"

    def _name_class(self, kind: type) -> str:
        """What the file calls a class of named tuples."""
        if kind not in self.classes:
            self.draft.copier.modules.add("collections")
            self.classes[kind] = self.draft.copier.new_name(kind.__name__)
        return self.classes[kind]

    def write_classes(self) -> Iterator[str]:
        """The statements that make the classes."""
        for kind, name in self.classes.items():
            fields = ", ".join(map(repr, kind._fields))  # type: ignore[attr-defined]
            yield f"{name} = collections.namedtuple({name!r}, [{fields}])"
