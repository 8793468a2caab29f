"""ONNX protobufs of a model, with its weights left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.frameworks.onnx.functions import lower_functions, state_functions
from graphkit.frameworks.onnx.rewording import reword
from graphkit.ir.params import store_exact
from graphkit.passes.lower_opset import lower_opset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

__all__ = ["self_contained", "weightless_proto"]

_INLINE = 1024
"""Bytes up to which an initializer stays in the protobuf: shapes, axes and scalars that a runtime looks at."""

_LOCATION = "weights"


def self_contained(model: ir.Model) -> ir.Model:
    """A copy of a model whose protobuf holds all tensors, also those that lie in other files, and all functions."""
    copy = model.clone()
    for graph in copy.graphs():
        for value in graph.initializers.values():
            _inline(value)
    state_functions(copy)
    return copy


def _inline(value: ir.Value) -> None:
    tensor = value.const_value
    if isinstance(tensor, ir.ExternalTensor):
        value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)


def weightless_proto(
    model: ir.Model, outputs: Sequence[str] = (), opset: int | None = None
) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """A protobuf in which large initializers are external data without a file, and those initializers' tensors.

    The model is left as it is; no large weight is read or copied.

    Args:
        model: A canonical model.
        outputs: Names of further values of the main graph that become outputs.
        opset: ai.onnx version to say the model in; None for its own.

    Returns:
        The protobuf, and by name the tensor of each initializer whose data is not in it.

    Raises:
        UnsupportedError: ONNX, or the opset, cannot express nodes.
    """
    weights: dict[str, ir.TensorProtocol] = {}
    copy = model.clone()
    graph = copy.graph
    present = {value.name for value in graph.outputs}
    wanted = [name for name in outputs if name not in present]
    if wanted:
        values = {value.name: value for node in graph for value in node.outputs}
        graph.outputs.extend(values[name] for name in wanted)
    reword(copy)
    state_functions(copy)
    if opset not in (None, copy.opset_imports[""]):
        lower_functions(copy, opset)
        lower_opset(copy, opset)
    for name, value in graph.initializers.items():
        store_exact(value)
        tensor = value.const_value
        if tensor is None or tensor.nbytes <= _INLINE or tensor.dtype == ir.DataType.STRING:
            _inline(value)
            continue
        weights[name] = tensor
        value.const_value = ir.ExternalTensor(
            _LOCATION, 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name
        )
    for inner in graph.subgraphs():
        for value in inner.initializers.values():
            _inline(value)
    return ir.serde.serialize_model(copy), weights
