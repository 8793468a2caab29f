"""Taking away nodes that nothing reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["prune", "pruned"]


_OPTIONAL: Final = frozenset({"LSTM", "GRU", "RNN"})
"""Operators whose last outputs may be left out."""


def pruned(nodes: list[ir.Node], outputs: Iterable[ir.Value], kept: set[ir.Node]) -> None:
    """Take away the nodes that nothing reads, in place."""
    needed = set(outputs)
    live = []
    for node in reversed(nodes):
        if node in kept or any(value in needed or value.uses() for value in node.outputs):
            live.append(node)
            if node.op_type in _OPTIONAL and not node.domain:
                _trim(node, needed)
            continue
        _detach(node)
    nodes[:] = reversed(live)


def prune(graph: ir.Graph, kept: set[ir.Node]) -> None:
    """Take away the nodes and initializers of a graph that nothing reads, in place."""
    for node in reversed(list(graph)):
        if node not in kept and not any(value.uses() or value.is_graph_output() for value in node.outputs):
            _detach(node)
            graph.remove(node)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]


def _trim(node: ir.Node, needed: set[ir.Value]) -> None:
    count = len(node.outputs)
    while count > 1 and not node.outputs[count - 1].uses() and node.outputs[count - 1] not in needed:
        count -= 1
    node.resize_outputs(count)


def _detach(node: ir.Node) -> None:
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)
    for held in node.attributes.values():
        if held.type == ir.AttributeType.GRAPH:
            for inner in held.as_graph():
                _detach(inner)
