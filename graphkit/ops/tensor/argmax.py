"""Where the largest or smallest element is.

MXNet gives the index in the dtype of its input, so types too narrow for the size of the axis are widened first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import axis_of, dim_ref, mx_axis, rank_is_known, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg

_WIDER = {
    "float16": ("float32", 2**11),
    "float32": ("float64", 2**24),
    "uint8": ("int32", 2**8),
    "int8": ("int32", 2**7),
}
"""The type to widen to where an axis has more elements than the number: what a type counts exactly."""


def _write(op: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
        data, source = some(x[0]), some(node.inputs[0])
        axis = axis_of(node, b.rank(source))
        size = b.shape(source)[axis]
        wider, most = _WIDER.get(b.dtype(source).name, ("", 2**53))
        if wider and (size if isinstance(size, int) else 2**16) > most:
            data = b.op("Cast", data, dtype=wider)
        last = node.attributes.get_int("select_last_index", 0)
        if last:
            data = b.op("reverse", data, axis=(axis,))
        keep = bool(node.attributes.get_int("keepdims", 1))
        found = b.op("Cast", b.op(op, data, axis=axis, keepdims=keep), dtype="int64")
        if not last:
            return found
        if isinstance(size, int):
            return b.op("_rminus_scalar", found, scalar=float(size - 1))
        return b.op("broadcast_sub", b.op("_minus_scalar", dim_ref(b, source, axis), scalar=1.0), found)

    return write


def _torch(method: str) -> Torch:
    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
        source = some(node.inputs[0])
        axis = node.attributes.get_int("axis", 0)
        keep = True if node.attributes.get_int("keepdims", 1) else None
        if not node.attributes.get_int("select_last_index", 0):
            return b.method(method, x[0], axis, keepdim=keep)
        size = b.size(source, axis)
        last = size - 1 if isinstance(size, int) else b.infix("-", size, 1)
        return b.infix("-", last, b.method(method, b.method("flip", x[0], axis), axis, keepdim=keep))

    return emit


def _read(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data, axis = some(x[0]), mx_axis(node)
        keep = BOOL.parse(node.attrs.get("keepdims", "False"))
        if axis is not None:
            found = b.op(onnx, data, axis=axis, keepdims=keep)
        else:
            found = b.op(onnx, b.op("Reshape", data, [-1]), axis=0, keepdims=1)
            found = b.op("Reshape", found, [1] * b.rank(data)) if keep else found
        if axis is not None and not keep and rank_is_known(data) and b.rank(data) == 1:
            found = b.op("Reshape", found, [1])
        return b.op("Cast", found, to=ir.DataType.from_numpy(b.dtype(data)))

    return read


def _read_channel(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    found = b.op("ArgMax", data, axis=1, keepdims=0)
    return b.op("Cast", found, to=ir.DataType.from_numpy(b.dtype(data)))


_X = arr(2, 3, 4)
_TIES = given([[1, 3, 3, 1], [2, 2, 2, 2]], "float32")


def _op(onnx: str, mx: str, *more: MxForm) -> Op:
    return Op(
        onnx,
        mx=(
            MxForm(
                mx,
                read=_read(onnx),
                reads=("axis", "keepdims"),
                write=_write(mx),
                cases=(
                    Case("flattened", (_X,), grad=False),
                    Case("flattened, kept", (_X,), {"keepdims": True}, grad=False),
                    Case("axis", (_X,), {"axis": 1}, grad=False),
                    Case("axis, kept", (_X,), {"axis": -1, "keepdims": "1"}, grad=False),
                    Case("vector", (arr(5),), {"axis": 0}, grad=False),
                    Case("integers", (arr(2, 3, low=-9, high=9, dtype="int32"),), {"axis": 1}, grad=False),
                ),
            ),
            *more,
        ),
        torch=_torch(mx),
        cases=(
            Case("default", (_X,), dynamic=(0,), grad=False),
            Case("dropped", (_X,), {"axis": -1, "keepdims": 0}, dynamic=(0,), grad=False),
            Case("first of ties", (_TIES,), {"axis": 1}, grad=False),
            Case("last of ties", (_TIES,), {"axis": 1, "select_last_index": 1}, dynamic=(0,), grad=False),
            Case("last along a free axis", (_TIES,), {"axis": 0, "select_last_index": 1}, dynamic=(0,), grad=False),
            Case("vector", (arr(5),), {"keepdims": 0}, grad=False),
            Case("integers", (arr(2, 3, low=-9, high=9, dtype="int64"),), {"axis": 1}, grad=False),
            Case("bytes", (arr(300, low=0, high=99, dtype="uint8"),), grad=False),
            Case("halves", (arr(2, 3000, dtype="float16"),), {"axis": 1}, grad=False),
        ),
    )


OPS = (
    _op(
        "ArgMax",
        "argmax",
        MxForm("argmax_channel", read=_read_channel, direction="read", cases=(Case("rows", (arr(3, 4),), grad=False),)),
    ),
    _op("ArgMin", "argmin"),
)
