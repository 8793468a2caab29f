"""Looking up slices by index along one axis.

ONNX counts negative indices from the end and rejects what is out of range; MXNet's Embedding and take clip unless told
to wrap. Reading keeps the clipping as a Clip of the indices, and writing finds it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.training import padding_row
from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.grad_gather import gather_gradient
from graphkit.ops.tensor.padding_row import without_gradient
from graphkit.ops.tensor.sizes import (
    as_int64,
    axis_of,
    clipped,
    is_never_negative,
    mx_axis,
    some,
    wrapped,
)
from graphkit.ops.tensor.torch_index import along, cut_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_FEW = 16
"""Stored indices that are spelled out in an index, at most."""
_HANDED_ON = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, indices = some(x[0]), some(node.inputs[0]), some(node.inputs[1])
    axis = axis_of(node, b.rank(source))
    scalar = b.rank(indices) == 0
    keep = b.rank(source) == 1
    number = b.number(indices) if scalar else None
    if number is not None:
        begin = int(number)
        if begin == padding_row(node):
            data = b.op("BlockGrad", data)
        cut = b.op("slice_axis", data, axis=axis, begin=begin, end="None" if begin == -1 else begin + 1)
        return cut if keep else b.op("squeeze", cut, axis=axis)
    size = b.shape(source)[axis]
    clips = _clips(b, indices, size)
    picked = clips or indices
    row = padding_row(node)
    safe = clips is not None or row is not None or is_never_negative(b, indices)
    if axis == 0 and b.rank(source) == 2 and b.is_initializer(source) and isinstance(size, int) and safe:
        width = b.shape(source)[1]
        found = b.op("Embedding", b.ref(picked), data, input_dim=size, output_dim=width, dtype=b.dtype(source).name)
    else:
        found = b.op("take", data, b.ref(picked), axis=axis, mode=None if safe else "wrap")
    if row is not None:
        found = without_gradient(b, found, b.ref(picked), row, size, b.rank(source) - 1)
    return b.op("squeeze", found, axis=axis) if scalar and not keep else found


def _clips(b: MxBuilder, indices: ir.Value, size: int | str | None) -> ir.Value | None:
    """What is clipped to the axis before it is looked up, where that is all that the producer does.

    A cast to int64 before it goes too, as MXNet's indices may be floats.
    """
    clip = indices.producer()
    if clip is None or clip.op_type != "Clip" or len(clip.inputs) < 3 or not isinstance(size, int):
        return None
    if b.number(clip.inputs[1]) != 0 or b.number(clip.inputs[2]) != size - 1:
        return None
    raw = some(clip.inputs[0])
    cast = raw.producer()
    if cast is not None and cast.op_type == "Cast" and b.dtype(some(cast.inputs[0])).kind in "fiu":
        return some(cast.inputs[0])
    return raw


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    made = cut_out(b, node.outputs[0])
    if made is not None:
        return made
    source, indices = some(node.inputs[0]), some(node.inputs[1])
    rank = b.rank(source)
    axis = axis_of(node, rank)
    row = padding_row(node)
    if row is not None and rank == 2:
        return _looked_up(b, source, x, row)
    known = b.value(indices)
    if known is not None and known.ndim == 1 and known.size > 1 and known[0] >= 0 and bool((np.diff(known) == 1).all()):
        return b.item(x[0], *along(axis, slice(int(known[0]) or None, int(known[-1]) + 1), rank=rank))
    if known is not None and known.ndim < 2 and known.size <= _FEW:
        return b.item(x[0], *along(axis, known.tolist(), rank=rank))
    if axis == 0 and rank == 2 and _is_table(b, source) and _counts_forward(b, indices):
        return _looked_up(b, source, x)
    return b.item(x[0], *along(axis, x[1], rank=rank))


def _looked_up(b: TorchBuilder, source: ir.Value, x: Sequence[Any], row: int | None = None) -> Arg:
    """Rows of a table by torch's embedding, a layer where the table is stored and read here alone."""
    found: Arg | None = None
    if _is_table(b, source):
        found = b.layer("nn.Embedding", (x[1],), {"weight": source}, *b.shape(source), padding_idx=row)
    if found is not None:
        return found
    return b.call("F.embedding", x[1], x[0], **({} if row is None else {"padding_idx": row}))


def _is_table(b: TorchBuilder, value: ir.Value) -> bool:
    return b.is_initializer(value) and b.value(value) is None and b.dtype(value).kind == "f"


def _counts_forward(b: TorchBuilder, indices: ir.Value) -> bool:
    """Whether no index is negative, or all are fed as they are, where a negative one is an error."""
    while (producer := indices.producer()) is not None and producer.op_type in _HANDED_ON:
        indices = some(producer.inputs[0])
    return (producer is None and not b.is_initializer(indices)) or is_never_negative(b, indices)


def _read_take(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, indices = some(x[0]), as_int64(b, some(x[1]))
    axis, mode = int(node.attrs.get("axis", "0")), node.attrs.get("mode", "clip")
    if mode == "clip":
        indices = clipped(b, indices, data, axis)
    elif mode == "wrap":
        indices = wrapped(b, indices, data, axis)
    return b.op("Gather", data, indices, axis=axis)


def _read_embedding(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    table = some(x[1])
    return b.op("Gather", table, clipped(b, as_int64(b, some(x[0])), table, 0), axis=0)


def _read_pick(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, indices = some(x[0]), as_int64(b, some(x[1]))
    axis = mx_axis(node, default="-1")
    if axis is None:
        return Refusal("it has no axis, which MXNet itself rejects")
    axis %= b.rank(data)
    indices = (clipped if node.attrs.get("mode", "clip") == "clip" else wrapped)(b, indices, data, axis)
    if b.rank(indices) < b.rank(data):
        indices = b.op("Unsqueeze", indices, [axis])
    found = b.op("GatherElements", data, indices, axis=axis)
    return found if BOOL.parse(node.attrs.get("keepdims", "False")) else b.op("Squeeze", found, [axis])


def _read_batch_take(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    indices = b.op("Unsqueeze", clipped(b, as_int64(b, some(x[1])), data, 1), [1])
    return b.op("Squeeze", b.op("GatherElements", data, indices, axis=1), [1])


_X, _TABLE = arr(3, 4), arr(5, 4)
_FAR = int64([0, -1, 7, 2])

OPS = (
    Op(
        "Gather",
        mx=(
            MxForm(
                "take",
                read=_read_take,
                reads=("axis", "mode"),
                write=_write,
                cases=(
                    Case("clipped", (_X, _FAR)),
                    Case("wrapped", (_X, _FAR), {"axis": 1, "mode": "wrap"}),
                    Case("raising", (_X, int64([[0, 2], [1, 1]])), {"axis": -1, "mode": "raise"}),
                    Case("floats", (_X, given([0.7, 2.2, -1.5], "float32")), {"axis": 1}),
                    Case("stored indices", (_X, int64([0, 2])), const=(1,)),
                    Case("scalar index", (_X, int64(1)), {"axis": 1}),
                    Case("scalar index, wrapped", (_X, int64(-1)), {"axis": 1, "mode": "wrap"}),
                ),
            ),
            MxForm(
                "Embedding",
                also=("_contrib_SparseEmbedding",),
                read=_read_embedding,
                reads=("input_dim", "output_dim"),
                ignore=("dtype", "sparse_grad", "deterministic"),
                direction="read",
                cases=(
                    Case("integers", (_FAR, _TABLE), {"input_dim": 5, "output_dim": 4}, const=(1,)),
                    Case(
                        "floats",
                        (given([[0.7, 2.2], [-1.5, 9.0]], "float32"), _TABLE),
                        {"input_dim": 5, "output_dim": 4, "dtype": "float32"},
                        const=(1,),
                        grad=False,
                    ),
                ),
            ),
        ),
        torch=_torch,
        gradient=gather_gradient,
        cases=(
            Case("rows", (_X, int64([[0, 2], [-1, 1]])), dynamic=(1,)),
            Case("columns", (_X, int64([0, -4, 3])), {"axis": -1}, dynamic=(0,)),
            Case("free axis", (_X, int64([0, -1])), dynamic=(0,)),
            Case("stored indices", (_X, int64([2, 0])), const=(1,)),
            Case("stored row of indices", (_X, int64([1, 2])), const=(1,), dynamic=(1,)),
            Case("stored negative indices", (_X, int64([-1, 0])), const=(1,), dynamic=(0,)),
            Case("one row", (_X, int64(1)), const=(1,)),
            Case("last column", (_X, int64(-1)), {"axis": 1}, const=(1,), dynamic=(0,)),
            Case("one number", (arr(4), int64(-2)), const=(1,)),
            Case("fed scalar", (_X, int64(-1)), {"axis": 1}),
            Case("number by a fed scalar", (arr(4), int64(2))),
            Case("table", (_TABLE, int64([[0, 2], [4, 1]])), const=(0, 1)),
            Case("table by fed indices", (_TABLE, int64([[0, 2], [3, 1]])), const=(0,)),
            Case("table by negative indices", (_TABLE, int64([[0, 2], [-1, 1]])), const=(0,)),
            Case("table by bytes", (_TABLE, given([0, 4], "int32")), const=(0,)),
            Case("integers", (arr(3, 2, dtype="int64"), int64([0, -1])), grad=False),
            Case("truths", (arr(3, 2, dtype="bool"), int64([0, -1])), grad=False),
        ),
        limits=(
            Limit("read-backward", "MXNet has no dense gradient of it", "_contrib_SparseEmbedding>integers"),
            *(
                Limit(
                    claim,
                    "torch's embedding, which fed indices of a table become, refuses negative indices",
                    "table by negative indices",
                )
                for claim in ("torch", "torch-float64", "torch-backward")
            ),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "pick",
                read=_read_pick,
                reads=("axis", "keepdims", "mode"),
                direction="read",
                cases=(
                    Case("clipped", (_X, int64([0, -1, 7]))),
                    Case("wrapped", (_X, int64([0, -1, 7])), {"mode": "wrap"}),
                    Case("kept axis", (_X, int64([0, 1, 2, 0])), {"axis": 0, "keepdims": "1"}),
                    Case("index of equal rank", (_X, int64([[0], [1], [3]])), {"axis": 1}),
                    Case("floats", (_X, given([0.7, 2.2, 9.5], "float32"))),
                ),
            ),
            MxForm(
                "batch_take",
                read=_read_batch_take,
                direction="read",
                cases=(Case("clipped", (_X, given([0, -1, 7], "int32")), grad=False),),
            ),
        ),
    ),
)
