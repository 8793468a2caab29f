"""No Identity, and no node or initializer that nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_ir.passes.common import RemoveUnusedNodesPass

from graphkit.ir.edit import nodes_of, redirect
from graphkit.ir.params import kind_of
from graphkit.ir.training import stops_gradient

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["drop_identities", "drop_unused"]


def drop_identities(model: ir.Model) -> None:
    """Remove Identity nodes, in place; outputs keep their names.

    One stays where an output is an input, an initializer, another output, or a value of an outer graph: ONNX has no
    other way to give one value two names. One that stops a gradient (:mod:`graphkit.ir.training`) stays, too.
    """
    for node in nodes_of(model):
        if node.op_type != "Identity" or node.domain or node.graph is None:
            continue
        source, result = node.inputs[0], node.outputs[0]
        if source is None or (stops_gradient(node) and _has_gradient(source)):
            continue
        if result.is_graph_output():
            movable = source.producer() is not None and source.graph is node.graph and not source.is_graph_output()
            if not movable:
                for user, index in tuple(result.uses()):
                    user.replace_input_with(index, source)
                continue
        redirect(result, source)
        node.graph.remove(node, safe=True)


def _has_gradient(value: ir.Value) -> bool:
    """Whether training could send a gradient through a value."""
    producer = value.producer()
    if producer is not None and stops_gradient(producer):
        return False
    if value.const_value is not None and kind_of(value) != "parameter":
        return False
    return value.dtype is None or value.dtype.is_floating_point()


def drop_unused(model: ir.Model) -> None:
    """Remove nodes, optional outputs and initializers that no output needs, in place."""
    RemoveUnusedNodesPass()(model)
