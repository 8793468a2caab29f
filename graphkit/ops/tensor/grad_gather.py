"""How gradients pass what looks elements up: what was read several times gets the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.training import padding_row
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.grad_rows import added, rows_along, rows_of
from graphkit.ops.tensor.grad_sizes import folded, joined, sizes_at
from graphkit.ops.tensor.sizes import axis_of, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["gather_elements_gradient", "gather_gradient", "gather_nd_gradient", "picked"]


def gather_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of Gather."""
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    gradient, row = dy[0], padding_row(node)
    if row is not None:
        padding = b.op("Equal", indices, b.const(row, b.dtype(indices)))
        first, rank = b.rank(indices), b.rank(gradient)
        if first < rank:
            padding = b.op("Unsqueeze", padding, list(range(first, rank)))
        gradient = b.op("Where", padding, b.scalar(0, gradient), gradient)
    return [picked(b, gradient, source, indices, axis_of(node, b.rank(source)))]


def picked(b: GradientBuilder, gradient: ir.Value, source: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
    """The gradient in what slices were picked from along an axis.

    Args:
        b: The builder.
        gradient: The gradient in the slices, which stand where the axis stood, in the shape of the indices.
        source: What they were picked from.
        indices: Their indices, of any rank; negative ones count from the end.
        axis: The axis, counted from the front.
    """
    rank = b.rank(indices)
    known = b.value(indices)
    if known is not None and known.size:
        line = _flattened(b, gradient, source, axis, rank) if rank != 1 else gradient
        placed = _placed(b, line, source, known.astype(np.int64).reshape(-1), axis)
        if placed is not None:
            return placed
    return added(b, source, rows_along(b, source, indices, axis), gradient)


def _flattened(b: GradientBuilder, gradient: ir.Value, source: ir.Value, axis: int, rank: int) -> ir.Value:
    """A gradient with the axes of the indices made one."""
    if rank == 0:
        return b.op("Unsqueeze", gradient, [axis])
    later = b.shape(source)[axis + 1 :]
    known = [dim for dim in later if isinstance(dim, int)]
    if len(known) == len(later) and 0 not in known:
        return b.op("Reshape", gradient, [*[0] * axis, -1, *known])
    sizes = b.shape_of(gradient)
    count = b.op("ReduceProd", b.op("Slice", sizes, [axis], [axis + rank]), keepdims=1)
    parts = [b.op("Slice", sizes, [0], [axis])] if axis else []
    parts += [count, b.op("Slice", sizes, [axis + rank], [b.rank(gradient)])]
    return b.op("Reshape", gradient, joined(b, *parts), allowzero=1)


def _placed(
    b: GradientBuilder, gradient: ir.Value, source: ir.Value, known: npt.NDArray[np.int64], axis: int
) -> ir.Value | None:
    """The gradient where known indices are all different, by padding or by looking up; None where they are not."""
    size = b.shape(source)[axis]
    count = len(known)
    if isinstance(size, int):
        known = known % size
    if (np.diff(known) == 1).all() and (known[0] >= 0) == (known[-1] >= 0):
        sizes = sizes_at(b, source, [axis])
        before = b.const(known[:1]) if known[0] >= 0 else b.op("Add", sizes, known[:1])
        after = b.op("Sub", b.op("Sub", sizes, before), [count])
        if count == size:
            return gradient
        return b.op("Pad", gradient, joined(b, before, folded(b, after)), None, [axis])
    if not isinstance(size, int) or len(np.unique(known)) < count:
        return None
    where = np.full(size, count, np.int64)
    where[known] = np.arange(count)
    if count < size:
        gradient = b.op("Pad", gradient, [0, 1], None, [axis])
    return b.op("Gather", gradient, where, axis=axis)


def gather_elements_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of GatherElements."""
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    axis = axis_of(node, b.rank(source))
    return [b.op("ScatterElements", b.full_like(source), indices, dy[0], axis=axis, reduction="add")]


def gather_nd_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The gradient of GatherND."""
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    rows = rows_of(b, source, indices, node.attributes.get_int("batch_dims", 0))
    return rows if isinstance(rows, Refusal) else [added(b, source, rows, dy[0])]
