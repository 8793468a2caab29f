"""Reductions, sums along an axis, and sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten import rows
from graphkit.frameworks.torch.aten.emit import known, rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

Axes = int | list[int] | None


def _has_axes(x: ir.Value) -> bool:
    return x.shape is None or bool(len(x.shape))


def _reduced(emit: Recorder, op_type: str, x: ir.Value, dim: Axes, keepdim: bool) -> ir.Value:
    axes = [dim] if isinstance(dim, int) else list(dim or ())
    if not _has_axes(x):
        return x
    given = (emit.ints(*axes),) if axes else ()
    return emit.op(op_type, x, *given, keepdims=int(keepdim), noop_with_empty_axes=0)


def _reduce(op_type: str, cast: bool = False) -> Callable[..., ir.Value]:
    def row(
        emit: Recorder,
        x: ir.Value,
        dim: Axes = None,
        keepdim: bool = False,
        dtype: ir.DataType | None = None,  # noqa: ARG001 -- that of the result
    ) -> ir.Value:
        return _reduced(emit, op_type, emit.operand(x, emit.dtype) if cast else x, dim, keepdim)

    return row


def _extreme(which: str) -> Callable[..., Any]:
    def row(emit: Recorder, x: ir.Value, dim: int | None = None, keepdim: bool = False) -> Any:
        values = _reduced(emit, f"Reduce{which}", x, dim, keepdim)
        if dim is None:
            return values
        if not rank(x):
            return [x, emit.array(np.asarray(0))]
        return [values, emit.op(f"Arg{which}", x, axis=dim, keepdims=int(keepdim), select_last_index=0)]

    return row


def _where_extreme(which: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, dim: int | None = None, keepdim: bool = False) -> ir.Value:
        if dim is None:
            if keepdim:
                raise UnfitError("all axes of its result are kept")
            x, dim = emit.op("Reshape", x, emit.ints(-1)), 0
        return emit.op(f"Arg{which}", x, axis=dim, keepdims=int(keepdim), select_last_index=0)

    return row


def _truth(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, dim: Axes = None, keepdim: bool = False) -> ir.Value:
        return _reduced(emit, op_type, emit.operand(x, ir.DataType.BOOL), dim, keepdim)

    return row


def _norm(
    emit: Recorder,
    x: ir.Value,
    ord: float = 2,  # noqa: A002 -- ATen's name
    dim: Axes = None,
    keepdim: bool = False,
    dtype: ir.DataType | None = None,  # noqa: ARG001 -- that of the result
) -> ir.Value:
    op_type = {1.0: "ReduceL1", 2.0: "ReduceL2"}.get(float(ord))
    if not rank(x) and ord:
        return emit.op("Abs", emit.operand(x, emit.dtype))
    if ord == float("inf"):
        return _reduced(emit, "ReduceMax", emit.op("Abs", emit.operand(x, emit.dtype)), dim, keepdim)
    if op_type is None:
        raise UnfitError(f"ONNX has no norm of order {ord}")
    return _reduced(emit, op_type, emit.operand(x, emit.dtype), dim, keepdim)


def _old_norm(
    emit: Recorder, x: ir.Value, p: float | None = 2, dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> ir.Value:
    return _norm(emit, x, 2 if p is None else p, dim, keepdim, dtype)


def _cumsum(emit: Recorder, x: ir.Value, dim: int, dtype: ir.DataType | None = None) -> ir.Value:  # noqa: ARG001
    given = emit.operand(x, emit.dtype)
    return emit.op("CumSum", given, emit.array(np.asarray(dim)), exclusive=0, reverse=0) if rank(x) else given


def _topk(
    emit: Recorder,
    x: ir.Value,
    k: int | ir.Value,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
) -> list[ir.Value]:
    if not rank(x):
        raise UnfitError("ONNX sorts no scalars")
    count = emit.size_list([k])
    return list(emit.ops("TopK", 2, x, count, axis=dim, largest=int(largest), sorted=int(sorted)))


def _sort(emit: Recorder, x: ir.Value, dim: int = -1, descending: bool = False) -> list[ir.Value]:
    if not rank(x) or known(x)[dim] is None:
        raise UnfitError("it sorts a free dimension")
    return _topk(emit, x, known(x)[dim] or 0, dim, descending)


def _sorted(emit: Recorder, x: ir.Value, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001
    return _sort(emit, x, dim, descending)


def _argsorted(emit: Recorder, x: ir.Value, stable: Any = None, dim: int = -1, descending: bool = False) -> ir.Value:  # noqa: ARG001
    return _sort(emit, x, dim, descending)[1]


def _argsort(emit: Recorder, x: ir.Value, dim: int = -1, descending: bool = False) -> ir.Value:
    return _sort(emit, x, dim, descending)[1]


def _einsum(emit: Recorder, equation: str, tensors: Sequence[ir.Value], path: Any = None) -> ir.Value:  # noqa: ARG001
    return emit.op("Einsum", *tensors, equation=equation)


def _spread(name: str) -> Callable[..., Any]:
    """A variance or deviation of the overloads that have ``unbiased`` in place of a correction."""

    def row(emit: Recorder, x: ir.Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Any:
        return rows()[f"aten.{name}.correction"](emit, x, dim, correction=int(unbiased), keepdim=keepdim)

    return row


def _spread_of_all(name: str) -> Callable[..., Any]:
    def row(emit: Recorder, x: ir.Value, unbiased: bool = True) -> Any:
        return _spread(name)(emit, x, None, unbiased)

    return row


ROWS: dict[str, Callable[..., Any]] = {
    **{f"{name}.dim": _spread(name) for name in ("std", "var", "var_mean")},
    **{f"{name}.default": _spread_of_all(name) for name in ("std", "var", "var_mean")},
    "mean": _reduce("ReduceMean", cast=True),
    "sum": _reduce("ReduceSum", cast=True),
    "prod": _reduce("ReduceProd", cast=True),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "logsumexp": _reduce("ReduceLogSumExp", cast=True),
    "max.default": _extreme("Max"),
    "min.default": _extreme("Min"),
    "max.dim": _extreme("Max"),
    "min.dim": _extreme("Min"),
    "argmax": _where_extreme("Max"),
    "argmin": _where_extreme("Min"),
    "any": _truth("ReduceMax"),
    "all": _truth("ReduceMin"),
    "linalg_vector_norm": _norm,
    "norm.ScalarOpt_dim": _old_norm,
    "norm.Scalar": _old_norm,
    "norm.ScalarOpt_dim_dtype": _old_norm,
    "cumsum": _cumsum,
    "topk": _topk,
    "sort.default": _sort,
    "sort.stable": _sorted,
    "argsort.default": _argsort,
    "argsort.stable": _argsorted,
    "einsum": _einsum,
}
