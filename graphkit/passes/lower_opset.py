"""Saying a canonical model in the operators of an older opset."""

from __future__ import annotations

from typing import Final

import onnx
import onnx_ir as ir

from graphkit.errors import InputError, UnsupportedError, UnsupportedNode
from graphkit.ir.canonical import OPSET
from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.canonical.names import fix_names
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.opset import schema_of, type_name
from graphkit.ir.symbols import shape_of
from graphkit.passes.expand_function import expand_function
from graphkit.passes.older_forms import OLDER_FORMS

__all__ = ["lower_opset"]

OLDEST: Final = 7
"""First opset that is written; before it, binary operators broadcast by other rules."""
_INITIALIZERS_ALONE: Final = 4
"""First ONNX IR version in which initializers need not be inputs too."""


def lower_opset(model: ir.Model, target: int) -> None:
    """Rewrite a canonical model for an older opset, in place; it is no canonical model afterwards.

    Operators that the target lacks are said by ONNX's own function bodies where it has them.

    Args:
        model: A canonical model.
        target: ai.onnx version, from 7 on.

    Raises:
        InputError: The target is not a version that graphkit writes.
        UnsupportedError: Nodes that the target cannot express; all of them are listed.
    """
    if not OLDEST <= target <= OPSET:
        raise InputError(f"Opset {target} cannot be written; graphkit writes opsets {OLDEST} to {OPSET}.")
    refused: list[UnsupportedNode] = []
    pending = nodes_of(model)[::-1]
    while pending:
        node = pending.pop()
        if node.domain or node.graph is None:
            continue
        made: list[ir.Node] = []
        reason = _lower(model, node, target, made)
        if reason is not None:
            replaced = expand_function(model, node)
            if replaced is None:
                refused.append(UnsupportedNode(node.op_type, node.name or "", reason))
            else:
                made.extend(replaced)
        pending.extend(made[::-1])
    if refused:
        raise UnsupportedError(f"opset {target}", refused)
    drop_unused(model)
    fix_names(model)
    model.opset_imports[""] = target
    oldest = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", target)])
    model.ir_version = max(oldest, _INITIALIZERS_ALONE)


def _lower(model: ir.Model, node: ir.Node, target: int, made: list[ir.Node]) -> str | None:
    """Say a node as the target does, noting the nodes made for it; the reason where that cannot be."""
    for since, adapter in OLDER_FORMS.get(node.op_type, ()):
        if target < since:
            edit = Editor(model, node)
            reason = adapter(edit)
            made.extend(edit.made)
            if reason is not None:
                return reason
            if node.graph is None:
                return None
    return _unfit(node, target)


def _count_axes_from_the_front(node: ir.Node) -> str | None:
    """Before opset 11 axes were never negative."""
    values = node.outputs if node.op_type in ("OneHot", "Unsqueeze") else node.inputs
    value = values[0] if values else None
    shape = None if value is None else shape_of(value)
    for name in ("axis", "axes"):
        attribute = node.attributes.get(name)
        if attribute is None:
            continue
        axes = [attribute.as_int()] if name == "axis" else list(attribute.as_ints())
        if all(axis >= 0 for axis in axes):
            continue
        if shape is None:
            return "its axes are counted from the end, and its rank is not known"
        axes = [axis + len(shape) if axis < 0 else axis for axis in axes]
        node.attributes[name] = ir.AttrInt64(name, axes[0]) if name == "axis" else ir.AttrInt64s(name, axes)
    return None


def _unfit(node: ir.Node, target: int) -> str | None:
    """Why the target's version of an operator cannot take a node as it is."""
    if target < 11 and (reason := _count_axes_from_the_front(node)) is not None:
        return reason
    try:
        schema = onnx.defs.get_schema(node.op_type, target, "")
    except onnx.defs.SchemaError:
        return f"the operator is newer than opset {target}"
    newest = schema_of(node.op_type)
    assert newest is not None
    for name in [name for name in node.attributes if name not in schema.attributes]:
        default = newest.attributes[name].default_value if name in newest.attributes else None
        given = ir.serde.serialize_attribute(node.attributes[name]).SerializeToString()
        ones = name == "dilations" and set(node.attributes[name].as_ints()) <= {1}
        if not ones and (default is None or given != default.SerializeToString()):
            return f"its attribute {name} is newer than opset {target}"
        del node.attributes[name]
    while node.inputs and node.inputs[-1] is None:
        node.resize_inputs(len(node.inputs) - 1)
    if not schema.min_input <= len(node.inputs) <= schema.max_input:
        return f"it takes {schema.min_input} to {schema.max_input} inputs in opset {target}, and has {len(node.inputs)}"
    if not schema.min_output <= len(node.outputs) <= schema.max_output:
        return f"it has {schema.max_output} outputs in opset {target}"
    for formals, values in ((schema.inputs, node.inputs), (schema.outputs, node.outputs)):
        for index, value in enumerate(values):
            if value is None or value.dtype is None or not isinstance(value.type, ir.TensorType):
                continue
            formal = formals[min(index, len(formals) - 1)]
            if f"tensor({type_name(value.dtype)})" not in formal.types:
                return f"it does not take {type_name(value.dtype)} in opset {target}"
    return None
