"""Taking away nodes that nothing reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["pruned"]


def pruned(nodes: list[ir.Node], outputs: Iterable[ir.Value], kept: set[ir.Node]) -> None:
    """Take away the nodes that nothing reads, in place."""
    needed = set(outputs)
    live = []
    for node in reversed(nodes):
        if node in kept or any(value in needed or value.uses() for value in node.outputs):
            live.append(node)
            continue
        _detach(node)
    nodes[:] = reversed(live)


def _detach(node: ir.Node) -> None:
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)
    for held in node.attributes.values():
        if held.type == ir.AttributeType.GRAPH:
            for inner in held.as_graph():
                _detach(inner)
