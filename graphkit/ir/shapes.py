"""Element type and shape of every value, from ONNX's own inference rules applied node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.opset import OPSET, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["infer_node", "infer_shapes"]

_SMALL = 1024
"""Elements up to which a constant's data is shown to the inference rules (shapes, axes, scales, …)."""


def infer_node(node: ir.Node) -> None:
    """Set dtype and shape of a node's outputs from its inputs'.

    Dimensions may be symbolic; what does not follow from the inputs keeps what the outputs already have. Constants
    (initializers) take part with their values, so Reshape, Slice, Expand, … give shapes.

    Raises:
        FormatError: The inputs contradict the operator's definition.
    """
    schema = schema_of(node.op_type, node.domain)
    if schema is None:
        return
    types: dict[str, bytes] = {}
    data: dict[str, bytes] = {}
    names: list[str] = []
    for index, value in enumerate(node.inputs):
        if value is None:
            names.append("")
            continue
        name = f"i{index}"
        names.append(name)
        types[name] = _type_bytes(value)
        tensor = value.const_value
        if tensor is not None and tensor.size <= _SMALL and tensor.dtype != ir.DataType.STRING:
            data[name] = ir.serde.serialize_tensor(tensor).SerializeToString()
    proto = onnx.NodeProto(
        op_type=node.op_type,
        domain=node.domain,
        input=names,
        output=[f"o{index}" for index in range(len(node.outputs))],
        attribute=[ir.serde.serialize_attribute(attribute) for attribute in node.attributes.values()],
    )
    try:
        found = schema._infer_node_outputs(
            proto.SerializeToString(), types, data, {}, {"": OPSET}, onnx.IR_VERSION
        )
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise FormatError(
            f"Node {node.name!r} ({node.op_type}) does not fit its inputs: {' '.join(str(error).split())}."
        ) from error
    for index, output in enumerate(node.outputs):
        inferred = found.get(f"o{index}")
        if inferred is not None:
            _apply(output, onnx.TypeProto.FromString(inferred))


def infer_shapes(model: ir.Model) -> None:
    """Set dtype and shape of every value of a model in the canonical opset, in place."""
    _infer_nodes(model.graph)


def _infer_nodes(nodes: Iterable[ir.Node]) -> None:
    for node in nodes:
        infer_node(node)


def _type_bytes(value: ir.Value) -> bytes:
    tensor = value.const_value
    kind = value.type
    shape = value.shape
    if tensor is not None:
        kind = ir.TensorType(tensor.dtype) if kind is None else kind
        shape = tensor.shape if shape is None else shape  # type: ignore[assignment]
    if kind is None:
        return b""
    proto = ir.serde.serialize_type(kind)
    if shape is not None:
        ir.serde.serialize_shape_into(proto, shape)
    return proto.SerializeToString()


def _apply(value: ir.Value, proto: onnx.TypeProto) -> None:
    kind = ir.serde.deserialize_type_proto_for_type(proto)
    if kind is not None:
        value.type = kind
    shape = ir.serde.deserialize_type_proto_for_shape(proto)
    if shape is None:
        return
    known = value.shape
    if known is not None and len(known) == len(shape):
        shape = ir.Shape([old if new == ir.SymbolicDim(None) else new for new, old in zip(shape, known, strict=True)])
    value.shape = shape
