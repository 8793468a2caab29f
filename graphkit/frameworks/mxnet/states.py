"""Auxiliary states of a symbol that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.mxnet import schema
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

__all__ = ["separate_states"]


def separate_states(
    graph: MxGraph, arrays: dict[str, npt.NDArray[np.generic]], unique: Callable[[str], str]
) -> set[str]:
    """Give auxiliary states that are also read as arguments a variable of their own, in place.

    Args:
        graph: The symbol.
        arrays: Values of its variables; those of new ones are added.
        unique: Makes a name that nothing else has.

    Returns:
        The names of all auxiliary states.
    """
    slots: list[tuple[MxNode, int]] = [
        (node, position)
        for node in graph.nodes
        if not node.is_variable
        for position in schema.aux(node.op, node.attrs)
        if position < len(node.inputs)
    ]
    states = {id(node.inputs[position].node) for node, position in slots}
    taken = {(id(node), position) for node, position in slots}
    shared = {
        id(ref.node)
        for node in graph.nodes
        for position, ref in enumerate(node.inputs)
        if id(ref.node) in states and (id(node), position) not in taken
    }
    copies: dict[int, MxNode] = {}
    for node, position in slots:
        state = node.inputs[position].node
        if id(state) in shared:
            if id(state) not in copies:
                copies[id(state)] = MxNode(VARIABLE, unique(f"{state.name}_state"), hidden=dict(state.hidden))
                graph.nodes.insert(graph.nodes.index(state) + 1, copies[id(state)])
                arrays[copies[id(state)].name] = arrays[state.name]
            node.inputs[position] = MxRef(copies[id(state)])
    return {node.inputs[position].node.name for node, position in slots}
