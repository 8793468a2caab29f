"""Element-wise operators and reductions."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _elu(emit: Emit, x: ir.Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> ir.Value:
    if input_scale == 1:
        result = emit.op("Elu", x, alpha=float(alpha))
    else:
        bent = emit.op("Exp", emit.op("Mul", emit.op("Min", x, emit.floats(0, x)), emit.floats(input_scale, x)))
        below = emit.op("Mul", emit.op("Sub", bent, emit.floats(1, x)), emit.floats(alpha, x))
        result = emit.op("Add", emit.op("Relu", x), below)
    return result if scale == 1 else emit.op("Mul", result, emit.floats(scale, x))


def _softplus(emit: Emit, x: ir.Value, beta: float = 1.0, threshold: float = 20.0) -> ir.Value:
    """log(1 + exp(βx)) / β.

    Beyond the threshold torch returns x, which is e^-threshold less; from 20 on that is left to the node.
    """
    scaled = x if beta == 1 else emit.op("Mul", x, emit.floats(beta, x))
    result = emit.op("Softplus", scaled)
    if beta != 1:
        result = emit.op("Mul", result, emit.floats(1 / beta, x))
    if threshold >= 20:
        return result
    return emit.op("Where", emit.op("Greater", scaled, emit.floats(threshold, x)), x, result)


def _log_sigmoid(emit: Emit, x: ir.Value) -> ir.Value:
    return emit.op("Neg", emit.op("Softplus", emit.op("Neg", x)))


def _log_sigmoid_forward(emit: Emit, x: ir.Value) -> list[ir.Value]:
    return [_log_sigmoid(emit, x), *emit.untranslated("buffer of log_sigmoid", 1, x)]


def _hypot(emit: Emit, x: ir.Value, other: ir.Value) -> ir.Value:
    return emit.op("Sqrt", emit.op("Add", emit.op("Mul", x, x), emit.op("Mul", other, other)))


def _logaddexp(emit: Emit, x: ir.Value, other: ir.Value) -> ir.Value:
    gap = emit.op("Abs", emit.op("Sub", x, other))
    return emit.op("Add", emit.op("Max", x, other), emit.op("Softplus", emit.op("Neg", gap)))


def _sign_bit(emit: Emit, x: ir.Value) -> ir.Value:
    """Whether a number is negative; −0 is, and its reciprocal tells."""
    if x.dtype is None or not x.dtype.is_floating_point():
        return emit.op("Less", x, emit.op("CastLike", emit.array(np.asarray(0)), x))
    zero = emit.floats(0, x)
    below = emit.op("Less", x, zero)
    return emit.op("Or", below, emit.op("Less", emit.op("Reciprocal", x), zero))


def _copysign(emit: Emit, x: ir.Value, other: ir.Value) -> ir.Value:
    if x.dtype is None or not x.dtype.is_floating_point():
        return emit.untranslated("copysign of integers", 1, x, other)[0]
    size = emit.op("Abs", x)
    return emit.op("Where", _sign_bit(emit, other), emit.op("Neg", size), size)


def _copysign_number(emit: Emit, x: ir.Value, other: float) -> ir.Value:
    size = emit.op("Abs", x)
    return emit.op("Neg", size) if np.signbit(other) else size


def _subtracted_from(emit: Emit, x: ir.Value, other: ir.Value | float, alpha: ir.Value | float = 1) -> ir.Value:
    """``other - alpha · x``; in the ``sub`` it would become, torch.onnx cannot promote a number that comes first."""
    assert x.dtype is not None
    if not x.dtype.is_floating_point() and any(map(_is_float, (other, alpha))):
        x = emit.op("Cast", x, to=ir.DataType.FLOAT)
        x.dtype = ir.DataType.FLOAT
    scaled = x if isinstance(alpha, int | float) and alpha == 1 else emit.op("Mul", x, _like(emit, alpha, x))
    return emit.op("Sub", _like(emit, other, x), scaled)


def _is_float(number: ir.Value | float) -> bool:
    if isinstance(number, ir.Value):
        return number.dtype is not None and number.dtype.is_floating_point()
    return isinstance(number, float)


def _like(emit: Emit, number: ir.Value | float, like: ir.Value) -> ir.Value:
    """A number as an array of the element type of ``like``."""
    assert like.dtype is not None
    if isinstance(number, ir.Value):
        return emit.op("CastLike", number, like)
    if like.dtype.is_floating_point():
        return emit.floats(number, like)
    return emit.array(np.asarray(number).astype(like.dtype.numpy()))


def _ignoring_nan(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Emit, x: ir.Value, other: ir.Value) -> ir.Value:
        both = emit.op(op_type, x, other)
        right = emit.op("Where", emit.op("IsNaN", other), x, both)
        return emit.op("Where", emit.op("IsNaN", x), other, right)

    return row


def _variance(
    emit: Emit,
    x: ir.Value,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> ir.Value:
    return _moments(emit, x, dim, correction, keepdim)[0]


def _deviation(
    emit: Emit,
    x: ir.Value,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> ir.Value:
    """A root whose gradient is 0 where the variance is, as torch's is."""
    variance = _variance(emit, x, dim, correction=correction, keepdim=keepdim)
    none = emit.op("Cast", emit.op("Equal", variance, emit.floats(0, x)), to=x.dtype)
    return emit.op("Sub", emit.op("Sqrt", emit.op("Add", variance, none)), none)


def _variance_mean(
    emit: Emit,
    x: ir.Value,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> list[ir.Value]:
    variance, axes = _moments(emit, x, dim, correction, keepdim)
    return [variance, emit.op("ReduceMean", x, axes, keepdims=int(keepdim))]


def _moments(
    emit: Emit, x: ir.Value, dim: Sequence[int] | None, correction: float | None, keepdim: bool
) -> tuple[ir.Value, ir.Value]:
    correction = 1.0 if correction is None else float(correction)
    over = sorted(axis % max(rank(x), 1) for axis in dim) if dim else list(range(rank(x)))
    axes = emit.ints(*over)
    centred = emit.op("Sub", x, emit.op("ReduceMean", x, axes, keepdims=1))
    variance = emit.op("ReduceMean", emit.op("Mul", centred, centred), axes, keepdims=int(keepdim))
    if correction == 0:
        return variance, axes
    counts = [known(x)[axis] for axis in over]
    if None not in counts:
        count = prod(size or 0 for size in counts)
        factor = count / (count - correction) if count > correction else float("nan")
        return emit.op("Mul", variance, emit.floats(factor, x)), axes
    total = emit.op("ReduceProd", emit.op("Gather", emit.op("Shape", x), axes), keepdims=0)
    assert x.dtype is not None
    size = emit.op("Cast", total, to=x.dtype)
    factor_value = emit.op("Div", size, emit.op("Sub", size, emit.floats(correction, x)))
    return emit.op("Mul", variance, factor_value), axes


def _extreme(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Emit, x: ir.Value, dim: Sequence[int] = (), keepdim: bool = False) -> ir.Value:
        axes = emit.ints(*dim) if dim else None
        return emit.op(op_type, x, axes, keepdims=int(keepdim))

    return row


ROWS: dict[str, Callable[..., Any]] = {
    "aten.amax.default": _extreme("ReduceMax"),
    "aten.amin.default": _extreme("ReduceMin"),
    "aten.copysign.Scalar": _copysign_number,
    "aten.copysign.Tensor": _copysign,
    "aten.elu.default": _elu,
    "aten.fmax.default": _ignoring_nan("Max"),
    "aten.fmin.default": _ignoring_nan("Min"),
    "aten.hypot.default": _hypot,
    "aten.log_sigmoid.default": _log_sigmoid,
    "aten.log_sigmoid_forward.default": _log_sigmoid_forward,
    "aten.logaddexp.default": _logaddexp,
    "aten.rsub.Scalar": _subtracted_from,
    "aten.signbit.default": _sign_bit,
    "aten.softplus.default": _softplus,
    "aten.std.correction": _deviation,
    "aten.var.correction": _variance,
    "aten.var_mean.correction": _variance_mean,
}
