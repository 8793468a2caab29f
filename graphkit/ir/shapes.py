"""Element type and shape of every value, with symbolic dimensions.

ONNX's own inference is applied node by node; where it stops at symbolic dimensions, :mod:`graphkit.ir.shape_rules` goes
on, and :mod:`graphkit.ir.shape_values` follows the elements of shape tensors meanwhile.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.keeping import STUMBLES
from graphkit.ir.opset import OPSET, newest_of, schema_for
from graphkit.ir.shape_rules import RULES
from graphkit.ir.shape_values import VALUES
from graphkit.ir.symbols import Size, dim_of, equal, names_in, set_sizes, shape_of, size_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphkit.ir.keeping import Keeping

__all__ = [
    "CONTRADICTIONS",
    "check_pieces",
    "infer_in",
    "infer_node",
    "infer_shapes",
    "name_unknown_dims",
    "type_bytes",
]

CONTRADICTIONS = (ValueError, IndexError, ZeroDivisionError, OverflowError)
"""What rules and rooms stumble over in nodes whose attributes and inputs do not fit together, which ONNX's inference
lets pass."""

_SMALL = 1024
"""Elements up to which a constant's data is shown to the inference rules (shapes, axes, …)."""
_FEW = 16
"""The same for floats, of which only scales and bounds matter."""
_MISFITS = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError)
"""What ONNX's inference raises for a node that contradicts its operator's definition."""
_EQUATION = re.compile(r"[A-Za-z\s.,]*(->[A-Za-z\s.]*)?")
_PIECES = 1 << 20
"""More pieces than a Split can be meant to make."""
_TYPES = 4096
"""Types of values that are remembered: those of a large graph are few."""


def infer_node(node: ir.Node) -> None:
    """Set dtype and shape of a node's outputs from its inputs'.

    Dimensions may be symbolic; what does not follow from the inputs keeps what the outputs already have. Constants and
    shape arithmetic take part with their values, so that Reshape, Slice, Expand, … give shapes. The node is of the
    canonical opset; of a domain without ONNX schemas it keeps all that it has.

    Raises:
        FormatError: The inputs contradict the operator's definition.
    """
    try:
        _infer_node(node)
    except CONTRADICTIONS as error:
        raise FormatError(
            f"Node {node.name!r} ({node.op_type}) does not fit its inputs: its attributes and the shapes of what it "
            f"reads contradict each other ({error})."
        ) from error


def _infer_node(node: ir.Node) -> None:
    if node.domain == "" and node.op_type in _CONTROL_FLOW:
        _CONTROL_FLOW[node.op_type](node)
        return
    _infer_by_schema(node)
    if node.domain != "":
        return
    rule = RULES.get(node.op_type)
    if rule is not None and any(_is_open(output) or _is_computed(output) for output in node.outputs):
        for output, shape in zip(node.outputs, rule(node) or (), strict=False):
            if shape is not None:
                _refine(output, ir.Shape([dim_of(size) for size in shape]))
    value_rule = VALUES.get(node.op_type)
    if value_rule is not None:
        set_sizes(node.outputs[0], value_rule(node))


def infer_shapes(model: ir.Model, keeping: Keeping | None = None) -> None:
    """Set dtype and shape of every value of a model in the canonical opset, in place.

    Dimensions that stay unknown get a name of their own, so that equal names are equal sizes everywhere. A name that
    only a graph output has says nothing of its size, so what is inferred takes its place.

    Args:
        model: The model.
        keeping: Keeps nodes that contradict what they read; None refuses them.

    Raises:
        FormatError: A node's inputs contradict its operator's definition.
    """
    for value in model.graph.inputs:
        name_unknown_dims(value)
    _infer_nodes(model.graph, _forget_own_names(model.graph), keeping)


def _forget_own_names(graph: ir.Graph) -> dict[ir.Value, ir.Shape]:
    """Take the dimensions that no input's dimensions make from the graph's outputs; return what these declared."""
    named = {name for value in graph.inputs for size in shape_of(value) or () for name in names_in(size)}
    declared: dict[ir.Value, ir.Shape] = {}
    for value in graph.outputs:
        if value.shape is None or value.producer() is None:
            continue
        declared[value] = value.shape
        value.shape = ir.Shape([dim if names_in(size_of(dim)) <= named else None for dim in value.shape])
    return declared


def name_unknown_dims(value: ir.Value) -> None:
    """Give each unknown dimension of a value a name made of the value's name and the axis."""
    shape = value.shape
    if shape is None or not value.name:
        return
    stem = re.sub(r"\W", "_", value.name)
    stem = stem if stem[:1].isalpha() else f"v{stem}"
    dims = [f"{stem}_d{axis}" if size_of(dim) is None else dim_of(size_of(dim)) for axis, dim in enumerate(shape)]
    value.shape = ir.Shape(dims)


def _infer_nodes(
    nodes: Iterable[ir.Node], declared: Mapping[ir.Value, ir.Shape] | None = None, keeping: Keeping | None = None
) -> None:
    for node in nodes:
        try:
            infer_node(node)
        except (FormatError, *STUMBLES) as error:
            if keeping is None:
                raise
            keeping.keep(node, error)
        for output in node.outputs:
            if _is_open(output):
                if declared is not None and output in declared:
                    _refine(output, declared[output])
                name_unknown_dims(output)


def _is_open(value: ir.Value) -> bool:
    """Whether rank or a dimension is unknown."""
    return value.shape is None or any(not isinstance(dim, int) and dim.value is None for dim in value.shape)


def _is_computed(value: ir.Value) -> bool:
    """Whether a dimension is a term rather than a number or a name, as PyTorch's n // (n // 3) for 3."""
    return any(not isinstance(dim, int) and not str(dim.value).isidentifier() for dim in value.shape or ())


def _infer_by_schema(node: ir.Node) -> None:
    schema = schema_for(node)
    if schema is None or schema.deprecated:
        return
    check_pieces(node)
    proto, types, data = _asked(node)
    try:
        found = _infer_outputs(schema, proto, types, data)
    except _MISFITS as error:
        # What an output is made of may only be known now, and the canonical version may lack it.
        newest = newest_of(node.op_type, node.domain)
        try:
            if newest is None or newest.since_version == schema.since_version:
                raise
            found = _infer_outputs(newest, proto, types, data)
        except _MISFITS:
            said = re.sub(r"\[\w+Error\]\s*", "", " ".join(str(error).split())).rstrip(".")
            raise FormatError(f"Node {node.name!r} ({node.op_type}) does not fit its inputs: {said}.") from error
    _take(node, found)


def infer_in(node: ir.Node, version: int) -> None:
    """Set dtype and shape of a node's outputs as ONNX infers them in an older opset, where these are not known.

    The node is asked of alone: onnx's inference of whole models (1.23) ends the process over operators whose inputs
    have no known type.

    Args:
        node: The node; one with graphs in it stays as it is.
        version: Opset of its domain.

    Raises:
        FormatError: ONNX's inference does not take such a node.
    """
    if node.op_type in _CONTROL_FLOW or not onnx.defs.has(node.op_type, version, node.domain):
        return
    check_pieces(node)
    known = [(output, output.type, output.shape) for output in node.outputs]
    try:
        _take(node, _infer_outputs(onnx.defs.get_schema(node.op_type, version, node.domain), *_asked(node)))
    except _MISFITS as error:
        raise FormatError(f"Node {node.name!r} ({node.op_type}) does not fit its inputs.") from error
    for output, kind, shape in known:
        output.type = kind or output.type
        output.shape = output.shape if shape is None else shape


def _asked(node: ir.Node) -> tuple[onnx.NodeProto, dict[str, bytes], dict[str, bytes]]:
    """What ONNX's inference is asked of a node: itself, the types of its inputs, and the small ones of these."""
    types: dict[str, bytes] = {}
    data: dict[str, bytes] = {}
    names: list[str] = []
    for index, value in enumerate(node.inputs):
        name = "" if value is None else f"i{index}"
        names.append(name)
        if value is not None:
            types[name] = type_bytes(value)
            if (content := _data_bytes(value)) is not None:
                data[name] = content
    proto = onnx.NodeProto(
        op_type=node.op_type,
        domain=node.domain,
        input=names,
        output=[f"o{index}" for index in range(len(node.outputs))],
        attribute=[ir.serde.serialize_attribute(attribute) for attribute in node.attributes.values()],
    )
    return proto, types, data


def _take(node: ir.Node, found: dict[str, bytes]) -> None:
    """Set what ONNX's inference tells of a node's outputs."""
    for index, output in enumerate(node.outputs):
        inferred = found.get(f"o{index}")
        if inferred is not None:
            kind, dims = _type_of(inferred)
            if kind is not None:
                output.type = kind
            if dims is not None:
                _refine(output, ir.Shape(dims), over=True)


@lru_cache(_TYPES)
def _type_of(inferred: bytes) -> tuple[ir.TypeProtocol | None, tuple[int | ir.SymbolicDim, ...] | None]:
    """What a serialised ``TypeProto`` says: the type, and the dimensions."""
    proto = onnx.TypeProto.FromString(inferred)
    shape = ir.serde.deserialize_type_proto_for_shape(proto)
    return ir.serde.deserialize_type_proto_for_type(proto), None if shape is None else tuple(shape)


def check_pieces(node: ir.Node) -> None:
    """Refuse a Split that names more pieces than it makes, or makes more than fit into memory, and an endless Einsum.

    onnx's inference (1.23) ends the process over the first, asks for memory for all of the second, and goes round for
    ever in an equation that has other signs than letters.

    Raises:
        FormatError: The message names the node.
    """
    held = node.attributes.get("equation") if node.op_type == "Einsum" and node.domain == "" else None
    if held is not None and not (isinstance(held.value, str) and _EQUATION.fullmatch(held.value)):
        raise FormatError(f"Node {node.name!r} (Einsum) has an equation that is none: {held.value!r}.")
    pieces = node.attributes.get_int("num_outputs", 0) if node.op_type == "Split" and node.domain == "" else 0
    if 0 < pieces < len(node.outputs) or pieces > _PIECES:
        raise FormatError(
            f"Node {node.name!r} (Split) does not fit its inputs: num_outputs is {pieces}, and it has "
            f"{len(node.outputs)} outputs."
        )


def _infer_outputs(
    schema: onnx.defs.OpSchema, proto: onnx.NodeProto, types: dict[str, bytes], data: dict[str, bytes]
) -> dict[str, bytes]:
    """What onnx.shape_inference.infer_node_outputs does, without wrapping every type, which takes most of its time."""
    opsets = {"": max(OPSET, schema.since_version)}
    found: dict[str, bytes] = schema._infer_node_outputs(  # type: ignore[call-arg]  # its stub lacks arguments
        proto.SerializeToString(), types, data, {}, opsets, onnx.IR_VERSION
    )
    return found


def type_bytes(value: ir.Value) -> bytes:
    """Dtype and shape of a value as a serialised ``TypeProto``, empty where neither is known."""
    tensor = value.const_value
    kind = value.type
    shape = value.shape
    if tensor is not None:
        kind = ir.TensorType(tensor.dtype) if kind is None else kind
        shape = ir.Shape(tensor.shape.numpy()) if shape is None else shape
    if kind is None:
        return b""
    dims = None if shape is None else tuple(dim if isinstance(dim, int) else dim.value for dim in shape)
    if isinstance(kind, ir.TensorType):
        return _tensor_bytes(kind.dtype, dims)
    return _type_bytes(kind, dims)


def _type_bytes(kind: ir.TypeProtocol, dims: tuple[int | str | None, ...] | None) -> bytes:
    proto = ir.serde.serialize_type(kind)
    if dims is not None:
        if huge := [dim for dim in dims if isinstance(dim, int) and dim >= _HUGE]:
            raise FormatError(f"A size of {huge[0]:.3g} is more than any tensor can have.")
        ir.serde.serialize_shape_into(proto, ir.Shape(dims))
    return bytes(proto.SerializeToString())


_HUGE: Final = 1 << 63


@lru_cache(_TYPES)
def _tensor_bytes(dtype: ir.DataType, dims: tuple[int | str | None, ...] | None) -> bytes:
    return _type_bytes(ir.TensorType(dtype), dims)


def _data_bytes(value: ir.Value) -> bytes | None:
    """What is known of a value's content, serialised, where that is the whole content."""
    tensor = value.const_value
    if tensor is not None:
        limit = _FEW if tensor.dtype.is_floating_point() else _SMALL
        if tensor.size > limit or tensor.dtype == ir.DataType.STRING:
            return None
        return bytes(ir.serde.serialize_tensor(tensor).SerializeToString())
    sizes = sizes_of(value)
    if sizes is None or value.dtype is None or not all(isinstance(size, int | float) for size in sizes.flat):
        return None
    array = np.array(sizes.tolist(), dtype=value.dtype.numpy()).reshape(sizes.shape)
    return bytes(ir.serde.serialize_tensor(ir.tensor(array)).SerializeToString())


def _refine(value: ir.Value, shape: ir.Shape, *, over: bool = False) -> None:
    """Fill what is unknown of a value's shape from another; with ``over`` fill the other from the value instead.

    A number is preferred to a name.
    """
    known = value.shape
    if known is None or (over and len(known) != len(shape)):
        value.shape = shape
    elif len(known) == len(shape):
        first, second = (shape, known) if over else (known, shape)
        value.shape = ir.Shape(
            [
                other if size_of(dim) is None or (isinstance(other, int) and not isinstance(dim, int)) else dim
                for dim, other in zip(first, second, strict=True)
            ]
        )


def _merged(shapes: Sequence[tuple[Size, ...] | None]) -> tuple[Size, ...] | None:
    """What shapes of the same value on several paths have in common."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or len({len(shape) for shape in known}) != 1:
        return None
    return tuple(
        sizes[0] if all(equal(sizes[0], size) for size in sizes[1:]) else None for sizes in zip(*known, strict=True)
    )


def _set(value: ir.Value, like: ir.Value, shape: tuple[Size, ...] | None) -> None:
    value.type = like.type
    value.shape = None if shape is None else ir.Shape([dim_of(size) for size in shape])


def _infer_if(node: ir.Node) -> None:
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    for branch in branches:
        _infer_nodes(branch)
    for index, output in enumerate(node.outputs):
        values = [branch.outputs[index] for branch in branches]
        _set(output, values[0], _merged([shape_of(value) for value in values]))


def _infer_carried(
    node: ir.Node, body: ir.Graph, initial: Sequence[ir.Value | None], inner: Sequence[ir.Value]
) -> None:
    """Infer a loop's body with the shapes that its carried values keep through every iteration."""
    for value, start in zip(inner, initial, strict=True):
        if start is not None:
            _set(value, start, shape_of(start))
            name_unknown_dims(value)
    offset = 1 if node.op_type == "Loop" else 0
    for _ in range(2):
        _infer_nodes(body)
        changed = False
        for value, result in zip(inner, body.outputs[offset:], strict=False):
            kept = _merged([shape_of(value), shape_of(result)])
            before = shape_of(value)
            if kept is None or before is None or any(size is None for size in kept):
                _set(value, value, kept)
                name_unknown_dims(value)
                changed = True
        if not changed:
            break


def _infer_loop(node: ir.Node) -> None:
    body = node.attributes["body"].as_graph()
    count, condition, *carried = body.inputs
    count.type, count.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([])
    going = None if len(node.inputs) < 2 or node.inputs[1] is None else shape_of(node.inputs[1])
    condition.type, condition.shape = ir.TensorType(ir.DataType.BOOL), ir.Shape([1] if going else [])
    initial = list(node.inputs[2:])
    _infer_carried(node, body, initial, carried)
    for output, value, result in zip(node.outputs, carried, body.outputs[1:], strict=False):
        _set(output, result, _merged([shape_of(value), shape_of(result)]))
    for output, result in zip(node.outputs[len(carried) :], body.outputs[1 + len(carried) :], strict=False):
        shape = shape_of(result)
        _set(output, result, None if shape is None else (None, *shape))


def _infer_scan(node: ir.Node) -> None:
    body = node.attributes["body"].as_graph()
    scanned = node.attributes.get_int("num_scan_inputs", 0)
    states = len(node.inputs) - scanned
    in_axes = node.attributes.get_ints("scan_input_axes", None) or [0] * scanned
    out_axes = node.attributes.get_ints("scan_output_axes", None) or [0] * (len(node.outputs) - states)
    length: Size = None
    for value, source, axis in zip(body.inputs[states:], node.inputs[states:], in_axes, strict=True):
        shape = None if source is None else shape_of(source)
        if source is None or shape is None:
            continue
        place = axis % len(shape)
        length = shape[place]
        _set(value, source, (*shape[:place], *shape[place + 1 :]))
    _infer_carried(node, body, list(node.inputs[:states]), list(body.inputs[:states]))
    for output, value, result in zip(node.outputs, body.inputs[:states], body.outputs, strict=False):
        _set(output, result, _merged([shape_of(value), shape_of(result)]))
    for output, result, axis in zip(node.outputs[states:], body.outputs[states:], out_axes, strict=True):
        shape = shape_of(result)
        place = axis if axis >= 0 else axis + len(shape or ()) + 1
        _set(output, result, None if shape is None else (*shape[:place], length, *shape[place:]))


_CONTROL_FLOW = {"If": _infer_if, "Loop": _infer_loop, "Scan": _infer_scan}
