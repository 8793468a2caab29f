"""ConvInteger and QLinearConv: convolutions of integers, summed exactly.

The products are summed in float64, which holds every sum of fewer than 2^37 products of bytes, and come back as int32,
or are scaled to steps of the result: a float32 factor per filter, then rounding. That is ONNX Runtime's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.nn.conv import mx_convolved, torch_convolved
from graphkit.ops.quantized.rounding import (
    factor_of,
    kind_of,
    mx_integers,
    mx_steps,
    torch_integers,
    torch_steps,
)
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some
from graphkit.ops.work import convolved

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _by_filter(b: MxBuilder | TorchBuilder, value: ir.Value | None, rank: int, *, first: bool) -> Layout:
    """The layout of what belongs to each filter: against the filters, or against the result's channels."""
    if value is None or b.rank(value) == 0 or b.shape(value) == (1,):
        return ()
    return (("reshape", (-1, *[1] * (rank - 1 if first else rank - 2))),)


def _operand(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def _torch_sums(
    b: TorchBuilder,
    node: ir.Node,
    x: Sequence[Any],
    data: int,
    weight: int,
    zeros: tuple[int, int],
    bias: Arg | None = None,
) -> Arg | Refusal:
    """The sums of products as float64; numbers are the positions of the operands."""
    filters = some(node.inputs[weight])
    zero, zero_filters = _operand(node, zeros[0]), _operand(node, zeros[1])
    left = torch_integers(b, x[data], None if zero is None else b.arg(zero), zero, "double")
    right_zero = None
    if zero_filters is not None:
        layout = _by_filter(b, zero_filters, b.rank(filters), first=True)
        right_zero = b.derived(zero_filters, layout) if layout else b.arg(zero_filters)
    right = torch_integers(b, x[weight], right_zero, zero_filters, "double")
    return torch_convolved(b, node, filters, left, right, bias)


def _mx_sums(
    b: MxBuilder,
    node: ir.Node,
    x: Sequence[MxRef | None],
    data: int,
    weight: int,
    zeros: tuple[int, int],
    bias: MxRef | None = None,
) -> MxRef | Refusal:
    filters = some(node.inputs[weight])
    zero, zero_filters = _operand(node, zeros[0]), _operand(node, zeros[1])
    left = mx_integers(b, some(x[data]), None if zero is None else b.ref(zero), zero, "float64")
    right_zero = None
    if zero_filters is not None:
        layout = _by_filter(b, zero_filters, b.rank(filters), first=True)
        right_zero = b.derived(zero_filters, layout) if layout else b.ref(zero_filters)
    right = mx_integers(b, some(x[weight]), right_zero, zero_filters, "float64")
    return mx_convolved(b, node, filters, left, right, bias)


def _torch_integer(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    sums = _torch_sums(b, node, x, 0, 1, (2, 3))
    return sums if isinstance(sums, Refusal) else b.method("int", sums)


def _write_integer(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    sums = _mx_sums(b, node, x, 0, 1, (2, 3))
    return sums if isinstance(sums, Refusal) else b.op("Cast", sums, dtype="int32")


def _torch_quantized(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    bias = b.method("double", x[8]) if len(x) > 8 and x[8] is not None else None
    sums = _torch_sums(b, node, x, 0, 3, (2, 5), bias)
    if isinstance(sums, Refusal):
        return sums
    rank = b.rank(some(node.inputs[3]))
    factor = factor_of(b, node, (1, 4, 6))
    if factor is None:
        scale, scales, target = (b.arg(some(node.inputs[position])) for position in (1, 4, 6))
        if layout := _by_filter(b, node.inputs[4], rank, first=False):
            scales = b.derived(some(node.inputs[4]), layout)
        ratio: Arg = b.infix("/", b.infix("*", scale, scales), target)
    else:
        ratio = float(str(factor)) if factor.ndim == 0 else b.const(factor.reshape(-1, *[1] * (rank - 2)))
    scaled = b.infix("*", b.method("float", sums), ratio)
    return torch_steps(b, scaled, x[7], node.inputs[7], kind_of(some(node.inputs[7])))


def _write_quantized(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    bias = b.op("Cast", some(x[8]), dtype="float64", name="bias") if len(x) > 8 and x[8] is not None else None
    sums = _mx_sums(b, node, x, 0, 3, (2, 5), bias)
    if isinstance(sums, Refusal):
        return sums
    rank = b.rank(some(node.inputs[3]))
    factor = factor_of(b, node, (1, 4, 6))
    floats = b.op("Cast", sums, dtype="float32", name="sums")
    if factor is None:
        scale, scales, target = (b.ref(some(node.inputs[position])) for position in (1, 4, 6))
        if layout := _by_filter(b, node.inputs[4], rank, first=False):
            scales = b.derived(some(node.inputs[4]), layout)
        ratio = b.op("broadcast_div", b.op("broadcast_mul", scale, scales), target)
        scaled = b.op("broadcast_mul", floats, ratio)
    elif factor.ndim == 0:
        scaled = b.op("_mul_scalar", floats, scalar=float(factor))
    else:
        scaled = b.op("broadcast_mul", floats, b.const(factor.reshape(1, -1, *[1] * (rank - 2)), "factor"))
    return mx_steps(b, node, scaled, x[7], node.inputs[7], "float32")


_IMAGE, _FILTERS = arr(2, 4, 6, 7, low=0, high=256, dtype="uint8"), arr(6, 4, 3, 3, low=-128, high=128, dtype="int8")
_SIGNED = arr(2, 4, 6, 7, low=-128, high=128, dtype="int8")
_ZERO, _ZERO8 = given(120, "uint8"), given(-3, "int8")
_SCALE, _TARGET = given(0.02, "float32"), given(0.3, "float32")
_SCALES = arr(6, low=0.005, high=0.03, dtype="float32")
_BIAS = arr(6, low=-9999, high=9999, dtype="int32")
_SETTINGS = (1, 2, 3, 4, 5, 6, 7)


def _case(name: str, *inputs: Any, const: Sequence[int] = _SETTINGS, **attrs: Any) -> Case:
    return Case(name, inputs, attrs, const=tuple(const), grad=False)


OPS = (
    Op(
        "ConvInteger",
        mx=(MxForm("Convolution", write=_write_integer, direction="write"),),
        torch=_torch_integer,
        macs=convolved(),
        cases=(
            _case("defaults", _IMAGE, arr(6, 4, 3, 3, low=0, high=256, dtype="uint8"), const=(1,)),
            _case("zero points", _IMAGE, _FILTERS, _ZERO, _ZERO8, const=(1, 2, 3), pads=[1, 1, 1, 1], strides=[2, 1]),
            _case("computed", _IMAGE, _FILTERS, _ZERO, _ZERO8, const=(), pads=[1, 0, 0, 2]),
            _case("grouped", _IMAGE, arr(6, 2, 3, 3, low=0, high=255, dtype="uint8"), _ZERO, const=(1, 2), group=2),
            _case(
                "1-D", arr(2, 3, 9, low=0, high=256, dtype="uint8"), arr(4, 3, 3, low=0, high=9, dtype="uint8"), _ZERO
            ),
        ),
    ),
    Op(
        "QLinearConv",
        mx=(MxForm("Convolution", write=_write_quantized, direction="write"),),
        torch=_torch_quantized,
        macs=convolved(0, 3),
        cases=(
            _case("tensor", _IMAGE, _SCALE, _ZERO, _FILTERS, _SCALE, _ZERO8, _TARGET, _ZERO, pads=[1, 1, 1, 1]),
            _case("bias", _IMAGE, _SCALE, _ZERO, _FILTERS, _SCALE, _ZERO8, _TARGET, _ZERO, _BIAS, const=range(1, 9)),
            _case(
                "by filter",
                _IMAGE,
                _SCALE,
                _ZERO,
                _FILTERS,
                _SCALES,
                given([0] * 6, "int8"),
                _TARGET,
                _ZERO,
                _BIAS,
                const=range(1, 9),
                strides=[2, 1],
            ),
            _case("signed", _SIGNED, _SCALE, _ZERO8, _FILTERS, _SCALE, given(0, "int8"), _TARGET, _ZERO8),
            _case(
                "grouped",
                _IMAGE,
                _SCALE,
                _ZERO,
                arr(6, 2, 3, 3, low=-99, high=99, dtype="int8"),
                _SCALES,
                given([0] * 6, "int8"),
                _TARGET,
                _ZERO,
                group=2,
                dilations=[1, 2],
                pads=[0, 1, 2, 0],
            ),
            _case(
                "computed", _IMAGE, _SCALE, _ZERO, _FILTERS, _SCALES, given([0] * 6, "int8"), _TARGET, _ZERO, const=()
            ),
        ),
    ),
)
