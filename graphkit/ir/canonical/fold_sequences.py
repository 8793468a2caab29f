"""Sequences of tensors whose members are known, replaced by the members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.symbols import Size, numbers_of, shape_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

__all__ = ["fold_sequences"]


def fold_sequences(model: ir.Model) -> bool:
    """Say what is done by way of a sequence without one, in place.

    SplitToSequence becomes Split, where the number of parts is known; SequenceAt with a known position is the member
    itself, ConcatFromSequence a Concat, SequenceLength a constant. Sequences that nothing reads any more go with the
    unused nodes.

    Returns:
        Whether anything was folded.
    """
    folded = False
    members: dict[ir.Value, list[ir.Value]] = {}
    for node in nodes_of(model):
        if node.domain or node.graph is None:
            continue
        if node.op_type in _MAKERS:
            found = _MAKERS[node.op_type](model, node, members)
            if found is not None:
                members[node.outputs[0]] = found
        elif node.op_type in _READERS:
            source = node.inputs[0]
            if source in members and source is not None:
                folded = _READERS[node.op_type](Editor(model, node), members[source]) or folded
    return folded


Members = dict["ir.Value", list["ir.Value"]]


def _construct(_model: ir.Model, node: ir.Node, _members: Members) -> list[ir.Value] | None:
    return [value for value in node.inputs if value is not None]


def _insert(_model: ir.Model, node: ir.Node, members: Members) -> list[ir.Value] | None:
    before = _known(node, members)
    value = node.inputs[1]
    if before is None or value is None:
        return None
    place = _position(node, 2, len(before), end=len(before))
    return None if place is None else [*before[:place], value, *before[place:]]


def _erase(_model: ir.Model, node: ir.Node, members: Members) -> list[ir.Value] | None:
    before = _known(node, members)
    if not before:
        return None
    place = _position(node, 1, len(before), end=len(before) - 1)
    return None if place is None else [*before[:place], *before[place + 1 :]]


def _known(node: ir.Node, members: Members) -> list[ir.Value] | None:
    source = node.inputs[0]
    return None if source is None else members.get(source)


def _position(node: ir.Node, index: int, length: int, end: int) -> int | None:
    """A position input as a plain one; ``end`` where it is absent, None where it is computed or out of range."""
    if len(node.inputs) <= index or node.inputs[index] is None:
        return end
    numbers = numbers_of(node.inputs[index])
    if numbers is None or not -length <= numbers[0] <= max(end, length - 1):
        return None
    return numbers[0] + length if numbers[0] < 0 else numbers[0]


def _split(model: ir.Model, node: ir.Node, _members: Members) -> list[ir.Value] | None:
    """Emit the Split that a SplitToSequence stands for, where anything reads its members."""
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    users = {user.op_type for user, _ in node.outputs[0].uses()}
    if shape is None or node.outputs[0].is_graph_output() or not users or not users <= {*_READERS, *_MAKERS}:
        return None
    axis = (node.attributes.get_int("axis", 0) or 0) % len(shape)
    edit = Editor(model, node)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    parts = _parts(shape[axis], given)
    if parts is None:
        return None
    sizes = given if given is not None and shape_of(given) else edit.const("split", parts)
    found = edit.ops("Split", len(parts), x, sizes, axis=axis)
    if given is None and not node.attributes.get_int("keepdims", 1):
        return [edit.op("Squeeze", part, edit.const("axis", [axis])) for part in found]
    return list(found)


def _parts(size: Size, given: ir.Value | None) -> Sequence[Size] | None:
    """Sizes of the parts: as given in a list, else chunks of a number (1 where absent) and what is left."""
    shape = None if given is None else shape_of(given)
    if given is not None and shape is None:
        return None
    if shape:
        sizes = sizes_of(given)
        if sizes is not None:
            return list(sizes.flat)
        return [None] * shape[0] if isinstance(shape[0], int) else None
    chunk = [1] if given is None else numbers_of(given)
    if chunk is None or not isinstance(size, int) or chunk[0] <= 0:
        return None
    whole, rest = divmod(size, chunk[0])
    return [chunk[0]] * whole + ([rest] if rest else [])


def _at(edit: Editor, members: list[ir.Value]) -> bool:
    place = _position(edit.node, 1, len(members), end=-1)
    if place is None or not 0 <= place < len(members):
        return False
    edit.replace(members[place])
    return True


def _concat(edit: Editor, members: list[ir.Value]) -> bool:
    axis = edit.node.attributes.get_int("axis", 0)
    if not members:
        return False
    if edit.node.attributes.get_int("new_axis", 0):
        members = [edit.op("Unsqueeze", value, edit.const("axis", [axis])) for value in members]
    edit.replace(edit.op("Concat", *members, axis=axis))
    return True


def _length(edit: Editor, members: list[ir.Value]) -> bool:
    edit.replace(edit.const("length", len(members)))
    return True


_MAKERS: dict[str, Callable[[ir.Model, ir.Node, Members], list[ir.Value] | None]] = {
    "SequenceConstruct": _construct,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SplitToSequence": _split,
}
_READERS: dict[str, Callable[[Editor, list[ir.Value]], bool]] = {
    "ConcatFromSequence": _concat,
    "SequenceAt": _at,
    "SequenceLength": _length,
}
