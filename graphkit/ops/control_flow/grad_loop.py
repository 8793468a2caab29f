"""How gradients pass Loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.dims import dims_of
from graphkit.ops.control_flow.backward import Carried, Turn, drawn, totals
from graphkit.ops.control_flow.lists import is_read
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["gradient"]


def gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Mapping[ir.Value, ir.Value | None] | Refusal:
    """A Loop of as many turns, from the last to the first, each computed anew from what the node carried into it."""
    body, states = node.attributes["body"].as_graph(), len(node.inputs) - 2
    random = drawn(b, body)
    if isinstance(random, Refusal):
        return random
    number, going, *inner = body.inputs
    carried = [
        Carried(some(start), before, after, place, dy[place])
        for place, (start, before, after) in enumerate(zip(node.inputs[2:], inner, body.outputs[1:], strict=False))
    ]
    given = list(dy[states:])
    turn = Turn(b, body, carried, given)
    if not turn.active and not turn.read:
        return {}
    for each in turn.active:
        if not isinstance(each.before.type, ir.TensorType):
            return _sequence(each.before)
    held = turn.variables()
    index, again, last = b.variable(number), b.variable(going), b.variable(number)
    stacks = {value: _stack(b, value) for value in (*inner, *random)}
    rows: dict[ir.Value, ir.Value] = {}

    def emit() -> list[ir.Value]:
        at = b.op("Sub", last, index)
        for value, stack in stacks.items():
            if not isinstance(value.type, ir.TensorType):
                rows[value] = stack
                continue
            rows[value] = b.op("Gather", stack, at, axis=0)
            rows[value].type, rows[value].shape = value.type, None if value.shape is None else ir.Shape(value.shape)
        known = {number: at, going: b.const(np.ones(b.shape(going), np.bool_)), **rows}  # type: ignore[arg-type]  # () or (1,)
        cotangents = [None if cotangent is None else b.op("Gather", cotangent, at, axis=0) for cotangent in given]
        return [b.op("Identity", again), *turn.pull(known, cotangents, held)[0]]

    graph, count = b.graph([index, again, *held], emit)
    kept: list[ir.Value] = []
    starts = dict(zip(inner, node.inputs[2:], strict=True))
    for value, stack in stacks.items():
        if not is_read(stack):
            continue
        if not isinstance(value.type, ir.TensorType):
            return _sequence(value)
        if _is_read_for_its_shape(rows[value]):
            kept.append(_collected_shapes(b, node, value, rows[value], stack))
        elif _keeps_shape(value, starts.get(value)):
            kept.append(_replaced(stack, b.collected(node, value)))
        else:
            return Refusal(
                f"{value.name!r} in it is not known to keep its shape from turn to turn, and its gradient needs those "
                f"of all turns as one tensor; give the model's inputs fixed sizes, or carry a tensor of the final size "
                f"and fill it"
            )
    several = [*kept, *node.outputs[states:]]
    turns = b.op("Gather", b.shape_of(several[0] if several else b.collected(node, number)), np.array(0))
    _replaced(last, b.op("Sub", turns, np.array(1)))
    results = b.ops("Loop", count - 1, turns, None, *turn.ends(node), body=graph)
    return totals(b, zip([*(each.start for each in turn.active), *turn.read], results, strict=True))


def _sequence(value: ir.Value) -> Refusal:
    return Refusal(
        f"what it carries as {value.name!r} is a sequence of tensors; collect the tensors of the turns instead, as "
        f"further outputs of its body"
    )


def _keeps_shape(value: ir.Value, start: ir.Value | None) -> bool:
    """Whether a value in a loop has one shape on all turns: what is carried, that which it has at the start."""
    dims = dims_of(value)
    if dims is None or start is None:
        return dims is not None and all(isinstance(dim, int) for dim in dims)
    return dims == dims_of(start)


def _stack(b: GradientBuilder, value: ir.Value) -> ir.Value:
    """What stands for a value of all turns until it is known whether that is needed."""
    found = b.variable(value)
    found.shape = None if value.shape is None else ir.Shape([None, *value.shape])
    return found


def _replaced(old: ir.Value, new: ir.Value) -> ir.Value:
    for user, place in tuple(old.uses()):
        user.replace_input_with(place, new)
    return new


def _is_read_for_its_shape(value: ir.Value) -> bool:
    return dims_of(value) is not None and all(use.node.op_type == "Shape" for use in value.uses())


def _collected_shapes(b: GradientBuilder, node: ir.Node, value: ir.Value, row: ir.Value, stack: ir.Value) -> ir.Value:
    """Let a loop collect the shapes of what it carries; that it has one shape on all turns is not needed then."""
    rank = len(dims_of(value) or ())
    shapes = _replaced(stack, b.collected(node, value, "Shape"))
    row.type, row.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([rank])
    for user in [use.node for use in row.uses()]:
        start, end = user.attributes.get_int("start", 0), user.attributes.get_int("end", rank)
        part = ir.node("Slice", [row, b.const([start]), b.const([end])], name=user.name)
        part.metadata_props.update(user.metadata_props)
        old, new = user.outputs[0], part.outputs[0]
        new.name, new.type, new.shape = old.name, old.type, old.shape
        assert user.graph is not None
        user.graph.insert_before(user, part)
        _replaced(old, new)
        user.graph.remove(user, safe=True)
    return shapes
