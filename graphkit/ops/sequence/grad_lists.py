"""How gradients pass sequences: the gradient in a sequence is a sequence, of one gradient for each member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.tensor.grad_sizes import as_ints, joined, operand, sizes_at
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.spec import Gradients

__all__ = [
    "at_gradient",
    "concat_gradient",
    "construct_gradient",
    "erase_gradient",
    "handed_on",
    "insert_gradient",
    "split_gradient",
    "summed",
]

_ZERO = np.asarray(0)


def each(
    b: GradientBuilder,
    sequences: Sequence[ir.Value],
    function: Callable[..., ir.Value],
    dtype: ir.DataType | None = None,
) -> ir.Value:
    """The sequence of what a function makes of the members of sequences of one length.

    Args:
        b: The builder.
        sequences: The sequences.
        function: (members) -> a tensor.
        dtype: Element type of what it makes; None for that of the first sequence.
    """
    kind = dtype or some(sequences[0].dtype)
    empty = b.op("SequenceEmpty", dtype=int(kind))
    empty.type = ir.SequenceType(ir.TensorType(kind))
    turn, going, made = b.variable(b.const(_ZERO)), b.variable(b.const(np.asarray(True))), b.variable(empty)

    def results() -> list[ir.Value]:
        members = [b.op("SequenceAt", sequence, turn) for sequence in sequences]
        return [going, b.op("SequenceInsert", made, function(*members))]

    body, _ = b.graph([turn, going, made], results)
    found = b.op("Loop", b.op("SequenceLength", sequences[0]), np.asarray(True), empty, body=body)
    found.type, found.shape = empty.type, None
    return found


def summed(b: GradientBuilder, sequences: Sequence[ir.Value]) -> ir.Value:
    """The sums of the members of sequences, place by place."""
    return each(b, sequences, lambda *members: b.op("Sum", *members))


def _zeros(b: GradientBuilder, sequence: ir.Value) -> ir.Value:
    return each(b, [sequence], b.full_like)


def handed_on(_b: GradientBuilder, _node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of what hands on what it is given."""
    return [dy[0]]


def construct_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient in the members of a new sequence."""
    return [
        b.op("SequenceAt", dy[0], np.asarray(place)) if b.wants(value) else None
        for place, value in enumerate(node.inputs)
    ]


def insert_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of SequenceInsert, whose negative positions count from the end of the shorter sequence."""
    place = operand(node, 2)
    if place is None:
        place = b.const(np.asarray(-1))
    else:
        place = _scalar(b, place)
        place = b.op("Where", b.op("Less", place, _ZERO), b.op("Sub", place, np.asarray(1)), place)
    rest = b.op("SequenceErase", dy[0], place) if b.wants(node.inputs[0]) else None
    return [rest, b.op("SequenceAt", dy[0], place) if b.wants(node.inputs[1]) else None]


def erase_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of SequenceErase: zeros for the member that is gone."""
    source, place = some(node.inputs[0]), operand(node, 1)
    if place is None:
        return [b.op("SequenceInsert", dy[0], b.full_like(b.op("SequenceAt", source, np.asarray(-1))))]
    gone = b.full_like(b.op("SequenceAt", source, place))
    return [b.op("SequenceInsert", dy[0], gone, _from_front(b, source, place))]


def at_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Gradients:
    """The gradient of SequenceAt; of a part of a tensor that was split, that in the tensor itself."""
    source, place = some(node.inputs[0]), some(node.inputs[1])
    split = source.producer()
    here = node.graph is not None and split is not None and split.graph is node.graph
    if here and split is not None and split.op_type == "SplitToSequence":
        return {some(split.inputs[0]): _of_part(b, split, dy[0], place)}
    others = b.op("SequenceErase", _zeros(b, source), place)
    return [b.op("SequenceInsert", others, dy[0], _from_front(b, source, place))]


def _of_part(b: GradientBuilder, split: ir.Node, gradient: ir.Value, place: ir.Value) -> ir.Value:
    """The gradient in a tensor of one of the parts that it was split into."""
    source, given = some(split.inputs[0]), operand(split, 1)
    axis = (split.attributes.get_int("axis", 0) or 0) % b.rank(source)
    if given is None and not split.attributes.get_int("keepdims", 1):
        gradient = b.op("Unsqueeze", gradient, [axis])
    size, number = sizes_at(b, source, [axis]), b.op("Unsqueeze", _scalar(b, place), [0])
    if given is not None and b.rank(given) == 1:
        before = b.op("Gather", b.op("CumSum", as_ints(b, given), _ZERO, exclusive=1), number)
    else:
        width = b.const([1]) if given is None else b.op("Unsqueeze", _scalar(b, given), [0])
        count = b.op("Div", b.op("Sub", b.op("Add", size, width), [1]), width)
        number = b.op("Where", b.op("Less", number, [0]), b.op("Add", number, count), number)
        before = b.op("Mul", number, width)
    after = b.op("Sub", b.op("Sub", size, before), sizes_at(b, gradient, [axis]))
    return b.op("Pad", gradient, joined(b, before, after), None, [axis])


def split_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of SplitToSequence."""
    axis = node.attributes.get_int("axis", 0) or 0
    apart = operand(node, 1) is None and not node.attributes.get_int("keepdims", 1)
    return [b.op("ConcatFromSequence", dy[0], axis=axis, new_axis=int(apart))]


def concat_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The gradient of ConcatFromSequence."""
    source, axis = some(node.inputs[0]), node.attributes.get_int("axis", 0)
    if node.attributes.get_int("new_axis", 0):
        return [b.op("SplitToSequence", dy[0], axis=axis, keepdims=0)]
    axis %= b.rank(dy[0])
    sizes = each(b, [source], lambda member: b.op("Shape", member, start=axis, end=axis + 1), ir.DataType.INT64)
    return [b.op("SplitToSequence", dy[0], b.op("ConcatFromSequence", sizes, axis=0), axis=axis)]


def _scalar(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """An integer as a 0-d int64."""
    return value if b.dtype(value) == np.int64 else b.op("Cast", value, to=ir.DataType.INT64)


def _from_front(b: GradientBuilder, sequence: ir.Value, place: ir.Value) -> ir.Value:
    """A position in a sequence, counted from the front."""
    place = _scalar(b, place)
    return b.op("Where", b.op("Less", place, _ZERO), b.op("Add", place, b.op("SequenceLength", sequence)), place)
