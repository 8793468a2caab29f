"""The operator set that canonical models speak, and ONNX's schemas of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEWEST", "OPSET", "newest_of", "schema_for", "schema_of", "takes", "type_name"]

OPSET: Final = 23
"""ai.onnx version of every canonical model that holds nothing newer."""
NEWEST: Final = onnx.defs.onnx_opset_version()
"""ai.onnx version of the newest operators that are known."""


@cache
def schema_of(op_type: str, domain: str = "") -> onnx.defs.OpSchema | None:
    """ONNX's schema of an operator in the canonical opset, None where ONNX has no such operator.

    Operators that came after the canonical opset, and those of other domains, have their newest schema.
    """
    if domain not in ("", "ai.onnx"):
        return newest_of(op_type, domain)
    try:
        return onnx.defs.get_schema(op_type, OPSET, "")
    except onnx.defs.SchemaError:
        return newest_of(op_type)


def schema_for(node: ir.Node) -> onnx.defs.OpSchema | None:
    """The schema of a node: that of the canonical opset, or the newest where only that has the node's element types."""
    schema = schema_of(node.op_type, node.domain)
    if schema is None or node.domain != "" or takes(schema, node):
        return schema
    newest = newest_of(node.op_type)
    return newest if newest is not None and takes(newest, node) else schema


def takes(schema: onnx.defs.OpSchema, node: ir.Node) -> bool:
    """Whether a schema allows the element types of a node's inputs and outputs, as far as these are known."""
    for side, values in enumerate((node.inputs, node.outputs)):
        allowed = _types(schema.domain, schema.name, schema.since_version)[side]
        for index, value in enumerate(values):
            if value is None or not isinstance(value.type, ir.TensorType) or not allowed:
                continue
            if f"tensor({type_name(value.type.dtype)})" not in allowed[min(index, len(allowed) - 1)]:
                return False
    return True


def type_name(dtype: ir.DataType) -> str:
    """ONNX's name of an element type in schemas, e.g. ``float`` or ``bfloat16``."""
    return {"FLOAT": "float", "DOUBLE": "double"}.get(dtype.name, dtype.name.lower())


@cache
def newest_of(op_type: str, domain: str = "") -> onnx.defs.OpSchema | None:
    """ONNX's newest schema of an operator, None where it has none."""
    try:
        return onnx.defs.get_schema(op_type, domain)
    except onnx.defs.SchemaError:
        return None


@cache
def _types(domain: str, op_type: str, version: int) -> tuple[Sequence[frozenset[str]], Sequence[frozenset[str]]]:
    """The types that each input and each output may have."""
    schema = onnx.defs.get_schema(op_type, version, domain)
    inputs = [frozenset(formal.types) for formal in schema.inputs]
    return inputs, [frozenset(formal.types) for formal in schema.outputs]
