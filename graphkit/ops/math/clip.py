"""Clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, given, is_float, torch_lacks, whole
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_clamp"]

_F32_BOUNDS = Tol(float64=1e-6, reason="MXNet holds the bounds in float32")

_X = arr(2, 3, 4, low=-3.0, high=3.0)


def _write_clip(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data, bounds = x[0], [*node.inputs[1:], None, None][:2]
    assert data is not None
    low, high = (b.number(bound) for bound in bounds)
    if low is not None and high is not None and np.float32(low) == low and np.float32(high) == high:
        return b.op("clip", data, a_min=low, a_max=high)
    for bound, number, scalar, tensor in (
        (bounds[0], low, "_maximum_scalar", "broadcast_maximum"),
        (bounds[1], high, "_minimum_scalar", "broadcast_minimum"),
    ):
        if bound is not None:
            data = b.op(scalar, data, scalar=number) if number is not None else b.op(tensor, data, b.ref(bound))
    return data if data != x[0] else b.op("_copy", data)


def _read_clip(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    assert x[0] is not None
    least, most = (FLOAT.parse(node.attrs[name]) for name in ("a_min", "a_max"))
    if least > most:
        return Refusal(f"a_min={least:g} is greater than a_max={most:g}, which MXNet and ONNX take in different orders")
    return b.op("Clip", x[0], _bound(b, least, x[0]), _bound(b, most, x[0]))


def _bound(b: OnnxBuilder, number: float, like: ir.Value) -> ir.Value:
    """A bound, which for integers may be one that their dtype does not reach."""
    dtype = b.dtype(like)
    if dtype.kind not in "iu":
        return b.scalar(number, like)
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    bound = least if number <= least else most if number >= most else int(number)
    return b.const(np.asarray(bound, dtype))


def torch_clamp(b: TorchBuilder, x: Arg, low: float | None, high: float | None, *, floats: bool) -> Arg:
    """A tensor between two numbers; of crossed ones the upper wins."""
    low, high = whole(low), whole(high)
    if floats and (low, high) == (0, 6):
        return b.call("F.relu6", x)
    if low is None or high is None:
        return b.method("clamp", x, min=low, max=high)
    return b.method("clamp", x, low, high)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Of crossed bounds the upper one wins, in ONNX as in torch."""
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    result: Arg = x[0]
    bounds = [*node.inputs[1:], None, None][:2]
    numbers = [b.number(bound) for bound in bounds]
    if all(bound is None or number is not None for bound, number in zip(bounds, numbers, strict=True)):
        assert node.inputs[0] is not None
        if numbers == [None, None]:
            return result
        return torch_clamp(b, result, *numbers, floats=is_float(b.dtype(node.inputs[0])))
    for name, number, ref in zip(("min", "max"), numbers, [*x[1:], None, None], strict=False):
        bound = ref if number is None else whole(number)
        if bound is not None:
            result = b.method("clamp", result, **{name: bound})
    return result


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """A number that equals a bound has the gradient, and what is beyond it hands it to the bound."""
    x, low, high = (*node.inputs, None, None)[:3]
    data, zero, given = some(x), b.scalar(0, dy[0]), dy[0]
    in_data = in_low = in_high = None
    if b.wants(x):
        in_data = b.op("Where", _inside(b, data, node.outputs[0], low, high), given, zero)
    if high is not None and (b.wants(low) or b.wants(high)):
        above = b.op("Greater", data if low is None else b.op("Max", data, low), high)
        in_high = b.sum_to(b.op("Where", above, given, zero), high) if b.wants(high) else None
        given = b.op("Where", above, zero, given)
    if low is not None and b.wants(low):
        in_low = b.sum_to(b.op("Where", b.op("Less", data, low), given, zero), low)
    return [in_data, in_low, in_high]


def _inside(b: GradientBuilder, x: ir.Value, y: ir.Value, low: ir.Value | None, high: ir.Value | None) -> ir.Value:
    """Where the gradient passes a clamp from x to y: between the bounds and at them, but not at those of relu6."""
    least, most = (None if b.wants(bound) else b.value(bound) for bound in (low, high))
    if least is not None and most is not None and (least.item(), most.item()) == (0, 6):
        return b.op("And", b.op("Greater", y, b.scalar(0, y)), b.op("Less", y, b.scalar(6, y)))
    if low is None or high is None or (least is not None and most is not None and least.item() <= most.item()):
        return b.op("Equal", x, y)
    return b.op("And", b.op("GreaterOrEqual", x, low), b.op("LessOrEqual", x, high))


OP = Op(
    "Clip",
    mx=(
        MxForm(
            "clip",
            read=_read_clip,
            reads=("a_min", "a_max"),
            write=_write_clip,
            cases=(
                Case("both", (_X,), {"a_min": "-0.3", "a_max": "1e0"}, tol=_F32_BOUNDS),
                Case("integers", (arr(3, low=-5, high=5, dtype="int32"),), {"a_min": -1, "a_max": 2}, grad=False),
                Case("bytes", (given([0, 1, 100], "uint8"),), {"a_min": -1.5, "a_max": 300}, dtype="uint8"),
                Case("no axes", (given(1.25, "float32"),), {"a_min": -1, "a_max": 1}, grad=False),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("both", (_X, given(0.0, "float32"), given(6.0, "float32")), const=(1, 2)),
        Case("both inexact", (_X, given(-0.3, "float32"), given(0.7, "float32")), const=(1, 2)),
        Case("low", (_X, given(-0.3, "float32")), const=(1,)),
        Case("high", (_X, None, given(0.3, "float32")), const=(2,)),
        Case("neither", (_X,)),
        Case("computed bounds", (_X, given(-0.3, "float32"), given(0.7, "float32"))),
    ),
)
