"""Places of values in sorted sequences, and whether they are among others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _count(emit: Emit, edges: ir.Value, values: ir.Value, right: bool, out_int32: bool) -> ir.Value:
    """How many edges are below each value, or not above it; the edges lie along an axis more at the end."""
    below = emit.op("LessOrEqual" if right else "Less", edges, emit.op("Unsqueeze", values, emit.ints(-1)))
    numbers = emit.op("Cast", below, to=ir.DataType.INT32 if out_int32 else ir.DataType.INT64)
    return emit.op("ReduceSum", numbers, emit.ints(-1), keepdims=0)


def _alike(emit: Emit, edges: ir.Value, values: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Both in float32 where they are of different types, as torch promotes integers beside it."""
    if edges.dtype == values.dtype:
        return edges, values
    floating = [value.dtype for value in (edges, values) if value.dtype is not None and value.dtype.is_floating_point()]
    to = floating[0] if floating else ir.DataType.INT64
    return tuple(value if value.dtype == to else emit.op("Cast", value, to=to) for value in (edges, values))  # type: ignore[return-value]  # two of them


def _searchsorted(
    emit: Emit,
    sorted_sequence: ir.Value,
    values: ir.Value,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: ir.Value | None = None,
) -> ir.Value:
    edges, values = _alike(emit, sorted_sequence, values)
    if sorter is not None:
        edges = emit.op("GatherElements", edges, sorter, axis=-1)
    if rank(sorted_sequence) > 1:
        edges = emit.op("Unsqueeze", edges, emit.ints(-2))
    return _count(emit, edges, values, right or side == "right", out_int32)


def _bucketize(
    emit: Emit, values: ir.Value, boundaries: ir.Value, *, out_int32: bool = False, right: bool = False
) -> ir.Value:
    edges, values = _alike(emit, boundaries, values)
    return _count(emit, edges, values, right, out_int32)


def _isin(
    emit: Emit,
    elements: ir.Value,
    among: ir.Value,
    *,
    assume_unique: bool = False,  # noqa: ARG001 -- a hint
    invert: bool = False,
) -> ir.Value:
    others, elements = _alike(emit, among, elements)
    flat = emit.op("Reshape", others, emit.ints(-1))
    equal = emit.op("Equal", emit.op("Unsqueeze", elements, emit.ints(-1)), flat)
    found = emit.op("ReduceMax", emit.op("Cast", equal, to=ir.DataType.INT32), emit.ints(-1), keepdims=0)
    found = emit.op("Cast", found, to=ir.DataType.BOOL)
    return emit.op("Not", found) if invert else found


def _every(emit: Emit, flags: ir.Value) -> ir.Value:
    """Whether all are true."""
    numbers = emit.op("Reshape", emit.op("Cast", flags, to=ir.DataType.INT32), emit.ints(-1))
    least = emit.op("ReduceMin", emit.op("Concat", numbers, emit.array(np.ones(1, np.int32)), axis=0), keepdims=0)
    return emit.op("Cast", least, to=ir.DataType.BOOL)


def _any(emit: Emit, flags: ir.Value) -> ir.Value:
    """Whether one is true."""
    return emit.op("Not", _every(emit, emit.op("Not", flags)))


def _searchsorted_number(emit: Emit, sorted_sequence: ir.Value, value: float, **how: Any) -> ir.Value:
    number = emit.floats(value, sorted_sequence)
    return _searchsorted(emit, sorted_sequence, number, **how)


ROWS: dict[str, Callable[..., Any]] = {
    "aten._is_all_true.default": _every,
    "aten._is_any_true.default": _any,
    "aten.bucketize.Tensor": _bucketize,
    "aten.isin.Tensor_Tensor": _isin,
    "aten.searchsorted.Scalar": _searchsorted_number,
    "aten.searchsorted.Tensor": _searchsorted,
}
