"""Operators that hand their input on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.training import stops_gradient
from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    return b.op("BlockGrad", some(x[0])) if stops_gradient(node) else some(x[0])


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.method("detach", x[0]) if stops_gradient(node) else x[0]


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Identity", x[0])


def _read_block_grad(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.stopped(some(x[0]))


_X = arr(2, 3)

OPS = (
    Op(
        "Identity",
        mx=(
            MxForm("_copy", read=_read, write=_write, cases=(Case("any", (_X,)),)),
            MxForm(
                "cast_storage",
                read=_read,
                ignore=("stype",),
                direction="read",
                cases=(Case("dense", (_X,), {"stype": "default"}), Case("by rows", (_X,), {"stype": "row_sparse"})),
            ),
            MxForm(
                "_identity_with_attr_like_rhs",
                read=_read,
                direction="read",
                cases=(Case("any", (_X, arr(2, 3))),),
            ),
        ),
        torch=_torch,
        gradient=lambda _b, _node, dy: dy,
        cases=(Case("any", (_X,), dynamic=(0,)), Case("scalar", (arr(),))),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "BlockGrad",
                read=_read_block_grad,
                direction="read",
                cases=(Case("any", (_X,), grad=False),),
            ),
        ),
    ),
)
