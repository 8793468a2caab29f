"""Loops as MXNet's ``_foreach`` and ``_while_loop``.

``_foreach`` is what a Gluon author would write. MXNet infers no shapes of what is in the body of one but is no loop
itself, and has no gradients of one inside another operator; ``_while_loop`` works everywhere. MXNet gives wrong
gradients of what its body reads from outside, so all that it reads is carried as a variable of the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.control_flow.linking import ask_alike, linked
from graphkit.ops.mxgraph import VARIABLE, MxBody, MxGraph, MxNode, MxRef
from graphkit.ops.spec import Refusal, is_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder

__all__ = ["ENDLESS", "Looped", "Looping", "changing", "held", "inside", "outside", "rows_of"]

ENDLESS: Final = 2**31 - 1
"""The largest number of turns that MXNet can be told."""


def held(b: MxBuilder, value: ir.Value) -> np.dtype[Any]:
    """The element type of what a body takes and gives for a value."""
    return np.dtype(np.float32) if b.dtype(value).kind == "b" else b.dtype(value)


def outside(b: MxBuilder, value: ir.Value) -> MxRef:
    """What holds a value as a body takes and gives it: truth values as float32."""
    return as_carrier(b, value, np.dtype(np.float32)) if b.dtype(value).kind == "b" else b.ref(value)


def inside(b: MxBuilder, value: ir.Value, ref: MxRef) -> MxRef:
    """What a loop or branch gives for a value, as the nodes after it expect it."""
    if b.dtype(value).kind != "b" or carrier(b, value) == np.float32:
        return ref
    return b.op("Cast", ref, dtype=carrier(b, value).name, name="truth")


def changing(b: MxBuilder, first: ir.Value | None, values: Sequence[ir.Value]) -> Refusal | None:
    """Why MXNet cannot carry a value, if its shape is not the same on every turn.

    Args:
        b: The builder.
        first: What it is at first.
        values: What it is in the body and after it.
    """
    if first is None or all(b.shape(value) == b.shape(first) for value in values):
        return None
    return Refusal(
        f"the shape of {first.name!r}, which it carries from turn to turn, is not the same on each of them, and "
        f"MXNet's loops carry arrays of one shape; collect what each turn adds as an output of the body, or convert "
        f"to torch"
    )


def rows_of(b: MxBuilder, ref: MxRef, like: ir.Value, axis: int = 0, *, reverse: bool = False) -> MxRef:
    """What a loop stacked, along another axis.

    Args:
        b: The builder.
        ref: The rows, along the first axis.
        like: One of them in the model.
        axis: The axis that they are to be along.
        reverse: Whether the last one comes first.
    """
    rank = b.rank(like) + 1
    if reverse:
        ref = b.op("reverse", ref, axis=0, name="forward")
    if rank == 1:  # MXNet stacks arrays of one element as a column
        return b.op("Reshape", ref, shape=(-1,), name="row")
    place = axis % rank
    order = [*range(1, place + 1), 0, *range(place + 1, rank)]
    return b.op("transpose", ref, axes=order, name="columns") if place else ref


class Looped(NamedTuple):
    """What a loop gave.

    Attributes:
        carried: What it carried last.
        collected: What it stacked; rows of turns that it did not make hold anything.
        turns: How many it made, where that is known to MXNet alone.
    """

    carried: list[MxRef]
    collected: list[MxRef]
    turns: MxRef | None = None

    def outputs(self, b: MxBuilder, values: Sequence[ir.Value], found: Mapping[int, MxRef]) -> list[MxRef]:
        """What holds the outputs of a node.

        Args:
            b: The builder.
            values: The outputs.
            found: What it collected, by number; for those that nothing reads anything stands.
        """
        spare = next(iter((*self.carried, *found.values())))
        rest = [found.get(number, spare) for number in range(len(values) - len(self.carried))]
        return [inside(b, value, ref) for value, ref in zip(values, [*self.carried, *rest], strict=True)]


@dataclass(eq=False)
class Looping:
    """A loop that is to be written.

    Attributes:
        body: What it does on each turn.
        carried: What holds each value that it carries, as its body reads it, at first.
        following: Which outputs of the body these are on the next turn.
        collected: Which outputs of the body it stacks.
        items: What holds each array whose rows the body reads, one on each turn.
        index: The number of the turn as the body reads it.
        going: Which output of the body says whether another turn follows; None for always.
        begins: What says whether there is a first turn; None for true.
        turns: Number of turns, or what they are limited to; None for no limit.
    """

    body: ir.Graph
    carried: dict[ir.Value, MxRef]
    following: Sequence[ir.Value]
    collected: Sequence[ir.Value]
    items: dict[ir.Value, MxRef] = field(default_factory=dict)
    index: ir.Value | None = None
    going: ir.Value | None = None
    begins: MxRef | None = None
    turns: int | None = None

    def is_flat(self, b: MxBuilder) -> bool:
        """Whether it is in no other loop or branch and holds none."""
        return not b.is_inside and not any(_has_bodies(node) for node in self.body)

    def write(self, b: MxBuilder) -> Looped:
        """Emit it."""
        if self.is_flat(b) and self.going is None and self.begins is None:
            return self._foreach(b)
        return self._while(b)

    def _foreach(self, b: MxBuilder) -> Looped:
        items = dict(self.items)
        if self.index is not None or not items:
            items[self.index or self.body.inputs[0]] = b.op("_arange", start=0, stop=self.turns, dtype="int64")

        def turn(own: Sequence[MxRef]) -> list[MxRef]:
            b.inline(self.body)
            collected = [_grounded(b, value, own[-1]) for value in self.collected]
            following = _followed(b, self.following, own[len(items) :])
            unread = _unread(own, [*collected, *following])
            spare = [b.op("_copy", ref, name="unread") for ref in own[: len(items)] if ref in unread]
            return [*collected, *spare, *_reading(b, own[len(items) :], following, unread)]

        body = b.body([*items, *self.carried], turn)
        order = {id(node): place for place, node in enumerate(body.graph.variables())}
        locs = [order[id(node)] for node in body.own]
        rest = [node for node in body.captured if id(node) in order]
        _copy_computed(body, rest)
        inputs = [*items.values(), *self.carried.values(), *(body.captured[node] for node in rest)]
        count, states = len(body.graph.heads), len(self.carried)
        results = b.ops(
            "_foreach",
            count,
            *inputs,
            subgraphs=[body.graph],
            num_args=len(inputs) + 1,
            num_outputs=count,
            num_out_data=count - states,
            in_data_locs=locs[: len(items)],
            in_state_locs=locs[len(items) :],
            remain_locs=[order[id(node)] for node in rest],
        )
        return Looped(list(results[count - states :]), list(results[: len(self.collected)]))

    def _while(self, b: MxBuilder) -> Looped:
        conditional = self.going is not None or self.begins is not None
        first = [b.const(np.zeros(1, np.int64), "start")]
        if conditional:
            first.append(b.const(np.ones(1, np.float32), "going") if self.begins is None else self.begins)
        before = len(first)
        first += [*self.carried.values(), *self.items.values()]

        def turn(own: Sequence[MxRef]) -> list[MxRef]:
            if self.index is not None:
                b.bind(self.index, own[0])
            for value, ref in zip(self.items, own[before + len(self.carried) :], strict=True):
                row = b.op("take", ref, own[0], name="row")
                b.bind(value, b.op("Reshape", row, shape=(-3, -2), name="item") if b.rank(value) else row)
            b.inline(self.body)
            collected = [_grounded(b, value, own[-1]) for value in self.collected]
            following = [b.op("_plus_scalar", own[0], scalar=1, name="next")]
            if conditional:
                following.append(own[1] if self.going is None else _linked(b, outside(b, self.going), own[1]))
            following += _followed(b, self.following, own[before : before + len(self.carried)])
            following += own[len(following) :]
            unread = _unread(own, [*collected, *following])
            heads = [*collected, *_reading(b, own, following, unread)]
            read = _inner_reads(heads)  # MXNet's backward pass fails where something in the body reads a head
            return [b.op("_copy", head, name="given") if head in read else head for head in heads]

        body = b.body([*[None] * before, *self.carried, *[None] * len(self.items)], turn)
        known = set(map(id, body.graph.variables()))
        captured = {node: ref for node, ref in body.captured.items() if id(node) in known}
        for node in captured:
            kept = MxNode("_copy", f"{node.name}_kept", inputs=[MxRef(node)])
            body.graph.nodes.append(kept)
            body.graph.heads.append(MxRef(kept))
        variables = [*body.own, *captured]
        order = {id(node): place for place, node in enumerate(body.graph.variables())}
        place = {id(node): number for number, node in enumerate(variables)}
        others = [*self.items.values(), *captured.values()]
        first[before : before + len(self.carried)] = ask_alike(b, self.carried, others)
        inputs = [*first, *captured.values()]
        count = len(body.graph.heads)
        results = b.ops(
            "_while_loop",
            count,
            *inputs,
            subgraphs=[self._condition(body.own[1 if conditional else 0].name, conditional=conditional), body.graph],
            num_args=len(inputs) + 2,
            num_outputs=count,
            num_out_data=len(self.collected),
            max_iterations=ENDLESS if self.turns is None else self.turns,
            cond_input_locs=[1 if conditional else 0],
            func_input_locs=[place[id(node)] for node in body.graph.variables()],
            func_var_locs=[order[id(node)] for node in variables],
        )
        last = results[len(self.collected) :]
        return Looped(list(last[before : before + len(self.carried)]), list(results[: len(self.collected)]), last[0])

    def _condition(self, name: str, *, conditional: bool) -> MxGraph:
        """The graph that says whether another turn follows."""
        variable = MxNode(VARIABLE, name)
        node = MxNode("_copy", f"{name}_going", inputs=[MxRef(variable)])
        if not conditional:
            node = MxNode("_lesser_scalar", f"{name}_going", {"scalar": str(self.turns)}, [MxRef(variable)])
        return MxGraph([variable, node], [MxRef(node)])


def _copy_computed(body: MxBody, captured: Sequence[MxNode]) -> None:
    """Have a body read copies of what is computed outside.

    MXNet infers no storage type of a gradient in such a value where it is that of an output as it stands.
    """
    copies = {
        MxRef(node): MxNode("_copy", f"{node.name}_kept", inputs=[MxRef(node)])
        for node in captured
        if not body.captured[node].node.is_variable
    }
    for node in body.graph.nodes:
        node.inputs = [MxRef(copies[ref]) if ref in copies else ref for ref in node.inputs]
    body.graph.heads = [MxRef(copies[ref]) if ref in copies else ref for ref in body.graph.heads]
    body.graph.nodes += copies.values()
    body.graph.arrange()


def _inner_reads(heads: Sequence[MxRef]) -> set[MxRef]:
    """What nodes of the graph of some heads read."""
    graph = MxGraph(heads=list(heads))
    graph.arrange()
    return {ref for node in graph.nodes for ref in node.inputs}


def _unread(own: Sequence[MxRef], heads: Sequence[MxRef]) -> set[MxRef]:
    """Variables that no head needs; MXNet refuses a body that does not read all of its inputs."""
    graph = MxGraph(heads=list(heads))
    graph.arrange()
    return set(own).difference(map(MxRef, graph.variables()))


def _reading(b: MxBuilder, own: Sequence[MxRef], following: Sequence[MxRef], unread: set[MxRef]) -> list[MxRef]:
    """What variables are on the next turn, said so that each of them is read."""
    pairs = zip(own, following, strict=True)
    return [b.op("reshape_like", ref, old, name="next") if old in unread else ref for old, ref in pairs]


def _followed(b: MxBuilder, following: Sequence[ir.Value], own: Sequence[MxRef]) -> list[MxRef]:
    """What values that are carried are on the next turn."""
    return [
        _grounded(b, value, old) if is_float(b.dtype(value)) else _linked(b, outside(b, value), old)
        for value, old in zip(following, own, strict=True)
    ]


def _grounded(b: MxBuilder, value: ir.Value, source: MxRef) -> MxRef:
    """What holds a value that a body gives, with a gradient to something. Without, MXNet's backward pass fails."""
    return linked(b, outside(b, value), b.rank(value), held(b, value), source)


def _linked(b: MxBuilder, ref: MxRef, old: MxRef) -> MxRef:
    """What is no float, with a gradient to what it was on the turn before: 0."""
    return b.op("elemwise_add", ref, b.op("_mul_scalar", old, scalar=0, name="none"), name="linked")


def _has_bodies(node: ir.Node) -> bool:
    return any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values())
