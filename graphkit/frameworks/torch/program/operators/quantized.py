"""Quantisation of PyTorch 2's export flow, ``quantized_decomposed``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]


def _check_range(quant_min: int, quant_max: int, dtype: ir.DataType) -> None:
    """Refuse a range of numbers that is narrower than that of the element type, which ONNX saturates to."""
    if dtype not in (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16):
        raise UnfitError(f"ONNX does not quantise to {dtype.name.lower()}")
    limits = np.iinfo(dtype.numpy())
    if (quant_min, quant_max) != (limits.min, limits.max):
        raise UnfitError(f"it saturates at {quant_min} and {quant_max}, ONNX at {limits.min} and {limits.max}")


def _parameters(
    emit: Recorder, scale: float | ir.Value, zero_point: int | ir.Value, dtype: ir.DataType
) -> tuple[ir.Value, ir.Value]:
    return emit.operand(scale, ir.DataType.FLOAT), emit.operand(zero_point, dtype)


def _quantize(
    emit: Recorder,
    x: ir.Value,
    scale: float | ir.Value,
    zero_point: int | ir.Value,
    quant_min: int,
    quant_max: int,
    dtype: ir.DataType,
) -> ir.Value:
    _check_range(quant_min, quant_max, dtype)
    return emit.op("QuantizeLinear", x, *_parameters(emit, scale, zero_point, dtype))


def _dequantize(
    emit: Recorder,
    x: ir.Value,
    scale: float | ir.Value,
    zero_point: int | ir.Value,
    quant_min: int,  # noqa: ARG001 -- nothing saturates
    quant_max: int,  # noqa: ARG001
    dtype: ir.DataType,
    out_dtype: Any = None,  # noqa: ARG001 -- that of the result
) -> ir.Value:
    result = emit.op("DequantizeLinear", x, *_parameters(emit, scale, zero_point, dtype))
    return emit.op("Cast", result, to=emit.dtype) if emit.dtype != ir.DataType.FLOAT else result


def _quantize_channels(
    emit: Recorder,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: ir.DataType,
) -> ir.Value:
    _check_range(quant_min, quant_max, dtype)
    return emit.op("QuantizeLinear", x, *_parameters(emit, scales, zero_points, dtype), axis=axis)


def _dequantize_channels(
    emit: Recorder,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value | None,
    axis: int,
    quant_min: int,  # noqa: ARG001 -- nothing saturates
    quant_max: int,  # noqa: ARG001
    dtype: ir.DataType,
    out_dtype: Any = None,  # noqa: ARG001 -- that of the result
) -> ir.Value:
    scale, zero = _parameters(emit, scales, 0 if zero_points is None else zero_points, dtype)
    return emit.op("DequantizeLinear", x, scale, None if zero_points is None else zero, axis=axis)


ROWS: dict[str, Callable[..., Any]] = {
    "quantized_decomposed.quantize_per_tensor": _quantize,
    "quantized_decomposed.dequantize_per_tensor": _dequantize,
    "quantized_decomposed.quantize_per_channel": _quantize_channels,
    "quantized_decomposed.dequantize_per_channel": _dequantize_channels,
}
