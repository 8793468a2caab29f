"""Making a picture smaller than a limit: modules are folded, the innermost first, then stretches of operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from graphkit.render.compose import draw
from graphkit.render.drawing import Show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import networkx as nx

    from graphkit.render.drawing import Drawing
    from graphkit.render.overlay import Overlay

__all__ = ["Sketch", "is_drawable"]

_LARGEST: Final = 4000
"""Boxes that Graphviz lays out in seconds, and that a browser moves smoothly; larger graphs are folded."""
_DENSEST: Final = 10_000
"""The same for arrows."""
_DEEPEST: Final = 6
"""Depth from which folding is tried."""
_TERMINALS: Final = 24
"""Inputs or outputs that stay apart where operators do not."""
_RUNS: Final = (400, 200, 100, 50, 25, 12)
"""Numbers of stretches that are tried."""


def is_drawable(drawing: Drawing) -> bool:
    """Whether Graphviz lays a drawing out in seconds."""
    return sum(1 for _ in drawing.boxes()) <= _LARGEST and len(drawing.arrows) <= _DENSEST


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is to be drawn, and how.

    Attributes:
        view: As :func:`graphkit.ir.view.nx_view` or :func:`graphkit.render.part.part` makes it.
        title: What to call it; the graph's own name if empty.
        depth: Scopes nested deeper than this become one box each; None folds only what a limit asks for.
        show: What is written out.
        overlay: Numbers that colour the boxes.
    """

    view: nx.MultiDiGraph
    title: str = ""
    depth: int | None = None
    show: Show = Show()  # noqa: RUF009  # it is frozen
    overlay: Overlay | None = None

    def drawn(self, fits: Callable[[Drawing], bool]) -> tuple[Drawing, str]:
        """The drawing with the most boxes that fits a limit, and what had to be folded for that, as a clause.

        Where nothing fits, it is the smallest one there is.
        """
        told = ""
        drawing = self._draw(self.view, self.depth, "")
        if fits(drawing):
            return drawing, ""
        deepest = max(
            (data["scope"].count(".") + 1 for _, data in self.view.nodes(data=True) if data.get("scope")), default=0
        )
        passes = any(data.get("backward") for _, data in self.view.nodes(data=True))
        start = min(_DEEPEST, deepest + passes - 1) if self.depth is None else min(self.depth, deepest + passes) - 1
        for depth in range(start, -1, -1):
            told = f"modules nested deeper than {depth} are folded"
            drawing = self._draw(self.view, depth, told)
            if fits(drawing):
                return drawing, told
        for view, length, gathered in _in_runs(self.view):
            told = f"every {length} consecutive operators are folded" if length > 1 else "inputs and outputs are folded"
            drawing = self._draw(view, 1 if passes else 0, told)
            drawing = replace(
                drawing, shown={**drawing.shown, **{key: drawing.shown[to] for key, to in gathered.items()}}
            )
            if fits(drawing):
                break
        return drawing, told

    def _draw(self, view: nx.MultiDiGraph, depth: int | None, note: str) -> Drawing:
        return draw(view, title=self.title, depth=depth, show=self.show, overlay=self.overlay, note=note)


def _in_runs(view: nx.MultiDiGraph) -> Iterator[tuple[nx.MultiDiGraph, int, dict[str, str]]]:
    """The view with ever longer stretches of its operators as modules, their lengths, and what else is one node now.

    A stretch of a topological order has no path that leaves it and comes back, so it can be one box.
    """
    import networkx as nx

    order = [key for key in _ordered(view) if view.nodes[key]["kind"] == "operator" and not view.nodes[key]["body"]]
    previous = 0
    for runs in _RUNS:
        length = max(1, -(-len(order) // runs))
        if length <= previous:
            continue
        previous = length
        scopes = {
            key: f"operators {number - number % length + 1}–{min(number - number % length + length, len(order))}"
            for number, key in enumerate(order)
        }
        changed = nx.MultiDiGraph(view)
        nx.set_node_attributes(changed, scopes, "scope")
        gathered = _gather(changed, "input") | _gather(changed, "output")
        if length == 1 and not gathered:
            continue
        yield nx.freeze(changed), length, gathered


def _gather(view: nx.MultiDiGraph, kind: str) -> dict[str, str]:
    """Make one node of the inputs or outputs of the main graph, where there are very many; gives their new key."""
    keys = [key for key, data in view.nodes(data=True) if data["kind"] == kind and not data["body"]]
    if len(keys) <= _TERMINALS:
        return {}
    gathered = f"{kind}s"
    name = f"{len(keys)} {kind}s"
    view.add_node(gathered, kind=kind, name=name, body="", dtype=None, shape=None, parameters=())
    for key in keys:
        for _, head, data in view.out_edges(key, data=True):
            view.add_edge(gathered, head, **data | {"value": name, "shape": None, "dtype": None, "output": 0})
        for tail, _, data in view.in_edges(key, data=True):
            view.add_edge(tail, gathered, **data)
    view.remove_nodes_from(keys)
    return dict.fromkeys(keys, gathered)


def _ordered(view: nx.MultiDiGraph) -> list[str]:
    """Keys in the model's order where that is topological, else in the nearest one that is."""
    import networkx as nx

    number = {key: index for index, key in enumerate(view)}
    flow = nx.DiGraph(view.edges())
    flow.add_nodes_from(view)
    try:
        return list(nx.lexicographical_topological_sort(flow, key=number.__getitem__))
    except nx.NetworkXUnfeasible:  # a cycle
        return list(view)
