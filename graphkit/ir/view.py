"""A model as a networkx graph: for drawing, comparing, counting and searching, never for writing back.

Nodes are operators, inputs and outputs; an edge is one use of a value. Keys are readable and unique: ``"input:x"``,
``"op:conv1"``, ``"output:logits"``, with ``#2`` and so on where a name repeats (unnamed operators go by their type),
and ``"op:loop1/body/op:add"`` inside the body of a control-flow operator.

Every node has
    ``kind``: ``"operator"``, ``"input"``, ``"output"`` or ``"initializer"``; ``name``: as the model spells it;
    ``body``: key of the body that holds it, ``""`` for the main graph.

An operator also has
    ``op``, ``domain``, ``family`` (:mod:`graphkit.ir.family`); ``attributes``: Python values by name, a large tensor
    as a :class:`~graphkit.ir.describe.Tensor`, bodies left out; ``outputs``: the same for each output, in order;
    ``parameters``: a :class:`~graphkit.ir.describe.Parameter` for each input that is an initializer or constant;
    ``scope``: path of the module that holds it, joined by dots; ``leaf``: its name inside that module;
    ``origin``: its :class:`~graphkit.ir.origin.Origin`;
    ``backward``: whether it computes gradients, or is inside an operator that does;
    ``untranslated``: why it has no canonical form, ``""`` where it has one (:mod:`graphkit.ir.untranslated`).

An input, output or initializer also has ``dtype`` and ``shape``, and ``parameters``: an output's own value if it is an
initializer, an initializer's itself.

Every edge has
    ``kind``: ``"data"`` where the head reads the value; ``"body"`` between a control-flow operator and its bodies:
    from a body's output to the operator, and from the operator's operand to the input of the body that it feeds;
    ``value``: name; ``dtype``, ``shape``; ``output``, ``input``: positions at its tail and at its head.

The graph itself has ``name``, ``opsets`` (version by domain) and ``bodies`` (a :class:`Body` by key). It is acyclic if
the model is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.ir.describe import attributes_of, constant_of, parameters_of, tensor_of
from graphkit.ir.family import family_of
from graphkit.ir.feeding import fed_by
from graphkit.ir.keeping import KEPT
from graphkit.ir.origin import origin_of
from graphkit.ir.scope import place_of
from graphkit.ir.training import is_backward
from graphkit.ir.untranslated import untranslated

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx

__all__ = ["Body", "bodies_of", "nx_view"]


@dataclass(frozen=True, slots=True)
class Body:
    """A graph inside a control-flow operator.

    Attributes:
        owner: Key of the operator.
        attribute: Name of the attribute that holds it, e.g. ``"then_branch"``; with an index where it holds several.
        name: Name of the graph.
    """

    owner: str
    attribute: str
    name: str


def nx_view(model: ir.Model, *, initializers: bool = False) -> nx.MultiDiGraph:
    """A read-only networkx view of a model, canonical or not; the module's docstring lists what it holds.

    Args:
        model: Any model. Functions stay single operators.
        initializers: Whether initializers and constants are nodes of their own as well (``"initializer:w"``).

    Returns:
        A frozen graph in the model's order: inputs, operators (each followed by its bodies), outputs.
    """
    import networkx as nx

    graph = nx.MultiDiGraph(
        name=model.graph.name or "", opsets={d: int(v) for d, v in model.opset_imports.items()}, bodies={}
    )
    _Builder(graph, initializers).add(model.graph)
    return nx.freeze(graph)


def bodies_of(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    """The graphs inside a node by the attributes that hold them, with an index where one holds several."""
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.name, attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            for index, body in enumerate(attribute.as_graphs()):
                yield f"{attribute.name}[{index}]", body


def _operand_of(node: ir.Node, index: int, value: ir.Value) -> ir.Value | None:
    """What an operator feeds an input of its body from; None where it makes the value itself."""
    if node.domain not in ("", "ai.onnx", KEPT):
        place = fed_by(value)
    else:
        place = None if node.op_type == "Loop" and index == 0 else index  # that input is the number of the iteration
    return None if place is None or place >= len(node.inputs) else node.inputs[place]


@dataclass(frozen=True, slots=True)
class _Use:
    value: ir.Value
    head: str
    position: int
    kind: str
    tail: tuple[str, int] | None = None
    """Node and output it comes from; None for wherever the value is computed."""


class _Builder:
    """Fills a graph. Nodes come first and edges after them, so models that are not in topological order work too."""

    def __init__(self, graph: nx.MultiDiGraph, initializers: bool) -> None:
        self.graph = graph
        self.initializers = initializers
        self.keys: set[str] = set()
        self.tails: dict[ir.Value, tuple[str, int]] = {}
        self.held: set[ir.Value] = set()
        self.uses: list[_Use] = []

    def add(self, graph: ir.Graph) -> None:
        self._nodes(graph, "")
        for use in self.uses:
            value = use.value
            if use.tail is None and value not in self.tails:
                if constant_of(value) is not None or value.is_initializer():
                    continue
                self._value("input", value, "")  # nothing computes it: an invalid model, shown as it is
            tail, output = use.tail or self.tails[value]
            tensor = tensor_of(value)
            self.graph.add_edge(
                tail,
                use.head,
                kind=use.kind,
                value=tensor.name,
                dtype=tensor.dtype,
                shape=tensor.shape,
                output=output,
                input=use.position,
            )

    def _key(self, kind: str, name: str, body: str) -> str:
        base = key = f"{body}/{kind}:{name}" if body else f"{kind}:{name}"
        count = 1
        while key in self.keys:
            count += 1
            key = f"{base}#{count}"
        self.keys.add(key)
        return key

    def _value(self, kind: str, value: ir.Value, body: str) -> str:
        tensor = tensor_of(value)
        key = self._key(kind, tensor.name, body)
        self.graph.add_node(
            key,
            kind=kind,
            name=tensor.name,
            body=body,
            dtype=tensor.dtype,
            shape=tensor.shape,
            parameters=parameters_of((value,)),
        )
        if kind != "output":
            self.tails[value] = key, 0
        return key

    def _nodes(self, graph: ir.Graph, body: str) -> tuple[list[str], list[str]]:
        """Add the nodes of a graph; returns the keys of its inputs and of its outputs."""
        for value in graph.initializers.values():
            self._hold(value, body)
        inputs = ["" if value in self.held else self._value("input", value, body) for value in graph.inputs]
        for node in graph:
            if node.outputs and constant_of(node.outputs[0]) is not None:
                self._hold(node.outputs[0], body)
            else:
                self._operator(node, body)
        outputs = [self._value("output", value, body) for value in graph.outputs]
        self.uses.extend(_Use(value, key, 0, "data") for value, key in zip(graph.outputs, outputs, strict=True))
        return inputs, outputs

    def _hold(self, value: ir.Value, body: str) -> None:
        """Note a value that is part of the model."""
        self.held.add(value)
        if self.initializers:
            self._value("initializer", value, body)

    def _operator(self, node: ir.Node, body: str) -> None:
        key = self._key("op", node.name or node.op_type, body)
        scope, leaf = place_of(node)
        self.graph.add_node(
            key,
            kind="operator",
            name=node.name or "",
            body=body,
            op=node.op_type,
            domain=node.domain,
            family=family_of(node.op_type, node.domain),
            attributes=attributes_of(node),
            outputs=tuple(tensor_of(value) for value in node.outputs),
            parameters=parameters_of(node.inputs, node),
            scope=scope,
            leaf=leaf,
            origin=origin_of(node),
            untranslated=untranslated(node),
            backward=is_backward(node) or (bool(body) and self.graph.nodes[self._owner(body)]["backward"]),
        )
        self.tails.update((value, (key, index)) for index, value in enumerate(node.outputs))
        self.uses.extend(
            _Use(value, key, index, "data") for index, value in enumerate(node.inputs) if value is not None
        )
        for attribute, graph in bodies_of(node):
            self._body(node, key, attribute, graph)

    def _owner(self, body: str) -> str:
        """Key of the operator that holds a body."""
        bodies: dict[str, Body] = self.graph.graph["bodies"]
        return bodies[body].owner

    def _body(self, node: ir.Node, owner: str, attribute: str, graph: ir.Graph) -> None:
        body = f"{owner}/{attribute}"
        self.graph.graph["bodies"][body] = Body(owner, attribute, graph.name or "")
        inputs, outputs = self._nodes(graph, body)
        for index, (value, key) in enumerate(zip(graph.inputs, inputs, strict=True)):
            operand = _operand_of(node, index, value)
            if operand is not None and key:
                self.uses.append(_Use(operand, key, index, "body"))
        for index, (value, key) in enumerate(zip(graph.outputs, outputs, strict=True)):
            self.uses.append(_Use(value, owner, index, "body", (key, 0)))
