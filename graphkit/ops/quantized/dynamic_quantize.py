"""DynamicQuantizeLinear: numbers as uint8 in steps that span their own range and zero.

Of numbers that are all zero the range is taken to be 1, as ONNX's reference does; the formula in ONNX's text divides by
zero there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.math.unary import mx_round
from graphkit.ops.spec import Case, Limit, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_MOST = 255


def _torch(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    low = b.method("clamp", b.method("min", x[0]), max=0)
    span = b.infix("-", b.method("clamp", b.method("max", x[0]), min=0), low)
    span = b.method("masked_fill", span, b.infix("==", span, 0), 1)
    scale = b.infix("/", span, _MOST)
    zero = b.call("torch.round", b.infix("/", b.prefix("-", low), scale))
    steps = b.infix("+", b.call("torch.round", b.infix("/", x[0], scale)), zero)
    uint8 = b.torch_dtype(ir.DataType.UINT8)
    return b.method("to", b.method("clamp", steps, 0, _MOST), uint8), scale, b.method("to", zero, uint8)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef]:
    data, dtype = some(x[0]), b.dtype(some(node.inputs[0])).name
    low = b.op("_minimum_scalar", b.op("min", data), scalar=0.0)
    span = b.op("elemwise_sub", b.op("_maximum_scalar", b.op("max", data), scalar=0.0), low)
    span = b.op("elemwise_add", span, b.op("_equal_scalar", span, scalar=0.0))
    scale = b.op("_div_scalar", span, scalar=float(_MOST), name="scale")
    zero = mx_round(b, b.op("elemwise_div", b.op("negative", low), scale))
    steps = b.op("broadcast_add", mx_round(b, b.op("broadcast_div", data, scale)), zero)
    assert dtype == "float32"
    return (
        b.op("Cast", b.op("clip", steps, a_min=0, a_max=_MOST), dtype="uint8"),
        scale,
        b.op("Cast", zero, dtype="uint8", name="zero_point"),
    )


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """That of the scale, (max(x, 0) - min(x, 0)) / 255; equal elements share it, and the rest is flat."""
    data = some(node.inputs[0])
    if dy[1] is None:
        return []
    zero, kind = b.scalar(0.0, data), ir.DataType.from_numpy(b.dtype(data))
    unit = b.op("Div", dy[1], b.scalar(_MOST, data))
    shares = []
    for reduce, bound in (("ReduceMax", "Max"), ("ReduceMin", "Min")):
        extreme = b.op(bound, b.op(reduce, data, keepdims=0), zero)
        held = b.op("Cast", b.op("Equal", data, extreme), to=kind)
        count = b.op("Max", b.op("ReduceSum", held, keepdims=0), b.scalar(1.0, data))
        shares.append(b.op("Mul", held, b.op("Div", unit, count)))
    return [b.op("Sub", *shares)]


def _case(name: str, *inputs: Any, dynamic: tuple[int, ...] = ()) -> Case:
    return Case(name, inputs, outputs=3, grad=False, dynamic=dynamic)


OP = Op(
    "DynamicQuantizeLinear",
    mx=(MxForm("clip", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        _case("both signs", arr(2, 3, 4, low=-3.0, high=5.0), dynamic=(0,)),
        _case("positive", arr(2, 3, low=1.0, high=5.0)),
        _case("negative", arr(2, 3, low=-5.0, high=-1.0)),
        _case("halves", given([-1.0, 0.0, 1.5, 126.5, 127.5, 254.0], "float32")),
        _case("zeros", given([0.0, 0.0], "float32")),
    ),
    limits=(Limit("onnxruntime", "of zeros ONNX Runtime gives the scale 1, which makes the same zeros", "zeros"),),
)
