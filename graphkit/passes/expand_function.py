"""Operators that ONNX defines by others, replaced by those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx.inliner
import onnx_ir as ir

from graphkit.ir.canonical import canonical
from graphkit.ir.edit import Editor
from graphkit.ir.opset import OPSET, schema_of
from graphkit.ir.params import exact, kind_of, set_exact

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["expand_function"]

_SMALL = 1024


def expand_function(model: ir.Model, node: ir.Node) -> Sequence[ir.Node] | None:
    """Replace a node by the function body that ONNX defines it with, in canonical form.

    Args:
        model: A canonical model that holds the node; its values must have dtypes.
        node: The node.

    Returns:
        The nodes that took its place, in order; None, and nothing done, where ONNX defines no body, or one
        with control flow.
    """
    schema = schema_of(node.op_type, node.domain)
    if schema is None or not any(getattr(schema, has) for has in ("has_function", "has_context_dependent_function")):
        return None
    proto = _one_node_model(node)
    chosen = [(node.domain, node.op_type)]
    try:
        inlined = onnx.inliner.inline_selected_functions(proto, chosen, inline_schema_functions=True)
    except RuntimeError:  # it stumbles over absent inputs between given ones
        return None
    fragment = ir.serde.deserialize_model(inlined)
    if [inner.op_type for inner in fragment.graph] == [node.op_type]:
        return None
    for value, given in zip(fragment.graph.initializers.values(), _small_constants(node), strict=True):
        if (doubles := exact(given)) is not None:
            set_exact(value, doubles)
    canonical(fragment, fusing=False)
    if any(True for _ in fragment.graph.subgraphs()):
        return None
    return _splice(model, node, fragment)


def _small_constants(node: ir.Node) -> list[ir.Value]:
    """What a body may be folded with: not what is trained, or may be fed."""
    found = dict.fromkeys(value for value in node.inputs if value is not None and kind_of(value) == "constant")
    return [
        value
        for value in found
        if value.const_value is not None and value.const_value.size <= _SMALL and not value.is_graph_input()
    ]


def _one_node_model(node: ir.Node) -> onnx.ModelProto:
    names: dict[ir.Value, str] = {}
    for value in node.inputs:
        if value is not None:
            names.setdefault(value, f"i{len(names)}")
    constants = _small_constants(node)
    body = ir.serde.serialize_node(node)
    del body.input[:], body.output[:]
    schema = schema_of(node.op_type, node.domain)
    for name, formal in {} if schema is None else schema.attributes.items():
        # The body refers to attributes by name, and the inliner does not know their defaults.
        if name not in node.attributes and formal.default_value.type != onnx.AttributeProto.UNDEFINED:
            body.attribute.append(formal.default_value)
    body.input.extend("" if value is None else names[value] for value in node.inputs)
    body.output.extend(f"o{index}" for index in range(len(node.outputs)))
    inputs = [ir.serde.serialize_value(value, name=name) for value, name in names.items() if value not in constants]
    outputs = [ir.serde.serialize_value(value, name=f"o{index}") for index, value in enumerate(node.outputs)]
    graph = onnx.helper.make_graph([body], "expanded", inputs, outputs)
    for value in constants:
        if value.const_value is not None:
            tensor = ir.serde.serialize_tensor(value.const_value)
            tensor.name = names[value]
            graph.value_info.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            graph.initializer.append(tensor)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=11)


def _splice(model: ir.Model, node: ir.Node, fragment: ir.Model) -> list[ir.Node]:
    edit = Editor(model, node)
    places: dict[str, ir.Value] = {}
    for value in node.inputs:
        if value is not None and value not in places.values():
            places[f"i{len(places)}"] = value
    mapped: dict[ir.Value, ir.Value] = {}
    for value in fragment.graph.inputs:
        mapped[value] = places[value.name or ""]
    for name, value in fragment.graph.initializers.items():
        if name in places:
            mapped[value] = places[name]
        elif value.const_value is not None:
            array = value.const_value.numpy()
            mapped[value] = edit.const("value", array, array.dtype)
            if (doubles := exact(value)) is not None:
                set_exact(mapped[value], doubles)
    for inner in fragment.graph:
        inputs = [None if value is None else mapped[value] for value in inner.inputs]
        attributes: dict[str, Any] = dict(inner.attributes)
        results = edit.ops(inner.op_type, len(inner.outputs), *inputs, domain=inner.domain, **attributes)
        mapped.update(zip(inner.outputs, results, strict=True))
    edit.replace(*(mapped[value] for value in fragment.graph.outputs))
    return edit.made
