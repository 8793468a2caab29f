"""Bringing a model of any opset up to the canonical one, node by node, shapes inferred on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

from graphkit.errors import FormatError, GraphkitError, UnsupportedError, UnsupportedNode
from graphkit.ir.canonical.adapters import ADAPTERS, refusal
from graphkit.ir.canonical.attributes import check_attributes
from graphkit.ir.canonical.contrib import is_contrib, rewrite
from graphkit.ir.canonical.expanding import expand
from graphkit.ir.canonical.floored_mod import floor_by_fmod
from graphkit.ir.canonical.masked_attention import say_by_mask
from graphkit.ir.canonical.oldest import OLDEST_FORMS, forget_legacy
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.keeping import STUMBLES
from graphkit.ir.opset import NEWEST, OPSET, schema_for, schema_of
from graphkit.ir.shapes import infer_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graphkit.ir.keeping import Keeping

__all__ = ["raise_opset"]

_UNCHANGED: Final = frozenset({("Cast", "round_mode"), ("CastLike", "round_mode")})
"""Attributes newer than the canonical opset that rooms know of."""
_PREVIEW: Final = "ai.onnx.preview"
_MODERN: Final = 7
"""Opset since which operators say nothing of how a framework is to run them."""


def raise_opset(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Rewrite the nodes of a model in the canonical opset, in place.

    Functions must have been inlined and Constant nodes turned into initializers. A node that came from a function of
    another opset says so in ``node.version``. What came after the canonical opset is said by its function body; what
    has none stays, and the model is then of the opset that this needs.

    Args:
        model: The model.
        keeping: Keeps nodes that cannot be raised; None refuses them.

    Raises:
        FormatError: The model says no opset, or contradicts itself.
        UnsupportedError: Nodes have no equal in the canonical opset; all of them are listed.
    """
    imports = model.opset_imports
    if "ai.onnx" in imports:
        imports.setdefault("", imports.pop("ai.onnx"))
    version = imports.get("", OPSET if all(node.domain for node in model.graph) else None)
    if version is None or version < 1:
        told = "The model does not say which opset of ai.onnx its operators are of; it is damaged."
        if keeping is None:
            raise FormatError(told)
        keeping.contradictions.append(told)
        version = OPSET
    refused: list[UnsupportedNode] = []

    def refuse(node: ir.Node, error: Exception) -> None:
        if keeping is not None:
            keeping.keep(node, error)
        elif isinstance(error, UnsupportedError):
            refused.extend(error.nodes)
        else:
            raise error

    _raise_nodes(model, tuple(model.graph), version, refuse)
    if refused:
        raise UnsupportedError(f"opset {OPSET}", refused)
    imports[""] = max((_needed(node) for node in nodes_of(model)), default=OPSET)


def _needed(node: ir.Node) -> int:
    """The opset that a node needs, the canonical one at least."""
    schema = None if node.domain else schema_for(node)
    if schema is None:
        return OPSET
    late = any((node.op_type, name) in _UNCHANGED for name in node.attributes)
    since = onnx.defs.get_schema(node.op_type, NEWEST, "").since_version if late else schema.since_version
    return max(OPSET, since)


def _raise_nodes(
    model: ir.Model, nodes: Iterable[ir.Node], version: int, refuse: Callable[[ir.Node, Exception], None]
) -> None:
    for node in nodes:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                _raise_nodes(model, tuple(attribute.as_graph()), version, refuse)
        own = node.version or version
        node.version = None
        try:
            if is_contrib(node) and rewrite(model, node):
                continue
            made, of = _raise_node(model, node, own)
            if made:
                _raise_nodes(model, made, of, refuse)
            elif node.graph is not None:
                check_attributes(node)
                _infer(node, own)
        except (GraphkitError, *STUMBLES) as error:
            refuse(node, error)


def _infer(node: ir.Node, version: int) -> None:
    try:
        infer_node(node)
    except FormatError as error:
        if version <= OPSET:
            raise
        raise refusal(node, version, f"opset {OPSET} does not take it: {error}".rstrip(".")) from error


def _raise_node(model: ir.Model, node: ir.Node, version: int) -> tuple[list[ir.Node], int]:
    """Rewrite one node; returns the nodes of its function body, and their opset, where it was replaced by that."""
    if node.domain == _PREVIEW:
        return _expanded(model, node, onnx.defs.get_schema(node.op_type, NEWEST, _PREVIEW), 1)
    if node.domain != "":
        return [], version
    if node.op_type == "SequenceMap":
        return _expanded(model, node, onnx.defs.get_schema(node.op_type, NEWEST, ""), version)
    if version < _MODERN:
        forget_legacy(node)
    for before, adapter in (*OLDEST_FORMS.get(node.op_type, ()), *ADAPTERS.get(node.op_type, ())):
        if version < before:
            adapter(Editor(model, node), version)
            break
    if node.graph is None:
        return [], version
    if version > OPSET:
        return _lower_node(model, node, version)
    if schema_of(node.op_type) is None:
        reason = "ONNX has no such operator; a custom operator belongs to a domain of its own"
        raise refusal(node, version, reason)
    return [], version


def _lower_node(model: ir.Model, node: ir.Node, version: int) -> tuple[list[ir.Node], int]:
    """Accept a node of a newer opset where it says nothing that the canonical one could not; else expand it."""
    older = schema_of(node.op_type)
    if older is None:
        reason = "ONNX has no such operator; a custom operator belongs to a domain of its own"
        raise refusal(node, version, reason)
    newer = onnx.defs.get_schema(node.op_type, min(version, NEWEST), "")
    if older.since_version > OPSET:
        return _expanded(model, node, newer, version, keep=True)
    if newer.since_version == older.since_version:
        return [], version
    if node.op_type == "Mod" and floor_by_fmod(Editor(model, node)):
        return [], version
    for name in [name for name in node.attributes if name not in older.attributes]:
        default = newer.attributes[name].default_value if name in newer.attributes else None
        given = ir.serde.serialize_attribute(node.attributes[name])
        if default is not None and given.SerializeToString() == default.SerializeToString():
            del node.attributes[name]
        elif (node.op_type, name) not in _UNCHANGED:
            return _expanded(model, node, newer, version, f"its attribute {name} is newer than opset {OPSET}")
    if any(value is not None for value in node.inputs[len(older.inputs) :]) and older.max_input < len(node.inputs):
        return _expanded(model, node, newer, version, f"it has inputs that are newer than opset {OPSET}")
    return [], version


def _expanded(
    model: ir.Model, node: ir.Node, schema: onnx.defs.OpSchema, version: int, reason: str = "", *, keep: bool = False
) -> tuple[list[ir.Node], int]:
    """Put the operator's function body in place of a node; without one, it stays or is refused."""
    if node.op_type == "Attention" and say_by_mask(Editor(model, node)):
        return [], version
    made, of = expand(model, node, schema, version)
    if not made and not keep:
        why = reason or f"the operator is newer than opset {OPSET}"
        raise refusal(node, version, f"{why}; export with opset {OPSET} or earlier")
    return made, of
