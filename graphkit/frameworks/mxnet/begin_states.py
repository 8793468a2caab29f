"""Arrays whose size a symbol leaves to what they meet: the zeros that recurrent layers begin with.

A symbol does not know its batch size, so it makes such an array with a dimension 0, and MXNet infers it from the
operators that read the array together with others. ONNX has no such array, so here it gets the size of the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.frameworks.mxnet.implied import SAME
from graphkit.ops.codec import BOOL, ints, show
from graphkit.ops.mxgraph import MxGraph, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["with_known_begin_states"]

_MAKERS: Final = frozenset({"_full", "_ones", "_zeros"})
_ALIKE: Final = frozenset(
    {"_maximum", "_minimum", "add_n", "elemwise_add", "elemwise_div", "elemwise_mul", "elemwise_sub", "where"}
)
"""Operators whose inputs and output all have one shape."""
_ROWS: Final = frozenset({"Convolution", "Convolution_v1", "Deconvolution", "FullyConnected", "Pooling", "Pooling_v1"})
"""Operators whose first input and output have the same first dimension."""


def with_known_begin_states(graph: MxGraph) -> MxGraph:
    """A symbol in which arrays with a dimension 0 are stretched to the size of what they meet.

    Args:
        graph: The symbol; it is not changed.

    Returns:
        The same symbol if it has no such arrays. Arrays that meet nothing of a known size are left as they are.
    """
    if graph.np_shape or not any(_unknown_axes(node) for node in graph.nodes):
        return graph
    nodes, heads = _copied(graph)
    for node in [node for node in nodes if _unknown_axes(node)]:
        anchors = [_anchor(nodes, node, axis) for axis in _unknown_axes(node)]
        if any(anchor is None for anchor in anchors):
            continue
        made = _stretched(node, [anchor for anchor in anchors if anchor is not None])
        for reader in nodes:
            reader.inputs = [MxRef(made[-1]) if ref.node is node else ref for ref in reader.inputs]
        heads = [MxRef(made[-1]) if ref.node is node else ref for ref in heads]
        nodes = _sorted([*(other for other in nodes if other is not node), *made])
    return MxGraph(nodes, heads, graph.version)


def _unknown_axes(node: MxNode) -> list[int]:
    if node.op not in _MAKERS:
        return []
    try:
        shape = ints(node.attrs.get("shape", "()"))
    except ValueError:
        return []  # said where the node is read
    return [axis for axis, size in enumerate(shape) if size == 0]


def _copied(graph: MxGraph) -> tuple[list[MxNode], list[MxRef]]:
    copies: dict[int, MxNode] = {}
    for node in graph.nodes:
        inputs = [MxRef(copies[id(ref.node)], ref.output) for ref in node.inputs]
        copies[id(node)] = MxNode(node.op, node.name, node.attrs, inputs, node.subgraphs, node.hidden)
    return list(copies.values()), [MxRef(copies[id(ref.node)], ref.output) for ref in graph.heads]


def _anchor(nodes: Sequence[MxNode], made: MxNode, axis: int) -> tuple[int, MxRef, int] | None:
    """An axis of an array that is not computed from the given one and has the size of an axis of it.

    Args:
        nodes: The symbol's nodes, each after those it reads.
        made: The node that makes the array.
        axis: Its axis.

    Returns:
        The axis, the other array and the axis of that.
    """
    return next(((axis, *found) for found in _anchors(nodes, made, axis)), None)


def _anchors(nodes: Sequence[MxNode], made: MxNode, axis: int) -> Iterator[tuple[MxRef, int]]:
    """All arrays as :func:`_anchor` finds one, each with its axis."""
    below = {id(made)}
    axes: dict[MxRef, int] = {MxRef(made): axis}
    for node in nodes:
        places = [place for place, ref in enumerate(node.inputs) if id(ref.node) in below]
        if not places:
            continue
        below.add(id(node))
        for place in places:
            own = axes.get(node.inputs[place])
            if own is None:
                continue
            try:
                others, after = _meets(node, place, own)
            except (KeyError, ValueError):
                continue  # said where the node is read
            for other, place_of_size in others:
                if id(other.node) not in below and place_of_size not in _unknown_axes(other.node):
                    yield other, place_of_size
            axes.update(after)


def _meets(node: MxNode, place: int, axis: int) -> tuple[list[tuple[MxRef, int]], Mapping[MxRef, int]]:
    """Other inputs of a node that have the size of an axis of one input, and its outputs, each with their axis."""
    others = [ref for number, ref in enumerate(node.inputs) if number != place]
    if node.op in ("_foreach", "_while_loop"):
        return _meets_inside(node, place, axis)
    if node.op == "RNN":
        return [(node.inputs[0], 1)] if place >= 2 and axis == 1 else [], {}
    if node.op in _ALIKE:
        return [(ref, axis) for ref in others], {MxRef(node): axis}
    if node.op == "Concat":
        same = int(node.attrs.get("dim", "1")) != axis
        return [(ref, axis) for ref in others if same], {MxRef(node): axis} if same else {}
    if node.op == "SliceChannel":
        split = int(node.attrs.get("axis", "1"))
        if split == axis:
            return [], {}
        shift = BOOL.parse(node.attrs.get("squeeze_axis", "False")) and 0 <= split < axis
        parts = range(int(node.attrs["num_outputs"]))
        return [], {MxRef(node, part): axis - shift for part in parts}
    if node.op in _ROWS and place == 0 and axis == 0:
        return [], {MxRef(node): 0}
    if place == 0 and (node.op in SAME or node.op.endswith("_scalar")):
        return [], {MxRef(node): axis}
    return [], {}


def _meets_inside(node: MxNode, place: int, axis: int) -> tuple[list[tuple[MxRef, int]], Mapping[MxRef, int]]:
    """What an input of a loop meets in its body, as far as that leads back to other inputs."""
    body = node.subgraphs[-1]
    variables = list(body.variables())
    if node.op == "_foreach":
        data, states, rest = (ints(node.attrs[f"{kind}_locs"]) for kind in ("in_data", "in_state", "remain"))
        used = [*data, *states, *rest]
        own = {variables[inner]: number for number, inner in enumerate(used)}
        carried, rows = [variables[inner] for inner in states], len(data)
    else:
        used = list(ints(node.attrs["func_input_locs"]))
        own = dict(zip(variables, used, strict=True))
        carried, rows = [variables[inner] for inner in ints(node.attrs["func_var_locs"])], 0
    after: dict[MxRef, int] = {}
    others: list[tuple[MxRef, int]] = []
    for variable, number in own.items():
        if number != place or place < rows:  # a row has lost the axis that the loop goes through
            continue
        if variable in carried:
            after[MxRef(node, int(node.attrs["num_out_data"]) + carried.index(variable))] = axis
        for ref, other in _anchors(body.nodes, variable, axis):
            source = _source(ref, other)
            if source is not None:
                outside = own[source[0]]
                others.append((node.inputs[outside], source[1] + (outside < rows)))
    return others, after


def _source(ref: MxRef, axis: int) -> tuple[MxNode, int] | None:
    """The variable that an axis of an array comes from, and its axis; None where that is not known."""
    while not ref.node.is_variable:
        node = ref.node
        kept = node.op in _ALIKE or node.op in SAME or node.op.endswith("_scalar")
        if node.op == "SliceChannel" and not BOOL.parse(node.attrs.get("squeeze_axis", "False")):
            kept = int(node.attrs.get("axis", "1")) != axis
        if not kept and not (node.op in _ROWS and axis == 0):
            return None
        ref = node.inputs[0]
    return ref.node, axis


def _stretched(node: MxNode, anchors: Sequence[tuple[int, MxRef, int]]) -> list[MxNode]:
    """Nodes that make the array with the sizes of others; the last one has the name of the replaced one."""
    shape = [size or 1 for size in ints(node.attrs["shape"])]
    made = [MxNode(node.op, f"{node.name}_one", {**node.attrs, "shape": show(shape)}, hidden=node.hidden)]
    for number, (axis, other, place) in enumerate(anchors, 1):
        name = node.name if number == len(anchors) else f"{node.name}_{number}"
        attrs = {"lhs_axes": show((axis,)), "rhs_axes": show((place,))}
        made.append(MxNode("broadcast_like", name, attrs, [MxRef(made[-1]), other]))
    return made


def _sorted(nodes: Sequence[MxNode]) -> list[MxNode]:
    """The nodes, variables first, each after those that it reads."""
    done: dict[int, MxNode] = {id(node): node for node in nodes if node.is_variable}
    for root in nodes:
        stack: list[tuple[MxNode, Iterator[MxRef]]] = [(root, iter(root.inputs))]
        while stack:
            node, rest = stack[-1]
            ahead = next((ref.node for ref in rest if id(ref.node) not in done), None)
            if ahead is not None:
                stack.append((ahead, iter(ahead.inputs)))
            else:
                done.setdefault(id(node), node)
                stack.pop()
    return list(done.values())
