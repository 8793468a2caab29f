"""What makes a value, for rewritings that take several nodes as the one operation that their author meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["made_by"]


def made_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node of one of some types that makes a value, where nothing but its one user needs the value."""
    node = None if value is None else value.producer()
    if value is None or node is None or node.op_type not in op_types or node.domain:
        return None
    return node if len(value.uses()) == 1 and not value.is_graph_output() else None
