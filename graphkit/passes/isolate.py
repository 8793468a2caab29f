"""Every node of a model on its own: fed what it should get, whatever the nodes before it give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.ir.dims import dims_of
from graphkit.ir.edit import graphs_in
from graphkit.ir.origin import drop_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Isolated", "extracted", "isolated", "widened"]


@dataclass(frozen=True, slots=True)
class Isolated:
    """A model in which nodes read inputs instead of each other.

    Attributes:
        model: The model; its outputs are the values that the nodes give, under their names.
        reads: For each input of the model, the value that it stands for and the node that reads it; the node is empty
            for inputs that stayed as they were.
        copies: For each initializer that was copied for a node, the one that it is a copy of and the node.
    """

    model: ir.Model
    reads: dict[str, tuple[str, str]]
    copies: dict[str, tuple[str, str]]

    def behind(self, name: str) -> list[ir.Node]:
        """The nodes that an output depends on, in order, its own last."""
        seen: set[ir.Node] = set()
        stack = [value for value in self.model.graph.outputs if value.name == name]
        while stack:
            node = stack.pop().producer()
            if node is not None and node not in seen:
                seen.add(node)
                stack.extend(_read_by(node))
        return [node for node in self.model.graph if node in seen]


def isolated(model: ir.Model, shapes: Mapping[str, Sequence[int]], copied: Sequence[str] = ()) -> Isolated:
    """Cut a model at its float values.

    Each node reads the values in ``shapes`` from inputs that are its own. Integers, which often say how a node has to
    work, stay connected, as does what a loop or a branch reads from around it, and what is not in ``shapes``.

    Args:
        model: A canonical model whose nodes have names; it is left as it is.
        shapes: Shape of each value to cut at: graph inputs, and values between nodes.
        copied: Initializers that every node that reads them gets a copy of, so that each has a gradient of its own.

    Returns:
        The isolated model, whose outputs are the values in ``shapes`` that nodes give, and the model's own outputs.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    sizes = _sizes(model, shapes)
    for node in copy.graph:
        for value in node.outputs:
            _settle(value, shapes, sizes)
    for value in copy.graph.inputs:
        _settle(value, shapes, sizes)
    cut = {
        value: value.name or ""
        for value in (*copy.graph.inputs, *(value for node in copy.graph for value in node.outputs))
        if value.name in shapes and value.dtype is not None and value.dtype.is_floating_point()
    }
    taken = {value.name for value in (*cut, *copy.graph.initializers.values())}
    reads: dict[str, tuple[str, str]] = {}
    copies: dict[str, tuple[str, str]] = {}
    shared = {copy.graph.initializers[name] for name in copied if name in copy.graph.initializers}
    for node in copy.graph:
        for value in dict.fromkeys(each for each in node.inputs if each is not None):
            if value in cut or value in shared:
                own = ir.Value(name=_free(f"{value.name}@{node.name}", taken), type=value.type, shape=value.shape)
                for index, read in enumerate(node.inputs):
                    if read is value:
                        node.replace_input_with(index, own)
                if value in cut:
                    copy.graph.inputs.append(own)
                    reads[own.name or ""] = (cut[value], node.name or "")
                else:
                    own.const_value = value.const_value
                    own.metadata_props.update(value.metadata_props)
                    own.meta.update(value.meta)
                    copy.graph.register_initializer(own)
                    copies[own.name or ""] = (value.name or "", node.name or "")
    _drop_unread(copy)
    reads.update({value.name or "": (value.name or "", "") for value in copy.graph.inputs if value.name not in reads})
    outputs = list(copy.graph.outputs)
    given = [value for node in copy.graph for value in node.outputs if value.name in shapes and value not in outputs]
    copy.graph.outputs.extend(given)
    return Isolated(copy, reads, copies)


def widened(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """A copy of a model that gives values between nodes as outputs, too.

    Args:
        model: A canonical model; it is left as it is.
        names: Names of the values.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    known = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.extend(known[name] for name in names if known[name] not in copy.graph.outputs)
    return copy


def extracted(found: Isolated, name: str) -> ir.Model:
    """The nodes behind one output of an isolated model as a model, whose inputs have the names of what they stand for.

    What nodes read of each other is connected again.

    Args:
        found: The isolated model; it is left as it is.
        name: The output.
    """
    copy = found.model.clone()
    copy.meta.update(found.model.meta)
    kept = {node.name for node in found.behind(name)}
    for value in [value for value in copy.graph.outputs if value.name != name]:
        copy.graph.outputs.remove(value)
    gone = [node for node in copy.graph if node.name not in kept]
    for inner in (inner for node in gone for graph in graphs_in(node) for inner in graph):
        for index in range(len(inner.inputs)):
            inner.replace_input_with(index, None)
    copy.graph.remove(gone, safe=True)
    _drop_unread(copy, inputs=True)
    given = {value.name: value for node in copy.graph for value in node.outputs}
    for value in list(copy.graph.inputs):
        name, _ = found.reads[value.name or ""]
        if name in given:
            for user, index in list(value.uses()):
                user.replace_input_with(index, given[name])
            copy.graph.inputs.remove(value)
        else:
            value.name = name
            given[name] = value
    for value in list(copy.graph.initializers.values()):
        original, _ = found.copies.get(value.name or "", ("", ""))
        if original and original not in copy.graph.initializers:
            copy.graph.initializers.pop(value.name or "")
            value.name = original
            copy.graph.register_initializer(value)
    return copy


def _read_by(node: ir.Node) -> list[ir.Value]:
    """What a node reads, and what the graphs nested in it do."""
    inner = list(graphs_in(node))
    read = [*node.inputs, *(value for graph in inner for each in graph for value in each.inputs)]
    return [value for value in (*read, *(value for graph in inner for value in graph.outputs)) if value is not None]


def _drop_unread(model: ir.Model, *, inputs: bool = False) -> None:
    """Drop initializers that no node reads, and inputs likewise if wanted; float inputs that were cut go anyway."""
    graph = model.graph
    outputs = set(graph.outputs)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and value not in outputs and not value.is_graph_input():
            graph.initializers.pop(name)
    for value in [value for value in graph.inputs if not value.uses() and value not in outputs]:
        floats = value.dtype is not None and value.dtype.is_floating_point()
        if inputs or floats:
            graph.inputs.remove(value)


def _sizes(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Size of each named dimension of the inputs."""
    pairs = (zip(dims_of(value) or (), shapes.get(value.name or "", ()), strict=False) for value in model.graph.inputs)
    return {dim: size for pair in pairs for dim, size in pair if isinstance(dim, str)}


def _settle(value: ir.Value, shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int]) -> None:
    """Give a value the sizes that it has in this run."""
    if value.name is not None and value.name in shapes:
        value.shape = ir.Shape([*shapes[value.name]])
    elif (dims := dims_of(value)) is not None:
        value.shape = ir.Shape([sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in dims])


def _free(name: str, taken: set[str | None]) -> str:
    number = 1
    found = name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found
