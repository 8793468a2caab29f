"""MeanVarianceNormalization, which MXNet has no operator for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.nn.grad_norm import mean_over
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_EPS = 1e-9
"""What the operator's text adds to the standard deviation."""


def _axes(b: MxBuilder | TorchBuilder | GradientBuilder, node: ir.Node) -> tuple[int, ...] | Refusal:
    assert node.inputs[0] is not None
    axes, rank = tuple(node.attributes.get_ints("axes", [0, 2, 3])), b.rank(node.inputs[0])
    if all(-rank <= axis < rank for axis in axes):
        return axes
    return Refusal(f"it normalises along the axes {list(axes)} of an array of {rank} axes")


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, axes = x[0], _axes(b, node)
    assert data is not None
    if isinstance(axes, Refusal):
        return axes
    mean = b.op("mean", data, axis=axes, keepdims=True)
    apart = b.op("broadcast_sub", data, mean)
    variance = b.op("mean", b.op("square", apart), axis=axes, keepdims=True)
    return b.op("broadcast_div", apart, b.op("_plus_scalar", b.op("sqrt", variance), scalar=_EPS))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    axes = _axes(b, node)
    if isinstance(axes, Refusal):
        return axes
    apart = b.infix("-", x[0], b.method("mean", x[0], axes, keepdim=True))
    deviation = b.method("std", x[0], axes, correction=0, keepdim=True)
    return b.infix("/", apart, b.infix("+", deviation, _EPS))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """Of y = a/(σ + ε), a = x − μ: (g − mean(g) − a·mean(g·y)/σ)/(σ + ε), without the last term where σ = 0."""
    data, axes = some(node.inputs[0]), _axes(b, node)
    if isinstance(axes, Refusal):
        return axes
    apart = b.op("Sub", data, mean_over(b, data, axes))
    spread = b.op("Sqrt", mean_over(b, b.op("Mul", apart, apart), axes))
    zero = b.scalar(0.0, data)
    along = b.op("Div", mean_over(b, b.op("Mul", dy[0], node.outputs[0]), axes), spread)
    along = b.op("Where", b.op("Greater", spread, zero), along, zero)
    centred = b.op("Sub", dy[0], mean_over(b, dy[0], axes))
    return [b.op("Div", b.op("Sub", centred, b.op("Mul", apart, along)), b.op("Add", spread, b.scalar(_EPS, data)))]


_IMAGE = arr(2, 3, 4, 5)

OP = Op(
    "MeanVarianceNormalization",
    mx=(MxForm("broadcast_div", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("defaults", (_IMAGE,), dynamic=(0,)),
        Case("spatial", (_IMAGE,), {"axes": [2, 3]}),
        Case("from behind", (arr(2, 3, 4),), {"axes": [-1, 0]}),
    ),
)
