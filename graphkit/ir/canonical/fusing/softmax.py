"""Softmax spelled out: exp(x - max x) divided by its sum, both along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.producers import made_by
from graphkit.ir.symbols import numbers_of, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor

__all__ = ["fuse_softmax"]


def fuse_softmax(edit: Editor) -> bool:
    """Put a Softmax in place of the Div of one; without the maximum taken away it may overflow, and stays."""
    exponential, total = edit.node.inputs
    added = made_by(total, "ReduceSum")
    node = None if exponential is None else exponential.producer()
    if added is None or node is None or node.op_type != "Exp" or node.domain or added.inputs[0] is not exponential:
        return False
    if exponential is None or exponential.is_graph_output() or len(exponential.uses()) != 2:
        return False
    apart = made_by(node.inputs[0], "Sub")
    if apart is None:
        return False
    x, most = apart.inputs
    largest = made_by(most, "ReduceMax")
    axis = _axis(added)
    if x is None or largest is None or largest.inputs[0] is not x or axis is None or _axis(largest) != axis:
        return False
    edit.replace(edit.op("Softmax", x, axis=axis))
    return True


def _axis(node: ir.Node) -> int | None:
    """The one axis that is reduced and kept as one of size 1, from behind."""
    axes = numbers_of(node.inputs[1]) if len(node.inputs) > 1 else None
    shape = None if node.inputs[0] is None else shape_of(node.inputs[0])
    if shape is None or axes is None or len(axes) != 1 or not node.attributes.get_int("keepdims", 1):
        return None
    return axes[0] % len(shape) - len(shape)
