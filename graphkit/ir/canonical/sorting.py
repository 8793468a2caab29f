"""Nodes after what they read, or the cycle that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes.common import TopologicalSortPass

from graphkit.errors import FormatError
from graphkit.ir.edit import graphs_in, graphs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

__all__ = ["sort_nodes"]


def sort_nodes(model: ir.Model) -> None:
    """Put the nodes of every graph after those that they read, in place.

    Raises:
        FormatError: The graph has a cycle; the message names it.
    """
    try:
        TopologicalSortPass()(model)
    except ValueError as error:
        raise FormatError(f"The graph has a cycle: {_cycle_in(model)}. Export the model again.") from error


def _cycle_in(model: ir.Model) -> str:
    """A cycle of a model that has one, for people."""
    graphs: list[ir.Graph | ir.Function] = [*graphs_of(model.graph), *model.functions.values()]
    for graph in graphs:
        try:
            return _cycle_of(list(graph))
        except LookupError:
            continue
    return "a node reads, directly or not, what it computes"


def _cycle_of(nodes: Sequence[ir.Node]) -> str:
    """The cycle that some nodes end in.

    Raises:
        LookupError: They have none.
    """
    left = {node: {value.producer() for value in _read(node)} & set(nodes) for node in nodes}
    free = [node for node, before in left.items() if not before]
    after: dict[ir.Node, list[ir.Node]] = {}
    for node, before in left.items():
        for other in before:
            if other is not None:
                after.setdefault(other, []).append(node)
    while free:
        done = free.pop()
        left.pop(done)
        for node in after.get(done, ()):
            left[node].discard(done)
            if not left[node]:
                free.append(node)
    if not left:
        raise LookupError
    seen: set[ir.Node] = set()
    reader = node = next(iter(left))
    while node not in seen:  # every one that is left reads another one that is left
        seen.add(node)
        value, producer = next((value, p) for value in _read(node) if (p := value.producer()) in left and p is not None)
        reader, node = node, producer
    return (
        f"node {node.name!r} ({node.op_type}) depends on itself through {value.name!r}, which node {reader.name!r} "
        f"({reader.op_type}) reads"
    )


def _read(node: ir.Node) -> list[ir.Value]:
    """What a node and the graphs inside it read."""
    inner = [inside for graph in graphs_in(node) for inside in graph]
    return [value for each in (node, *inner) for value in each.inputs if value is not None]
