"""Lookups in MXNet of which one row, that of padding, gets no gradient; PyTorch calls it ``padding_idx``.

MXNet's Embedding has no such row. Where an index is the row, what was looked up is put in place of itself behind a
BlockGrad: the same numbers, exact for any of them, and no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.training import set_padding_row, stops_gradient

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["lookup_without_gradient", "without_gradient"]


def without_gradient(b: MxBuilder, found: MxRef, indices: MxRef, row: int, size: Dim, axes: int) -> MxRef:
    """Rows that were looked up, those of one index without gradient.

    Args:
        b: The builder.
        found: The rows, behind the axes of the indices.
        indices: What they were looked up by; what lies outside of the table is moved to its nearer end.
        row: The row that gets no gradient.
        size: Number of rows, where it is known.
        axes: Number of axes of a row.
    """
    if row == 0:
        padding = b.op("_lesser_scalar", indices, scalar=1.0)
    else:
        equal = "_greater_equal_scalar" if isinstance(size, int) and row == size - 1 else "_equal_scalar"
        padding = b.op(equal, indices, scalar=float(row))
    for place in range(axes):
        padding = b.op("expand_dims", padding, axis=-1, name=f"axis{place}" if place else "")
    padding = b.op("broadcast_like", padding, found)
    return b.op("where", padding, b.op("BlockGrad", found), found)


def lookup_without_gradient(b: OnnxBuilder, condition: ir.Value, chosen: ir.Value, other: ir.Value) -> ir.Value | None:
    """The lookup that :func:`without_gradient` wrote, as one node with a note; None for any other choice.

    Args:
        b: The builder.
        condition: What is chosen by.
        chosen: What is taken where it holds.
        other: What is taken elsewhere.
    """
    stop, lookup = chosen.producer(), other.producer()
    if stop is None or not stops_gradient(stop) or stop.inputs[0] is not other:
        return None
    if lookup is None or lookup.op_type != "Gather" or lookup.domain or lookup.attributes.get_int("axis", 0) != 0:
        return None
    table, indices = lookup.inputs
    if table is None or indices is None or b.value(indices) is not None:
        return None
    row = _row(b, condition, indices, b.shape(table)[0], b.rank(table) - 1)
    if row is None:
        return None
    found = b.op("Gather", table, indices, axis=0)
    node = found.producer()
    assert node is not None
    set_padding_row(node, row)
    return found


def _row(b: OnnxBuilder, condition: ir.Value, indices: ir.Value, size: Dim, axes: int) -> int | None:
    """The row that a condition asks indices for, if it asks for one."""
    clip = indices.producer()
    if clip is None or clip.op_type != "Clip" or clip.inputs[0] is None:
        return None
    wanted = _without_casts(clip.inputs[0])
    value = _without(condition, "Expand")
    for _ in range(axes):
        node = value.producer()
        place = None if node is None or node.op_type != "Unsqueeze" else b.value(node.inputs[1])
        if node is None or place is None or place.tolist() not in ([-1], [b.rank(node.outputs[0]) - 1]):
            return None
        assert node.inputs[0] is not None
        value = node.inputs[0]
    node = _without_casts(value).producer()
    if node is None or len(node.inputs) != 2 or node.domain:
        return None
    left, right = node.inputs
    number = b.value(right)
    if left is None or number is None or number.size != 1 or _without_casts(left) is not wanted:
        return None
    row = float(number.item())
    if node.op_type == "Less" and row == 1:
        return 0
    last = isinstance(size, int) and row == size - 1
    inside = row > 0 and row.is_integer() and isinstance(size, int) and row < size - 1
    if (node.op_type == "GreaterOrEqual" and last) or (node.op_type == "Equal" and inside):
        return int(row)
    return None


def _without(value: ir.Value, op_type: str) -> ir.Value:
    node = value.producer()
    while node is not None and node.op_type == op_type and not node.domain and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _without_casts(value: ir.Value) -> ir.Value:
    return _without(value, "Cast")
