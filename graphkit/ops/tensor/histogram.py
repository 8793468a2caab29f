"""How many elements lie in each of a row of bins. The last bin has its upper edge, the others have not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import literal
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data = some(x[0])
    edges = b.op("Identity", x[1]) if len(x) > 1 else _edges(b, node, data)
    if isinstance(edges, Refusal):
        return edges
    flat = b.op("Reshape", data, [-1, 1])
    beyond = b.op("GreaterOrEqual", flat, b.op("Unsqueeze", edges, [0]))
    above = b.op("Slice", beyond, [0], [-1], [1])
    below = b.op("Not", b.op("Slice", beyond, [1], [np.iinfo(np.int64).max], [1]))
    last = b.op("Equal", flat, b.op("Slice", edges, [-1], [np.iinfo(np.int64).max], [0]))
    bins = b.op("And", above, below)
    before = b.op("Slice", bins, [0], [-1], [1])
    final = b.op("Or", b.op("Slice", bins, [-1], [np.iinfo(np.int64).max], [1]), last)
    inside = b.op("Concat", before, final, axis=1)
    return b.op("ReduceSum", b.op("Cast", inside, to=ir.DataType.INT64), [0], keepdims=0), edges


def _edges(b: OnnxBuilder, node: MxNode, data: ir.Value) -> ir.Value | Refusal:
    try:
        low, high = (float(number) for number in literal(node.attrs.get("range", "None")))
        count = int(node.attrs["bin_cnt"])
    except (KeyError, TypeError, ValueError):
        return Refusal("bin_cnt and range are not a number of bins and their lowest and highest edge")
    if count < 1 or low > high:
        return Refusal(f"range={node.attrs['range']} and bin_cnt={count} give no bins")
    if low == high:
        low, high = low - 0.5, high + 0.5
    check_elements(count)
    number = np.arange(count + 1)
    edges = (high * number + (count - number) * low) / count
    if not is_float(b.dtype(data)) and (edges % 1).any():
        return Refusal("MXNet cuts the edges of bins of integers off at the point; cast what it counts to floats")
    return b.op("Identity", b.const(edges, b.dtype(data)))


_X = given([[0, 1, 2.5], [2, 2.1, 4], [-1, 5, 3.9]], "float32")

OP = Op(
    "",
    mx=(
        MxForm(
            "_histogram",
            read=_read,
            reads=("bin_cnt", "range"),
            direction="read",
            cases=(
                Case("equal bins", (_X,), {"bin_cnt": 5, "range": "(0, 5)"}, outputs=2, grad=False),
                Case(
                    "free batch",
                    (arr(20, 3),),
                    {"bin_cnt": 7, "range": "(-0.6, 0.9)"},
                    outputs=2,
                    dynamic=(0,),
                    grad=False,
                ),
                Case("one value", (_X,), {"bin_cnt": 3, "range": "(2, 2)"}, outputs=2, grad=False),
                Case("given edges", (_X, given([0, 2.1, 3, 4], "float32")), outputs=2, grad=False),
            ),
        ),
    ),
)
