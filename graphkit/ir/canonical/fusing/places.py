"""Integers that count along one axis, as indices and masks are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.ir.symbols import equal, numbers_of, shape_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

__all__ = ["Place", "compares", "place_in", "place_of"]

_FEW: Final = 1 << 20
"""Elements up to which a constant is looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a tensor of integers counts: start, start + 1, … along an axis, the same along the others.

    Attributes:
        rank: Axes of the tensor.
        axis: The axis; None where there is one number only.
        start: The first number.
        limit: A scalar int64 value that is one more than the last number, where it is computed; None where sizes tell.
    """

    rank: int
    axis: int | None
    start: int
    limit: ir.Value | None = None


def place_in(array: npt.NDArray[Any]) -> Place | None:
    """What an array counts."""
    if array.dtype.kind not in "iu" or not 0 < array.size <= _FEW:
        return None
    start = int(array.flat[0])
    wide = [axis for axis, size in enumerate(array.shape) if size > 1 and np.any(np.diff(array, axis=axis))]
    if not wide:
        return Place(array.ndim, None, start)
    (axis, *more) = wide
    line = np.arange(start, start + array.shape[axis]).reshape([-1 if k == axis else 1 for k in range(array.ndim)])
    return (
        None
        if more or not np.array_equal(array, np.broadcast_to(line, array.shape))
        else Place(array.ndim, axis, start)
    )


def place_of(value: ir.Value | None) -> Place | None:
    """What a value counts, as far as its node tells."""
    if value is None:
        return None
    if value.const_value is not None:
        return place_in(value.const_value.numpy()) if value.const_value.size <= _FEW else None
    node, shape = value.producer(), shape_of(value)
    if node is None or node.domain or shape is None:
        return None
    if node.op_type == "Range":
        start, limit, step = node.inputs
        first = numbers_of(start)
        if first is None or numbers_of(step) != [1]:
            return None
        return Place(1, 0, first[0], limit if first == [0] else None)
    if node.op_type == "Cast":
        known = value.dtype is not None and value.dtype.is_integer()
        return place_of(node.inputs[0]) if known else None
    if node.op_type == "Add":
        return _moved(node)
    if node.op_type == "Unsqueeze":
        return _raised(node, len(shape))
    return _spread(node, value) if node.op_type == "Expand" else None


def _moved(node: ir.Node) -> Place | None:
    for one, other in (node.inputs, reversed(node.inputs)):
        found, more = place_of(one), numbers_of(other)
        if found is None or other is None or more is None or len(more) != 1:
            continue
        if len(shape_of(other) or ()) <= found.rank:
            return replace(found, start=found.start + more[0], limit=found.limit if more == [0] else None)
    return None


def _raised(node: ir.Node, rank: int) -> Place | None:
    found, axes = place_of(node.inputs[0]), numbers_of(node.inputs[1])
    if found is None or axes is None:
        return None
    fresh = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in fresh]
    return replace(found, rank=rank, axis=None if found.axis is None else kept[found.axis])


def _spread(node: ir.Node, value: ir.Value) -> Place | None:
    source = node.inputs[0]
    found, before, after = place_of(source), None if source is None else shape_of(source), shape_of(value)
    if found is None or before is None or after is None:
        return None
    axis = None if found.axis is None else found.axis + len(after) - len(before)
    if axis is not None and found.axis is not None and not equal(before[found.axis], after[axis]):
        return None
    return replace(found, rank=len(after), axis=axis)


def compares(mask: ir.Value) -> bool:
    """Whether it is that a key's place is no later than the query's, of as many keys as queries."""
    node, shape = mask.producer(), shape_of(mask)
    if node is None or node.domain or shape is None or len(shape) < 2 or not equal(shape[-1], shape[-2]):
        return False
    if node.op_type not in ("LessOrEqual", "GreaterOrEqual") or any(size != 1 for size in shape[:-2]):
        return False
    places = [place_of(value) for value in node.inputs]
    key, query = places if node.op_type == "LessOrEqual" else reversed(places)
    if key is None or query is None or key.axis is None or query.axis is None:
        return False
    return key.axis - key.rank == -1 and query.axis - query.rank == -2 and key.start == query.start
