"""Sorting, whole or in part.

MXNet's sort is not stable: among equal elements it may give another index than ONNX, which promises the lower one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.free_sizes import axis_like, cut_to
from graphkit.ops.tensor.sizes import axis_of, constant_ints, mx_axis, rank_is_known, size_along, some
from graphkit.ops.tensor.torch_index import along
from graphkit.ops.tensor.torch_sizes import elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_STABLE = 16
"""Elements up to which MXNet's sort keeps the order of equal ones."""


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    data, source = some(x[0]), some(node.inputs[0])
    axis = axis_of(node, b.rank(source), -1)
    count = constant_ints(b, node, 1)
    taken = count[0] if count else b.shape(node.outputs[0])[axis]
    like = None if isinstance(taken, int) else axis_like(b, node, taken)
    if not isinstance(taken, int) and like is None:
        why = "how many elements it takes is computed, and MXNet needs it in the symbol"
        return Refusal(why, needs=node.inputs[1:])
    if taken == 0:
        return Refusal("it makes an array without elements, which MXNet does not have")
    ascending = not node.attributes.get_int("largest", 1)
    values, indices = (bool(output.uses()) or output.is_graph_output() for output in node.outputs)
    size = b.shape(source)[axis]
    if indices and not (isinstance(size, int) and size <= _STABLE):
        b.warn("where elements are equal, MXNet may give their indices in another order than ONNX")
    kind = "both" if values and indices else "value" if values else "indices"
    refs = b.ops(
        "topk",
        2 if kind == "both" else 1,
        data,
        axis=axis,
        k=taken if isinstance(taken, int) else 0,
        ret_typ=kind,
        is_ascend=ascending or None,
        dtype="int64" if indices else None,
    )
    if like is not None and taken != size:
        refs = tuple(cut_to(b, ref, b.rank(source), axis, like) for ref in refs)
    return refs if kind != "indices" else (refs[0], refs[0])


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg] | Refusal:
    source = some(node.inputs[0])
    rank = b.rank(source)
    axis = axis_of(node, rank, -1)
    (count,) = elements(b, node, 1, x[1]) or (b.item(x[1], 0),)
    descending = node.attributes.get_int("largest", 1)
    indices = node.outputs[1]
    if not indices.uses() and not indices.is_graph_output():
        at = {"dim": None if axis == rank - 1 else axis, "largest": None if descending else False}
        return b.calls("torch.topk", 2, x[0], count, **at)
    at = {"dim": None if axis == rank - 1 else axis, "descending": True if descending else None}
    found = b.calls("torch.sort", 2, x[0], **at, stable=True)
    if isinstance(count, int) and count == b.shape(source)[axis]:
        return found
    return [b.item(part, *along(axis, slice(count), rank=rank)) for part in found]


def _sorted(
    b: OnnxBuilder, node: MxNode, data: ir.Value, count: int, *, ascending: bool
) -> tuple[ir.Value, ir.Value, ir.Value, int]:
    """What is sorted, its sorted elements, their indices, and the axis."""
    axis = mx_axis(node, default="-1")
    if axis is None:
        data, axis = b.op("Reshape", data, [-1]), 0
    if rank_is_known(data):
        if not b.rank(data):
            raise ValueError("axis -1 is none of a scalar")
        axis %= b.rank(data)
    taken = b.const([count]) if count > 0 else size_along(b, data, axis)
    values, indices = b.ops("TopK", 2, data, taken, axis=axis, largest=int(not ascending))
    return data, values, indices, axis


def _flag(node: MxNode, default: str) -> bool:
    return bool(BOOL.parse(node.attrs.get("is_ascend", default)))


def _as_dtype(b: OnnxBuilder, node: MxNode, indices: ir.Value) -> ir.Value:
    return b.op("Cast", indices, to=ir.DataType.from_numpy(np.dtype(node.attrs.get("dtype", "float32"))))


def _read_topk(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Sequence[ir.Value]:
    data, kind = some(x[0]), node.attrs.get("ret_typ", "indices")
    flat, values, indices, axis = _sorted(b, node, data, int(node.attrs.get("k", "1")), ascending=_flag(node, "False"))
    if kind == "mask":
        dtype = b.dtype(data)
        zeros = b.op("ConstantOfShape", b.op("Shape", flat), value=ir.tensor(np.zeros(1, dtype)))
        ones = b.op("ConstantOfShape", b.op("Shape", indices), value=ir.tensor(np.ones(1, dtype)))
        mask = b.op("ScatterElements", zeros, indices, ones, axis=axis)
        return mask if flat is data else b.op("Reshape", mask, b.op("Shape", data))
    if kind == "value":
        return values
    cast = _as_dtype(b, node, indices)
    return cast if kind == "indices" else (values, cast)


def _read_sort(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return _sorted(b, node, some(x[0]), 0, ascending=_flag(node, "True"))[1]


def _read_argsort(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return _as_dtype(b, node, _sorted(b, node, some(x[0]), 0, ascending=_flag(node, "True"))[2])


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    source = some(node.inputs[0])
    places, axis = b.output(node, 1), axis_of(node, b.rank(source), -1)
    return [b.op("ScatterElements", b.full_like(source), places, dy[0], axis=axis)]


_X = given([[0.3, -0.2, 0.9, 0.1], [0.5, 0.7, -0.6, 0.2]], "float32")
_CUBE = arr(2, 5, 3)

OPS = (
    Op(
        "TopK",
        mx=(
            MxForm(
                "topk",
                read=_read_topk,
                reads=("axis", "k", "ret_typ", "is_ascend", "dtype"),
                write=_write,
                cases=(
                    Case("default", (_X,), grad=False),
                    Case("both", (_X,), {"k": 3, "ret_typ": "both", "dtype": "int32"}, outputs=2, grad=False),
                    Case("values", (_CUBE,), {"k": 2, "axis": 1, "ret_typ": "value", "is_ascend": True}),
                    Case("all indices", (_X,), {"k": 0, "dtype": "int64"}, grad=False),
                    Case("flattened", (_X,), {"k": 3, "axis": "None"}, grad=False),
                    Case("mask", (_X,), {"k": 2, "ret_typ": "mask"}, grad=False),
                    Case("flattened mask", (_X,), {"k": 3, "axis": "None", "ret_typ": "mask"}, grad=False),
                ),
            ),
        ),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("default", (_X, int64([2])), const=(1,), outputs=2, dynamic=(0,)),
            Case("smallest", (_CUBE, int64([3])), {"axis": 1, "largest": 0}, const=(1,), outputs=2),
            Case("everything", (_X, int64([4])), const=(1,), outputs=2),
            Case("ties", (given([2, 1, 2, 1, 2], "float32"), int64([4])), const=(1,), outputs=2, grad=False),
            Case("integers", (given([3, 1, 2], "int64"), int64([2])), const=(1,), outputs=2, grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "sort",
                read=_read_sort,
                reads=("axis", "is_ascend"),
                direction="read",
                cases=(
                    Case("ascending", (_X,), {"axis": -1}),
                    Case("descending", (_CUBE,), {"axis": 1, "is_ascend": False}),
                    Case("flattened", (_X,), {"axis": "None"}),
                    Case("default axis", (_X,), grad=False),
                ),
            ),
            MxForm(
                "argsort",
                read=_read_argsort,
                reads=("axis", "is_ascend", "dtype"),
                direction="read",
                cases=(
                    Case("ascending", (_X,), grad=False),
                    Case("descending", (_CUBE,), {"axis": 1, "is_ascend": "0", "dtype": "int64"}, grad=False),
                    Case("flattened", (_X,), {"axis": "None"}, grad=False),
                ),
            ),
        ),
    ),
)
