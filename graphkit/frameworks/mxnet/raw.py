"""A symbol node by node as its file spells it, with what is known of dtypes and shapes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.lenient import (
    DOMAIN,
    LenientVariables,
    arguments,
    body_inputs,
    listed,
    output_counts,
    symbol_attributes,
)
from graphkit.frameworks.mxnet.read import IR_VERSION
from graphkit.ir.canonical import OPSET
from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.untranslated import set_untranslated, untranslated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.base import ReadOptions
    from graphkit.frameworks.mxnet.lenient import LenientReader
    from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode

__all__ = ["as_spelled"]


def as_spelled(mx: MxModel, known: LenientReader, options: ReadOptions, label: str) -> ir.Model:
    """A model with one node for each node of a symbol.

    Args:
        mx: The symbol, as spelled, and its parameters.
        known: What has read the symbol; it tells dtypes and shapes, and which nodes have no canonical form.
        options: Given input shapes, and who hears warnings.
        label: What the symbol is called in messages.

    Returns:
        The model. Operators and attributes are MXNet's, in domain ``"mxnet"``, attributes as strings; subgraphs of
        control flow are graphs in attributes ``subgraph0``, ….

    Raises:
        FormatError: An output is read that its operator does not have.
    """
    return _Copy(mx, known, options, label).model()


class _Copy:
    def __init__(self, mx: MxModel, known: LenientReader, options: ReadOptions, label: str) -> None:
        self._graph = mx.graph
        self._known = known
        self._label = label
        self._variables = LenientVariables(mx, options, label)
        self._counts = output_counts(mx.graph)
        self._values: dict[int, Sequence[ir.Value]] = {}
        self._twins: defaultdict[tuple[str, str], list[MxNode]] = defaultdict(list)
        for node in known.graph.walk():
            self._twins[node.op, node.name].append(node)

    def model(self) -> ir.Model:
        slots = _slots(self._graph)
        for variable in self._graph.variables():
            self._values[id(variable)] = [self._variables.value(variable, slots.get(id(variable), ""))]
        nodes = self._nodes(self._graph)
        outputs = self._outputs(self._graph, nodes)
        self._variables.check()
        graph = ir.Graph(
            self._variables.inputs(outputs),
            outputs,
            nodes=nodes,
            initializers=self._variables.initializers(outputs),
            opset_imports={"": OPSET, DOMAIN: 1},
            name=self._label,
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="graphkit")

    def _outputs(self, graph: MxGraph, nodes: list[ir.Node]) -> list[ir.Value]:
        """The values of a graph's heads; what cannot be an output as it is becomes one by an Identity."""
        outputs: list[ir.Value] = []
        for ref in graph.heads:
            value = self._values[id(ref.node)][ref.output]
            if value.producer() is None or value in outputs:
                copy = ir.Node("", "Identity", [value], name=f"{value.name}_copy")
                result = copy.outputs[0]
                result.name, result.type, result.shape = f"{value.name}_copy", value.type, value.shape
                nodes.append(copy)
                value = result
            outputs.append(value)
        return outputs

    def _nodes(self, graph: MxGraph) -> list[ir.Node]:
        return [self._node(node) for node in graph.nodes if not node.is_variable]

    def _node(self, node: MxNode) -> ir.Node:
        made = ir.Node(
            DOMAIN,
            node.op,
            [self._values[id(ref.node)][ref.output] for ref in node.inputs],
            symbol_attributes(
                {**node.attrs, **node.hidden}, [self._body(node, number) for number in range(len(node.subgraphs))]
            ),
            num_outputs=max(self._counts.get(id(node), 1), listed(node)),
            name=node.name,
        )
        set_origin(made, Origin("mxnet", node.op, node.name))
        twins = self._twins[schema.canonical(node.op), node.name]
        twin = twins.pop(0) if twins else None
        for number, value in enumerate(made.outputs):
            value.name = f"{node.name}_output" if len(made.outputs) == 1 else f"{node.name}_output{number}"
            found = None if twin is None else self._known.value_of(twin, number)
            if found is None:
                continue
            value.type, value.shape = found.type, found.shape
            producer = found.producer()
            if producer is not None and (reason := untranslated(producer)) and producer.domain == DOMAIN:
                set_untranslated(made, reason)
        self._values[id(node)] = made.outputs
        return made

    def _body(self, node: MxNode, number: int) -> ir.Graph:
        graph = node.subgraphs[number]
        inputs = body_inputs(node, number, [variable.name for variable in graph.variables()])
        self._values.update((id(v), [value]) for v, value in zip(graph.variables(), inputs, strict=True))
        nodes = self._nodes(graph)
        return ir.Graph(inputs, self._outputs(graph, nodes), nodes=nodes, name=f"{node.name}_body")


def _slots(graph: MxGraph) -> dict[int, str]:
    """Which argument of the first operator that reads it each variable is, by the id of its node."""
    slots: dict[int, str] = {}
    for node in graph.nodes:
        for name, ref in zip(arguments(node), node.inputs, strict=False):
            slots.setdefault(id(ref.node), name)
    return slots
