"""MeanVarianceNormalization, which MXNet has no operator for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_EPS = 1e-9
"""What the operator's text adds to the standard deviation."""


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data = x[0]
    assert data is not None
    axes = tuple(node.attributes.get_ints("axes", [0, 2, 3]))
    mean = b.op("mean", data, axis=axes, keepdims=True)
    apart = b.op("broadcast_sub", data, mean)
    variance = b.op("mean", b.op("square", apart), axis=axes, keepdims=True)
    return b.op("broadcast_div", apart, b.op("_plus_scalar", b.op("sqrt", variance), scalar=_EPS))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    axes = tuple(node.attributes.get_ints("axes", [0, 2, 3]))
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
