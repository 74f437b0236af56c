"""A recording as a picture: SVG, without any dependency, and DOT for Graphviz.

The layout is the layered one of Sugiyama, Tagawa and Toda (Methods for Visual Understanding of
Hierarchical System Structures, 1981): rank every op below what it reads, order each rank by the
barycentres of its neighbours, then pull each node towards them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..engine.primitive import Kind
from ..engine.tape import Record, operands

if TYPE_CHECKING:
    from .recording import Recording

Node: TypeAlias = Hashable
"""The index of a record; (parent, child, rank) where an edge crosses a rank; or a Chip."""


class Chip(NamedTuple):
    """Stands for a record that is far above, next to what reads it."""

    of: int
    rank: int


COLOURS = {
    None: "#e8edf3",  # an input
    Kind.ELEMENTWISE: "#dcebfb",
    Kind.REDUCTION: "#fbe3d3",
    Kind.VIEW: "#f1f1ea",
    Kind.GATHER: "#efe6f7",
    Kind.PRODUCT: "#dbf1df",
}
OTHER = "#fbf3cf"
HEIGHT, GAP, STEP, MARGIN = 40.0, 18.0, 76.0, 16.0
FAR = 7  # ranks, from where on an edge is not drawn, but the name of what it comes from
CHARACTER = 6.7  # the width of one, in the font's 11 pixels


def svg(recording: Recording, *, limit: int = 400) -> str:
    """The recording as an SVG document; beyond `limit` ops it is cut, and says so."""
    shown = dict(list(recording)[:limit])
    words = {index: _words(recording, index, record) for index, record in shown.items()}
    layout = _Layout(shown, {i: CHARACTER * max(map(len, w)) + 18 for i, w in words.items()})
    width, height = layout.size
    body = [layout.curve(a, b) for a, b in layout.edges]
    body += [_chip(layout, node, words[node.of][0]) for node in layout.x if type(node) is Chip]
    for index, record in shown.items():
        body.append(_box(layout, index, record, words[index], index in recording.outputs))
    more = len(recording) - len(shown)
    note = f"the first {limit} of {len(recording)} ops" if more > 0 else ""
    body.append(f'<text x="{MARGIN}" y="{height - 6}" fill="#667">{note}</text>' if note else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">'
        f"<title>{len(recording)} ops on a tape</title>"
        '<rect width="100%" height="100%" fill="white"/>' + "\n".join(filter(None, body)) + "</svg>"
    )


def dot(recording: Recording) -> str:
    """The recording in the language of Graphviz."""
    lines = ["digraph tape {", "  node [shape=box, style=filled, fontname=monospace];"]
    for index, record in recording:
        label = r"\n".join(word.replace('"', r"\"") for word in _words(recording, index, record))
        lines.append(f'  n{index} [label="{label}", fillcolor="{_colour(record)}"];')
        lines += [f"  n{parent} -> n{index};" for parent in record.parents if parent is not None]
    return "\n".join([*lines, "}"])


def _words(recording: Recording, index: int, record: Record) -> tuple[str, str]:
    """What a node says: its name, and below it dtype and shape."""
    name = recording.names.get(index, record.name) if record.op is None else record.name
    result = f" → {recording.outputs[index]}" if index in recording.outputs else ""
    return name + result, f"{record.dtype}{list(record.shape) or ''}"


def _colour(record: Record) -> str:
    return COLOURS.get(None if record.op is None else record.op.kind, OTHER)


def _box(layout: _Layout, index: int, record: Record, words: Iterable[str], is_result: bool) -> str:
    x, y, width = layout.x[index], layout.y(index), layout.widths[index]
    name, shape = map(escape, words)
    details = escape(f"%{index} {record.name} {operands(record)}".rstrip())
    return (
        f'<g><title>{details}</title><rect x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{HEIGHT}" rx="6" fill="{_colour(record)}" '
        f'stroke="{"#345" if is_result else "#9ab"}" stroke-width="{2 if is_result else 1}"/>'
        f'<text x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle" font-weight="600">{name}</text>'
        f'<text x="{x:.1f}" y="{y + 32:.1f}" text-anchor="middle" fill="#556">{shape}</text></g>'
    )


def _chip(layout: _Layout, chip: Chip, name: str) -> str:
    x, y, width = layout.x[chip], layout.y(chip) + HEIGHT - 20, layout.widths[chip]
    return (
        f'<g><title>%{chip.of}, above</title><rect x="{x - width / 2:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="20" rx="10" fill="none" stroke="#9ab" '
        f'stroke-dasharray="3 2"/><text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle" '
        f'fill="#556">{escape(name)}</text></g>'
    )


def escape(text: str) -> str:
    """Text between tags; html.escape, whose import takes a millisecond for this."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Layout:
    """Where each node stands: `x` its middle, `rank` its row."""

    def __init__(self, records: dict[int, Record], widths: Mapping[Any, float]) -> None:
        parents = {
            index: [p for p in dict.fromkeys(record.parents) if p is not None and p in records]
            for index, record in records.items()
        }
        self.rank = _ranks(parents)
        self.widths: dict[Node, float] = {**widths}
        self.edges: list[tuple[Node, Node]] = []
        for child, each in parents.items():
            for parent in each:
                self._connect(parent, child)
        self.rows = _rows(self.rank)
        self._order()
        self._place()

    def _connect(self, parent: int, child: int) -> None:
        """An edge; through a point in each rank that it crosses, or from a chip if it is long."""
        before: Node = parent
        if self.rank[child] - self.rank[parent] > FAR:
            before = Chip(parent, self.rank[child] - 1)
            self.rank[before], self.widths[before] = before.rank, self.widths[parent]
        for rank in range(self.rank[before] + 1, self.rank[child]):
            point = (parent, child, rank)
            self.rank[point], self.widths[point] = rank, 6.0
            self.edges.append((before, point))
            before = point
        self.edges.append((before, child))

    def _neighbours(self, down: bool) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {node: [] for node in self.rank}
        for a, b in self.edges:
            found[b if down else a].append(a if down else b)
        return found

    def _order(self, sweeps: int = 12) -> None:
        """Fewer crossings: sort each row by the mean place of its neighbours in the one before."""
        for sweep in range(sweeps):
            near = self._neighbours(down=sweep % 2 == 0)
            place = {node: i for row in self.rows for i, node in enumerate(row)}
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                row.sort(key=lambda node: _mean([place[n] for n in near[node]], place[node]))
                place.update((node, i) for i, node in enumerate(row))

    def _place(self, sweeps: int = 12) -> None:
        """Pull each node towards its neighbours, as far as the others of its row let it."""
        self.x: dict[Node, float] = {}
        for row in self.rows:
            self.x.update(zip(row, self._packed(row, [0.0] * len(row)), strict=True))
        both = {n: a + b for (n, a), b in zip(
            self._neighbours(down=True).items(), self._neighbours(down=False).values(), strict=True
        )}  # fmt: skip
        for _ in range(sweeps):
            for row in self.rows:
                wanted = [_mean([self.x[n] for n in both[node]], self.x[node]) for node in row]
                self.x.update(zip(row, self._packed(row, wanted), strict=True))
        left = min((self.x[n] - self.widths[n] / 2 for n in self.x), default=0.0)
        self.x = {node: x - left + MARGIN for node, x in self.x.items()}

    def _packed(self, row: list[Node], wanted: list[float]) -> list[float]:
        """Places near the wanted ones, in this order and apart: between the two greedy answers."""
        halves = [self.widths[node] / 2 for node in row]
        apart = [a + b + GAP for a, b in pairwise(halves)]
        right = list(wanted)
        for i, gap in enumerate(apart):
            right[i + 1] = max(right[i + 1], right[i] + gap)
        left = list(wanted)
        for i in range(len(apart) - 1, -1, -1):
            left[i] = min(left[i], left[i + 1] - apart[i])
        return [(a + b) / 2 for a, b in zip(left, right, strict=True)]

    @property
    def size(self) -> tuple[float, float]:
        right = max((self.x[n] + self.widths[n] / 2 for n in self.x), default=200.0)
        return right + MARGIN, len(self.rows) * STEP - (STEP - HEIGHT) + 2 * MARGIN

    def y(self, node: Node) -> float:
        return MARGIN + STEP * self.rank[node]

    def curve(self, a: Node, b: Node) -> str:
        """From the bottom of a node to the top of one below; straight down through a point."""
        start = self.y(a) + HEIGHT
        end = self.y(b)
        middle = (start + end) / 2
        down = f" V{end + HEIGHT:.1f}" if type(b) is tuple else ""
        return (
            f'<path d="M{self.x[a]:.1f} {start:.1f} C{self.x[a]:.1f} {middle:.1f} '
            f'{self.x[b]:.1f} {middle:.1f} {self.x[b]:.1f} {end:.1f}{down}" '
            'fill="none" stroke="#9ab"/>'
        )


def _ranks(parents: dict[int, list[int]]) -> dict[Node, int]:
    """One below the lowest parent; what reads one value or none, just above its first reader."""
    rank: dict[Node, int] = {}
    for node, each in parents.items():
        rank[node] = 1 + max((rank[p] for p in each), default=-1)
    first: dict[int, int] = {}  # the rank of the first reader
    for node in reversed(parents):
        if len(parents[node]) < 2 and node in first:
            rank[node] = first[node] - 1
        for p in parents[node]:
            first[p] = min(first.get(p, rank[node]), rank[node])
    return rank


def _rows(rank: dict[Node, int]) -> list[list[Node]]:
    rows: list[list[Node]] = [[] for _ in range(1 + max(rank.values(), default=0))]
    for node, r in rank.items():
        rows[r].append(node)
    return rows


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
