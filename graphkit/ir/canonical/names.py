"""Unique names for every node and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes.common import NameFixPass
from onnx_ir.passes.common.naming import SimpleNameGenerator

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["fix_names"]


class _Names(SimpleNameGenerator):
    def generate_node_name(self, node: ir.Node) -> str:
        return node.name or node.op_type.lower()

    def generate_value_name(self, value: ir.Value) -> str:
        producer = value.producer()
        if value.name or producer is None:
            return value.name or "value"
        stem = producer.name or producer.op_type.lower()
        return stem if value.index() == 0 else f"{stem}_{value.index()}"


def fix_names(model: ir.Model) -> None:
    """Name what has no name, and rename what shares one, in place.

    Inputs, outputs and then initializers keep theirs; a nameless value is called like the node that computes it, a
    nameless node like its operator.
    """
    NameFixPass(_Names())(model)
