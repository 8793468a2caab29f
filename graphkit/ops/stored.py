"""Stored tensors seen through the operators that only lay them out anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout

__all__ = ["stored"]

_RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def stored(b: MxBuilder | TorchBuilder, value: ir.Value | None) -> tuple[ir.Value, Layout] | None:
    """The initializer that a value is, and the steps from it; None where the value is computed.

    Args:
        b: Answers questions about the graph.
        value: An initializer, or what transpositions and reshapings to a known shape make of one.
    """
    if value is None:
        return None
    if b.is_initializer(value):
        return value, ()
    node = value.producer()
    if node is None or not node.inputs or (found := stored(b, node.inputs[0])) is None:
        return None
    source, layout = found
    assert node.inputs[0] is not None
    if node.op_type == "Transpose":
        axes = tuple(node.attributes.get_ints("perm", list(reversed(range(b.rank(node.inputs[0]))))))
        return source, (*layout, ("transpose", axes))
    if node.op_type in _RESHAPES and value.shape is not None:
        dims = tuple(dim for dim in b.shape(value) if isinstance(dim, int))
        if len(dims) == len(value.shape):
            return source, (*layout, ("reshape", dims))
    return None
