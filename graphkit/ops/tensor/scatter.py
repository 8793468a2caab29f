"""Writing into a copy of an array at given places.

MXNet's scatter_nd writes into zeros of a fixed shape, so what is written and where go in separately and ``where`` joins
them with the array. It overwrites; places that add up have no operator that is right about repeated ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64, ints
from graphkit.ops.tensor.coordinates import element_coordinates, point_coordinates
from graphkit.ops.tensor.sizes import as_int64, axis_of, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef


def _target(b: MxBuilder, node: ir.Node) -> tuple[int, ...] | Refusal:
    reduction = node.attributes.get_string("reduction", "none")
    if reduction != "none":
        return Refusal(f"MXNet's scatter_nd overwrites, and this one has reduction={reduction}")
    dims = b.shape(some(node.inputs[0]))
    known = tuple(dim for dim in dims if isinstance(dim, int))
    if len(known) < len(dims):
        return Refusal("MXNet's scatter_nd needs a fixed shape; give the model's inputs fixed sizes")
    return known


def _scattered(b: MxBuilder, node: ir.Node, data: MxRef, places: MxRef, shape: tuple[int, ...]) -> MxRef:
    source, updates = some(node.inputs[0]), some(node.inputs[2])
    new = as_carrier(b, updates, carrier(b, source))
    written = b.op("scatter_nd", new, places, shape=shape)
    mask = b.op("scatter_nd", b.op("ones_like", new), places, shape=shape, name="mask")
    return b.op("where", mask, written, data)


def _write_nd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    shape, width = _target(b, node), b.shape(indices)[-1]
    if isinstance(shape, Refusal):
        return shape
    if not isinstance(width, int) or b.rank(indices) == 1:
        return Refusal("the last axis of its indices is of unknown size, or its only one")
    return _scattered(b, node, some(x[0]), point_coordinates(b, indices, some(x[1]), source, width), shape)


def _write_elements(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, indices, shape = some(node.inputs[0]), some(node.inputs[1]), _target(b, node)
    if isinstance(shape, Refusal):
        return shape
    places = element_coordinates(b, indices, some(x[1]), source, axis_of(node, len(shape)))
    return _scattered(b, node, some(x[0]), places, shape)


def _read_nd(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    updates, indices = some(x[0]), as_int64(b, some(x[1]))
    rank = b.rank(indices)
    zeros = b.op(
        "ConstantOfShape",
        b.const(ints(node.attrs["shape"]), np.int64),
        value=ir.tensor(np.zeros(1, b.dtype(updates))),
    )
    return b.op("ScatterND", zeros, b.op("Transpose", indices, perm=[*range(1, rank), 0]), updates)


def _read_index_copy(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("ScatterND", x[0], b.op("Unsqueeze", as_int64(b, some(x[1])), [1]), x[2])


_X = arr(3, 4)
_TRUTHS = arr(3, 4, dtype="bool")

OPS = (
    Op(
        "ScatterND",
        mx=(
            MxForm(
                "scatter_nd",
                read=_read_nd,
                reads=("shape",),
                write=_write_nd,
                cases=(
                    Case("elements", (arr(2), int64([[0, 2], [1, 3]])), {"shape": (3, 4)}),
                    Case("rows", (arr(2, 4), int64([[0, 2]])), {"shape": (3, 4)}),
                ),
            ),
            MxForm(
                "_contrib_index_copy",
                read=_read_index_copy,
                direction="read",
                cases=(
                    Case("rows", (_X, int64([2, 0]), arr(2, 4))),
                    Case("float indices", (_X, given([2.4, 0.3], "float32"), arr(2, 4))),
                ),
            ),
        ),
        cases=(
            Case("elements", (_X, int64([[0, 1], [-1, -2]]), arr(2))),
            Case("rows", (_X, int64([[0], [-1]]), arr(2, 4))),
            Case("stored rows", (_X, int64([[0], [2]]), arr(2, 4)), const=(1,)),
            Case("parameter", (_X, int64([[[0], [2]]]), arr(1, 2, 4)), const=(0, 1)),
            Case("integers", (arr(3, dtype="int64"), int64([[1]]), int64([7])), grad=False),
            Case("truths", (_TRUTHS, int64([[1]]), arr(1, 4, dtype="bool")), grad=False),
        ),
    ),
    Op(
        "ScatterElements",
        mx=(MxForm("scatter_nd", write=_write_elements, direction="write"),),
        cases=(
            Case("rows", (_X, int64([[0, 2, -1, 1]]), arr(1, 4))),
            Case("columns", (_X, int64([[0, 1], [-1, 0], [3, 2]]), arr(3, 2)), {"axis": 1}),
            Case("fewer rows", (_X, int64([[0], [3]]), arr(2, 1)), {"axis": -1}),
            Case("vector", (arr(4), int64([1, -1]), arr(2))),
        ),
    ),
)
