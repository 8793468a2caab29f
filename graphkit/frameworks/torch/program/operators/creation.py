"""Tensors made of sizes and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

Size = int | ir.Value


def _filled(emit: Recorder, size: Sequence[Size], number: float | ir.Value) -> ir.Value:
    dtype = emit.dtype
    if isinstance(number, ir.Value):
        return emit.op("Expand", emit.operand(number, dtype), emit.size_list(size))
    value = ir.tensor(np.asarray([number]).astype(dtype.numpy()), dtype=dtype)
    return emit.op("ConstantOfShape", emit.size_list(size), value=value)


def _constant(number: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, size: Sequence[Size], dtype: Any = None) -> ir.Value:  # noqa: ARG001 -- that of the result
        return _filled(emit, size, number)

    return row


def _new(number: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, size: Sequence[Size], dtype: Any = None) -> ir.Value:  # noqa: ARG001
        return _filled(emit, size, number)

    return row


def _like(number: float) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, dtype: Any = None) -> ir.Value:  # noqa: ARG001
        return _shaped_like(emit, x, number)

    return row


def _shaped_like(emit: Recorder, x: ir.Value, number: float | ir.Value) -> ir.Value:
    sizes = emit.sizes
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return _filled(emit, known, number)
    if isinstance(number, ir.Value):
        return emit.op("Expand", emit.operand(number, emit.dtype), emit.op("Shape", x))
    value = ir.tensor(np.asarray([number]).astype(emit.dtype.numpy()), dtype=emit.dtype)
    return emit.op("ConstantOfShape", emit.op("Shape", x), value=value)


def _full(emit: Recorder, size: Sequence[Size], fill_value: float | ir.Value, dtype: Any = None) -> ir.Value:  # noqa: ARG001
    return _filled(emit, size, fill_value)


def _new_full(
    emit: Recorder,
    x: ir.Value,  # noqa: ARG001 -- that of the result
    size: Sequence[Size],
    fill_value: float | ir.Value,
    dtype: Any = None,  # noqa: ARG001
) -> ir.Value:
    return _filled(emit, size, fill_value)


def _full_like(emit: Recorder, x: ir.Value, fill_value: float | ir.Value, dtype: Any = None) -> ir.Value:  # noqa: ARG001
    return _shaped_like(emit, x, fill_value)


def _arange(emit: Recorder, start: Size | float, end: Size | float, step: Size | float, dtype: Any = None) -> ir.Value:  # noqa: ARG001
    to = emit.dtype
    return emit.op("Range", *(emit.operand(one, to) for one in (start, end, step)))


def _until(emit: Recorder, end: Size | float, dtype: Any = None) -> ir.Value:
    return _arange(emit, 0, end, 1, dtype)


def _from(
    emit: Recorder, start: Size | float, end: Size | float, step: Size | float = 1, dtype: Any = None
) -> ir.Value:
    return _arange(emit, start, end, step, dtype)


def _scalar(emit: Recorder, s: float | ir.Value, dtype: Any = None) -> ir.Value:  # noqa: ARG001
    return emit.operand(s, emit.dtype)


def _random_like(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, dtype: Any = None) -> ir.Value:  # noqa: ARG001
        return emit.op(op_type, x, dtype=emit.dtype)

    return row


def _random(op_type: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, size: Sequence[Size], dtype: Any = None) -> ir.Value:  # noqa: ARG001
        if not all(isinstance(one, int) for one in size):
            raise UnfitError("ONNX draws numbers of fixed shapes")
        return emit.op(op_type, shape=list(size), dtype=emit.dtype)

    return row


ROWS: dict[str, Callable[..., Any]] = {
    "zeros.default": _constant(0),
    "ones.default": _constant(1),
    "full.default": _full,
    "new_zeros": _new(0),
    "new_ones": _new(1),
    "new_full": _new_full,
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "full_like": _full_like,
    "fill.Scalar": lambda emit, x, value: _shaped_like(emit, x, value),
    "fill.Tensor": lambda emit, x, value: _shaped_like(emit, x, value),
    "zero": _like(0),
    "arange.default": _until,
    "arange.start": _from,
    "arange.start_step": _from,
    "scalar_tensor": _scalar,
    "rand_like.default": _random_like("RandomUniformLike"),
    "randn_like.default": _random_like("RandomNormalLike"),
    "rand.default": _random("RandomUniform"),
    "randn.default": _random("RandomNormal"),
}
