"""Writing into a copy of an array at given places.

MXNet's index_copy writes whole rows. Its scatter_nd writes into zeros of a fixed shape, so what is written and where go
in separately and ``where`` joins them with the array. Elements that go to a free shape, or are added up or compared
with what is there, are spread out along their axis instead, one layer for each of them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.coordinates import element_coordinates, point_coordinates, wrap_negative
from graphkit.ops.tensor.grad_scatter import scatter_elements_gradient, scatter_nd_gradient
from graphkit.ops.tensor.sizes import as_int64, axis_of, some
from graphkit.ops.tensor.torch_index import points
from graphkit.ops.tensor.torch_sizes import nonnegative
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


class _Reduction(NamedTuple):
    """How the elements that go to one place become one number there.

    Attributes:
        reduce: MXNet's operator over the layers.
        neutral: What layers without an element hold.
        combine: MXNet's operator that joins the result with the data.
    """

    reduce: str
    neutral: float
    combine: str


_REDUCTIONS = {
    "add": _Reduction("sum", 0.0, "elemwise_add"),
    "mul": _Reduction("prod", 1.0, "elemwise_mul"),
    "max": _Reduction("max", float("-inf"), "_maximum"),
    "min": _Reduction("min", float("inf"), "_minimum"),
}


def _fixed(b: MxBuilder, value: ir.Value) -> tuple[int, ...] | None:
    dims = b.shape(value)
    known = tuple(dim for dim in dims if isinstance(dim, int))
    return known if len(known) == len(dims) else None


def _reduction(node: ir.Node) -> str:
    return node.attributes.get_string("reduction", "none") or "none"


def _unreducible(b: MxBuilder, node: ir.Node) -> Refusal | None:
    """Why MXNet does not join elements that go to the same place."""
    reduction, kind = _reduction(node), b.dtype(some(node.inputs[0])).kind
    if reduction in ("max", "min") and kind != "f":
        return Refusal(f"reduction={reduction} of integers has no neutral element to start from in MXNet")
    if reduction != "none" and kind == "b":
        return Refusal(f"reduction={reduction} of truth values, which MXNet holds as numbers, gives none")
    return None


def _scattered(b: MxBuilder, node: ir.Node, data: MxRef, places: MxRef, shape: tuple[int, ...]) -> MxRef:
    new = as_carrier(b, some(node.inputs[2]), carrier(b, some(node.inputs[0])))
    written = b.op("scatter_nd", new, places, shape=shape)
    mask = b.op("scatter_nd", b.op("ones_like", new), places, shape=shape, name="mask")
    return b.op("where", mask, written, data)


def _write_nd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    width, shape = b.shape(indices)[-1], _fixed(b, source)
    if _reduction(node) != "none":
        return _reduce_nd(b, node, x, width)
    if width == 1 and b.rank(indices) == 2:
        rows = b.op("Reshape", wrap_negative(b, indices, some(x[1]), source, 0), shape=(-1,))
        return b.op("_contrib_index_copy", data, rows, as_carrier(b, some(node.inputs[2]), carrier(b, source)))
    if shape is None:
        return Refusal("MXNet's scatter_nd needs a fixed shape", sizes=node.inputs[:1])
    if not isinstance(width, int) or b.rank(indices) == 1:
        return Refusal("the last axis of its indices is of unknown size, or its only one")
    return _scattered(b, node, data, point_coordinates(b, indices, some(x[1]), source, width), shape)


def _write_elements(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    axis, shape = axis_of(node, b.rank(source)), _fixed(b, source)
    if shape is not None and _reduction(node) == "none":
        places = element_coordinates(b, indices, some(x[1]), source, axis)
        return _scattered(b, node, data, places, shape)
    ours, theirs = list(b.shape(source)), list(b.shape(indices))
    ours[axis] = theirs[axis] = None
    if ours != theirs or ours.count(None) > 1:
        return Refusal("its indices leave out part of an array of free shape", sizes=node.inputs[:2])
    if (refusal := _unreducible(b, node)) is not None:
        return refusal
    return _spread(b, node, x, axis)


def _spread(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None], axis: int) -> MxRef:
    """Give every element a layer as large as the data, and join the layers."""
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    updates = as_carrier(b, some(node.inputs[2]), carrier(b, source))
    places = b.op("expand_dims", wrap_negative(b, indices, some(x[1]), source, axis), axis=axis + 1)
    here = b.op("broadcast_equal", places, _positions(b, data, source, axis, b.dtype(indices).name), name="here")
    layers = b.op("broadcast_like", b.op("expand_dims", updates, axis=axis + 1), here)
    reduction = _REDUCTIONS.get(_reduction(node), _REDUCTIONS["add"])
    neutral = b.op("zeros_like", layers)
    if reduction.neutral:
        neutral = b.op("_plus_scalar", neutral, scalar=reduction.neutral)
    joined = b.op(reduction.reduce, b.op("where", here, layers, neutral), axis=axis)
    if _reduction(node) == "none":
        return b.op("where", b.op("max", here, axis=axis), joined, data)
    return b.op(reduction.combine, data, joined)


def _reduce_nd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None], width: Dim) -> MxRef | Refusal:
    """Number the addressed places, and give every update a layer as large as the data."""
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    reduction = _REDUCTIONS[_reduction(node)]
    if (refusal := _unreducible(b, node)) is not None:
        return refusal
    dims = b.shape(source)[: width if isinstance(width, int) else 0]
    inner = [dim for dim in dims[1:] if isinstance(dim, int)]
    if not dims or len(inner) != len(dims) - 1 or (len(dims) > 1 and not isinstance(dims[0], int)):
        return Refusal("the sizes of the axes that it addresses are not known", sizes=node.inputs[:1])
    places = point_coordinates(b, indices, some(x[1]), source, len(dims))
    places = b.op("Reshape", places, shape=(len(dims), -1))
    if inner:
        strides = np.cumprod([1, *inner[::-1]])[::-1].astype(b.dtype(indices))
        places = b.op("broadcast_mul", places, b.const(strides[:, None].copy(), name="strides"))
        places = b.op("sum", places, axis=0, keepdims=True)
    places = b.op("Reshape", places, shape=(-1, 1), name="places")
    whole = len(dims) == b.rank(source)
    count = prod(inner) * (dims[0] if isinstance(dims[0], int) else 1)
    flat = (-1, 1) if whole else (count if isinstance(dims[0], int) else 0, -1)
    rows = b.op("Reshape", data, shape=flat, name="rows")
    line = b.op("_contrib_arange_like", b.op("Cast", rows, dtype="float64"), axis=0)
    line = b.op("Reshape", b.op("Cast", line, dtype=b.dtype(indices).name), shape=(1, -1))
    here = b.op("expand_dims", b.op("broadcast_equal", places, line), axis=2, name="here")
    new = as_carrier(b, some(node.inputs[2]), carrier(b, source))
    for _ in range(b.rank(indices) - 2):
        new = b.op("Reshape", new, shape=(-3, -2))
    new = b.op("expand_dims", b.op("Reshape", new, shape=(-1, 1) if whole else (0, -1)), axis=1)
    here = b.op("broadcast_like", here, new, lhs_axes=(2,), rhs_axes=(2,))
    layers = b.op("broadcast_like", new, here, lhs_axes=(1,), rhs_axes=(1,))
    neutral = b.op("zeros_like", layers)
    if reduction.neutral:
        neutral = b.op("_plus_scalar", neutral, scalar=reduction.neutral)
    joined = b.op(reduction.reduce, b.op("where", here, layers, neutral), axis=0)
    return b.op("reshape_like", b.op(reduction.combine, rows, joined), data)


def _positions(b: MxBuilder, data: MxRef, source: ir.Value, axis: int, dtype: str) -> MxRef:
    """0, 1, … along an axis of the data, in an array of one more axis before it."""
    size, rank = b.shape(source)[axis], b.rank(source)
    if isinstance(size, int):
        line = b.op("_arange", start=0.0, stop=float(size), dtype=dtype)
    else:
        line = b.op("_contrib_arange_like", b.op("Cast", data, dtype="float64"), axis=axis)
        line = b.op("Cast", line, dtype=dtype)
    return b.op("Reshape", line, shape=(*(1,) * (axis + 1), -1, *(1,) * (rank - axis - 1)))


_TORCH_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _torch_elements(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    axis, reduction = axis_of(node, b.rank(source)), _reduction(node)
    places = nonnegative(b, indices, x[1], source, axis)
    if reduction == "none":
        return b.method("scatter", x[0], axis, places, x[2])
    if reduction == "add":
        return b.method("scatter_add", x[0], axis, places, x[2])
    return b.method("scatter_reduce", x[0], axis, places, x[2], _TORCH_REDUCTIONS[reduction])


def _torch_nd(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source, indices, reduction = some(node.inputs[0]), some(node.inputs[1]), _reduction(node)
    if reduction in ("none", "add"):
        return b.method("index_put", x[0], points(b, indices), x[2], accumulate=True if reduction == "add" else None)
    width, rank = b.shape(indices)[-1], b.rank(source)
    if not isinstance(width, int):
        return Refusal("the last axis of its indices is of unknown size", sizes=node.inputs[1:2])
    places: Arg = None
    for axis in range(width):
        one = b.infix("%", b.item(x[1], Code("..."), axis), b.size(source, axis))
        places = one if axis == 0 else b.infix("+", b.infix("*", places, b.size(source, axis)), one)
    places = b.method("reshape", places, -1, *(1,) * (rank - width))
    rows, new = x[0], x[2]
    if width > 1:
        rows = b.method("flatten", rows, 0, width - 1)
    new = b.method("reshape", new, -1, *(b.size(source, axis) for axis in range(width, rank)))
    places = b.method("expand_as", places, new) if rank > width else places
    found = b.method("scatter_reduce", rows, 0, places, new, _TORCH_REDUCTIONS[reduction])
    return b.method("reshape_as", found, x[0]) if width > 1 else found


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
_PLACES = int64([[0, 1, 1], [-1, 0, 0], [3, 2, 3]])

_ROWS = (_X, int64([[0], [-1], [0]]), arr(3, 4))
_ELEMENTS = (_X, int64([[0, 1], [-1, -2], [2, 2]]), arr(3))


def _reduced(reduction: str) -> Case:
    return Case(reduction, (_X, _PLACES, arr(3, 3)), {"axis": 1, "reduction": reduction}, dynamic=(0, 1, 2))


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
        torch=_torch_nd,
        gradient=scatter_nd_gradient,
        cases=(
            Case("elements", (_X, int64([[0, 1], [-1, -2]]), arr(2))),
            Case("rows", (_X, int64([[0], [-1]]), arr(2, 4)), dynamic=(0,)),
            Case("stored rows", (_X, int64([[0], [2]]), arr(2, 4)), const=(1,)),
            Case("blocks of rows", (_X, int64([[[0], [2]]]), arr(1, 2, 4)), const=(0, 1)),
            Case("integers", (arr(3, dtype="int64"), int64([[1]]), int64([7])), grad=False),
            Case("truths", (_TRUTHS, int64([[1]]), arr(1, 4, dtype="bool")), grad=False),
            *(Case(f"rows, {kind}", _ROWS, {"reduction": kind}, dynamic=(0,)) for kind in _REDUCTIONS),
            *(Case(f"elements, {kind}", _ELEMENTS, {"reduction": kind}) for kind in _REDUCTIONS),
        ),
    ),
    Op(
        "ScatterElements",
        mx=(MxForm("scatter_nd", write=_write_elements, direction="write"),),
        torch=_torch_elements,
        gradient=scatter_elements_gradient,
        cases=(
            Case("rows", (_X, int64([[0, 2, -1, 1]]), arr(1, 4))),
            Case("columns", (_X, int64([[0, 1], [-1, 0], [3, 2]]), arr(3, 2)), {"axis": 1}),
            Case(
                "columns of a free batch",
                (_X, int64([[0, 1], [-1, 0], [3, 2]]), arr(3, 2)),
                {"axis": 1},
                dynamic=(0, 1, 2),
            ),
            Case("along a free axis", (_X, int64([[0, 2, -1, 1]]), arr(1, 4)), dynamic=(0,)),
            Case("fewer rows", (_X, int64([[0], [3]]), arr(2, 1)), {"axis": -1}),
            Case("vector", (arr(4), int64([1, -1]), arr(2))),
            *map(_reduced, _REDUCTIONS),
        ),
    ),
)
