"""Looking up single elements and slices by coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.coordinates import element_coordinates, point_coordinates
from graphkit.ops.tensor.grad_gather import gather_elements_gradient, gather_nd_gradient
from graphkit.ops.tensor.sizes import as_int64, axis_of, is_never_negative, some
from graphkit.ops.tensor.torch_index import only_axis, points
from graphkit.ops.tensor.torch_reshape import unsqueezed
from graphkit.ops.tensor.torch_sizes import nonnegative
from graphkit.ops.torchprogram import Code, Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write_elements(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    axis = axis_of(node, b.rank(source))
    ours, theirs = list(b.shape(source)), list(b.shape(indices))
    ours[axis] = 1
    if len(ours) > 1 and ours == theirs and None not in ours:
        mode = "clip" if is_never_negative(b, indices) else "wrap"
        return b.op("pick", data, some(x[1]), axis=axis, keepdims=True, mode=mode)
    return b.op("gather_nd", data, element_coordinates(b, indices, some(x[1]), source, axis))


def _write_nd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    batch = node.attributes.get_int("batch_dims", 0)
    width = b.shape(indices)[-1]
    if not isinstance(width, int):
        return Refusal("the last axis of its indices is of unknown size", sizes=node.inputs[1:2])
    found = b.op("gather_nd", data, point_coordinates(b, indices, some(x[1]), source, width, batch))
    alone = b.rank(indices) == 1 and width < b.rank(source)
    return b.op("squeeze", found, axis=0) if alone else found


def _torch_elements(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    axis = axis_of(node, b.rank(source))
    return b.method("gather", x[0], axis, nonnegative(b, indices, x[1], source, axis))


def _torch_nd(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    batch = node.attributes.get_int("batch_dims", 0)
    indices = some(node.inputs[1])
    if not batch:
        found = points(b, indices)
        return b.item(x[0], *found) if isinstance(found, tuple) else b.item(x[0], found)
    rank, width = b.rank(indices), b.shape(indices)[-1]
    if not isinstance(width, int):
        return Refusal("the last axis of its indices is of unknown size", sizes=node.inputs[1:2])
    alone = only_axis(b, indices)
    held: Any = x[1] if alone is None else b.arg(alone)
    index: list[Arg] = []
    for axis in range(batch):
        rows: Arg = b.call("torch.arange", b.size(alone or indices, axis), device=Device(held))
        after = rank - 2 - axis
        index.append(unsqueezed(b, rows, range(1, after + 1), after + 1) if after else rows)
    places = [b.item(held, Code("..."), place) for place in range(width)] if alone is None else [held]
    return b.item(x[0], *index, *places)


def _read_nd(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    indices = as_int64(b, some(x[1]))
    rank = b.rank(indices)
    return b.op("GatherND", x[0], b.op("Transpose", indices, perm=[*range(1, rank), 0]))


_X, _CUBE = arr(3, 4), arr(2, 3, 4)

OPS = (
    Op(
        "GatherElements",
        mx=(MxForm("gather_nd", write=_write_elements, direction="write"),),
        torch=_torch_elements,
        gradient=gather_elements_gradient,
        cases=(
            Case("rows", (_X, int64([[0, 2, -1, 1]])), dynamic=(0,)),
            Case("one of each row", (_X, int64([[0], [-1], [3]])), {"axis": 1}, dynamic=(0, 1)),
            Case("several of each row", (_X, int64([[0, 1], [-1, -4], [3, 3]])), {"axis": -1}, dynamic=(0, 1)),
            Case("fewer rows", (_X, int64([[0, 1, 2], [3, 3, -1]])), {"axis": 1}),
            Case("cube", (_CUBE, int64([[[0, 2, 1, 1]], [[-1, 0, 0, 2]]])), {"axis": 1}),
            Case("vector", (arr(4), int64([3, -4, 0]))),
            Case("stored indices", (_X, int64([[1, 0, 0, 2], [2, 2, 2, 0]])), const=(1,)),
            Case("int32", (_X, given([[0], [-1], [3]], "int32")), {"axis": 1}, dynamic=(0, 1)),
            Case("integers", (arr(3, 2, dtype="int64"), int64([[0, 2]])), grad=False),
            Case("truths", (arr(3, 2, dtype="bool"), int64([[0, 2]])), grad=False),
        ),
    ),
    Op(
        "GatherND",
        mx=(
            MxForm(
                "gather_nd",
                read=_read_nd,
                write=_write_nd,
                cases=(
                    Case("elements", (_X, int64([[0, 2, 1], [1, 3, 1]]))),
                    Case("rows", (_X, int64([[0, 2, 1]]))),
                    Case("more axes", (_CUBE, int64([[[0, 1]], [[1, 2]]]))),
                    Case("floats", (_X, given([[0.4, 1.7], [1.1, 2.9]], "float32"))),
                ),
            ),
        ),
        torch=_torch_nd,
        gradient=gather_nd_gradient,
        cases=(
            Case("elements", (_X, int64([[0, 1], [-1, -2], [0, 1]]))),
            Case("rows", (_X, int64([[0], [-1]])), dynamic=(0,)),
            Case("stored rows", (_X, int64([[1], [2]])), const=(1,), dynamic=(0,)),
            Case("stored negative indices", (_X, int64([[-1, 2], [0, -4]])), const=(1,)),
            Case("more axes", (_CUBE, int64([[[0, 1]], [[1, -1]]]))),
            Case("one element", (_X, int64([1, -1]))),
            Case("one row", (_X, int64([1]))),
            Case("batch", (_CUBE, int64([[1], [-3]])), {"batch_dims": 1}, dynamic=(0, 1)),
            Case("batch of points", (_CUBE, int64([[[1, 0], [0, -1]], [[-3, 3], [2, 2]]])), {"batch_dims": 1}),
            Case("integers", (arr(3, 2, dtype="int64"), int64([[0], [2]])), grad=False),
        ),
    ),
)
