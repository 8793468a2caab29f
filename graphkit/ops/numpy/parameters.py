"""What the parameters of NumPy operators say: axes, dtypes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.tensor.sizes import size_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["axes_in", "axis_in", "cast", "count_along", "dtype_in", "flag", "moved"]


def flag(node: MxNode, name: str, default: str = "False") -> bool:
    """A boolean parameter."""
    return bool(BOOL.parse(node.attrs.get(name, default)))


def axis_in(axis: int, rank: int) -> int:
    """An axis, counted from the front.

    Raises:
        ValueError: There is no such axis.
    """
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is none of the {rank} axes of what it reads")
    return axis % rank


def axes_in(node: MxNode, rank: int, name: str = "axis", default: str = "None") -> tuple[int, ...] | None:
    """Axes of an array of a rank, counted from the front; None for MXNet's ``None``.

    Raises:
        ValueError: There are no such axes, or one is named twice.
    """
    text = node.attrs.get(name, default)
    if text == "None":
        return None
    axes = tuple(axis_in(axis, rank) for axis in ints(text))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}={text} names an axis twice")
    return axes


def dtype_in(node: MxNode, name: str = "dtype", default: str = "None") -> np.dtype[Any] | None:
    """A dtype parameter; None where none is given."""
    text = node.attrs.get(name, default)
    return None if text == "None" else np.dtype(text)


def cast(b: OnnxBuilder, value: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
    """The value in a dtype."""
    return value if b.dtype(value) == dtype else b.op("Cast", value, to=ir.DataType.from_numpy(dtype))


def count_along(b: OnnxBuilder, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """How many elements axes have, as a 0-d int64 array."""
    dims = [b.shape(value)[axis] for axis in axes]
    known = [dim for dim in dims if isinstance(dim, int)]
    count = b.const(np.asarray(prod(known)))
    for axis, dim in zip(axes, dims, strict=True):
        if not isinstance(dim, int):
            count = b.op("Mul", count, b.op("Squeeze", size_along(b, value, axis), [0]))
    return count


def moved(b: OnnxBuilder, value: ir.Value, order: Sequence[int]) -> ir.Value:
    """The value with its axes in another order."""
    return value if list(order) == sorted(order) else b.op("Transpose", value, perm=list(order))
