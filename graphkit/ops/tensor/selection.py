"""Operators whose result has a size that depends on values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef

_REASON = Refusal(
    "the size of its result depends on the values it is given, and an MXNet symbol infers all shapes from shapes; "
    "select with Where or TopK instead"
)


def _write(_b: MxBuilder, _node: ir.Node, _x: Sequence[MxRef | None]) -> Refusal:
    return _REASON


def _read_mask(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    condition = some(x[1])
    if b.dtype(condition).kind != "b":
        condition = b.op("Cast", condition, to=ir.DataType.BOOL)
    return b.op("Compress", x[0], condition, axis=int(node.attrs.get("axis", "0")))


OPS = (
    Op(
        "Compress",
        mx=(
            MxForm("_contrib_boolean_mask", write=_write, direction="write"),
            MxForm(
                "_contrib_boolean_mask",
                read=_read_mask,
                reads=("axis",),
                direction="read",
                cases=(Case("rows", (arr(4, 3), given([1, 0, 2, 0], "float32")), grad=False),),
            ),
        ),
        limits=(Limit("read-round-trip", "what has Compress is not written back to MXNet"),),
    ),
    Op("NonZero", mx=(MxForm("_contrib_boolean_mask", write=_write, direction="write"),)),
    Op("Unique", mx=(MxForm("_contrib_boolean_mask", write=_write, direction="write"),)),
)
