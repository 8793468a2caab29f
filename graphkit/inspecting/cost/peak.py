"""Peak of live memory: how much is there at once while a model runs, in its own order of nodes and in the best one.

An activation lives from the node that makes it to the last that reads it; while a node runs, its inputs and outputs are
there together. The model's inputs are there all the time, since the caller holds them, and its outputs to the end.
Parameters are not counted and neither is what depends on no input, which runtimes compute once and keep like them;
neither what kernels need for themselves or what an allocator wastes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.inspecting.cost.count import evaluate, linear_in
from graphkit.inspecting.cost.memory import fixed_nodes, root_of, value_bytes
from graphkit.inspecting.cost.ordering import Buffer, Task, best_order, peak_of
from graphkit.ir.describe import constant_of
from graphkit.ir.symbols import names_in
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from graphkit.inspecting.cost.count import Count

__all__ = ["Peak", "peak"]


@dataclass(frozen=True, slots=True, eq=False)
class Peak:
    """The most bytes of inputs and activations that are there at once.

    All of it is None, or nothing, where the size of an activation is not known, or the nodes cannot run as they stand.

    Attributes:
        given: In the model's own order.
        node: The first node that needs as much in that order; None in a model without nodes.
        best: In the best order that was found.
        order: That order, the nodes of the main graph.
        bound: Bytes that no order gets below.
        sizes: Sizes of free dimensions that the numbers hold for.
        per: The dimension that all numbers are a multiple of, e.g. ``"batch"``; empty where there is none.
        unknown: Values whose sizes are not known.
    """

    given: int | None
    node: ir.Node | None
    best: int | None
    order: tuple[ir.Node, ...]
    bound: int | None
    sizes: Mapping[str, int]
    per: str = ""
    unknown: tuple[ir.Value, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether no order needs less than the best that was found."""
        return self.best is not None and self.best == self.bound


def peak(model: ir.Model, sizes: Mapping[str, int] | None = None) -> Peak:
    """Find the peak of a model's live memory.

    Args:
        model: Any model. Where its nodes do not stand in an order in which they can run, or there is none, the peak is
            unknown.
        sizes: Sizes of free dimensions; those that are not given are taken for 1.
    """
    given = dict(sizes or {})
    plan = _Plan(model.graph, given)
    free = dict.fromkeys(sorted(plan.free), 1)
    if plan.unknown or not plan.runs:
        return Peak(None, None, None, (), None, given | free, unknown=tuple(plan.unknown))
    found = best_order(plan.tasks, plan.buffers)
    height, where = peak_of(plan.tasks, plan.buffers, range(len(plan.tasks)))
    return Peak(
        height + plan.held,
        plan.nodes[where] if plan.nodes else None,
        found.peak + plan.held,
        tuple(plan.nodes[task] for task in found.tasks),
        found.bound + plan.held,
        given | free,
        plan.per or "",
    )


class _Plan:
    """A graph as tasks and buffers.

    Args:
        graph: The graph.
        sizes: Sizes of free dimensions.
    """

    def __init__(self, graph: ir.Graph, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.free: set[str] = set()
        self.unknown: dict[ir.Value, None] = {}
        self.runs = True
        self.per: str | None = None
        self._known: dict[Count, int | None] = {}
        fixed = fixed_nodes(graph)
        self.nodes = [node for node in graph if not (node.outputs and constant_of(node.outputs[0]) is not None)]
        place = {node: index for index, node in enumerate(self.nodes)}
        fed = [value for value in graph.inputs if not value.is_initializer()]
        self.held = sum(self._bytes(value) for value in fed)
        ends = {root_of(value) for value in graph.outputs}
        inner = [self._inner(node) for node in self.nodes]
        readers: dict[ir.Value, set[int]] = {}
        before: list[set[int]] = []
        for index, node in enumerate(self.nodes):
            behind: set[int] = set()
            for value in _read_by(node):
                producer = value.producer()
                if producer in place:
                    behind.add(place[producer])
                    readers.setdefault(root_of(value), set()).add(index)
            before.append(behind)
        self.runs &= all(max(behind, default=-1) < index for index, behind in enumerate(before))
        self.tasks = [Task(frozenset(behind), extra) for behind, extra in zip(before, inner, strict=True)]
        self.buffers = [
            Buffer(self._bytes(value), index, frozenset(readers.get(value, ())), value in ends)
            for index, node in enumerate(self.nodes)
            if node not in fixed
            for value in node.outputs
            if value.name and root_of(value) is value
        ]

    def _bytes(self, value: ir.Value) -> int:
        count: Count | None = value_bytes(value)
        number = count if isinstance(count, int) else self._number(count)
        if number is None:
            self.unknown[value] = None
            return 0
        if number and isinstance(count, int):
            self.per = ""
        return number

    def _number(self, count: Count | None) -> int | None:
        """A polynomial at the sizes; few are many nodes'."""
        if count not in self._known:
            number = evaluate(count, self.sizes, 1)
            self._known[count] = number
            if number is not None:
                self.free |= names_in(count) - self.sizes.keys()
                name = linear_in(count)
                self.per = name if self.per in (None, name) else ""
        return self._known[count]

    def _inner(self, node: ir.Node) -> int:
        """What the bodies of a control-flow operator need while one of them runs, in their own order."""
        most = 0
        for _, body in bodies_of(node):
            plan = _Plan(body, self.sizes)
            self.runs &= plan.runs
            self.free |= plan.free
            self.unknown |= plan.unknown
            if plan.per is not None:
                self.per = plan.per if self.per in (None, plan.per) else ""
            if plan.runs:
                most = max(most, plan.held + peak_of(plan.tasks, plan.buffers, range(len(plan.tasks)))[0])
        return most


def _read_by(node: ir.Node) -> Iterator[ir.Value]:
    """The values that a node reads, those that graphs inside it read from around included."""
    yield from (value for value in node.inputs if value is not None)
    for _, body in bodies_of(node):
        for each in body:
            yield from _read_by(each)
        yield from body.outputs
