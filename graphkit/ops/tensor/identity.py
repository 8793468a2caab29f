"""Operators that hand their input on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef


def _write(_b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    return some(x[0])


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Identity", x[0])


def _read_block_grad(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    b.warn("it stops gradients, which ONNX cannot say: the converted model passes them on")
    return b.op("Identity", x[0])


_X = arr(2, 3)

OPS = (
    Op(
        "Identity",
        mx=(
            MxForm("_copy", read=_read, write=_write, cases=(Case("any", (_X,)),)),
            MxForm(
                "_identity_with_attr_like_rhs",
                read=_read,
                direction="read",
                cases=(Case("any", (_X, arr(2, 3))),),
            ),
        ),
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
