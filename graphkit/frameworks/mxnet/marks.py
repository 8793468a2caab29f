"""Variables added to values between operators, so that the gradient in the one is that in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.mxgraph import VARIABLE, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["with_marks"]


def with_marks(
    nodes: Sequence[MxNode], heads: Sequence[MxRef], values: Mapping[str, MxRef]
) -> tuple[list[MxNode], list[MxRef], dict[str, str]]:
    """A copy of a graph in which a variable is added to each of some values before anything reads it.

    Args:
        nodes: All nodes, each after those that it reads.
        heads: The outputs.
        values: What computes each value, by name; each something else, and no variable.

    Returns:
        The nodes, the heads, and the name of the variable for each value that ``nodes`` compute.
    """
    taken = {node.name for node in nodes}
    wanted: dict[int, list[tuple[int, str]]] = {}
    for name, ref in values.items():
        wanted.setdefault(id(ref.node), []).append((ref.output, name))
    made: list[MxNode] = []
    copies: dict[int, MxNode] = {}
    sums: dict[MxRef, MxRef] = {}
    variables: dict[str, str] = {}

    def read(ref: MxRef) -> MxRef:
        return sums.get(ref) or MxRef(copies[id(ref.node)], ref.output)

    for node in nodes:
        inputs = [read(ref) for ref in node.inputs]
        copies[id(node)] = MxNode(node.op, node.name, node.attrs, inputs, node.subgraphs, node.hidden)
        made.append(copies[id(node)])
        for output, value in wanted.get(id(node), []):
            name = f"{value}_mark"
            while name in taken:
                name += "_"
            taken.add(name)
            variables[value] = name
            variable = MxNode(VARIABLE, name)
            total = MxNode("elemwise_add", f"{name}ed", {}, [MxRef(copies[id(node)], output), MxRef(variable)])
            made += [variable, total]
            sums[MxRef(node, output)] = MxRef(total)
    return made, [read(ref) for ref in heads], variables
