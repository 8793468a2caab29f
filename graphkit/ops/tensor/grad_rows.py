"""Coordinates, as GatherND and ScatterND take them, as places in one axis.

Elements that go to one place are joined by ScatterElements: ONNX Runtime (1.31) joins in ScatterND from several threads
at once, and loses elements where indices are equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.grad_sizes import as_ints, joined, sizes_at

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Rows", "added", "rows_along", "rows_of", "scattered"]


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
        many = _counted(b, _product(b, source, range(batch)))
        offsets = b.op("Mul", many, b.op("ReduceProd", sizes, keepdims=1))
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


def rows_along(b: GradientBuilder, source: ir.Value, indices: ir.Value, axis: int) -> Rows:
    """Where indices into one axis of a tensor point to, for every place in the axes before it."""
    places = as_ints(b, indices if b.rank(indices) == 1 else b.op("Reshape", indices, [-1]))
    if not axis:
        return Rows(1, places)
    size = sizes_at(b, source, [axis])
    places = b.op("Where", b.op("Less", places, [0]), b.op("Add", places, size), places)
    before = _counted(b, _product(b, source, range(axis)))
    places = b.op("Add", b.op("Unsqueeze", b.op("Mul", before, size), [1]), places)
    return Rows(axis + 1, b.op("Reshape", places, [-1]))


def added(b: GradientBuilder, source: ir.Value, rows: Rows, updates: ir.Value) -> ir.Value:
    """Sums of what goes to some places, and zeros elsewhere, in the shape of a tensor.

    The zeros are put around nothing, so that ONNX Runtime does not store them with the model and copy them every time.
    """
    count = _product(b, source, range(b.rank(source)))
    nothing = b.op("Slice", _line(b, updates), [0], [0])
    return _joined(b, b.op("Pad", nothing, joined(b, [0], count)), source, rows, updates, "add")


def scattered(b: GradientBuilder, data: ir.Value, rows: Rows, updates: ir.Value, reduction: str) -> ir.Value:
    """Join updates with what is at some places of a tensor, as ScatterND does."""
    return _joined(b, _line(b, data), data, rows, updates, reduction)


def _line(b: GradientBuilder, value: ir.Value) -> ir.Value:
    return value if b.rank(value) == 1 else b.op("Reshape", value, [-1])


def _joined(
    b: GradientBuilder, line: ir.Value, like: ir.Value, rows: Rows, updates: ir.Value, reduction: str
) -> ir.Value:
    """The same in one axis, in which ONNX Runtime's ScatterElements is about three times as fast as in two."""
    places, rest = rows.places, range(rows.axes, b.rank(like))
    if rest:
        width = _product(b, like, rest)
        starts = b.op("Mul", b.op("Unsqueeze", places, [1]), width)
        places = b.op("Reshape", b.op("Add", starts, _counted(b, width)), [-1])
    found = b.op("ScatterElements", line, places, _line(b, updates), axis=0, reduction=reduction)
    return b.like(found, like)


def _product(b: GradientBuilder, value: ir.Value, axes: range) -> ir.Value:
    """The product of some axes' sizes as one int64 in an axis."""
    known = [dim for dim in b.shape(value)[axes.start : axes.stop] if isinstance(dim, int)]
    if len(known) == len(axes):
        return b.const(np.array([math.prod(known)], np.int64))
    return b.op("ReduceProd", sizes_at(b, value, axes), keepdims=1)


def _counted(b: GradientBuilder, count: ir.Value) -> ir.Value:
    """The numbers 0, 1, … up to a count, which is one int64 in an axis."""
    known = b.value(count)
    end = np.asarray(known[0]) if known is not None else b.op("Squeeze", count, [0])
    return b.op("Range", np.asarray(0), end, np.asarray(1))
