"""Lengths of vectors in any norm."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS", "length"]

_REDUCTIONS: Final = {1.0: "ReduceL1", 2.0: "ReduceL2", inf: "ReduceMax", -inf: "ReduceMin"}


def length(emit: Emit, x: ir.Value, order: float, axes: Sequence[int], *, keepdims: bool = False) -> ir.Value:
    """(Σ|x|^p)^(1/p) along axes: the largest and smallest for p = ±∞, how many are not zero for p = 0.

    Gradients are torch's: zero where the length is, and in zeros where p < 1.
    """
    along, kept = emit.ints(*axes), int(keepdims)
    if order in _REDUCTIONS:
        given = emit.op("Abs", x) if abs(order) == inf else x
        return emit.op(_REDUCTIONS[order], given, along, keepdims=kept)
    if order == 0:
        counted = emit.op("CastLike", emit.op("Cast", x, to=ir.DataType.BOOL), x)
        return emit.op("ReduceSum", counted, along, keepdims=kept)
    total = emit.op("ReduceSum", _powers(emit, x, order), along, keepdims=kept)
    if order < 0:
        return emit.op("Pow", total, emit.floats(1 / order, x))
    return _apart_from_zero(emit, total, 0.0, 1 / order, like=x)


def _powers(emit: Emit, x: ir.Value, order: float) -> ir.Value:
    """|x|^p."""
    if order > 0 and order % 2 == 0:
        return emit.op("Pow", x, emit.floats(order, x))
    size = emit.op("Abs", x)
    if order > 1:
        return emit.op("Pow", size, emit.floats(order, x))
    return _apart_from_zero(emit, size, 0.0 if order > 0 else inf, order, like=x)


def _apart_from_zero(emit: Emit, x: ir.Value, at_zero: float, exponent: float, *, like: ir.Value) -> ir.Value:
    """A power whose slope at zero, which may be infinite, is taken for zero; ``like`` has its element type."""
    zero, one, number = (emit.floats(double, like) for double in (0.0, 1.0, exponent))
    none = emit.op("Equal", x, zero)
    power = emit.op("Pow", emit.op("Where", none, one, x), number)
    return emit.op("Where", none, emit.floats(at_zero, like), power)


def _vector_norm(
    emit: Emit,
    x: ir.Value,
    order: float = 2.0,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: int = -1,
) -> ir.Value:
    """Of all elements where no axes are given; ``dtype`` is a number of ONNX's element types."""
    given = x
    if dtype != -1:
        given = emit.op("Cast", x, to=dtype)
        given.dtype, given.shape = ir.DataType(dtype), x.shape
    if not rank(x):
        one = emit.op("Reshape", given, emit.ints(1))
        one.shape, one.type = ir.Shape([1]), given.type
        return length(emit, one, float(order), [0])
    axes = [dim] if isinstance(dim, int) else list(dim or range(rank(x)))
    return length(emit, given, float(order), axes, keepdims=keepdim)


ROWS: dict[str, Callable[..., Any]] = {"aten.linalg_vector_norm.default": _vector_norm}
