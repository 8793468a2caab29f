"""Sequences as Python lists; each operator makes a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.sequence.grad_lists import (
    at_gradient,
    concat_gradient,
    construct_gradient,
    erase_gradient,
    handed_on,
    insert_gradient,
    split_gradient,
)
from graphkit.ops.spec import Op
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg


def _place(b: TorchBuilder, node: ir.Node, x: Sequence[Any], position: int) -> Arg:
    """A position in a list, counted from its end where it is below zero; None where none is given."""
    if len(x) <= position or x[position] is None:
        return None
    number = b.number(node.inputs[position])
    return b.call("int", x[position]) if number is None else int(number)


def _construct(_b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    return [list(x)]


def _empty(_b: TorchBuilder, _node: ir.Node, _x: Sequence[Any]) -> Sequence[Arg]:
    return [[]]


def _insert(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    place = _place(b, node, x, 2)
    if place is None:
        return [[*x[0], x[1]] if isinstance(x[0], list) else b.infix("+", x[0], [x[1]])]
    before, after = b.item(x[0], slice(None, place)), b.item(x[0], slice(place, None))
    return [b.infix("+", b.infix("+", before, [x[1]]), after)]


def _erase(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    place = _place(b, node, x, 1)
    if place is None or place == -1:
        return b.item(x[0], slice(None, -1))
    if place == 0:
        return b.item(x[0], slice(1, None))
    rest = b.item(b.item(x[0], slice(place, None)), slice(1, None))
    return b.infix("+", b.item(x[0], slice(None, place)), rest)


def _at(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.item(x[0], _place(b, node, x, 1))


def _length(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.call("torch.tensor", b.call("len", x[0]))


def _split(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    axis = node.attributes.get_int("axis", 0) or 0
    sizes = node.inputs[1] if len(node.inputs) > 1 else None
    if sizes is None and not node.attributes.get_int("keepdims", 1):
        return b.call("list", b.method("unbind", x[0], axis))
    if sizes is None:
        return b.call("list", b.method("split", x[0], 1, axis))
    numbers = b.value(sizes)
    parts: Arg
    if b.rank(sizes) == 0:
        parts = b.call("int", x[1]) if numbers is None else int(numbers.reshape(())[()])
    else:
        parts = b.method("tolist", x[1]) if numbers is None else [int(number) for number in numbers]
    return b.call("list", b.method("split", x[0], parts, axis))


def _concat(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    axis = node.attributes.get_int("axis", 0)
    function = "torch.stack" if node.attributes.get_int("new_axis", 0) else "torch.cat"
    return b.call(function, x[0], axis) if axis else b.call(function, x[0])


def _is_optional(value: ir.Value) -> bool:
    return type(value.type).__name__ == "OptionalType"


def _optional(_b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    return [x[0] if x and x[0] is not None else Code("None")]


def _has_element(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    if not x or x[0] is None:
        return b.call("torch.tensor", False)
    if not _is_optional(some(node.inputs[0])):
        return b.call("torch.tensor", True)
    return b.call("torch.tensor", b.infix("is not", x[0], Code("None")))


def _get_element(_b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    return [x[0]]


OPS = (
    Op("ConcatFromSequence", torch=_concat, gradient=concat_gradient),
    Op("Optional", torch=_optional, gradient=handed_on),
    Op("OptionalGetElement", torch=_get_element, gradient=handed_on),
    Op("OptionalHasElement", torch=_has_element),
    Op("SequenceAt", torch=_at, gradient=at_gradient),
    Op("SequenceConstruct", torch=_construct, gradient=construct_gradient),
    Op("SequenceEmpty", torch=_empty),
    Op("SequenceErase", torch=_erase, gradient=erase_gradient),
    Op("SequenceInsert", torch=_insert, gradient=insert_gradient),
    Op("SequenceLength", torch=_length),
    Op("SplitToSequence", torch=_split, gradient=split_gradient),
)
