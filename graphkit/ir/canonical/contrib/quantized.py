"""ONNX Runtime's operators on quantized numbers: dequantize, compute in floats, quantize again.

That is how ONNX Runtime defines them. Its kernels fold scales into one factor, so that a number that lies between two
steps may fall to the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.canonical.contrib.parts import (
    integer,
    ints,
    needed,
    number,
    operand,
    rank_of,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]


def _dequantized(edit: Editor, place: int) -> ir.Value:
    """An operand, its scale and its zero point, one after the other, as floats."""
    return edit.op("DequantizeLinear", needed(edit, place), needed(edit, place + 1), operand(edit, place + 2))


def _quantized(edit: Editor, floats: ir.Value, scale: int) -> ir.Value:
    """Floats as integers by a scale and, behind it, a zero point; without one as the first operand's type, from 0."""
    zero = operand(edit, scale + 1)
    kind = needed(edit, 0).dtype if zero is None else None
    output = None if kind is None else int(kind)
    return edit.op("QuantizeLinear", floats, needed(edit, scale), zero, output_dtype=output)


def _elementwise(op: str) -> Expansion:
    """A, its scale and zero point, B with its own, the result's."""

    def expand(edit: Editor) -> None:
        made = edit.op(op, _dequantized(edit, 0), _dequantized(edit, 3))
        edit.replace(_quantized(edit, made, 6))

    return expand


def _unary(build: Callable[[Editor, ir.Value], ir.Value]) -> Expansion:
    """X, its scale and zero point, the result's."""

    def expand(edit: Editor) -> None:
        edit.replace(_quantized(edit, build(edit, _dequantized(edit, 0)), 3))

    return expand


def _leaky_relu(edit: Editor, x: ir.Value) -> ir.Value:
    return edit.op("LeakyRelu", x, alpha=float(number(edit, "alpha", 0.01)))


def _channels_first(edit: Editor, x: ir.Value, pool: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """A pooling of images that may have their channels last."""
    if not integer(edit, "channels_last"):
        return pool(x)
    rank = rank_of(x)
    made = pool(transposed(edit, x, 0, rank - 1, *range(1, rank - 1)))
    return transposed(edit, made, 0, *range(2, rank), 1)


def _average_pool(edit: Editor, x: ir.Value) -> ir.Value:
    names = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
    window: dict[str, Any] = {name: edit.node.attributes[name].value for name in names if name in edit.node.attributes}
    return _channels_first(edit, x, lambda planes: edit.op("AveragePool", planes, **window))


def _global_average_pool(edit: Editor, x: ir.Value) -> ir.Value:
    return _channels_first(edit, x, lambda planes: edit.op("GlobalAveragePool", planes))


def _reduce_mean(edit: Editor, x: ir.Value) -> ir.Value:
    axes = ints(edit, "axes")
    given = edit.const("axes", list(axes)) if axes else None
    return edit.op("ReduceMean", x, given, keepdims=integer(edit, "keepdims", 1))


def _softmax(edit: Editor, x: ir.Value) -> ir.Value:
    """Along one axis; before opset 13 over all axes from it on as one."""
    axis = integer(edit, "axis", -1 if integer(edit, "opset", 13) >= 13 else 1)
    rank = rank_of(x)
    axis = axis + rank if axis < 0 else axis
    if integer(edit, "opset", 13) >= 13 or axis == rank - 1:
        return edit.op("Softmax", x, axis=axis)
    flat = edit.op("Softmax", edit.op("Flatten", x, axis=axis), axis=-1)
    return edit.op("Reshape", flat, edit.op("Shape", x))


def _concat(edit: Editor) -> None:
    """The result's scale and zero point, then each part with its own."""
    parts = [_dequantized(edit, place) for place in range(2, len(edit.node.inputs), 3)]
    made = edit.op("Concat", *parts, axis=integer(edit, "axis"))
    edit.replace(edit.op("QuantizeLinear", made, needed(edit, 0), needed(edit, 1)))


def _where(edit: Editor) -> None:
    """A condition; X and Y with their scales and zero points; the result's."""
    made = edit.op("Where", needed(edit, 0), _dequantized(edit, 1), _dequantized(edit, 4))
    edit.replace(edit.op("QuantizeLinear", made, needed(edit, 7), operand(edit, 8)))


def _quantize(edit: Editor) -> None:
    edit.replace(edit.op("QuantizeLinear", needed(edit, 0), needed(edit, 1), operand(edit, 2), **_laid(edit)))


def _dequantize(edit: Editor) -> None:
    edit.replace(edit.op("DequantizeLinear", needed(edit, 0), needed(edit, 1), operand(edit, 2), **_laid(edit)))


def _laid(edit: Editor) -> dict[str, Any]:
    """Which axis the scales belong to."""
    names = ("axis", "block_size")
    return {name: integer(edit, name) for name in names if name in edit.node.attributes}


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("com.microsoft", name): expansion
    for name, expansion in {
        "DequantizeLinear": _dequantize,
        "QLinearAdd": _elementwise("Add"),
        "QLinearAveragePool": _unary(_average_pool),
        "QLinearConcat": _concat,
        "QLinearGlobalAveragePool": _unary(_global_average_pool),
        "QLinearLeakyRelu": _unary(_leaky_relu),
        "QLinearMul": _elementwise("Mul"),
        "QLinearReduceMean": _unary(_reduce_mean),
        "QLinearSigmoid": _unary(lambda edit, x: edit.op("Sigmoid", x)),
        "QLinearSoftmax": _unary(_softmax),
        "QLinearWhere": _where,
        "QuantizeLinear": _quantize,
    }.items()
}
