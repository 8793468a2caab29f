"""Element-wise operators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

_UNARY: Final = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "isinf": "IsInf",
    "isnan": "IsNaN",
    "log": "Log",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "round.default": "Round",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "special_erf": "Erf",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}
_FLOATING: Final = frozenset(_UNARY) - {
    "abs",
    "ceil",
    "floor",
    "isinf",
    "isnan",
    "neg",
    "relu",
    "round.default",
    "sign",
}
"""Operators that compute integers in floats."""
_BINARY: Final = {
    "maximum": "Max",
    "minimum": "Min",
    "max.other": "Max",
    "min.other": "Min",
    "mul": "Mul",
    "multiply": "Mul",
}
_CASTS: Final = (
    "to", "_to_copy", "type_as", "contiguous", "clone", "alias", "alias_copy", "lift",
    "lift_fresh", "lift_fresh_copy", "positive", "resolve_conj", "resolve_neg", "_autocast_to_full_precision",
    "_autocast_to_reduced_precision",
)  # fmt: skip
"""Operators that change nothing, but may give another element type."""
_COMPARE: Final = {"eq": "Equal", "ge": "GreaterOrEqual", "gt": "Greater", "le": "LessOrEqual", "lt": "Less"}
_SPELLINGS: Final = {"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le"}
_LOGIC: Final = {"and": "And", "or": "Or", "xor": "Xor"}


def _unary(op_type: str, floating: bool) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value) -> ir.Value:
        if op_type in ("IsInf", "IsNaN") and (x.dtype is None or not x.dtype.is_floating_point()):
            raise UnfitError("no integer is that")
        return emit.op(op_type, emit.operand(x, emit.dtype) if floating else x)

    return row


def _binary(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, other: ir.Value | float) -> ir.Value:
        to = emit.dtype
        if to == ir.DataType.BOOL:
            return emit.op({"Mul": "And", "Max": "Or", "Min": "And"}[op_type], _bool(emit, x), _bool(emit, other))
        return emit.op(op_type, emit.operand(x, to), emit.operand(other, to))

    return row


def _bool(emit: Recorder, given: ir.Value | float) -> ir.Value:
    return emit.operand(given if isinstance(given, ir.Value) else bool(given), ir.DataType.BOOL)


def _sum(op_type: str, swapped: bool = False) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value | float, other: ir.Value | float, alpha: float = 1) -> ir.Value:
        to = emit.dtype
        if to == ir.DataType.BOOL:
            if op_type != "Add" or alpha != 1:
                raise UnfitError("ONNX adds no booleans")
            return emit.op("Or", _bool(emit, x), _bool(emit, other))
        a, b = emit.operand(x, to), emit.operand(other, to)
        if swapped:
            a, b = b, a
        if alpha != 1:
            b = emit.op("Mul", b, emit.operand(alpha, to))
        return emit.op(op_type, a, b)

    return row


def _divide(emit: Recorder, x: ir.Value, other: ir.Value | float, rounding_mode: str | None = None) -> ir.Value:
    to = emit.dtype
    quotient = emit.op("Div", emit.operand(x, to), emit.operand(other, to))
    if rounding_mode is None:
        return quotient
    if not to.is_floating_point():
        raise UnfitError("ONNX rounds quotients of integers towards zero, in one way on each runtime")
    if rounding_mode != "floor":
        raise UnfitError("ONNX has no truncation")
    return emit.op("Floor", quotient)


def _remainder(fmod: bool) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, other: ir.Value | float) -> ir.Value:
        to = emit.dtype
        if to.is_floating_point() and not fmod:
            raise UnfitError("ONNX has no remainder of floats with the sign of the divisor")
        return emit.op("Mod", emit.operand(x, to), emit.operand(other, to), fmod=int(fmod))

    return row


def _power(emit: Recorder, x: ir.Value | float, exponent: ir.Value | float) -> ir.Value:
    to = emit.dtype
    return emit.op("Pow", emit.operand(x, to), emit.operand(exponent, to))


def _square(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Mul", x, x)


def _common(x: ir.Value, other: ir.Value | float) -> ir.DataType:
    """The element type that two operands are compared in: torch's promotion."""
    if x.dtype is None:
        raise UnfitError("ONNX has no such element type")
    if not isinstance(other, ir.Value):
        if isinstance(other, float) and not x.dtype.is_floating_point():
            return ir.DataType.FLOAT
        return ir.DataType.INT64 if x.dtype == ir.DataType.BOOL and not isinstance(other, bool) else x.dtype
    if other.dtype is None:
        raise UnfitError("ONNX has no such element type")
    if x.dtype == other.dtype:
        return x.dtype
    kinds = [_category(value.dtype) for value in (x, other)]
    if kinds[0] == kinds[1] and (rank(x) == 0) != (rank(other) == 0):
        return other.dtype if rank(x) == 0 else x.dtype
    if kinds[0] != kinds[1]:
        return x.dtype if kinds[0] > kinds[1] else other.dtype
    return ir.DataType.from_numpy(np.result_type(x.dtype.numpy(), other.dtype.numpy()))


def _category(dtype: ir.DataType | None) -> int:
    if dtype == ir.DataType.BOOL:
        return 0
    return 2 if dtype is not None and dtype.is_floating_point() else 1


def _compare(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, other: ir.Value | float) -> ir.Value:
        to = _common(x, other)
        if to == ir.DataType.BOOL and op_type != "Equal":
            raise UnfitError("ONNX orders no booleans")
        return emit.op(op_type, emit.operand(x, to), emit.operand(other, to))

    return row


def _unequal(emit: Recorder, x: ir.Value, other: ir.Value | float) -> ir.Value:
    return emit.op("Not", _compare("Equal")(emit, x, other))


def _logic(op_type: str, bitwise: bool) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, other: ir.Value | float) -> ir.Value:
        to = emit.dtype if bitwise else ir.DataType.BOOL
        a, b = emit.operand(x, to), emit.operand(other, to)
        return emit.op(op_type if to == ir.DataType.BOOL else f"Bitwise{op_type}", a, b)

    return row


def _not(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Not", x) if x.dtype == ir.DataType.BOOL else emit.op("BitwiseNot", x)


def _logical_not(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Not", emit.operand(x, ir.DataType.BOOL))


def _where(emit: Recorder, condition: ir.Value, x: ir.Value | float, other: ir.Value | float) -> ir.Value:
    to = emit.dtype
    return emit.op("Where", emit.operand(condition, ir.DataType.BOOL), emit.operand(x, to), emit.operand(other, to))


def _masked_fill(emit: Recorder, x: ir.Value, mask: ir.Value, value: ir.Value | float) -> ir.Value:
    to = emit.dtype
    return emit.op("Where", emit.operand(mask, ir.DataType.BOOL), emit.operand(value, to), emit.operand(x, to))


def _clip(emit: Recorder, x: ir.Value, min: Any = None, max: Any = None) -> ir.Value:  # noqa: A002 -- ATen's names
    to = emit.dtype
    bounds = [None if bound is None else emit.operand(bound, to) for bound in (min, max)]
    x = emit.operand(x, to)
    if all(bound is None or rank(bound) == 0 for bound in bounds):
        return emit.op("Clip", x, *bounds)
    for op_type, bound in zip(("Max", "Min"), bounds, strict=True):
        x = x if bound is None else emit.op(op_type, x, bound)
    return x


def _hardtanh(emit: Recorder, x: ir.Value, min_val: float = -1, max_val: float = 1) -> ir.Value:
    return _clip(emit, x, min_val, max_val)


def _relu6(emit: Recorder, x: ir.Value) -> ir.Value:
    return _clip(emit, x, 0, 6)


def _gelu(emit: Recorder, x: ir.Value, approximate: str = "none") -> ir.Value:
    return emit.op("Gelu", x, approximate=approximate)


def _leaky(emit: Recorder, x: ir.Value, negative_slope: float = 0.01) -> ir.Value:
    return emit.op("LeakyRelu", x, alpha=float(negative_slope))


def _celu(emit: Recorder, x: ir.Value, alpha: float = 1.0) -> ir.Value:
    return emit.op("Celu", x, alpha=float(alpha))


def _plain(op_type: str, **attrs: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value) -> ir.Value:
        return emit.op(op_type, x, **attrs)

    return row


def _prelu(emit: Recorder, x: ir.Value, weight: ir.Value) -> ir.Value:
    """A slope of each channel, which ONNX asks to broadcast from the last axis."""
    if rank(x) > 2 and rank(weight) == 1 and known(weight)[0] != 1:
        weight = emit.op("Reshape", weight, emit.ints(1, known(weight)[0] or -1, *[1] * (rank(x) - 2)))
    return emit.op("PRelu", x, weight)


def _silu(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Mul", x, emit.op("Sigmoid", x))


def _rsqrt(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Reciprocal", emit.op("Sqrt", emit.operand(x, emit.dtype)))


def _shrink(soft: bool) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, lambd: float = 0.5) -> ir.Value:
        return emit.op("Shrink", x, lambd=float(lambd), bias=float(lambd) if soft else 0.0)

    return row


def _threshold(emit: Recorder, x: ir.Value, threshold: float, value: float) -> ir.Value:
    if value != 0:
        kept = emit.op("Greater", x, emit.operand(threshold, emit.dtype))
        return emit.op("Where", kept, x, emit.operand(value, emit.dtype))
    return emit.op("ThresholdedRelu", x, alpha=float(threshold))


def _softmax(op_type: str) -> Callable[..., ir.Value]:
    def row(
        emit: Recorder,
        x: ir.Value,
        dim: int,
        dtype: ir.DataType | None = None,  # noqa: ARG001 -- that of the result
        half_to_float: bool = False,  # noqa: ARG001 -- the same
    ) -> ir.Value:
        if not rank(x):
            raise UnfitError("ONNX has no softmax of a scalar")
        return emit.op(op_type, emit.operand(x, emit.dtype), axis=dim)

    return row


def _glu(emit: Recorder, x: ir.Value, dim: int = -1) -> ir.Value:
    halves = emit.ops("Split", 2, x, axis=dim, num_outputs=2)
    return emit.op("Mul", halves[0], emit.op("Sigmoid", halves[1]))


def _log_of(base: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value) -> ir.Value:
        to = emit.dtype
        return emit.op("Div", emit.op("Log", emit.operand(x, to)), emit.operand(math.log(base), to))

    return row


def _exp2(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Pow", emit.operand(2.0, emit.dtype), emit.operand(x, emit.dtype))


def _erfc(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.op("Sub", emit.operand(1.0, emit.dtype), emit.op("Erf", emit.operand(x, emit.dtype)))


def _scaled(factor: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value) -> ir.Value:
        return emit.op("Mul", emit.operand(x, emit.dtype), emit.operand(factor, emit.dtype))

    return row


def _add_combined(op_type: str) -> Callable[..., ir.Value]:
    """X + value · (tensor1 op tensor2)."""

    def row(emit: Recorder, x: ir.Value, tensor1: ir.Value, tensor2: ir.Value, value: float = 1) -> ir.Value:
        to = emit.dtype
        added = emit.op(op_type, emit.operand(tensor1, to), emit.operand(tensor2, to))
        if value != 1:
            added = emit.op("Mul", added, emit.operand(value, to))
        return emit.op("Add", emit.operand(x, to), added)

    return row


def _lerp(emit: Recorder, x: ir.Value, end: ir.Value, weight: ir.Value | float) -> ir.Value:
    step = emit.op("Mul", emit.operand(weight, emit.dtype), emit.op("Sub", end, x))
    return emit.op("Add", x, step)


def _cast(emit: Recorder, x: ir.Value, *_rest: Any) -> ir.Value:
    return emit.operand(x, emit.dtype)


def _detach(emit: Recorder, x: ir.Value) -> ir.Value:
    return emit.detached(x)


ROWS: dict[str, Callable[..., Any]] = {
    **{name: _unary(op_type, name in _FLOATING) for name, op_type in _UNARY.items()},
    **{name: _binary(op_type) for name, op_type in _BINARY.items()},
    **{name: _compare(op_type) for name, op_type in _COMPARE.items()},
    **{name: _compare(_COMPARE[plain]) for name, plain in _SPELLINGS.items()},
    **{
        name: _logic(op_type, bitwise)
        for word, op_type in _LOGIC.items()
        for name, bitwise in ((f"logical_{word}", False), (f"bitwise_{word}", True), (f"__{word}__", True))
    },
    **dict.fromkeys(_CASTS, _cast),
    "detach": _detach,
    "detach_copy": _detach,
    "add": _sum("Add"),
    "subtract": _sum("Sub"),
    "sub": _sum("Sub"),
    "rsub": _sum("Sub", swapped=True),
    "div": _divide,
    "divide": _divide,
    "true_divide": _divide,
    "remainder": _remainder(fmod=False),
    "fmod": _remainder(fmod=True),
    "pow": _power,
    "square": _square,
    "ne": _unequal,
    "not_equal": _unequal,
    "bitwise_not": _not,
    "logical_not": _logical_not,
    "where.self": _where,
    "where.ScalarSelf": _where,
    "where.ScalarOther": _where,
    "where.Scalar": _where,
    "masked_fill": _masked_fill,
    "clamp": _clip,
    "clip": _clip,
    "clamp_min": lambda emit, x, min: _clip(emit, x, min),  # noqa: A006 -- ATen's names
    "clamp_max": lambda emit, x, max: _clip(emit, x, None, max),  # noqa: A006
    "hardtanh": _hardtanh,
    "relu6": _relu6,
    "gelu": _gelu,
    "leaky_relu": _leaky,
    "celu": _celu,
    "selu": _plain("Selu"),
    "mish": _plain("Mish"),
    "hardswish": _plain("HardSwish"),
    "hardsigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "silu": _silu,
    "rsqrt": _rsqrt,
    "hardshrink": _shrink(soft=False),
    "softshrink": _shrink(soft=True),
    "threshold": _threshold,
    "softmax.int": _softmax("Softmax"),
    "_softmax": _softmax("Softmax"),
    "log_softmax.int": _softmax("LogSoftmax"),
    "_log_softmax": _softmax("LogSoftmax"),
    "glu": _glu,
    "log2": _log_of(2),
    "log10": _log_of(10),
    "exp2": _exp2,
    "erfc": _erfc,
    "deg2rad": _scaled(math.pi / 180),
    "rad2deg": _scaled(180 / math.pi),
    "addcmul": _add_combined("Mul"),
    "addcdiv": _add_combined("Div"),
    "lerp": _lerp,
}
