"""The same bits taken for another element type (opset 26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import Op, Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import TorchBuilder
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


OP = Op("BitCast", torch=_torch)
