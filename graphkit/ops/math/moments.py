"""Mean and biased variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data = some(x[0])
    text = node.attrs.get("axes", "None")
    axes = [] if text == "None" else list(ints(text))
    if not axes:
        return Refusal("it names no axes, which MXNet itself refuses; name them all")
    mean = b.op("ReduceMean", data, axes, keepdims=1)
    apart = b.op("Sub", data, mean)
    variance = b.op("ReduceMean", b.op("Mul", apart, apart), axes, keepdims=1)
    if BOOL.parse(node.attrs.get("keepdims", "False")):
        return mean, variance
    if len(axes) == b.rank(data):
        return b.op("Reshape", mean, [1]), b.op("Reshape", variance, [1])
    return b.op("Squeeze", mean, axes), b.op("Squeeze", variance, axes)


_X = arr(2, 3, 4)

OP = Op(
    "",
    mx=(
        MxForm(
            "moments",
            read=_read,
            reads=("axes", "keepdims"),
            direction="read",
            cases=(
                Case("all of them", (_X,), {"axes": "(0, 1, 2)"}, outputs=2),
                Case("some axes", (_X,), {"axes": "(0, -1)"}, outputs=2, dynamic=(0,)),
                Case("kept", (_X,), {"axes": "[1]", "keepdims": True}, outputs=2),
                Case("mean alone", (_X,), {"axes": "(2,)"}),
            ),
        ),
    ),
)
