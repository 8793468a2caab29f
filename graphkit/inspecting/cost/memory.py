"""Bytes of activations: what the nodes of a model compute and hand on.

Every output is a buffer of its own, but for nodes that only give their input another shape, which neither ONNX Runtime
nor PyTorch copies (:data:`VIEWS`). Nothing is reused in place, and what kernels need meanwhile is not counted. What
depends on no input of the model, such as a transposed weight, is no activation: runtimes compute it once, beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.inspecting.cost import aten
from graphkit.inspecting.cost.count import total
from graphkit.ir.chance import drawing
from graphkit.ir.describe import constant_of
from graphkit.ir.symbols import product, shape_of
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from graphkit.inspecting.cost.count import Count

__all__ = ["VIEWS", "activation_bytes", "fixed_nodes", "is_view", "root_of", "value_bytes"]

VIEWS: Final = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators whose output is their first input's buffer."""
_ATEN_VIEWS: Final = frozenset({"alias", "detach", "flatten", "reshape", "squeeze", "unsqueeze", "view"})
"""The same of PyTorch's, in models whose nodes stay PyTorch's."""


def is_view(node: ir.Node) -> bool:
    """Whether a node's output lies where its first input does."""
    if node.domain == aten.DOMAIN:
        return aten.packet_of(node.op_type) in _ATEN_VIEWS
    return node.op_type in VIEWS and node.domain in ("", "ai.onnx") and len(node.outputs) == 1


def root_of(value: ir.Value) -> ir.Value:
    """The value whose buffer a value lies in."""
    producer = value.producer()
    while producer is not None and is_view(producer) and producer.inputs and producer.inputs[0] is not None:
        value = producer.inputs[0]
        producer = value.producer()
    return value


def value_bytes(value: ir.Value) -> Count | None:
    """Size of a value in bytes, 4-bit numbers packed; None where its dtype or a size is unknown, or it is no tensor."""
    dtype: Any = value.dtype
    if isinstance(value.type, ir.SequenceType | ir.OptionalType):
        return None
    if dtype is None and value.const_value is not None:
        dtype = value.const_value.dtype
    shape = shape_of(value)
    if dtype is None or shape is None or dtype in (ir.DataType.UNDEFINED, ir.DataType.STRING):
        return None
    count = product(shape)
    if count is None or dtype.bitwidth % 8 == 0:
        return product((count, dtype.bitwidth // 8))
    return (count * dtype.bitwidth + 7) // 8 if isinstance(count, int) else None


def activation_bytes(node: ir.Node) -> Count | None:
    """Bytes of the buffers that a node fills: 0 for a view, None where one of its outputs is unknown."""
    if is_view(node):
        return 0
    sizes = [value_bytes(value) for value in node.outputs if value.name]
    return None if None in sizes else total(sizes)


def fixed_nodes(graph: ir.Graph) -> frozenset[ir.Node]:
    """The nodes of a graph, none inside others, whose outputs are the same in every run."""
    found: set[ir.Node] = set()
    for node in graph:
        if not any(bodies_of(node)) and not drawing(node) and all(_is_fixed(value, found) for value in node.inputs):
            found.add(node)
    return frozenset(found)


def _is_fixed(value: ir.Value | None, known: set[ir.Node]) -> bool:
    if value is None or value.producer() in known or constant_of(value) is not None:
        return True
    return value.is_initializer() and not value.is_graph_input()
