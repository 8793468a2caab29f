"""Coordinates for MXNet's gather_nd and scatter_nd, whose index arrays have one row for each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.tensor.sizes import dim_ref, is_never_negative

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["element_coordinates", "point_coordinates", "wrap_negative"]


def wrap_negative(b: MxBuilder, indices: ir.Value, ref: MxRef, data: ir.Value, axis: int) -> MxRef:
    """Indices into an axis of ``data`` with those below zero counted from its end, as ONNX means them."""
    if is_never_negative(b, indices):
        return ref
    size = b.shape(data)[axis]
    if isinstance(size, int):
        return b.op("_mod_scalar", ref, scalar=float(size))
    count = dim_ref(b, data, axis)
    if b.dtype(indices).name != "int64":
        count = b.op("Cast", count, dtype=b.dtype(indices).name)
    return b.op("broadcast_mod", ref, count)


def _along(b: MxBuilder, like: MxRef, rank: int, axis: int) -> MxRef:
    """For each element of an index array its position on an axis."""
    count = b.op("_contrib_arange_like", like, axis=axis)
    shape = tuple(-1 if place == axis else 1 for place in range(rank))
    return b.op("broadcast_like", b.op("Reshape", count, shape=shape) if rank > 1 else count, like)


def element_coordinates(b: MxBuilder, indices: ir.Value, ref: MxRef, data: ir.Value, axis: int) -> MxRef:
    """Coordinates of what GatherElements and ScatterElements address: one row for each axis, each of their shape."""
    rank = b.rank(indices)
    rows = [
        wrap_negative(b, indices, ref, data, axis) if place == axis else _along(b, ref, rank, place)
        for place in range(rank)
    ]
    return b.op("stack", *rows, num_args=rank, axis=0)


def point_coordinates(b: MxBuilder, indices: ir.Value, ref: MxRef, data: ir.Value, width: int, batch: int = 0) -> MxRef:
    """Coordinates of what GatherND and ScatterND address: one row for each axis, of their shape but the last.

    Args:
        b: The builder.
        indices: Indices whose last axis holds the coordinates of a point.
        ref: What holds them.
        data: What they point into.
        width: Size of the last axis.
        batch: Number of leading axes that indices and data share.
    """
    rank = b.rank(indices)
    array = b.value(indices)
    dims = b.shape(data)[batch : batch + width]
    if array is not None and batch == 0:
        if all(isinstance(dim, int) for dim in dims):
            array = array % np.asarray(dims, array.dtype)
        if array.min() >= 0:
            rows = np.ascontiguousarray(np.moveaxis(array, -1, 0))
            return b.const(rows if rank > 1 else rows.reshape(width, 1), "indices")
    if rank == 1:
        ref = b.op("Reshape", ref, shape=(1, width))
    order = (max(rank, 2) - 1, *range(max(rank, 2) - 1))
    rows_ref = b.op("transpose", ref, axes=order)
    if not is_never_negative(b, indices):
        rows_ref = b.op("broadcast_mod", rows_ref, _limits(b, indices, data, dims, batch, max(rank, 2)))
    if batch == 0:
        return rows_ref
    one = b.op("squeeze", b.op("slice_axis", rows_ref, axis=0, begin=0, end=1), axis=0)
    leading = [b.op("expand_dims", _along(b, one, rank - 1, place), axis=0) for place in range(batch)]
    return b.op("Concat", *leading, rows_ref, num_args=batch + 1, dim=0)


def _limits(
    b: MxBuilder, indices: ir.Value, data: ir.Value, dims: Sequence[int | str | None], batch: int, rank: int
) -> MxRef:
    """The sizes of the addressed axes, as an array (axes, 1, …)."""
    dtype = b.dtype(indices)
    known = [dim for dim in dims if isinstance(dim, int)]
    shape = (len(dims),) + (1,) * (rank - 1)
    if len(known) == len(dims):
        return b.const(np.asarray(known, dtype).reshape(shape), "sizes")
    sizes = b.op("slice_axis", b.op("shape_array", b.ref(data)), axis=0, begin=batch, end=batch + len(dims))
    sizes = b.op("Reshape", sizes, shape=shape)
    return sizes if dtype == np.int64 else b.op("Cast", sizes, dtype=dtype.name)
