"""Integers with a scale and a zero point, as torch.export's quantizers write them: ``quantized_decomposed``.

Torch multiplies by the reciprocal of the scale where ONNX divides by it, so that a number within rounding of the middle
between two steps may fall to the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_INTEGERS = {
    "int8": ir.DataType.INT8,
    "uint8": ir.DataType.UINT8,
    "int16": ir.DataType.INT16,
    "uint16": ir.DataType.UINT16,
}
"""What QuantizeLinear rounds to."""


def _integer(dtype: Any) -> ir.DataType | None:
    """The ONNX type of integers of a torch type, or of an ONNX number."""
    name = ir.DataType(dtype).numpy().name if isinstance(dtype, int) else str(dtype).removeprefix("torch.")
    return _INTEGERS.get(name)


def _scale(emit: Emit, scale: ir.Value | float) -> ir.Value:
    """A step of the whole tensor, 0-d."""
    if not isinstance(scale, ir.Value):
        return emit.array(np.asarray(scale, np.float32))
    single = emit.op("Cast", scale, to=ir.DataType.FLOAT)
    return emit.op("Reshape", single, emit.ints()) if scale.shape is None or rank(scale) else single


def _zero(emit: Emit, zero: ir.Value | int, kind: ir.DataType) -> ir.Value:
    """A zero point of the whole tensor, 0-d."""
    if not isinstance(zero, ir.Value):
        return emit.array(np.asarray(zero, kind.numpy()))
    cast = emit.op("Cast", zero, to=kind)
    return emit.op("Reshape", cast, emit.ints()) if zero.shape is None or rank(zero) else cast


def _quantize(
    emit: Emit, x: ir.Value, scale: ir.Value | float, zero: ir.Value | int, low: int, high: int, dtype: Any
) -> ir.Value:
    kind = _integer(dtype)
    if kind is None:
        return emit.untranslated(f"quantize_per_tensor to {dtype}", 1, x)[0]
    single = x if x.dtype == ir.DataType.FLOAT else emit.op("Cast", x, to=ir.DataType.FLOAT)
    made = emit.op("QuantizeLinear", single, _scale(emit, scale), _zero(emit, zero, kind))
    limits = np.iinfo(kind.numpy())
    if low <= limits.min and high >= limits.max:
        return made
    return emit.op("Clip", made, *(emit.array(np.asarray(end, kind.numpy())) for end in (low, high)))


def _dequantize(
    emit: Emit,
    x: ir.Value,
    scale: ir.Value | float,
    zero: ir.Value | int,
    _low: int,
    _high: int,
    dtype: Any,
    out_dtype: Any = None,
) -> ir.Value:
    kind = _integer(dtype)
    if kind is None:
        return emit.untranslated(f"dequantize_per_tensor of {dtype}", 1, x)[0]
    made = emit.op("DequantizeLinear", x, _scale(emit, scale), _zero(emit, zero, kind))
    if out_dtype is None:
        return made
    wanted = ir.DataType(out_dtype) if isinstance(out_dtype, int) else _FLOATS[str(out_dtype)]
    return made if wanted == ir.DataType.FLOAT else emit.op("Cast", made, to=wanted)


_FLOATS = {
    "torch.float16": ir.DataType.FLOAT16,
    "torch.bfloat16": ir.DataType.BFLOAT16,
    "torch.float32": ir.DataType.FLOAT,
    "torch.float64": ir.DataType.DOUBLE,
}


def _choose(emit: Emit, x: ir.Value, low: int, high: int, eps: float, dtype: Any) -> list[ir.Value]:
    """The step and zero point in which integers span what a tensor holds, and zero; lists of one."""
    kind = _integer(dtype)
    if kind is None:
        return emit.untranslated(f"choose_qparams for {dtype}", 2, x)
    ends = _ends(emit, x)
    span = emit.op("Sub", ends[1], ends[0])
    scale = emit.op("Div", span, emit.array(np.asarray([high - low], np.float32)))
    scale = emit.op("Max", scale, emit.array(np.asarray([eps], np.float32)))
    below = emit.op("Cast", emit.op("Round", emit.op("Div", ends[0], scale)), to=ir.DataType.INT64)
    zero = emit.op("Sub", emit.ints(low), below)
    zero = emit.op("Max", emit.op("Min", zero, emit.ints(high)), emit.ints(low))
    return [emit.op("Cast", scale, to=ir.DataType.DOUBLE), zero]


def _choose_symmetric(emit: Emit, x: ir.Value, low: int, high: int, eps: float, dtype: Any) -> list[ir.Value]:
    """The step in which integers span what a tensor holds on both sides of zero; lists of one."""
    kind = _integer(dtype)
    if kind is None:
        return emit.untranslated(f"choose_qparams_symmetric for {dtype}", 2, x)
    ends = _ends(emit, x)
    most = emit.op("Max", emit.op("Neg", ends[0]), ends[1])
    scale = emit.op("Div", most, emit.array(np.asarray([(high - low) / 2], np.float32)))
    scale = emit.op("Max", scale, emit.array(np.asarray([eps], np.float32)))
    zero = 128 if kind == ir.DataType.UINT8 else 0
    return [emit.op("Cast", scale, to=ir.DataType.DOUBLE), emit.ints(zero)]


def _ends(emit: Emit, x: ir.Value) -> Sequence[ir.Value]:
    """The smallest number of a tensor and zero, and the largest of it and zero; lists of one, in float32."""
    single = x if x.dtype == ir.DataType.FLOAT else emit.op("Cast", x, to=ir.DataType.FLOAT)
    flat, none = emit.op("Reshape", single, emit.ints(-1)), emit.array(np.zeros(1, np.float32))
    least, most = (emit.op(name, flat, keepdims=1) for name in ("ReduceMin", "ReduceMax"))
    return emit.op("Min", least, none), emit.op("Max", most, none)


ROWS: dict[str, Callable[..., Any]] = {
    "quantized_decomposed.choose_qparams.tensor": _choose,
    "quantized_decomposed.choose_qparams_symmetric.tensor": _choose_symmetric,
    "quantized_decomposed.dequantize_per_tensor.default": _dequantize,
    "quantized_decomposed.dequantize_per_tensor.tensor": _dequantize,
    "quantized_decomposed.quantize_per_tensor.default": _quantize,
    "quantized_decomposed.quantize_per_tensor.tensor": _quantize,
}
