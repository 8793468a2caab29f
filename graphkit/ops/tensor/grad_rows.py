"""Coordinates, as GatherND and ScatterND take them, as places in one axis.

Elements that go to one place are joined by ScatterElements: ONNX Runtime (1.31) joins in ScatterND from several threads
at once, and loses elements where indices are equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.grad_sizes import joined, sizes_at

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Rows", "rows_of", "scattered"]


class Rows(NamedTuple):
    """Places in the first axes of a tensor.

    Attributes:
        axes: How many axes are made one.
        places: Where in it, 1-d; negative ones, of one axis alone, count from the end.
    """

    axes: int
    places: ir.Value


def rows_of(b: GradientBuilder, source: ir.Value, indices: ir.Value, batch: int = 0) -> Rows | Refusal:
    """Where indices point to in a tensor, whose first ``batch`` axes they share."""
    width = b.shape(indices)[-1]
    if not isinstance(width, int):
        return Refusal("the last axis of its indices is of unknown size; give the model's inputs fixed sizes")
    count = batch + width
    if count == 1:
        return Rows(1, b.op("Reshape", indices, [-1]))
    sizes = sizes_at(b, source, range(batch, count))
    places = b.op("Where", b.op("Less", indices, [0]), b.op("Add", indices, sizes), indices)
    places = b.op("ReduceSum", b.op("Mul", places, _strides(b, source, batch, count)), [-1], keepdims=0)
    if batch:
        lead = sizes_at(b, source, range(batch))
        many, each = b.op("ReduceProd", lead, keepdims=0), b.op("ReduceProd", sizes, keepdims=1)
        offsets = b.op("Mul", b.op("Range", np.asarray(0), many, np.asarray(1)), each)
        ones = [1] * (b.rank(indices) - 1 - batch)
        places = b.op("Add", places, b.op("Reshape", offsets, joined(b, lead, ones)))
    return Rows(count, b.op("Reshape", places, [-1]))


def _strides(b: GradientBuilder, source: ir.Value, first: int, end: int) -> ir.Value:
    """How far elements along the axes from ``first`` to ``end`` lie apart when these are made one."""
    dims = b.shape(source)[first + 1 : end]
    known = [dim for dim in dims if isinstance(dim, int)]
    if len(known) == len(dims):
        return b.const(np.array([math.prod(known[place:]) for place in range(end - first)], np.int64))
    later = [sizes_at(b, source, range(axis, end)) for axis in range(first + 1, end)]
    return joined(b, *(b.op("ReduceProd", sizes, keepdims=1) for sizes in later), [1])


def scattered(b: GradientBuilder, data: ir.Value, rows: Rows, updates: ir.Value, reduction: str) -> ir.Value:
    """Join updates with what is at some places of a tensor, as ScatterND does."""
    rest = range(rows.axes, b.rank(data))
    flat = joined(b, [-1], sizes_at(b, data, rest)) if rest else b.const([-1])
    table = data if rows.axes == 1 else b.op("Reshape", data, flat)
    new = updates if b.rank(updates) == 1 + len(rest) else b.op("Reshape", updates, flat)
    places = rows.places
    if rest:
        places = b.op("Expand", b.op("Reshape", places, [-1, *[1] * len(rest)]), b.shape_of(new))
    return b.like(b.op("ScatterElements", table, places, new, axis=0, reduction=reduction), data)
