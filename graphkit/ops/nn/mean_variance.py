"""MeanVarianceNormalization, which MXNet has no operator for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_EPS = 1e-9
"""What the operator's text adds to the standard deviation."""


def _axes(b: MxBuilder | TorchBuilder, node: ir.Node) -> tuple[int, ...] | Refusal:
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


_IMAGE = arr(2, 3, 4, 5)

OP = Op(
    "MeanVarianceNormalization",
    mx=(MxForm("broadcast_div", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        Case("defaults", (_IMAGE,), dynamic=(0,)),
        Case("spatial", (_IMAGE,), {"axes": [2, 3]}),
        Case("from behind", (arr(2, 3, 4),), {"axes": [-1, 0]}),
    ),
)
