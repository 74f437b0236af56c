"""A recording as a picture: SVG, without any dependency, and DOT for Graphviz.

The layout is the layered one of Sugiyama, Tagawa and Toda (Methods for Visual Understanding of
Hierarchical System Structures, 1981): rank every op below what it reads, order each rank by the
barycentres of its neighbours, then pull each node towards them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from ..engine.primitive import Kind

Node: TypeAlias = Hashable
"""The key of a box; (parent, child, rank) where an edge crosses a rank; or a Chip."""


class Box(NamedTuple):
    """What is drawn of an op: its name, and below it dtype and shape."""

    name: str
    shape: str
    details: str
    """What shows when the pointer rests on it."""
    kind: str
    """A Kind, or "input": it has a colour."""
    result: str | None
    """What it is called as a result, if it is one."""
    parents: list[int]
    """The keys of what it reads."""

    @property
    def title(self) -> str:
        return self.name + ("" if self.result is None else f" → {self.result}")

    @property
    def colour(self) -> str:
        return COLOURS.get(self.kind, OTHER)


class Chip(NamedTuple):
    """Stands for a box that is far above, next to what reads it."""

    of: int
    rank: int


COLOURS: dict[str, str] = {
    "input": "#e8edf3",
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


def draw_svg(boxes: Mapping[int, Box], *, limit: int = 400) -> str:
    """The boxes as an SVG document; beyond `limit` of them it is cut, and says so."""
    shown = dict([*boxes.items()][:limit])
    layout = _Layout(shown)
    width, height = layout.size
    body = [layout.draw_curve(a, b) for a, b in layout.edges]
    body += [_draw_chip(layout, chip, shown) for chip in layout.x if isinstance(chip, Chip)]
    body += [_draw_box(layout, key, box) for key, box in shown.items()]
    more = len(boxes) - len(shown)
    note = f"the first {limit} of {len(boxes)} ops" if more > 0 else ""
    body.append(f'<text x="{MARGIN}" y="{height - 6}" fill="#667">{note}</text>' if note else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">'
        f"<title>{len(boxes)} ops on a tape</title>"
        '<rect width="100%" height="100%" fill="white"/>' + "\n".join(filter(None, body)) + "</svg>"
    )


def write_dot(boxes: Mapping[int, Box]) -> str:
    """The boxes in the language of Graphviz."""
    lines = ["digraph tape {", "  node [shape=box, style=filled, fontname=monospace];"]
    for key, box in boxes.items():
        label = r"\n".join(word.replace('"', r"\"") for word in (box.title, box.shape))
        lines.append(f'  n{key} [label="{label}", fillcolor="{box.colour}"];')
        lines += [f"  n{parent} -> n{key};" for parent in box.parents]
    return "\n".join([*lines, "}"])


def _draw_box(layout: _Layout, key: int, box: Box) -> str:
    x, y, width = layout.x[key], layout.y(key), layout.widths[key]
    name, shape, details = map(escape, (box.title, box.shape, box.details))
    is_result = box.result is not None
    return (
        f'<g><title>{details}</title><rect x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{HEIGHT}" rx="6" fill="{box.colour}" '
        f'stroke="{"#345" if is_result else "#9ab"}" stroke-width="{2 if is_result else 1}"/>'
        f'<text x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle" font-weight="600">{name}</text>'
        f'<text x="{x:.1f}" y="{y + 32:.1f}" text-anchor="middle" fill="#556">{shape}</text></g>'
    )


def _draw_chip(layout: _Layout, chip: Chip, boxes: Mapping[int, Box]) -> str:
    x, y, width = layout.x[chip], layout.y(chip) + HEIGHT - 20, layout.widths[chip]
    return (
        f'<g><title>%{chip.of}, above</title><rect x="{x - width / 2:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="20" rx="10" fill="none" stroke="#9ab" '
        f'stroke-dasharray="3 2"/><text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle" '
        f'fill="#556">{escape(boxes[chip.of].title)}</text></g>'
    )


def escape(text: str) -> str:
    """Text between tags; html.escape, whose import takes a millisecond for this."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Layout:
    """Where each node stands: `x` its middle, `rank` its row."""

    def __init__(self, boxes: Mapping[int, Box]) -> None:
        parents = {
            key: [p for p in dict.fromkeys(box.parents) if p in boxes] for key, box in boxes.items()
        }
        self.rank = _rank_boxes(parents)
        self.widths: dict[Node, float] = {
            key: CHARACTER * max(len(box.title), len(box.shape)) + 18 for key, box in boxes.items()
        }
        self.edges: list[tuple[Node, Node]] = []
        for child, each in parents.items():
            for parent in each:
                self._connect(parent, child)
        self.rows = _group_by_rank(self.rank)
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

    def _find_neighbours(self, down: bool) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {node: [] for node in self.rank}
        for a, b in self.edges:
            found[b if down else a].append(a if down else b)
        return found

    def _order(self, sweeps: int = 12) -> None:
        """Fewer crossings: sort each row by the mean place of its neighbours in the one before."""
        for sweep in range(sweeps):
            near = self._find_neighbours(down=sweep % 2 == 0)
            place = {node: i for row in self.rows for i, node in enumerate(row)}
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                row.sort(key=lambda node: _mean([place[n] for n in near[node]], place[node]))
                place.update((node, i) for i, node in enumerate(row))

    def _place(self, sweeps: int = 12) -> None:
        """Pull each node towards its neighbours, as far as the others of its row let it."""
        self.x: dict[Node, float] = {}
        for row in self.rows:
            self.x.update(zip(row, self._space_out(row, [0.0] * len(row)), strict=True))
        above, below = self._find_neighbours(down=True), self._find_neighbours(down=False)
        both = {node: above[node] + below[node] for node in above}
        for _ in range(sweeps):
            for row in self.rows:
                wanted = [_mean([self.x[n] for n in both[node]], self.x[node]) for node in row]
                self.x.update(zip(row, self._space_out(row, wanted), strict=True))
        left = min((self.x[n] - self.widths[n] / 2 for n in self.x), default=0.0)
        self.x = {node: x - left + MARGIN for node, x in self.x.items()}

    def _space_out(self, row: list[Node], wanted: list[float]) -> list[float]:
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

    def draw_curve(self, a: Node, b: Node) -> str:
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


def _rank_boxes(parents: dict[int, list[int]]) -> dict[Node, int]:
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


def _group_by_rank(rank: dict[Node, int]) -> list[list[Node]]:
    rows: list[list[Node]] = [[] for _ in range(1 + max(rank.values(), default=0))]
    for node, r in rank.items():
        rows[r].append(node)
    return rows


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
