"""graphkit's own operators in an ONNX file: nodes that call functions of the model.

Every combination of attributes, element types and shapes has a function of its own, since bodies are unrolled for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from graphkit.errors import ShapeNeededError, UnsupportedError, UnsupportedNode
from graphkit.ir.canonical.literals import lift_constants
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import nodes_of
from graphkit.ir.opset import OPSET, schema_of, takes
from graphkit.ir.own import DOMAIN, OPERATOR, VERSION, is_own
from graphkit.ir.shapes import infer_shapes
from graphkit.ops.index import index
from graphkit.ops.spec import Refusal
from graphkit.passes.emitter import Emitter, as_stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import BodyBuilder

__all__ = ["lower_functions", "state_functions"]

_WIDENED = 21
"""Opset since which operators that bodies use only took on more element types."""


def state_functions(model: ir.Model) -> None:
    """Give a model the functions that its nodes of graphkit's own operators call, in place.

    Args:
        model: A canonical model; its nodes of graphkit's own operators are calls afterwards.

    Raises:
        UnsupportedError: Nodes that ONNX cannot express, all of them.
    """
    made: dict[tuple[object, ...], ir.Function] = {}
    refused: list[UnsupportedNode] = []
    for node in nodes_of(model):
        if not is_own(node.op_type, node.domain):
            continue
        key = _signature(node)
        if key not in made:
            count = sum(function.metadata_props[OPERATOR] == node.op_type for function in made.values())
            name = f"{node.op_type}_{count + 1}" if count else node.op_type
            found = _function(node, name)
            if isinstance(found, Refusal):
                refused.append(UnsupportedNode(node.op_type, node.name or "", found.reason))
                continue
            made[key] = found
        node.op_type = made[key].name
    if refused:
        raise UnsupportedError("ONNX", refused)
    for function in made.values():
        model.functions[function.identifier()] = function
        function.opset_imports[""] = model.opset_imports.get("", OPSET)
        model.opset_imports.setdefault(DOMAIN, VERSION)


def lower_functions(model: ir.Model, target: int) -> None:
    """Say the functions of a model in an older opset where that makes no difference, else put them in place of calls.

    Args:
        model: A model whose functions are those of :func:`state_functions`; changed in place.
        target: ai.onnx version that the model is to be said in.
    """
    if all(_is_in(node, target) for function in model.functions.values() for node in function.all_nodes()):
        for function in model.functions.values():
            function.opset_imports[""] = target
        return
    InlinePass()(model)
    lift_constants(model)
    infer_shapes(model)


def _is_in(node: ir.Node, target: int) -> bool:
    """Whether an opset has a node of a body as it is."""
    if target < _WIDENED:
        return False
    try:
        return takes(onnx.defs.get_schema(node.op_type, target, node.domain), node)
    except onnx.defs.SchemaError:
        return False


def _signature(node: ir.Node) -> tuple[object, ...]:
    attributes = tuple(sorted((name, repr(attribute.value)) for name, attribute in node.attributes.items()))
    values = [None if value is None else (value.dtype, dims_of(value)) for value in node.inputs]
    return (node.op_type, attributes, tuple(values), len(node.outputs))


def _function(node: ir.Node, name: str) -> ir.Function | Refusal:
    """The function that one node calls."""
    inputs = [
        ir.val(formal) if value is None else ir.val(formal, shape=value.shape, type=value.type)
        for formal, value in zip(_formals(node), node.inputs, strict=False)
    ]
    operands = [None if value is None else formal for formal, value in zip(inputs, node.inputs, strict=True)]
    body = _Body()
    call = ir.Node(DOMAIN, node.op_type, operands, node.attributes.values(), num_outputs=len(node.outputs))
    for mine, its in zip(call.outputs, node.outputs, strict=True):
        mine.type, mine.shape = its.type, its.shape
    try:
        found = body.place(call)
    except ShapeNeededError as error:
        return Refusal(f"in ONNX its size has to be known: {error}".rstrip("."))
    if isinstance(found, Refusal):
        return found
    outputs = [body.op("Identity", value) if value in inputs else value for value in found]
    graph = ir.Graph(inputs, outputs, nodes=body.nodes, opset_imports={"": OPSET}, name=name)
    attributes = [ir.Attr(key, attribute.type, None) for key, attribute in node.attributes.items()]
    function = ir.Function(DOMAIN, name, graph=graph, attributes=attributes)
    function.metadata_props[OPERATOR] = node.op_type
    return function


def _formals(node: ir.Node) -> list[str]:
    schema = schema_of(node.op_type, node.domain)
    assert schema is not None
    return [formal.name for formal in schema.inputs]


class _Body(Emitter):
    """Implements :class:`graphkit.ops.builders.BodyBuilder`."""

    def place(self, node: ir.Node) -> Sequence[ir.Value] | Refusal:
        """Emit the body of a node of one of graphkit's own operators."""
        op = index().by_onnx[node.domain, node.op_type]
        if op.body is None:
            return Refusal("ONNX has no operators to compute it with")
        found = op.body(cast("BodyBuilder", self), node, node.inputs)
        return [found] if isinstance(found, ir.Value) else found

    def emit(self, node: ir.Node) -> Sequence[ir.Value]:
        """Add a node; in place of one of graphkit's own operators, its body."""
        if not is_own(node.op_type, node.domain):
            return super().emit(node)
        found = self.place(node)
        assert not isinstance(found, Refusal), found.reason
        return found

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant; functions hold them as nodes."""
        tensor = ir.tensor(as_stored(array, dtype))
        value = self.op("Constant", value=tensor)
        value.const_value = tensor  # shapes are inferred from it
        return value
