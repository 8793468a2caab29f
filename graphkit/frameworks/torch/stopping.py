"""Stopped gradients that nobody has to know of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.params import kind_of
from graphkit.ir.training import padding_row, pass_gradient, set_padding_row, stops_gradient

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["forget_idle_stops"]


def forget_idle_stops(model: ir.Model) -> None:
    """Let gradients through nodes that have none to stop, and into rows of tables that get none, in place.

    What reaches them depends on no float input and no parameter, as the angles of rotary positions do not.

    Args:
        model: A model whose initializers have their kinds.
    """
    moved: set[ir.Value] = {value for value in model.graph.inputs if _is_float(value)}
    moved |= {value for value in model.graph.initializers.values() if kind_of(value) == "parameter"}
    for node in model.graph:
        reached = any(value in moved for value in node.inputs) or any(
            attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values()
        )
        if padding_row(node) is not None and node.inputs[0] not in moved:
            set_padding_row(node, None)
        if stops_gradient(node):
            if not reached:
                pass_gradient(node)
        elif reached:
            moved.update(value for value in node.outputs if _is_float(value))


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype.is_floating_point()
