"""Constants as initializers of the main graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.edit import graphs_of
from graphkit.ir.params import set_exact

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from graphkit.ir.keeping import Keeping

__all__ = ["lift_constants"]

Literal: TypeAlias = "tuple[ir.TensorProtocol, npt.NDArray[np.float64] | None]"
"""A constant, and its numbers as doubles where these are known."""

LIFTED = "graphkit.lifted"
"""Marks an initializer that was a Constant node, for the classification that follows."""


def lift_constants(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Turn Constant nodes and the initializers of nested graphs into initializers of the main graph, in place.

    A Constant that is itself an output of a graph stays as an Identity of its initializer, so that the output keeps
    its name. Every initializer gets its tensor's dtype and shape. A float32 literal (``value_float``) keeps the decimal
    that its author wrote for float64 runs.

    Args:
        model: The model.
        keeping: Keeps Constant nodes that graphkit does not read; None refuses them.

    Raises:
        FormatError: A Constant has not exactly one value, or a sparse one.
    """
    main = model.graph
    taken = _names(graphs_of(main))
    for graph in list(graphs_of(main)):
        for node in tuple(graph):
            if node.op_type == "Constant" and node.domain == "":
                try:
                    literal = _literal(node)
                except FormatError as error:
                    if keeping is None:
                        raise
                    keeping.keep(node, error)
                    continue
                _lift(main, graph, node, literal, taken)
        if graph is not main:
            for value in tuple(graph.initializers.values()):
                if not value.is_graph_input():
                    _move(main, graph, value, taken)
    for value in main.initializers.values():
        _type(value)


def _type(value: ir.Value) -> None:
    """Let an initializer say the dtype and shape that its tensor has."""
    if value.const_value is not None:
        value.type = ir.TensorType(value.const_value.dtype)
        value.shape = ir.Shape(value.const_value.shape.numpy())


def _names(graphs: Iterable[ir.Graph]) -> set[str]:
    taken: set[str] = set()
    for graph in graphs:
        taken.update(graph.initializers)
        taken.update(value.name or "" for value in graph.inputs)
        taken.update(value.name or "" for node in graph for value in node.outputs)
    return taken


def _free(name: str, taken: set[str]) -> str:
    free = name
    count = 0
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free


def _lift(main: ir.Graph, graph: ir.Graph, node: ir.Node, literal: Literal, taken: set[str]) -> None:
    output = node.outputs[0]
    tensor, exact = literal
    name = output.name or "constant"
    keeps_name = output.is_graph_output() or graph is not main
    fresh = _free(name, taken) if keeps_name else name
    value = ir.val(fresh, const_value=tensor)
    tensor.name = fresh
    value.metadata_props[LIFTED] = "1"
    if exact is not None:
        set_exact(value, exact)
    if output.is_graph_output():
        keeper = ir.node("Identity", [value], num_outputs=1, metadata_props=dict(node.metadata_props))
        graph.insert_before(node, keeper)
        result = keeper.outputs[0]
        for user, index in tuple(output.uses()):
            user.replace_input_with(index, value)
        for index, old in enumerate(graph.outputs):
            if old is output:
                graph.outputs[index] = result
        output.name = None
        result.name = name
    else:
        output.replace_all_uses_with(value)
    graph.remove(node, safe=True)
    main.register_initializer(value)


def _move(main: ir.Graph, graph: ir.Graph, value: ir.Value, taken: set[str]) -> None:
    name = value.name or "constant"
    tensor = value.const_value
    if tensor is None:
        return
    lifted = ir.val(_free(name, taken), const_value=tensor, type=value.type, shape=value.shape)
    lifted.metadata_props.update(value.metadata_props)
    lifted.meta.update(value.meta)
    tensor.name = lifted.name
    main.register_initializer(lifted)
    if value.is_graph_output():
        keeper = ir.node("Identity", [lifted], num_outputs=1)
        graph.append(keeper)
        for index, old in enumerate(graph.outputs):
            if old is value:
                graph.outputs[index] = keeper.outputs[0]
    for user, index in tuple(value.uses()):
        user.replace_input_with(index, lifted)
    graph.initializers.pop(name)


def _literal(node: ir.Node) -> Literal:
    given = [(name, attribute) for name, attribute in node.attributes.items() if name.startswith(("value", "sparse"))]
    if len(given) != 1:
        raise FormatError(f"Constant node {node.name!r} has {len(given)} values; it must have one.")
    name, attribute = given[0]
    if name == "value":
        return attribute.as_tensor(), None
    if name in ("value_int", "value_ints"):
        return ir.tensor(np.asarray(attribute.value, np.int64)), None
    if name in ("value_float", "value_floats"):
        array = np.asarray(attribute.value, np.float32)
        exact = np.array([float(str(number)) for number in array.flat], np.float64).reshape(array.shape)
        return ir.tensor(array), exact
    if name in ("value_string", "value_strings"):
        return ir.StringTensor(np.asarray(attribute.value, np.object_)), None
    raise FormatError(f"Constant node {node.name!r} is sparse, which graphkit does not read; make it dense.")
