"""Sequences of given lengths, padded to a common one.

MXNet's own gradient of SequenceLast is only right with lengths; without them it writes outside its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.sizes import END, START, as_int64, positions, some
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Stored, Var


def _write_reverse(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, lengths = some(x[0]), some(x[1])
    batch_first = _is_batch_first(node)
    if isinstance(batch_first, Refusal):
        return batch_first
    if batch_first:
        data = b.op("SwapAxis", data, dim1=0, dim2=1)
    found = b.op("SequenceReverse", data, lengths, use_sequence_length=True)
    return b.op("SwapAxis", found, dim1=0, dim2=1) if batch_first else found


def _is_batch_first(node: ir.Node) -> bool | Refusal:
    time, batch = node.attributes.get_int("time_axis", 0), node.attributes.get_int("batch_axis", 1)
    if sorted((time, batch)) != [0, 1]:
        return Refusal(f"its time axis {time} and batch axis {batch} are not the first two")
    return time == 1


def _torch_reverse(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    batch_first = _is_batch_first(node)
    if isinstance(batch_first, Refusal):
        return batch_first
    return torch_reversed(b, some(node.inputs[0]), x[0], x[1], batch_first=batch_first)


def torch_reversed(b: TorchBuilder, source: ir.Value, data: Var | Stored, lengths: Arg, *, batch_first: bool) -> Arg:
    """Sequences with as many of their steps as they are long in reverse order, and the rest in place.

    Args:
        b: The builder.
        source: A value of the sequences' sizes.
        data: The sequences.
        lengths: Length of each.
        batch_first: Whether the batch is the first axis and time the second, rather than the other way round.
    """
    device = Device(data)
    steps: Arg = b.call("torch.arange", b.size(source, 1 if batch_first else 0), device=device)
    rows: Arg = b.call("torch.arange", b.size(source, 0 if batch_first else 1), device=device)
    if batch_first:
        lengths, rows = b.method("unsqueeze", lengths, 1), b.method("unsqueeze", rows, 1)
    else:
        steps = b.method("unsqueeze", steps, 1)
    inside = b.infix("<", steps, lengths)
    steps = b.call("torch.where", inside, b.infix("-", b.infix("-", lengths, 1), steps), steps)
    return b.item(data, rows, steps) if batch_first else b.item(data, steps, rows)


def _lengths(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | None:
    """The int64 lengths; None where all sequences are whole."""
    if not BOOL.parse(node.attrs.get("use_sequence_length", "False")):
        return None
    return as_int64(b, some(x[1]))


def _read_reverse(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("axis", "0") != "0":
        return Refusal(f"its axis is {node.attrs['axis']}, and MXNet itself reverses axis 0 only")
    lengths = _lengths(b, node, x)
    if lengths is None:
        return b.op("Slice", x[0], [-1], [START], [0], [-1])
    return b.op("ReverseSequence", x[0], lengths, time_axis=0, batch_axis=1)


def _read_mask(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, axis, lengths = some(x[0]), int(node.attrs.get("axis", "0")), _lengths(b, node, x)
    if lengths is None:
        return b.op("Identity", data)
    steps = b.op("Unsqueeze", positions(b, data, axis), [1 - axis])
    inside = b.op("Less", steps, b.op("Unsqueeze", lengths, [axis]))
    rank = b.rank(data)
    if rank > 2:
        inside = b.op("Unsqueeze", inside, list(range(2, rank)))
    return b.op("Where", inside, data, b.scalar(FLOAT.parse(node.attrs.get("value", "0")), data))


def _read_last(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, axis, lengths = some(x[0]), int(node.attrs.get("axis", "0")), _lengths(b, node, x)
    if lengths is None:
        return b.op("Squeeze", b.op("Slice", data, [-1], [END], [axis]), [axis])
    if axis == 0:
        data = b.op("Transpose", data, perm=[1, 0, *range(2, b.rank(data))])
    places = b.op("Unsqueeze", b.op("Sub", lengths, np.asarray(1)), [1])
    return b.op("GatherND", data, places, batch_dims=1)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    batch, time = node.attributes.get_int("batch_axis", 1), node.attributes.get_int("time_axis", 0)
    return [b.op("ReverseSequence", dy[0], node.inputs[1], batch_axis=batch, time_axis=time)]


_X, _LENGTHS = arr(4, 3, 2), given([2, 4, 1], "float32")
_BATCH_FIRST = arr(3, 4, 2)
_USED = {"use_sequence_length": True}

OPS = (
    Op(
        "ReverseSequence",
        mx=(
            MxForm(
                "SequenceReverse",
                read=_read_reverse,
                reads=("use_sequence_length", "axis"),
                write=_write_reverse,
                cases=(
                    Case("whole", (_X,)),
                    Case("lengths", (_X, _LENGTHS), {"use_sequence_length": "1"}, const=(1,)),
                    Case("integer lengths", (arr(4, 3), given([2, 4, 1], "int32")), _USED),
                ),
            ),
        ),
        torch=_torch_reverse,
        gradient=_gradient,
        cases=(
            Case("default", (_X, int64([2, 4, 1])), dynamic=(0,)),
            Case("batch first", (_BATCH_FIRST, int64([2, 4, 1])), {"batch_axis": 0, "time_axis": 1}, dynamic=(0, 1)),
            Case("stored lengths", (_X, int64([2, 4, 1])), const=(1,)),
            Case("integers", (arr(4, 3, dtype="int64"), int64([2, 4, 1])), grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "SequenceMask",
                read=_read_mask,
                reads=("use_sequence_length", "value", "axis"),
                direction="read",
                cases=(
                    Case("whole", (_X,), {"value": 3}),
                    Case("lengths", (_X, int64([2, 4, 1])), {**_USED, "value": -1.5}),
                    Case("axis 1", (_BATCH_FIRST, int64([2, 4, 1])), {**_USED, "axis": 1}),
                    Case("float lengths", (arr(4, 3), given([2.7, 4.2, 0.9], "float32")), _USED),
                ),
            ),
            MxForm(
                "SequenceLast",
                read=_read_last,
                reads=("use_sequence_length", "axis"),
                direction="read",
                cases=(
                    Case("whole", (_X,), grad=False),
                    Case("whole, axis 1", (_BATCH_FIRST,), {"axis": 1}, grad=False),
                    Case("lengths", (_X, int64([2, 4, 1])), _USED),
                    Case("axis 1", (_BATCH_FIRST, int64([2, 4, 1])), {**_USED, "axis": 1}),
                    Case("matrix", (arr(4, 3), int64([2, 4, 1])), _USED),
                ),
            ),
        ),
    ),
)
