"""What the gradients of branches and loops share: the graphs inside them, computed anew and gone through backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.ir.chance import drawing
from graphkit.ir.edit import graphs_of
from graphkit.ops.control_flow.lists import is_read
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Carried", "Turn", "captured", "drawn", "totals"]


def captured(b: GradientBuilder, *graphs: ir.Graph) -> list[ir.Value]:
    """The values outside that graphs inside a node read and in which gradients are of use."""
    own: set[ir.Value] = set()
    read: dict[ir.Value, None] = {}
    for outer in graphs:
        for graph in graphs_of(outer):
            own.update(graph.inputs)
            own.update(value for node in graph for value in node.outputs)
            read.update((value, None) for node in graph for value in node.inputs if value is not None)
            read.update(dict.fromkeys(graph.outputs))
    return [value for value in read if value not in own and b.wants(value)]


def drawn(b: GradientBuilder, graph: ir.Graph) -> list[ir.Value] | Refusal:
    """The random numbers that nodes of a graph inside a node draw.

    The graph is computed anew for gradients, so these are kept.
    """
    found: list[ir.Value] = []
    passed: frozenset[ir.Value] | None = None
    for node in graph:
        drawing_ = drawing(node)
        if not drawing_:
            continue
        if drawing_ != [node]:
            inner = drawing_[0]
            return Refusal(
                f"its gradient computes it anew, and {inner.op_type} node {inner.name!r}, in a graph inside a node "
                f"inside it, would draw other numbers; draw them outside"
            )
        if node.op_type == "Dropout" and is_read(node.outputs[0]):
            if passed is None:
                passed = b.dependents(list(graph), [*graph.inputs, *captured(b, graph)])
            if node.inputs[0] in passed:
                return Refusal(
                    f"its gradient computes it anew, and Dropout node {node.name!r} would drop other elements; "
                    f"multiply by what it makes of ones instead"
                )
        found += [value for value in node.outputs if is_read(value)]
    return found


def totals(b: GradientBuilder, pairs: Iterable[tuple[ir.Value | None, ir.Value | None]]) -> dict[ir.Value, ir.Value]:
    """Gradients by what they are in; several in one value are added."""
    found: dict[ir.Value, list[ir.Value | None]] = {}
    for value, gradient in pairs:
        if value is not None and gradient is not None:
            found.setdefault(value, []).append(gradient)
    summed = {value: b.total(gradients) for value, gradients in found.items()}
    return {value: gradient for value, gradient in summed.items() if gradient is not None}


@dataclass(frozen=True, slots=True)
class Carried:
    """What a loop carries from turn to turn.

    Attributes:
        start: What it is before the first turn, outside.
        before: What the body is given.
        after: What the body makes of it.
        place: Number of the loop's output that it is after the last turn.
        cotangent: Cotangent of that.
    """

    start: ir.Value
    before: ir.Value
    after: ir.Value
    place: int
    cotangent: ir.Value | None


class Turn:
    """The way of cotangents through one turn of a loop.

    Attributes:
        active: What is carried whose cotangents matter.
        read: Values from outside that get a gradient.
        items: Inputs of the body besides what is carried that get one.
    """

    def __init__(
        self,
        b: GradientBuilder,
        graph: ir.Graph,
        carried: Sequence[Carried],
        cotangents: Sequence[ir.Value | None],
        items: Sequence[ir.Value] = (),
    ) -> None:
        self._b, self._graph = b, graph
        self._nodes = list(graph)
        read = captured(b, graph)
        collected = graph.outputs[len(graph.outputs) - len(cotangents) :]
        given = {value for value, cotangent in zip(collected, cotangents, strict=True) if cotangent is not None}
        useful = self._useful(carried, [*read, *items])
        live = self._live(carried, given)
        given |= {each.after for each in live}
        self.active = [each for each in carried if each in live and each in useful]
        self.read = [value for value in read if self._reaches(value, given)]
        self.items = [value for value in items if self._reaches(value, given)]

    def _reaches(self, value: ir.Value, ends: set[ir.Value]) -> bool:
        return not ends.isdisjoint(self._b.dependents(self._nodes, [value]))

    def _useful(self, carried: Sequence[Carried], sources: Sequence[ir.Value]) -> list[Carried]:
        """What depends on anything that gets a gradient, on some turn."""
        found = [each for each in carried if self._b.wants(each.start)]
        while True:
            reached = self._b.dependents(self._nodes, [*sources, *(each.before for each in found)])
            more = [each for each in carried if each not in found and each.after in reached]
            if not more:
                return found
            found += more

    def _live(self, carried: Sequence[Carried], given: set[ir.Value]) -> list[Carried]:
        """What outputs that have a cotangent depend on, on some turn."""
        found = [each for each in carried if each.cotangent is not None]
        while True:
            ends = given | {each.after for each in found}
            more = [each for each in carried if each not in found and self._reaches(each.before, ends)]
            if not more:
                return found
            found += more

    def ends(self, node: ir.Node) -> list[ir.Value]:
        """What cotangents are before the turns are gone through: of what is carried, then sums over all turns."""
        b = self._b
        first = [each.cotangent or b.full_like(b.output(node, each.place)) for each in self.active]
        return [*first, *(b.full_like(value) for value in self.read)]

    def variables(self) -> list[ir.Value]:
        """What stands for these within a turn."""
        b = self._b
        return [*(b.variable(each.after) for each in self.active), *(b.variable(value) for value in self.read)]

    def pull(
        self,
        known: Mapping[ir.Value, ir.Value],
        cotangents: Sequence[ir.Value | None],
        held: Sequence[ir.Value],
    ) -> tuple[list[ir.Value], list[ir.Value]]:
        """Emit the turn.

        Args:
            known: What stands for the inputs of the body on this turn, and for random numbers that were drawn.
            cotangents: Cotangents of what the body gives besides what is carried, for this turn.
            held: What :meth:`variables` gave.

        Returns:
            What these are afterwards, and the gradients in ``items``.
        """
        b, graph = self._b, self._graph
        nodes, outputs = b.copy(graph, known)
        now = dict(zip(graph.outputs, outputs, strict=True))
        collected = outputs[len(outputs) - len(cotangents) :]
        pairs = [*zip(collected, cotangents, strict=True)]
        pairs += [(now[each.after], value) for each, value in zip(self.active, held, strict=False)]
        inner = [known[value] for value in (*(each.before for each in self.active), *self.items)]
        found = b.pull(nodes, totals(b, pairs), [*inner, *self.read])
        passed = [
            b.full_like(value) if gradient is None else gradient for value, gradient in zip(inner, found, strict=False)
        ]
        sums = [
            b.total([before, gradient]) or before
            for before, gradient in zip(held[len(self.active) :], found[len(inner) :], strict=True)
        ]
        return [*passed[: len(self.active)], *sums], passed[len(self.active) :]
