"""QuantizeLinear and DequantizeLinear: numbers as integers of few bits, and back.

The scale and zero point are of the whole tensor, of each index of an axis, or of each block along an axis. MXNet's own
``_contrib_quantize`` and ``_contrib_dequantize`` take ranges instead of scales and round halves away from zero; its
models are read by the forms of :mod:`graphkit.ops.quantized.ranges`, and written with plain arithmetic here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.quantized.rounding import (
    FLOAT8,
    constant_zero,
    held,
    kind_of,
    mx_aligned,
    mx_integers,
    mx_steps,
    torch_aligned,
    torch_integers,
    torch_scaled,
    torch_steps,
)
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.grad_sizes import joined, sizes_at
from graphkit.ops.tensor.sizes import axis_of, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_NAMES = {"float16": "half", "float32": "float", "float64": "double", "bfloat16": "bfloat16"}
"""Torch's methods that change a tensor's type."""


def _zero(node: ir.Node) -> ir.Value | None:
    return node.inputs[2] if len(node.inputs) > 2 else None


def _computed_in(b: MxBuilder | TorchBuilder, node: ir.Node) -> str:
    """The type in which QuantizeLinear divides: ``precision``, else the scale's own."""
    code = node.attributes.get_int("precision", 0)
    return ir.DataType(code).numpy().name if code else b.dtype(some(node.inputs[1])).name


def _result(node: ir.Node) -> ir.DataType:
    """What QuantizeLinear gives: the type of its zero point, else ``output_dtype``, else uint8."""
    zero = _zero(node)
    if zero is not None:
        return kind_of(zero)
    return ir.DataType(node.attributes.get_int("output_dtype", 0) or ir.DataType.UINT8)


def _torch_quantize(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    data, scale, zero_value = some(node.inputs[0]), some(node.inputs[1]), _zero(node)
    kind, dtype = _result(node), _computed_in(b, node)
    factor = torch_aligned(b, node, 1)
    zero = None if zero_value is None or constant_zero(b, zero_value) else torch_aligned(b, node, 2)
    if isinstance(factor, Refusal):
        return factor
    if isinstance(zero, Refusal):
        return zero
    if dtype not in _NAMES:
        return Refusal(f"torch does not divide in {dtype}")
    source: Arg = x[0]
    if b.dtype(data).name != dtype:
        source = b.method(_NAMES[dtype], source)
    if b.dtype(scale).name != dtype:
        factor = b.method(_NAMES[dtype], factor) if b.number(scale) is None else factor
    scaled = source if b.number(scale) == 1 else b.infix("/", source, torch_scaled(b, scale, factor))
    if kind in FLOAT8:
        if not node.attributes.get_int("saturate", 1):
            return Refusal("saturate=0 makes numbers that are too large NaN, and torch's casts to float8 may saturate")
        most = FLOAT8[kind]
        return b.method("to", b.method("clamp", scaled, -int(most), int(most)), b.torch_dtype(kind))
    if kind == ir.DataType.FLOAT4E2M1:
        return b.call("round_to_float4", scaled)
    if dtype in ("float16", "bfloat16"):
        scaled = b.method("float", scaled)
    return torch_steps(b, scaled, zero, zero_value, kind)


def _torch_dequantize(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    data, scale, zero_value = some(node.inputs[0]), some(node.inputs[1]), _zero(node)
    factor = torch_aligned(b, node, 1)
    zero = None if zero_value is None or constant_zero(b, zero_value) else torch_aligned(b, node, 2)
    if isinstance(factor, Refusal):
        return factor
    if isinstance(zero, Refusal):
        return zero
    source: Arg = x[0]
    if (array := b.value(data)) is not None and held(b, data) != array.dtype:
        source = b.const(array.astype(held(b, data)))
    own, wanted = b.dtype(scale).name, _dequantized(b, node)
    inner = "double" if own == "float64" else "float"
    if kind_of(data).is_floating_point():
        zero = None
    difference = torch_integers(b, source, zero, zero_value, inner)
    if own in ("float16", "bfloat16") and b.number(scale) is None:
        factor = b.method(inner, factor)
    result = difference if b.number(scale) == 1 else b.infix("*", difference, torch_scaled(b, scale, factor))
    return result if wanted == inner_dtype(inner) else b.method(_NAMES[wanted], result)


def inner_dtype(method: str) -> str:
    """The element type that a method of torch's makes."""
    return next(name for name, called in _NAMES.items() if called == method)


def _dequantized(b: MxBuilder | TorchBuilder, node: ir.Node) -> str:
    code = node.attributes.get_int("output_dtype", 0)
    return ir.DataType(code).numpy().name if code else b.dtype(some(node.inputs[1])).name


def _write_quantize(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, scale, zero_value = some(node.inputs[0]), some(node.inputs[1]), _zero(node)
    dtype = _computed_in(b, node)
    if dtype == "bfloat16":
        return Refusal("MXNet does not divide numbers of type bfloat16; quantize from float32")
    factor = mx_aligned(b, node, 1)
    zero = None if zero_value is None or constant_zero(b, zero_value) else mx_aligned(b, node, 2)
    if isinstance(factor, Refusal):
        return factor
    if isinstance(zero, Refusal):
        return zero
    source = some(x[0])
    if b.dtype(data).name != dtype:
        source = b.op("Cast", source, dtype=dtype, name="source")
    if (number := b.number(scale)) is not None:
        scaled = source if number == 1 else b.op("_div_scalar", source, scalar=float(number))
    else:
        if b.dtype(scale).name != dtype:
            factor = b.op("Cast", factor, dtype=dtype, name="scale")
        scaled = b.op("broadcast_div", source, factor)
    if dtype == "float16":
        scaled, dtype = b.op("Cast", scaled, dtype="float32", name="scaled"), "float32"
    return mx_steps(b, node, scaled, zero, zero_value, dtype)


def _write_dequantize(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, scale, zero_value = some(node.inputs[0]), some(node.inputs[1]), _zero(node)
    factor = mx_aligned(b, node, 1)
    zero = None if zero_value is None or constant_zero(b, zero_value) else mx_aligned(b, node, 2)
    if isinstance(factor, Refusal):
        return factor
    if isinstance(zero, Refusal):
        return zero
    if kind_of(data).is_floating_point():
        zero = None
    source = some(x[0])
    own, wanted = b.dtype(scale).name, _dequantized(b, node)
    inner = "float64" if own == "float64" else "float32"
    difference = mx_integers(b, source, zero, zero_value, inner)
    if (number := b.number(scale)) is not None:
        result = b.op("_mul_scalar", difference, scalar=float(number))
    else:
        if own != inner:
            factor = b.op("Cast", factor, dtype=inner, name="scale")
        result = b.op("broadcast_mul", difference, factor)
    return result if wanted == inner else b.op("Cast", result, dtype=wanted)


def _gradient_quantize(_b: GradientBuilder, node: ir.Node, _dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    kind = _result(node)
    if kind.is_floating_point():
        return Refusal(f"numbers of type {kind.name.lower()} hold no gradient; differentiate in values behind it")
    return []


def _gradient_dequantize(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """That in the scale: the sum, over what one scale is of, of dy times the steps from the zero point."""
    data, scale = some(node.inputs[0]), some(node.inputs[1])
    if b.wants(data):
        kind = kind_of(data).name.lower()
        return Refusal(f"numbers of type {kind} hold no gradient; differentiate in values behind it")
    names = [name for name in ("axis", "block_size", "output_dtype") if name in node.attributes]
    settings: dict[str, Any] = {name: node.attributes.get_int(name) for name in names}
    steps = b.op("DequantizeLinear", data, b.full_like(scale, 1.0), _zero(node), **settings)
    product = b.op("Mul", dy[0], steps)
    if b.dtype(product) != b.dtype(scale):
        product = b.op("Cast", product, to=ir.DataType.from_numpy(b.dtype(scale)))
    return [None, _of_scale(b, node, product, scale)]


def _of_scale(b: GradientBuilder, node: ir.Node, product: ir.Value, scale: ir.Value) -> ir.Value:
    """The sums over what each scale is of."""
    rank, dims = b.rank(product), b.shape(scale)
    if dims in ((), (1,)):
        return b.like(b.op("ReduceSum", product, keepdims=0), scale)
    axis, width = axis_of(node, rank, 1), node.attributes.get_int("block_size", 0)
    if not width:
        return b.op("ReduceSum", product, [other for other in range(rank) if other != axis], keepdims=0)
    count = sizes_at(b, scale, [axis])
    missing = b.op("Sub", b.op("Mul", count, [width]), sizes_at(b, product, [axis]))
    whole = b.op("Pad", product, joined(b, [0], missing), None, [axis])
    before, after = sizes_at(b, scale, range(axis + 1)), sizes_at(b, scale, range(axis + 1, rank))
    blocks = b.op("Reshape", whole, joined(b, before, [width], after))
    return b.op("ReduceSum", blocks, [axis + 1], keepdims=0)


_X = given([[-1.0, 0.5, 1.5, 2.5, -2.5, 1000.0], [-1000.0, 0.1, 3.49, 3.51, 127.0, 254.0]], "float32")
_HALF_X = given([[-1.0, 0.5, 1.25, 0.75, -2.5, 1000.0]], "float16")
_PLANES = arr(2, 3, 4, low=-60.0, high=60.0)
_SCALE, _U8, _I8 = given(0.5, "float32"), given(128, "uint8"), given(-3, "int8")
_SCALES, _ZEROS = given([0.5, 0.25, 2.0], "float32"), given([128, 3, 200], "uint8")
_BYTES = arr(2, 3, 4, low=0, high=256, dtype="uint8")
_SIGNED = arr(2, 3, 4, low=-128, high=128, dtype="int8")


OPS = (
    Op(
        "QuantizeLinear",
        mx=(MxForm("clip", write=_write_quantize, direction="write"),),
        torch=_torch_quantize,
        gradient=_gradient_quantize,
        cases=(
            Case("halves to even", (_X, _SCALE, _U8), const=(1, 2), grad=False),
            Case("signed", (_X, _SCALE, _I8), const=(1, 2), grad=False, dynamic=(0,)),
            Case("inexact scale", (_PLANES, given(0.3, "float32"), _I8), const=(1, 2), grad=False),
            Case("no zero point", (_X, _SCALE), const=(1,), grad=False),
            Case("whole steps", (_X, given(1.0, "float32"), _I8), const=(1, 2), grad=False),
            Case("output type", (_X, _SCALE), {"output_dtype": int(ir.DataType.INT8)}, const=(1,), grad=False),
            Case("one scale of a list", (_X, given([0.5], "float32"), given([7], "uint8")), const=(1, 2), grad=False),
            Case("by axis", (_PLANES, _SCALES, _ZEROS), const=(1, 2), grad=False, dynamic=(0,)),
            Case(
                "by last axis", (arr(2, 3, low=-60, high=60), _SCALES, _ZEROS), {"axis": -1}, const=(1, 2), grad=False
            ),
            Case("by first axis", (arr(3, 2, low=-60, high=60), _SCALES), {"axis": 0}, const=(1,), grad=False),
            Case("computed scale", (_X, _SCALE, _U8), grad=False),
            Case("computed scales", (_PLANES, _SCALES, _ZEROS), grad=False),
            Case(
                "blocks",
                (arr(2, 5, low=-60, high=60), arr(2, 3, low=0.2, high=0.6), arr(2, 3, low=0, high=255, dtype="uint8")),
                {"axis": 1, "block_size": 2},
                const=(1, 2),
                grad=False,
            ),
            Case("int16", (_X, given(0.01, "float32"), given(100, "int16")), const=(1, 2), grad=False),
            Case("uint16", (_X, given(0.01, "float32"), given(40000, "uint16")), const=(1, 2), grad=False),
            Case("float16", (_HALF_X, given(0.5, "float16"), _U8), const=(1, 2), dtype="float16", grad=False),
            Case("integers", (arr(2, 3, low=-99, high=99, dtype="int32"), _SCALE, _I8), const=(1, 2), grad=False),
        ),
        limits=(Limit("onnxruntime", "ONNX Runtime has no kernel that quantizes integers", "integers"),),
    ),
    Op(
        "DequantizeLinear",
        mx=(MxForm("broadcast_mul", write=_write_dequantize, direction="write"),),
        torch=_torch_dequantize,
        gradient=_gradient_dequantize,
        cases=(
            Case("unsigned", (_BYTES, _SCALE, _U8), const=(1, 2), grad=False, dynamic=(0,)),
            Case("signed", (_SIGNED, given(0.3, "float32"), _I8), const=(1, 2), grad=False),
            Case("no zero point", (_SIGNED, given(0.3, "float32")), const=(1,), grad=False),
            Case("whole steps", (_SIGNED, given(1.0, "float32")), const=(1,), grad=False),
            Case("by axis", (_BYTES, _SCALES, _ZEROS), const=(1, 2), grad=False, dynamic=(0,)),
            Case(
                "by first axis", (arr(3, 2, low=-9, high=9, dtype="int8"), _SCALES), {"axis": 0}, const=(1,), grad=False
            ),
            Case("stored", (_SIGNED, given(0.3, "float32"), _I8), const=(0, 1, 2), grad=False),
            Case("computed scale", (_BYTES, given([0.3], "float32"), given([9], "uint8"))),
            Case("computed scales", (_BYTES, _SCALES, _ZEROS)),
            Case(
                "blocks",
                (
                    arr(2, 5, low=0, high=255, dtype="uint8"),
                    arr(2, 3, low=0.2, high=0.6),
                    arr(2, 3, low=0, high=255, dtype="uint8"),
                ),
                {"axis": 1, "block_size": 2},
                const=(1, 2),
                grad=False,
            ),
            Case("int32", (arr(2, 3, low=-9999, high=9999, dtype="int32"), _SCALE), const=(1,), grad=False),
            Case(
                "int16",
                (arr(2, 3, low=-9999, high=9999, dtype="int16"), _SCALE, given(100, "int16")),
                const=(1, 2),
                grad=False,
            ),
            Case(
                "uint16",
                (arr(2, 3, low=0, high=65535, dtype="uint16"), _SCALE, given(40000, "uint16")),
                const=(1, 2),
                grad=False,
            ),
            Case("float16", (_BYTES, given(0.3, "float16"), _U8), const=(1, 2), dtype="float16", grad=False),
        ),
    ),
)
