"""MXNet symbols in a few words, for tests."""

from __future__ import annotations

from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef

__all__ = ["graph", "op", "var"]


def var(name: str) -> MxRef:
    """A variable."""
    return MxRef(MxNode(VARIABLE, name))


def op(kind: str, name: str, *inputs: MxRef, **attrs: object) -> MxRef:
    """The first output of an operator."""
    return MxRef(MxNode(kind, name, {key: str(value) for key, value in attrs.items()}, list(inputs)))


def graph(*heads: MxRef) -> MxGraph:
    """The graph of some outputs, its nodes in the order in which they are met."""
    order: dict[int, MxNode] = {}

    def visit(node: MxNode) -> None:
        if id(node) not in order:
            for ref in node.inputs:
                visit(ref.node)
            order[id(node)] = node

    for head in heads:
        visit(head.node)
    return MxGraph(list(order.values()), list(heads))
