"""Running sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.sizes import mx_axis, some
from graphkit.ops.tensor.torch_index import along
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_running"]


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, number = some(x[0]), some(node.inputs[0]), b.number(node.inputs[1])
    if number is None:
        return Refusal("its axis is computed; MXNet needs it in the symbol", needs=node.inputs[1:])
    axis = int(number) % b.rank(source)
    backward = node.attributes.get_int("reverse", 0)
    if backward:
        data = b.op("reverse", data, axis=(axis,))
    if node.attributes.get_int("exclusive", 0):
        first = b.op("zeros_like", b.op("slice_axis", data, axis=axis, begin=0, end=1), name="first")
        if b.shape(source)[axis] == 1:
            return first
        data = b.op("Concat", first, b.op("slice_axis", data, axis=axis, begin=0, end=-1), num_args=2, dim=axis)
    found = b.op("_np_cumsum", data, axis=axis)
    return b.op("reverse", found, axis=(axis,)) if backward else found


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source, number = some(node.inputs[0]), b.number(node.inputs[1])
    if number is None:
        return torch_running(b, node, x, "cumsum", 0)
    rank, dtype = b.rank(source), b.dtype(source)
    axis = int(number) % rank
    data: Arg = x[0]
    backward = node.attributes.get_int("reverse", 0)
    if backward:
        data = b.method("flip", data, axis)
    if node.attributes.get_int("exclusive", 0):
        data = b.call("F.pad", b.item(data, *along(axis, slice(-1), rank=rank)), (0, 0) * (rank - 1 - axis) + (1, 0))
    narrow = dtype.kind in "iu" and dtype != np.int64
    data = b.method("cumsum", data, axis, dtype=b.torch_dtype(dtype) if narrow else None)
    return b.method("flip", data, axis) if backward else data


def torch_running(b: TorchBuilder, node: ir.Node, x: Sequence[Any], method: str, first: int) -> Arg:
    """Sums (``cumsum``) or products along an axis that is computed; ``first`` is that of nothing."""
    dtype = b.dtype(some(node.inputs[0]))
    axis, data = b.call("int", x[1]), x[0]
    backward = node.attributes.get_int("reverse", 0)
    if backward:
        data = b.method("flip", data, axis)
    if node.attributes.get_int("exclusive", 0):
        place = b.call("torch.zeros", 1, dtype=b.torch_dtype("int64"), device=Device(x[0]))
        data = b.method("index_fill", b.method("roll", data, 1, axis), axis, place, first)
    narrow = dtype.kind in "iu" and dtype != np.int64
    data = b.method(method, data, axis, dtype=b.torch_dtype(dtype) if narrow else None)
    return b.method("flip", data, axis) if backward else data


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, axis, dtype = some(x[0]), mx_axis(node), node.attrs.get("dtype", "None")
    if axis is None:
        data, axis = b.op("Reshape", data, [-1]), 0
    have = b.dtype(data)
    want = np.dtype(dtype) if dtype != "None" else np.dtype(np.int64) if have == np.bool_ else have
    added = np.dtype(np.int32) if want.itemsize == 1 else want  # ONNX adds up no bytes
    if have != added:
        data = b.op("Cast", data, to=ir.DataType.from_numpy(added))
    total = b.op("CumSum", data, np.asarray(axis))
    return total if added == want else b.op("Cast", total, to=ir.DataType.from_numpy(want))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    exclusive, backward = (node.attributes.get_int(name, 0) for name in ("exclusive", "reverse"))
    return [b.op("CumSum", dy[0], node.inputs[1], exclusive=exclusive, reverse=1 - backward)]


_X = arr(2, 3, 4)

OP = Op(
    "CumSum",
    mx=(
        MxForm(
            "_np_cumsum",
            read=_read,
            reads=("axis", "dtype"),
            write=_write,
            cases=(
                Case("flattened", (_X,)),
                Case("axis", (_X,), {"axis": 1}),
                Case("scalar", (arr(),)),
                Case("truths", (given([True, False, True], "bool"),), grad=False),
                Case("bytes", (given([3, 1, 200], "uint8"),), {"axis": 0}, grad=False),
                Case("integers", (given([[3, 1], [2, 5]], "int32"),), {"axis": 0, "dtype": "int64"}, grad=False),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("axis", (_X, int64(1)), const=(1,), dynamic=(0,)),
        Case("last axis", (_X, int64(-1)), const=(1,)),
        Case("exclusive", (_X, int64(2)), {"exclusive": 1}, const=(1,), dynamic=(0,)),
        Case("reverse", (_X, int64(1)), {"reverse": 1}, const=(1,)),
        Case("both", (_X, int64(0)), {"reverse": 1, "exclusive": 1}, const=(1,)),
        Case("exclusive of one", (arr(2, 1), int64(1)), {"exclusive": 1}, const=(1,)),
        Case("int32", (arr(5, low=-9, high=9, dtype="int32"), int64(0)), const=(1,), grad=False),
        Case("integers", (arr(5, low=-9, high=9, dtype="int64"), int64(0)), const=(1,), grad=False),
    ),
)
