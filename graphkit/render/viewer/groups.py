"""Which groups a graph is explored by: its modules and bodies, and stretches of what would be too much at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphkit.render.drawing import Box, Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import networkx as nx

    from graphkit.render.drawing import Drawing

__all__ = ["Group", "Groups"]

Kind: TypeAlias = Literal["graph", "scope", "pass", "operator", "body", "run"]

_MOST: Final = 120
"""Boxes side by side that people still find their way in, and that are laid out at once."""
_STRETCH: Final = 40
"""Boxes that are put together where there are more."""
_ENDS: Final = 12
"""Inputs or outputs side by side that leave room for what is between them."""


@dataclass(slots=True)
class Group:
    """A group.

    Attributes:
        kind: What it is: the ``"graph"`` itself; a module (``"scope"``); one of two ``"pass"``es; a
            control-flow ``"operator"`` with its bodies; a ``"body"``; or a ``"run"`` of consecutive boxes.
        label: Name relative to the group around it.
        name: The whole name.
        note: Class of the module; may be empty.
        parent: Number of the group around it; -1 for the graph.
        nodes: Operators inside, at any depth.
        owner: Number of the node that an ``"operator"`` is around; None for others.
    """

    kind: Kind
    label: str
    name: str
    note: str
    parent: int
    nodes: int = 0
    owner: int | None = None


class Groups:
    """All groups of a drawing.

    Args:
        drawing: What :func:`graphkit.render.compose.draw` makes of a view, nothing folded.
        view: The view.

    Attributes:
        groups: The groups by number; 0 is the graph, and each comes after the one around it.
        of: Number of the group that directly holds a node, by the node's number in the view.
    """

    def __init__(self, drawing: Drawing, view: nx.MultiDiGraph) -> None:
        self.groups = [Group("graph", drawing.title, drawing.title, "", -1)]
        self.of: dict[int, int] = {}
        numbers = {key: number for number, key in enumerate(view)}
        self._operators = [data["kind"] == "operator" for _, data in view.nodes(data=True)]
        self._two_passes = any(data.get("backward") for _, data in view.nodes(data=True))
        self._heads: list[list[int]] = [[] for _ in numbers]
        for tail, head in view.edges():
            self._heads[numbers[tail]].append(numbers[head])
        self._fill(0, drawing.children)
        for group in reversed(self.groups[1:]):
            self.groups[group.parent].nodes += group.nodes

    def _fill(self, parent: int, children: Sequence[Box | Frame]) -> None:
        inner = list(children)
        for kind in ("input", "output"):
            ends = [item for item in children if isinstance(item, Box) and item.kind == kind]
            if len(ends) > _ENDS:
                inner = [item for item in inner if not (isinstance(item, Box) and item.kind == kind)]
                self._run(parent, f"{len(ends)} {kind}s", f"{kind}s of {self.groups[parent].name}", ends)
        if len(inner) <= _MOST:
            for item in inner:
                self._add(parent, item)
        else:
            self._split(parent, self._sorted(inner))

    def _split(self, parent: int, items: Sequence[Box | Frame]) -> None:
        """Put items into runs, these into longer ones, until few are side by side."""
        stretch = _STRETCH
        while stretch * _STRETCH < len(items):
            stretch *= _STRETCH
        for start in range(0, len(items), stretch):
            part = items[start : start + stretch]
            name = f"{start + 1} – {start + len(part)}"
            self._run(parent, f"{part[0].title} … {part[-1].title}", name, part)

    def _run(self, parent: int, label: str, name: str, items: Sequence[Box | Frame]) -> None:
        number = len(self.groups)
        self.groups.append(Group("run", label, name, "", parent))
        if len(items) > _MOST:
            self._split(number, items)
            return
        for item in items:
            self._add(number, item)

    def _add(self, parent: int, item: Box | Frame) -> None:
        if isinstance(item, Box):
            number = int(item.id[1:])
            self.of[number] = parent
            self.groups[parent].nodes += self._operators[number]
            return
        number = len(self.groups)
        owner = next((int(child.id[1:]) for child in item.children if isinstance(child, Box)), None)
        is_pass = self._two_passes and parent == 0 and item.kind == "scope"
        kind: Kind = "pass" if is_pass else item.kind
        self.groups.append(
            Group(
                kind,
                item.title,
                item.tooltip or item.title,
                item.note,
                parent,
                owner=owner if item.kind == "operator" else None,
            )
        )
        self._fill(number, item.children)

    def _sorted(self, items: Sequence[Box | Frame]) -> list[Box | Frame]:
        """Items so that none reads what a later one computes, where that is possible."""
        import networkx as nx

        place = {number: position for position, item in enumerate(items) for number in _numbers(item)}
        order = nx.DiGraph()
        order.add_nodes_from(range(len(items)))
        order.add_edges_from(
            (position, place[head])
            for number, position in place.items()
            for head in self._heads[number]
            if head in place and place[head] != position
        )
        try:
            return [items[position] for position in nx.lexicographical_topological_sort(order)]
        except nx.NetworkXUnfeasible:
            return list(items)


def _numbers(item: Box | Frame) -> Iterator[int]:
    stack = [item]
    while stack:
        found = stack.pop()
        if isinstance(found, Box):
            yield int(found.id[1:])
        else:
            stack.extend(found.children)
