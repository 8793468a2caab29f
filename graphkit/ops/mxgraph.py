"""An MXNet symbol as data: what ``*-symbol.json`` says, without its spelling.

A graph is a list of nodes in topological order and a list of heads. Attribute values stay the strings that MXNet
itself stores; the codecs of :mod:`graphkit.ops.codec` give them types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.layout import Layout

__all__ = ["VARIABLE", "MxBody", "MxGraph", "MxModel", "MxNode", "MxRef"]

VARIABLE = "null"
"""The operator name that MXNet gives variables."""


class MxRef(NamedTuple):
    """One output of a node.

    Attributes:
        node: The node that computes it.
        output: Which of the node's outputs, hidden ones included.
    """

    node: MxNode
    output: int = 0


@dataclass(eq=False, slots=True)
class MxNode:
    """An operator call, or a variable when ``op`` is ``"null"``.

    Attributes:
        op: Canonical operator name, e.g. ``"Convolution"``; aliases are resolved on reading.
        name: Name of the node; MXNet does not promise that names are unique.
        attrs: Operator parameters by name, as strings, e.g. ``{"kernel": "(3, 3)"}``. On a variable they are user
            attributes only and never parameters.
        inputs: What it reads, auxiliary states included, in the operator's order.
        subgraphs: Bodies of a control-flow operator.
        hidden: Attributes wrapped in double underscores, e.g. ``{"__lr_mult__": "2.0"}``.
    """

    op: str
    name: str
    attrs: dict[str, str] = field(default_factory=dict)
    inputs: list[MxRef] = field(default_factory=list)
    subgraphs: list[MxGraph] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)

    @property
    def is_variable(self) -> bool:
        """Whether the node is an argument or auxiliary state rather than an operator call."""
        return self.op == VARIABLE

    def __repr__(self) -> str:
        return f"MxNode({self.op!r}, {self.name!r})"


@dataclass(eq=False, slots=True)
class MxGraph:
    """A symbol.

    Attributes:
        nodes: All nodes, each after the nodes it reads.
        heads: The outputs, in order.
        version: MXNet version that wrote it, major × 10000 + minor × 100 + patch; 800 where the file does not say.
        np_shape: Whether ``__shape__`` attributes follow numpy: -1 is an unknown dimension and ``()`` a scalar, where
            otherwise 0 is an unknown dimension and ``()`` an unknown shape.
    """

    nodes: list[MxNode] = field(default_factory=list)
    heads: list[MxRef] = field(default_factory=list)
    version: int = 10901
    np_shape: bool = False

    def variables(self) -> Iterator[MxNode]:
        """Arguments and auxiliary states, in node order."""
        return (node for node in self.nodes if node.is_variable)

    def walk(self) -> Iterator[MxNode]:
        """All nodes, those of subgraphs included, each before those inside it."""
        for node in self.nodes:
            yield node
            for body in node.subgraphs:
                yield from body.walk()

    def arrange(self) -> None:
        """Put the nodes in the order in which MXNet visits them, depth first from the heads, without unneeded ones.

        It is the order of its variables that the parameters of control-flow operators refer to.
        """
        order: dict[int, MxNode] = {}
        for head in self.heads:
            path = [(head.node, 0)]
            while path:
                node, position = path.pop()
                if id(node) in order:
                    continue
                if position == len(node.inputs):
                    order[id(node)] = node
                else:
                    path += [(node, position + 1), (node.inputs[position].node, 0)]
        self.nodes = list(order.values())

    def prune(self) -> None:
        """Drop the nodes that no head needs, keeping the order of the others."""
        needed: set[int] = set()
        stack = [head.node for head in self.heads]
        while stack:
            node = stack.pop()
            if id(node) in needed:
                continue
            needed.add(id(node))
            stack.extend(ref.node for ref in node.inputs)
        self.nodes = [node for node in self.nodes if id(node) in needed]


@dataclass(eq=False, slots=True)
class MxBody:
    """A subgraph that is being written, and what its variables are.

    Attributes:
        graph: The subgraph, arranged; a variable that no head needs is not in it.
        own: The variables for its inputs, in their order.
        captured: What of the graph around it its other variables stand for.
    """

    graph: MxGraph
    own: list[MxNode]
    captured: dict[MxNode, MxRef]


@dataclass(eq=False, slots=True)
class MxModel:
    """A symbol with its parameters: what ``save_checkpoint`` writes as two files.

    Attributes:
        graph: The symbol.
        args: Values of arguments, by variable name.
        aux: Values of auxiliary states (BatchNorm's moving statistics), by variable name.
        values: For a symbol written from an ONNX graph: the output of this graph that holds each IR value, by the
            IR value's name.
        derived: Parameters stored in another layout than the IR's: the steps that lead from the IR's array to the
            stored one, by variable name.
    """

    graph: MxGraph
    args: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    aux: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    values: dict[str, MxRef] = field(default_factory=dict)
    derived: dict[str, Layout] = field(default_factory=dict)
