"""Coordinates of elements and their places in the flattened array."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import as_int64, positions, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _steps(node: MxNode) -> list[int] | Refusal:
    """How far apart neighbours along each axis lie in the flattened array."""
    shape = ints(node.attrs.get("shape", "()")) if node.attrs.get("shape", "None") != "None" else ()
    if not shape or min(shape[1:], default=1) < 1:
        return Refusal(f"shape={node.attrs.get('shape')} is not that of an array; only its first number may be unknown")
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _read_ravel(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, steps = some(x[0]), _steps(node)
    if isinstance(steps, Refusal):
        return steps
    column = np.asarray(steps).astype(b.dtype(data))[:, None]
    return b.op("ReduceSum", b.op("Mul", data, column), [0], keepdims=0)


def _read_unravel(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, steps = some(x[0]), _steps(node)
    if isinstance(steps, Refusal):
        return steps
    rows = []
    rest = as_int64(b, data)
    for step in steps[:-1]:
        row = b.op("Div", rest, np.asarray(step))
        rest = b.op("Sub", rest, b.op("Mul", row, np.asarray(step)))
        rows.append(b.op("Unsqueeze", row, [0]))
    rows.append(b.op("Unsqueeze", rest, [0]))
    whole = b.op("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
    return whole if b.dtype(data) == np.int64 else b.op("CastLike", whole, data)


def _read_array(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    rank, text = b.rank(data), node.attrs.get("axes", "None")
    axes = range(rank) if text == "None" else [axis % rank for axis in ints(text)]
    shape = b.op("Concat", *(size_along(b, data, axis) for axis in range(rank)), axis=0) if rank > 1 else None
    parts = []
    for axis in axes:
        line = b.op("Reshape", positions(b, data, axis), [-1 if other == axis else 1 for other in range(rank)])
        parts.append(b.op("Unsqueeze", line if shape is None else b.op("Expand", line, shape), [-1]))
    return b.op("Concat", *parts, axis=-1) if len(parts) > 1 else parts[0]


_POINTS = given([[3, 6, 6], [4, 5, 1]], "float32")

OP = Op(
    "",
    mx=(
        MxForm(
            "_ravel_multi_index",
            read=_read_ravel,
            reads=("shape",),
            direction="read",
            cases=(
                Case("numbers", (_POINTS,), {"shape": "(7, 6)"}, grad=False),
                Case("integers", (given([[1, 0], [2, 1], [0, 4]], "int64"),), {"shape": "(-1, 3, 5)"}, grad=False),
            ),
        ),
        MxForm(
            "_unravel_index",
            read=_read_unravel,
            reads=("shape",),
            direction="read",
            cases=(
                Case("places", (given([22, 41, 37], "float32"),), {"shape": "(7, 6)"}, grad=False, dynamic=(0,)),
                Case("integer places", (given([22, 41, 137], "int64"),), {"shape": "(-1, 3, 5)"}, grad=False),
                Case("one axis", (given([2, 4], "int32"),), {"shape": "(7,)"}, grad=False),
            ),
        ),
        MxForm(
            "_contrib_index_array",
            read=_read_array,
            reads=("axes",),
            direction="read",
            cases=(
                Case("all axes", (arr(3, 2),), grad=False),
                Case("some axes", (arr(2, 3, 2),), {"axes": "(2, -3)"}, dynamic=(0,), grad=False),
                Case("a line", (arr(4),), grad=False),
            ),
        ),
    ),
)
