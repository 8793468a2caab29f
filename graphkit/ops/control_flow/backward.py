"""What the gradients of branches and loops share: the graphs inside them, computed anew and gone through backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.ir.chance import drawing
from graphkit.ir.edit import graphs_of
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Carried", "Turn", "captured", "chance", "totals"]


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


def chance(node: ir.Node) -> Refusal | None:
    """Why a node cannot be computed anew."""
    drawn = drawing(node)
    if not drawn:
        return None
    return Refusal(
        f"its gradient computes the graphs inside it anew, and {drawn[0].op_type} node {drawn[0].name!r} would draw "
        f"other numbers there; draw them before the node"
    )


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
        end: What it is after the last turn, outside.
        cotangent: Cotangent of that.
    """

    start: ir.Value
    before: ir.Value
    after: ir.Value
    end: ir.Value
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

    def ends(self) -> list[ir.Value]:
        """What cotangents are before the turns are gone through: of what is carried, then sums over all turns."""
        b = self._b
        first = [b.full_like(each.end) if each.cotangent is None else each.cotangent for each in self.active]
        return [*first, *(b.full_like(value) for value in self.read)]

    def variables(self) -> list[ir.Value]:
        """What stands for these within a turn."""
        b = self._b
        return [*(b.variable(each.after) for each in self.active), *(b.variable(value) for value in self.read)]

    def pull(
        self, inputs: Sequence[ir.Value], cotangents: Sequence[ir.Value | None], held: Sequence[ir.Value]
    ) -> tuple[list[ir.Value], list[ir.Value]]:
        """Emit the turn.

        Args:
            inputs: What stands for the inputs of the body.
            cotangents: Cotangents of what the body gives besides what is carried, for this turn.
            held: What :meth:`variables` gave.

        Returns:
            What these are afterwards, and the gradients in ``items``.
        """
        b, graph = self._b, self._graph
        own = dict(zip(graph.inputs, inputs, strict=True))
        count = len(graph.outputs) - len(cotangents)
        given: list[ir.Value | None] = [*[None] * count, *cotangents]
        pairs = list(zip(graph.outputs, given, strict=True))
        pairs += [(each.after, value) for each, value in zip(self.active, held, strict=False)]
        nodes, outputs = b.copy(graph, inputs)
        now = dict(zip(graph.outputs, outputs, strict=True))
        inner = [own[value] for value in (*(each.before for each in self.active), *self.items)]
        seeds = totals(b, ((now[value], cotangent) for value, cotangent in pairs))
        found = b.pull(nodes, seeds, [*inner, *self.read])
        passed = [
            b.full_like(value) if gradient is None else gradient for value, gradient in zip(inner, found, strict=False)
        ]
        sums = [
            b.total([before, gradient]) or before
            for before, gradient in zip(held[len(self.active) :], found[len(inner) :], strict=True)
        ]
        return [*passed[: len(self.active)], *sums], passed[len(self.active) :]
