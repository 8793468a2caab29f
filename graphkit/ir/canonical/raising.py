"""Bringing a model of any opset from 7 up to the canonical one, node by node, shapes inferred on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

from graphkit.errors import FormatError, UnsupportedError, UnsupportedNode
from graphkit.ir.canonical.adapters import ADAPTERS, refusal
from graphkit.ir.edit import Editor
from graphkit.ir.opset import OPSET, schema_of
from graphkit.ir.shapes import infer_node

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["OLDEST", "raise_opset"]

OLDEST: Final = 7
"""First opset whose operators can be raised; before it, broadcasting had other rules."""


def raise_opset(model: ir.Model) -> None:
    """Rewrite the nodes of a model in the canonical opset, in place.

    Functions must have been inlined and Constant nodes turned into initializers. A node that came from a function of
    another opset says so in ``node.version``.

    Raises:
        FormatError: The model says no opset, or one before :data:`OLDEST`, or contradicts itself.
        UnsupportedError: Nodes have no equal in the canonical opset; all of them are listed.
    """
    imports = model.opset_imports
    if "ai.onnx" in imports:
        imports.setdefault("", imports.pop("ai.onnx"))
    version = imports.get("", OPSET if all(node.domain for node in model.graph) else None)
    if version is None:
        raise FormatError("The model does not say which opset of ai.onnx its operators are of; it is damaged.")
    if version < OLDEST:
        raise FormatError(
            f"The model is of opset {version}; graphkit reads opset {OLDEST} and later. Raise it with "
            f"onnx.version_converter, or export it again with a newer opset."
        )
    refused: list[UnsupportedNode] = []
    _raise_nodes(model, tuple(model.graph), version, refused)
    if refused:
        raise UnsupportedError(f"opset {OPSET}", refused)
    imports[""] = OPSET


def _raise_nodes(model: ir.Model, nodes: Iterable[ir.Node], version: int, refused: list[UnsupportedNode]) -> None:
    for node in nodes:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                _raise_nodes(model, tuple(attribute.as_graph()), version, refused)
        own = node.version or version
        node.version = None
        try:
            if node.domain == "":
                _raise_node(model, node, own)
            if node.graph is not None:
                _infer(node, own)
        except UnsupportedError as error:
            refused.extend(error.nodes)


def _infer(node: ir.Node, version: int) -> None:
    try:
        infer_node(node)
    except FormatError as error:
        if version <= OPSET:
            raise
        raise refusal(node, version, f"opset {OPSET} does not take it: {error}".rstrip(".")) from error


def _raise_node(model: ir.Model, node: ir.Node, version: int) -> None:
    for before, adapter in ADAPTERS.get(node.op_type, ()):
        if version < before:
            adapter(Editor(model, node), version)
            break
    if node.graph is None:
        return
    if version > OPSET:
        _lower_node(model, node, version)
    elif schema_of(node.op_type) is None:
        reason = "ONNX has no such operator; a custom operator belongs to a domain of its own"
        raise refusal(node, version, reason)


def _lower_node(model: ir.Model, node: ir.Node, version: int) -> None:
    """Accept a node of a newer opset where it says nothing that the canonical one could not."""
    newer = onnx.defs.get_schema(node.op_type, min(version, onnx.defs.onnx_opset_version()), "")
    older = schema_of(node.op_type)
    if older is not None and newer.since_version == older.since_version:
        return
    if node.op_type == "Swish":
        edit = Editor(model, node)
        alpha = node.attributes.get_float("alpha", 1.0)
        x = node.inputs[0]
        dtype = None if x is None or x.dtype is None else x.dtype.numpy()
        scaled = x if alpha == 1 else edit.op("Mul", x, edit.const("alpha", alpha, dtype, exact=float(str(alpha))))
        edit.replace(edit.op("Mul", x, edit.op("Sigmoid", scaled)))
        return
    if older is None:
        raise refusal(node, version, f"the operator is newer than opset {OPSET}; export with opset {OPSET} or earlier")
    for name in [name for name in node.attributes if name not in older.attributes]:
        default = newer.attributes[name].default_value if name in newer.attributes else None
        given = ir.serde.serialize_attribute(node.attributes[name])
        if default is None or given.SerializeToString() != default.SerializeToString():
            reason = f"its attribute {name} is newer than opset {OPSET}; export with opset {OPSET} or earlier"
            raise refusal(node, version, reason)
        del node.attributes[name]
    if any(value is not None for value in node.inputs[len(older.inputs) :]) and older.max_input < len(node.inputs):
        reason = f"it has inputs that are newer than opset {OPSET}; export with opset {OPSET} or earlier"
        raise refusal(node, version, reason)
