"""Indices as rows with one element on. ONNX counts negative indices from the end; MXNet has no row for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.booleans import carrier
from graphkit.ops.codec import FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, given, int64
from graphkit.ops.tensor.cast import DTYPES
from graphkit.ops.tensor.sizes import as_int64, is_never_negative, some
from graphkit.ops.tensor.torch_sizes import elements
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    indices, ref = some(node.inputs[0]), some(x[0])
    result = node.outputs[0]
    rank = b.rank(indices)
    axis = node.attributes.get_int("axis", -1) % (rank + 1)
    values, depth = b.value(node.inputs[2]), b.number(node.inputs[1])
    size = b.shape(result)[axis] if depth is None else int(depth)
    if not isinstance(size, int) or values is None:
        return Refusal(
            "its depth or its values are computed; MXNet's one_hot needs them in the symbol", needs=node.inputs[1:]
        )
    dtype = carrier(b, result)
    if dtype.name not in DTYPES:
        return Refusal(f"MXNet 1.9.1 does not compute in {dtype.name}; cast to another type")
    if not is_never_negative(b, indices):
        below = b.op("_mul_scalar", b.op("_lesser_scalar", ref, scalar=0.0), scalar=float(size))
        ref = b.op("elemwise_add", ref, below)
    off, on = (float(value) for value in values)
    found = b.op("one_hot", ref, depth=size, on_value=on, off_value=off, dtype=dtype.name)
    if axis == rank:
        return found
    order = list(range(rank))
    order.insert(axis, rank)
    return b.op("transpose", found, axes=order)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    indices: Arg = x[0]
    source = some(node.inputs[0])
    rank = b.rank(source)
    axis = node.attributes.get_int("axis", -1) % (rank + 1)
    if b.dtype(source).kind == "f":
        indices = b.method("long", indices)
    number = b.number(node.inputs[1])
    depth = (elements(b, node, 1, x[1]) or [x[1]])[0] if number is None else int(number)
    if not is_never_negative(b, source):
        below = b.infix("<", indices, 0)
        indices = b.call("torch.where", below, b.infix("+", indices, depth), indices)
    classes: Arg = b.call("torch.arange", depth, device=Device(x[0]))
    if axis < rank:
        classes = b.method("reshape", classes, -1, *(1,) * (rank - axis))
    hot = b.infix("==", b.method("unsqueeze", indices, -1 if axis == rank else axis), classes)
    off, on = (b.item(x[2], place) for place in (0, 1))
    values = b.value(node.inputs[2])
    if values is not None and list(values) == [0, 1]:
        dtype = b.torch_dtype(values.dtype)
        return b.method("float", hot) if dtype.text == "torch.float32" else b.method("to", hot, dtype)
    return b.call("torch.where", hot, on, off)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    indices, depth = as_int64(b, some(x[0])), int(node.attrs["depth"])
    off, on = FLOAT.parse(node.attrs.get("off_value", "0")), FLOAT.parse(node.attrs.get("on_value", "1"))
    values = b.const(np.asarray([off, on]), np.dtype(node.attrs.get("dtype", "float32")))
    scalar = b.rank(indices) == 0
    indices = b.op("Unsqueeze", indices, [0]) if scalar else indices
    array = b.value(indices)
    if array is None or array.min(initial=0) < 0:
        negative = b.op("Less", indices, np.asarray(0))
        indices = b.op("Where", negative, np.asarray(depth), indices)
    rows = b.op("OneHot", indices, np.asarray(depth), values)
    return b.op("Squeeze", rows, [0]) if scalar else rows


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    values = some(node.inputs[2])
    pair = b.const(np.arange(2), b.dtype(values))
    hot = b.op("OneHot", node.inputs[0], node.inputs[1], pair, axis=node.attributes.get_int("axis", -1))
    on = b.op("ReduceSum", b.op("Mul", dy[0], hot), keepdims=0)
    off = b.op("ReduceSum", b.op("Mul", dy[0], b.op("Sub", b.scalar(1.0, values), hot)), keepdims=0)
    return [None, None, b.op("Concat", *(b.op("Unsqueeze", part, [0]) for part in (off, on)), axis=0)]


_INDICES = int64([[0, 2], [1, 0]])


OP = Op(
    "OneHot",
    mx=(
        MxForm(
            "one_hot",
            read=_read,
            reads=("depth", "on_value", "off_value", "dtype"),
            write=_write,
            cases=(
                Case("default", (_INDICES,), {"depth": 3}, grad=False),
                Case("scalar", (int64(1),), {"depth": 3}, grad=False),
                Case("outside", (int64([0, -1, 3, 2]),), {"depth": 3}, grad=False),
                Case(
                    "values",
                    (given([0.7, 2.2, -0.5], "float32"),),
                    {"depth": 3, "on_value": 0.1, "off_value": -1},
                    grad=False,
                ),
                Case("integers", (_INDICES,), {"depth": 4, "dtype": "int64"}, const=(0,), grad=False),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("default", (_INDICES, int64(3), given([0, 1], "float32")), const=(1, 2), dynamic=(0,), grad=False),
        Case("values", (_INDICES, int64([3]), given([-0.5, 0.1], "float32")), const=(1, 2), grad=False),
        Case("negative", (int64([0, -1, -3, 3, -4]), int64(3), given([0, 1], "float32")), const=(1, 2), grad=False),
        Case("first axis", (_INDICES, int64(3), given([0, 1], "float32")), {"axis": 0}, const=(1, 2), grad=False),
        Case("middle axis", (_INDICES, int64(3), given([0, 1], "float32")), {"axis": -2}, const=(1, 2), grad=False),
        Case("integers", (_INDICES, int64(3), given([0, 7], "int64")), const=(1, 2), grad=False),
    ),
)
