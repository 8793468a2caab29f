"""Branches and loops as MXNet 1.9.1 can run and differentiate them.

Three things of it are mended:

- ``_while_loop`` leaves the rows of turns that it did not make as they were in memory. They are zeros here.
- It has no gradient where its condition reads more than the loop's variables, and for what else its body reads it
  gives that of the first turn alone. All that they read are variables of the loop here. Nor has it one where the body
  reads what it gives, so that it gives a copy here.
- ``_cond`` refuses a condition of another type than float32, and leaves its gradient as it was in memory. It is cast
  here, and nothing flows back into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import ints, show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["mended", "with_bodies"]


def mended(graph: MxGraph) -> dict[MxRef, MxRef]:
    """Mend the branches and loops of a graph, in place.

    Returns:
        What now holds what outputs of nodes held; nodes and heads of the graph read it already.
    """
    nodes: list[MxNode] = []
    instead: dict[MxRef, MxRef] = {}
    for node in graph.nodes:
        node.inputs = [instead.get(ref, ref) for ref in node.inputs]
        for body in node.subgraphs:
            mended(body)
        if node.op == "_cond":
            nodes += _cast_condition(node)
        if node.op != "_while_loop":
            nodes.append(node)
            continue
        _carry_all(node)
        before, masks, rows = _counted(node)
        nodes += [*before, node, *masks, *rows]
        instead.update((MxRef(node, number), MxRef(row)) for number, row in enumerate(rows))
    graph.nodes = nodes
    graph.heads = [instead.get(ref, ref) for ref in graph.heads]
    return instead


def with_bodies(node: MxNode, name: str, inputs: Sequence[MxRef], bodies: Sequence[MxGraph]) -> MxNode:
    """A branch or loop with other bodies, which have the same variables, perhaps in another order."""
    attrs = dict(node.attrs)
    before = [list(body.variables()) for body in node.subgraphs]
    after = [list(body.variables()) for body in bodies]
    lists = {"_while_loop": ("cond_input_locs", "func_input_locs")}.get(
        node.op, ("cond_input_locs", "then_input_locs", "else_input_locs") if node.op == "_cond" else ()
    )
    for attr, old, new in zip(lists, before, after, strict=False):
        places = ints(attrs[attr])
        attrs[attr] = show([places[old.index(variable)] for variable in new])
    for attr in {"_foreach": ("in_data_locs", "in_state_locs", "remain_locs"), "_while_loop": ("func_var_locs",)}.get(
        node.op, ()
    ):
        attrs[attr] = show([after[-1].index(before[-1][place]) for place in ints(attrs[attr])])
    return MxNode(node.op, name, attrs, list(inputs), list(bodies), node.hidden)


def _cast_condition(node: MxNode) -> list[MxNode]:
    """Cast the condition of a branch; what goes before it."""
    tested, *taken = (list(ints(node.attrs[f"{name}_input_locs"])) for name in ("cond", "then", "else"))
    stops = [MxNode("BlockGrad", f"{node.name}_stop{place}", {}, [node.inputs[place]]) for place in tested]
    for number, (place, stop) in enumerate(zip(tested, stops, strict=True)):
        if place in taken[0] or place in taken[1]:
            tested[number] = len(node.inputs)
            node.inputs = [*node.inputs, MxRef(stop)]
        else:
            node.inputs = [*node.inputs[:place], MxRef(stop), *node.inputs[place + 1 :]]
    node.attrs |= {"cond_input_locs": show(tested), "num_args": show(len(node.inputs) + 3)}
    condition = node.subgraphs[0]
    cast = MxNode("Cast", f"{node.name}_condition", {"dtype": "float32"}, condition.heads)
    condition.nodes.append(cast)
    condition.heads = [MxRef(cast)]
    return stops


def _carry(node: MxNode, place: int, step: str = "", **attrs: str) -> None:
    """Make an input of a loop one of its variables, which an operator steps; ``_copy`` leaves it as it is."""
    body = node.subgraphs[1]
    used, variables = (list(ints(node.attrs[name])) for name in ("func_input_locs", "func_var_locs"))
    inner = list(body.variables())
    if place in used:
        variable = inner[used.index(place)]
    else:
        variable = MxNode(VARIABLE, f"{node.name}_carried{place}")
        body.nodes.append(variable)
        used.append(place)
    variables.append(used.index(place))
    following = MxNode(step or "_copy", f"{variable.name}_next", attrs, [MxRef(variable)])
    body.nodes.append(following)
    body.heads.append(MxRef(following))
    count = int(node.attrs["num_outputs"]) + 1
    node.attrs |= {
        "func_input_locs": show(used),
        "func_var_locs": show(variables),
        "num_outputs": show(count),
        "num_args": show(len(node.inputs) + 2),
    }


def _carry_all(node: MxNode) -> None:
    tested, used, variables = (
        ints(node.attrs[name]) for name in ("cond_input_locs", "func_input_locs", "func_var_locs")
    )
    carried = {used[place] for place in variables}
    for place in dict.fromkeys((*used, *tested)):
        if place not in carried:
            _carry(node, place)
    body = node.subgraphs[1]
    read = {ref for inner in body.nodes for ref in inner.inputs}
    for number, head in enumerate(body.heads):
        if head in read or head in body.heads[:number]:
            copy = MxNode("_copy", f"{node.name}_given{number}", {}, [head])
            body.nodes.append(copy)
            body.heads[number] = MxRef(copy)


def _counted(node: MxNode) -> tuple[list[MxNode], list[MxNode], list[MxNode]]:
    """Count the turns of a loop: what goes before it, after it, and its rows with zeros where it made none."""
    collected = int(node.attrs["num_out_data"])
    if not collected:
        return [], [], []
    start = MxNode("_zeros", f"{node.name}_start", {"shape": "(1,)"})
    node.inputs = [*node.inputs, MxRef(start)]
    _carry(node, len(node.inputs) - 1, "_plus_scalar", scalar="1")
    turns = MxRef(node, int(node.attrs["num_outputs"]) - 1)
    numbers = MxNode("_arange", f"{node.name}_numbers", {"start": "0", "stop": node.attrs["max_iterations"]})
    made = MxNode("broadcast_lesser", f"{node.name}_made", {}, [MxRef(numbers), turns])
    zeros = [
        MxNode("zeros_like", f"{node.name}_zeros{number}", {}, [MxRef(node, number)]) for number in range(collected)
    ]
    rows = [
        MxNode("where", f"{node.name}_rows{number}", {}, [MxRef(made), MxRef(node, number), MxRef(zero)])
        for number, zero in enumerate(zeros)
    ]
    return [start], [numbers, made, *zeros], rows
