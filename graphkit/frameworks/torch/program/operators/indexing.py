"""Indexing, gathering and scattering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

_INTEGERS = (ir.DataType.INT32, ir.DataType.INT64)


def _select(emit: Recorder, x: ir.Value, dim: int, index: int | ir.Value) -> ir.Value:
    return emit.op("Gather", x, emit.operand(index, ir.DataType.INT64), axis=dim)


def _index_select(emit: Recorder, x: ir.Value, dim: int, index: ir.Value) -> ir.Value:
    if not rank(x):
        raise UnfitError("it indexes a scalar")
    return emit.op("Gather", x, index, axis=dim)


def _gather(emit: Recorder, x: ir.Value, dim: int, index: ir.Value, sparse_grad: bool = False) -> ir.Value:  # noqa: ARG001
    if not rank(x):
        raise UnfitError("it indexes a scalar")
    return emit.op("GatherElements", x, index, axis=dim)


def _index(emit: Recorder, x: ir.Value, indices: Sequence[ir.Value | None]) -> ir.Value:
    used = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(used) != 1 or used[0][1].dtype not in _INTEGERS:
        raise UnfitError("indices of several axes, or truth values, are several ONNX operators")
    return emit.op("Gather", x, used[0][1], axis=used[0][0])


def _index_put(emit: Recorder, *_given: Any, **_named: Any) -> ir.Value:  # noqa: ARG001
    raise UnfitError("writing to indices is several ONNX operators")


def _scatter(emit: Recorder, x: ir.Value, dim: int, index: ir.Value, src: ir.Value) -> ir.Value:
    return _scattered(emit, x, dim, index, src, None)


def _scatter_add(emit: Recorder, x: ir.Value, dim: int, index: ir.Value, src: ir.Value) -> ir.Value:
    return _scattered(emit, x, dim, index, src, "add")


def _scatter_value(emit: Recorder, x: ir.Value, dim: int, index: ir.Value, value: float) -> ir.Value:
    return _scattered(
        emit, x, dim, index, emit.op("Expand", emit.operand(value, emit.dtype), emit.op("Shape", index)), None
    )


def _scattered(
    emit: Recorder, x: ir.Value, dim: int, index: ir.Value, src: ir.Value, reduction: str | None
) -> ir.Value:
    if not rank(x) or src.shape != index.shape:
        raise UnfitError("it reads part of what it scatters")
    return emit.op("ScatterElements", x, index, src, axis=dim, reduction=reduction)


def _nonzero(emit: Recorder, x: ir.Value) -> ir.Value:
    if not rank(x):
        raise UnfitError("ONNX indexes scalars otherwise")
    return emit.op("Transpose", emit.op("NonZero", x), perm=[1, 0])


def _one_hot(emit: Recorder, x: ir.Value, num_classes: int = -1) -> ir.Value:
    if num_classes < 0 or not rank(x):
        raise UnfitError("its number of classes depends on data" if rank(x) else "ONNX has no OneHot of a scalar")
    return emit.op("OneHot", x, emit.array(np.asarray(num_classes)), emit.array(np.asarray([0, 1])), axis=-1)


ROWS: dict[str, Callable[..., Any]] = {
    "select.int": _select,
    "index_select": _index_select,
    "gather": _gather,
    "index.Tensor": _index,
    "index_put": _index_put,
    "_unsafe_index_put": _index_put,
    "_unsafe_index": _index,
    "scatter.src": _scatter,
    "scatter.value": _scatter_value,
    "scatter_add": _scatter_add,
    "nonzero": _nonzero,
    "one_hot": _one_hot,
}
