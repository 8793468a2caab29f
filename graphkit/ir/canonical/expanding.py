"""Operators newer than the canonical opset, said by the function bodies that ONNX defines them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphkit.ir.canonical.literals import LIFTED, lift_constants
from graphkit.ir.edit import add_constant, graphs_of, redirect
from graphkit.ir.params import exact
from graphkit.ir.shapes import type_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["expand"]

_CALLED = "graphkit.expanded"
"""Domain of the call that the inliner puts a body in place of."""


def expand(model: ir.Model, node: ir.Node, schema: onnx.defs.OpSchema, version: int) -> tuple[list[ir.Node], int]:
    """Replace a node by its operator's function body.

    Args:
        model: The model that holds the node, whose inputs have dtypes (some bodies depend on dtypes and ranks).
        node: The node.
        schema: Its operator's schema.
        version: Opset that the node is of.

    Returns:
        The nodes that took its place, in order, and the opset that these are of; none, and nothing done, where ONNX
        defines no body for such a node.
    """
    proto = _body(node, schema, version)
    if proto is None:
        return [], version
    own = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), version)
    results = [node.outputs[index] for index, name in enumerate(proto.output) if name]
    fragment = _fragment(node, schema, proto)
    InlinePass()(fragment)
    lift_constants(fragment)
    return _splice(model, node, fragment, results), own


def _body(node: ir.Node, schema: Any, version: int) -> onnx.FunctionProto | None:
    # A schema as it is rather than as its stub, which lacks what is asked for here, says.
    proto = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        opsets = [opset for opset in schema.context_dependent_function_opset_versions if opset <= version]
        call = ir.serde.serialize_node(node)
        types = [b"" if value is None else type_bytes(value) for value in node.inputs]
        content = schema.get_context_dependent_function_with_opset_version(
            max(opsets, default=schema.since_version), call.SerializeToString(), types
        )
    elif schema.has_function:
        opsets = [opset for opset in schema.function_opset_versions if opset <= version]
        content = schema.get_function_with_opset_version(max(opsets, default=schema.since_version))
    else:
        return None
    proto.ParseFromString(content)
    if not proto.node:
        return None
    made = {*proto.input, *(name for inner in proto.node for name in inner.output)}
    names = list(proto.output)[: len(node.outputs)]
    del proto.output[:]
    proto.output.extend(name if name in made else "" for name in names)
    return proto


def _fragment(node: ir.Node, schema: onnx.defs.OpSchema, proto: onnx.FunctionProto) -> ir.Model:
    """A model of one call of the body, with the types and attributes of a node."""
    proto.domain, proto.name, proto.overload = _CALLED, node.op_type, ""
    # A body that holds what the node's own graphs compute reads their outer values by name.
    proto.input.extend("" for _ in range(len(node.inputs) - len(proto.input)))
    outer = _outer(node)
    missing = len(proto.input) - len(node.inputs)
    proto.input.extend(value.name or "" for value in outer)
    inputs = [
        None if value is None else ir.val(f"{_CALLED}.{index}", shape=value.shape, type=value.type)
        for index, value in enumerate([*node.inputs, *[None] * missing, *outer])
    ]
    attributes = {
        name: attribute for name, attribute in node.attributes.items() if attribute.type != ir.AttributeType.GRAPH
    }
    for name, formal in schema.attributes.items():
        # A body refers to attributes by name, and the inliner does not know their defaults.
        if name not in attributes and formal.default_value.type != onnx.AttributeProto.UNDEFINED:
            attributes[name] = ir.serde.deserialize_attribute(formal.default_value)
    used = [name for name in proto.attribute if name in attributes]
    del proto.attribute[:]
    proto.attribute.extend(used)
    used += [given.name for given in proto.attribute_proto]
    names = [name for name in proto.output if name]
    del proto.output[:]
    proto.output.extend(names)
    call = ir.Node(
        _CALLED,
        node.op_type,
        inputs,
        [attribute for name, attribute in attributes.items() if name in used],
        num_outputs=len(names),
    )
    imports = {entry.domain: entry.version for entry in proto.opset_import}
    given = [value for value in inputs if value is not None]
    graph = ir.Graph(given, call.outputs, nodes=[call], opset_imports={**imports, _CALLED: 1}, name="expanded")
    function = ir.serde.deserialize_function(proto)
    return ir.Model(graph, ir_version=11, functions=[function])


def _splice(model: ir.Model, node: ir.Node, fragment: ir.Model, outputs: Sequence[ir.Value]) -> list[ir.Node]:
    """Move the nodes of a fragment in front of a node, and let them take its place."""
    home = node.graph
    assert home is not None
    stem = node.name or node.op_type
    given = [*(value for value in node.inputs if value is not None), *_outer(node)]
    for inner, value in zip(tuple(fragment.graph.inputs), given, strict=True):
        _replace(inner, value)
    for name, value in fragment.graph.initializers.items():
        assert value.const_value is not None
        constant = add_constant(model.graph, f"{stem}_{name}", value.const_value.numpy(), exact(value))
        constant.metadata_props.pop(LIFTED, None)
        _replace(value, constant)
    results = tuple(fragment.graph.outputs)
    fragment.graph.outputs.clear()
    moved = list(fragment.graph)
    for made in (made for graph in graphs_of(fragment.graph) for made in graph):
        made.metadata_props.update(node.metadata_props)
        made.name = f"{stem}_{made.name or made.op_type}"
        for output in made.outputs:
            output.name = f"{stem}_{output.name}" if output.name else None
    for made in moved:
        fragment.graph.remove(made)
        home.insert_before(node, made)
    for old, new in zip(outputs, results, strict=True):
        own = old.name
        redirect(old, new)
        if new.producer() in moved and not new.is_graph_output():
            old.name = None
            new.name = own
    home.remove(node, safe=True)
    return moved


def _outer(node: ir.Node) -> list[ir.Value]:
    """The values that a node's own graphs read from outside of them."""
    graphs = [
        graph
        for attribute in node.attributes.values()
        if attribute.type == ir.AttributeType.GRAPH
        for graph in graphs_of(attribute.as_graph())
    ]
    inner = {value for graph in graphs for value in graph.inputs}
    inner.update(value for graph in graphs for inner_node in graph for value in inner_node.outputs)
    read = [value for graph in graphs for inner_node in graph for value in inner_node.inputs]
    return list(dict.fromkeys(value for value in read if value is not None and value not in inner))


def _replace(old: ir.Value, new: ir.Value) -> None:
    """Let everything that used a value use another, as far as graphs' outputs allow."""
    for user, index in tuple(old.uses()):
        user.replace_input_with(index, new)
