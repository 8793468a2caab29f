"""The same bits taken for another element type (opset 26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import Case, MxForm, Op, Refusal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source = some(node.inputs[0])
    own, to = source.dtype, ir.DataType(node.attributes.get_int("to", 0))
    if own is None or own.bitwidth != to.bitwidth or own.bitwidth < 8 or ir.DataType.STRING in (own, to):
        return Refusal(f"torch does not take the bits of {own} for {to}")
    if own == to:
        data: Arg = x[0]
        return data
    return b.method("view", x[0], b.torch_dtype(to))


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """Integers keep their bits when MXNet casts them to others as wide; it has nothing for those of floats."""
    source, result = some(node.inputs[0]), node.outputs[0]
    if b.dtype(source).kind not in "iu" or b.dtype(result).kind not in "iu":
        kinds = f"{b.dtype(source)} and {b.dtype(result)}"
        return Refusal(f"MXNet takes the bits of integers for other integers only, not those of {kinds}")
    return some(x[0]) if b.dtype(source) == b.dtype(result) else b.op("Cast", some(x[0]), dtype=b.dtype(result).name)


_SIGNED = given([-128, -1, 0, 1, 127], "int8")

OP = Op(
    "BitCast",
    mx=(MxForm("Cast", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        Case("signed to unsigned", (_SIGNED,), {"to": int(ir.DataType.UINT8)}, grad=False),
        Case("unsigned to signed", (given([0, 127, 128, 255], "uint8"),), {"to": int(ir.DataType.INT8)}, grad=False),
    ),
)
