"""Replacing nodes by others without losing names and origins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.params import set_exact, set_kind
from graphkit.ir.shapes import infer_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

__all__ = ["Editor", "add_constant", "graphs_in", "graphs_of", "nodes_of", "redirect"]


def graphs_of(graph: ir.Graph) -> Iterator[ir.Graph]:
    """A graph and all graphs nested in its nodes' attributes, outer ones first."""
    yield graph
    for node in graph:
        yield from graphs_in(node)


def graphs_in(node: ir.Node) -> Iterator[ir.Graph]:
    """All graphs nested in a node's attributes, outer ones first."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from graphs_of(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            for inner in attribute.as_graphs():
                yield from graphs_of(inner)


def nodes_of(model: ir.Model) -> list[ir.Node]:
    """All nodes of the main graph and of the graphs nested in it; safe to edit while going through them."""
    return [node for graph in graphs_of(model.graph) for node in graph]


def add_constant(
    graph: ir.Graph, name: str, array: npt.NDArray[np.generic], exact: npt.NDArray[np.float64] | None = None
) -> ir.Value:
    """Add a constant initializer to the main graph, under the name or one made from it that is free."""
    free = name
    count = 0
    while free in graph.initializers:
        count += 1
        free = f"{name}_{count}"
    # The tensor keeps the array as it is, so a broadcast view or a slice of something larger is copied first.
    owned = np.ascontiguousarray(array).reshape(array.shape)
    tensor = ir.tensor(owned, name=free)
    value = ir.val(free, tensor.dtype, owned.shape, const_value=tensor)
    set_kind(value, "constant")
    if exact is not None:
        set_exact(value, exact)
    graph.register_initializer(value)
    return value


def redirect(old: ir.Value, new: ir.Value) -> None:
    """Let everything that used a value use another, graph outputs included.

    Outputs keep their names: ``new`` takes over the name of an output that it becomes, or an Identity node does where
    ``new`` cannot (an input, an initializer, an output already, or a value of another graph). Both hold the same, so
    what only ``old`` knows of dtype and shape passes over.
    """
    if new.type is None:
        new.type = old.type
    if new.shape is None and new.const_value is None:
        new.shape = old.shape
    if old.is_graph_output():
        graph = old.graph
        producer = old.producer()
        if graph is None or producer is None:
            raise ValueError(f"{old.name!r} is not computed by a node")
        cannot = new.producer() is None or new.is_graph_output() or new.graph is not graph
        if cannot:
            keeper = ir.Node("", "Identity", [new], num_outputs=1, metadata_props=dict(producer.metadata_props))
            result = keeper.outputs[0]
            result.type, result.shape = old.type, old.shape
            graph.insert_after(producer, keeper)
        else:
            result = new
        name = old.name
        for user, index in tuple(old.uses()):
            user.replace_input_with(index, new)
        for index, output in enumerate(graph.outputs):
            if output is old:
                graph.outputs[index] = result
        old.name = None
        result.name = name
        return
    for user, index in tuple(old.uses()):
        user.replace_input_with(index, new)


class Editor:
    """Emits what a node is to be replaced by.

    New nodes stand before the node, carry its origin, and have dtype and shape inferred.

    Attributes:
        node: The node to be replaced.
        made: The nodes emitted so far, in order.
    """

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        if node.graph is None:
            raise ValueError(f"node {node.name!r} is in no graph")
        self.node = node
        self.made: list[ir.Node] = []
        self._main = model.graph
        self._graph = node.graph
        self._counts: Counter[str] = Counter()
        self._stem = node.name or (node.outputs[0].name if node.outputs else None) or node.op_type

    def op(self, op_type: str, *inputs: ir.Value | None, domain: str = "", **attrs: Any) -> ir.Value:
        """Emit a node of one output; attributes of value None are left out."""
        return self.ops(op_type, 1, *inputs, domain=domain, **attrs)[0]

    def ops(
        self, op_type: str, outputs: int, *inputs: ir.Value | None, domain: str = "", **attrs: Any
    ) -> Sequence[ir.Value]:
        """Emit a node."""
        given = {name: value for name, value in attrs.items() if value is not None}
        origin = dict(self.node.metadata_props)
        node = ir.node(op_type, inputs, given, domain=domain, num_outputs=outputs, metadata_props=origin)
        for value in node.outputs:
            value.name = None
        self._graph.insert_before(self.node, node)
        self._counts[op_type] += 1
        count = self._counts[op_type]
        node.name = f"{self._stem}_{op_type}" + (f"_{count}" if count > 1 else "")
        for index, value in enumerate(node.outputs):
            value.name = node.name if index == 0 else f"{node.name}_{index}"
        infer_node(node)
        self.made.append(node)
        return node.outputs

    def const(
        self, role: str, array: npt.ArrayLike, dtype: npt.DTypeLike = np.int64, exact: float | None = None
    ) -> ir.Value:
        """A constant initializer of the main graph, named after the node and its role there."""
        numbers = np.asarray(array, dtype)
        doubles = None if exact is None else np.full(numbers.shape, exact, np.float64)
        return add_constant(self._main, f"{self._stem}_{role}", numbers, doubles)

    def set_inputs(self, *inputs: ir.Value | None) -> None:
        """Give the node itself other inputs."""
        self.node.resize_inputs(len(inputs))
        for index, value in enumerate(inputs):
            self.node.replace_input_with(index, value)

    def replace(self, *outputs: ir.Value | None) -> None:
        """Put values in place of the node's outputs, in order, and remove it; None for outputs that nothing uses."""
        for old, new in zip(self.node.outputs, outputs, strict=False):
            if new is None:
                continue
            name = old.name
            redirect(old, new)
            if self._is_own(new) and new.name != name:
                old.name = None
                new.name = name
        self._graph.remove(self.node, safe=True)
        last = outputs[0].producer() if outputs and outputs[0] is not None else None
        if last is not None and last in self.made:
            last.name = self.node.name

    def _is_own(self, value: ir.Value) -> bool:
        return value.producer() in self.made
