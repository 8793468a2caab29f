"""What rules of rooms emit gradients through."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from graphkit.errors import ShapeNeededError
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import add_constant
from graphkit.ir.shapes import infer_node
from graphkit.ir.training import mark_backward, set_padding_row
from graphkit.ops.sequence.grad_lists import summed
from graphkit.passes.emitter import Emitter, as_stored
from graphkit.passes.gradient.pulling import depending, pull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Builder"]

_SMALL = 64
"""Elements up to which equal constants are stored once."""


class Builder(Emitter):
    """Implements :class:`graphkit.ops.gradients.GradientBuilder`.

    Nodes are named after the forward node that they are for and carry its origin; constants become initializers.

    Attributes:
        node: The forward node that a rule is being asked about; None outside of rules.
        useful: The values in which gradients are of use.
        constants: The initializers that were made.
        backward: Whether what is emitted is noted to belong to the computation of gradients.
    """

    backward = True

    def __init__(self, model: ir.Model) -> None:
        super().__init__()
        self.node: ir.Node | None = None
        self.useful: frozenset[ir.Value] = frozenset()
        self.constants: list[ir.Value] = []
        self._model = model
        self._taken = {node.name for node in model.graph.all_nodes()}
        self._taken |= {value.name for node in model.graph.all_nodes() for value in node.outputs}
        self._taken |= {value.name for graph in model.graphs() for value in graph.inputs}
        self._taken |= set(model.graph.initializers)
        self._constants: dict[tuple[object, ...], ir.Value] = {}
        self._shapes: list[dict[ir.Value, ir.Value]] = [{}]  # of the graphs that are being emitted, outer ones first

    def name(self, stem: str) -> str:
        """A new name, which says what forward node it is for."""
        node = self.node
        of = "" if node is None else node.name or node.op_type
        return self.free(f"{of}.grad.{stem}" if of else stem)

    def free(self, wanted: str) -> str:
        """A name that nothing has, the wanted one if that is so."""
        found, count = wanted, 1
        while found in self._taken:
            count += 1
            found = f"{wanted}_{count}"
        self._taken.add(found)
        return found

    def name_outputs(self, node: ir.Node) -> None:
        """Call the first output as the node, the others after it."""
        for index, output in enumerate(node.outputs):
            output.name = self.free(f"{node.name}:{index}") if index else node.name

    def emit(self, node: ir.Node) -> Sequence[ir.Value]:
        """Add a node, with the origin of the forward node that it is for."""
        if self.node is not None:
            node.metadata_props.update(self.node.metadata_props)
            set_padding_row(node, None)
        if self.backward:
            mark_backward(node)
        return super().emit(node)

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant initializer of the main graph; small ones that are equal are one. Doubles are remembered."""
        data = as_stored(array, dtype)
        given = np.asarray(array)
        doubles = given.astype(np.float64) if given.dtype == np.float64 and data.dtype == np.float32 else None
        key = (data.dtype, data.shape, given.tobytes())
        if data.size > _SMALL or key not in self._constants:
            found = add_constant(self._model.graph, f"grad.{data.dtype.name}", data, doubles)
            self.constants.append(found)
            if data.size > _SMALL:
                return found
            self._constants[key] = found
        return self._constants[key]

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """A 0-d constant of the dtype of another value."""
        return self.const(np.asarray(number), self.dtype(like))

    def graph(self, inputs: Sequence[ir.Value], emit: Callable[[], Sequence[ir.Value]]) -> tuple[ir.Graph, int]:
        """A nested graph of what a function emits, and the number of its outputs; what these do not need is dropped."""
        self._shapes.append({})
        try:
            graph, count = super().graph(inputs, emit)
        finally:
            self._shapes.pop()
        for node in reversed(graph):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                graph.remove(node, safe=True)
        return graph, count

    def variable(self, value: ir.Value) -> ir.Value:
        """A new input of a nested graph, of the type and shape of a value."""
        return ir.val(self.name("inner"), shape=value.shape, type=value.type)

    def copy(self, graph: ir.Graph, known: Mapping[ir.Value, ir.Value]) -> tuple[list[ir.Node], list[ir.Value]]:
        """Emit the nodes of a nested graph once more."""
        mapped = dict(known)
        nodes = [self._copied(node, mapped) for node in graph if known.keys().isdisjoint(node.outputs)]
        self.nodes += nodes
        return nodes, [mapped.get(value, value) for value in graph.outputs]

    def _copied(self, node: ir.Node, mapped: dict[ir.Value, ir.Value]) -> ir.Node:
        """A copy of a node that reads other values; what it gives is noted there, too."""
        attributes = []
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                inner = self._copied_graph(attribute.as_graph(), dict(mapped))
                attributes.append(ir.AttrGraph(attribute.name, inner))
            else:
                attributes.append(attribute)
        copy = ir.Node(
            node.domain,
            node.op_type,
            [None if value is None else mapped.get(value, value) for value in node.inputs],
            attributes,
            num_outputs=len(node.outputs),
            name=self.name(node.name or node.op_type),
            metadata_props=dict(node.metadata_props),
        )
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name = self.name(old.name) if old.name else ""
            new.type, new.shape = old.type, None if old.shape is None else ir.Shape(old.shape)
            mapped[old] = new
        mark_backward(copy)
        return copy

    def _copied_graph(self, graph: ir.Graph, mapped: dict[ir.Value, ir.Value]) -> ir.Graph:
        for value in graph.inputs:
            mapped[value] = ir.val(self.name(value.name or "inner"), shape=value.shape, type=value.type)
        nodes = [self._copied(node, mapped) for node in graph]
        inputs = [mapped[value] for value in graph.inputs]
        outputs = [mapped.get(value, value) for value in graph.outputs]
        return ir.Graph(inputs, outputs, nodes=nodes, name=graph.name)

    def collected(self, node: ir.Node, value: ir.Value, function: str = "Identity") -> ir.Value:
        """An output that a forward node is given: a value of a graph inside it."""
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                graph = attribute.as_graph()
                own = node.op_type != "If" or value in {each for inner in graph for each in inner.outputs}
                given = value if own else self.const(np.zeros([1] * self.rank(value), self.dtype(value)))
                name = self.free(f"{value.name}.{function}")
                inner = ir.node(function, [given], name=name, metadata_props=dict(node.metadata_props))
                inner.outputs[0].name = name
                graph.append(inner)
                graph.outputs.append(inner.outputs[0])
        before = len(node.outputs)
        states = len(node.inputs) - (node.attributes.get_int("num_scan_inputs", 0) or 0)
        for name in ("scan_output_axes", "scan_output_directions") if node.op_type == "Scan" else ():
            ends = node.attributes.get_ints(name, None) or [0] * (before - states)
            node.attributes.add(ir.AttrInt64s(name, [*ends, 0]))
        return self.output(node, before)

    def wants(self, value: ir.Value | None) -> bool:
        """Whether a gradient in an input of the node is of any use."""
        return value in self.useful

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of an initializer, None for anything that is computed or fed."""
        if value is None or value.const_value is None or value.is_graph_input():
            return None
        return cast("npt.NDArray[np.generic]", value.const_value.numpy())

    def output(self, node: ir.Node, index: int) -> ir.Value:
        """An output of the forward node, which is given it where it did not have it."""
        if len(node.outputs) <= index:
            before = len(node.outputs)
            node.resize_outputs(index + 1)
            for number in range(before, index + 1):
                node.outputs[number].name = ""
        found = node.outputs[index]
        if not found.name:
            found.name = self.free(f"{node.name or node.op_type}:{index}")
            infer_node(node)
        return found

    def shape_of(self, value: ir.Value) -> ir.Value:
        """The shape of a value as a 1-d int64 tensor."""
        dims = dims_of(value)
        if dims is not None and all(isinstance(dim, int) for dim in dims):
            return self.const(np.array(dims, np.int64))
        known = next((shapes[value] for shapes in self._shapes if value in shapes), None)
        if known is None:
            known = self._shapes[-1][value] = self.op("Shape", value)
        return known

    def like(self, gradient: ir.Value, value: ir.Value) -> ir.Value:
        """A gradient of as many elements as ``value``, reshaped to its shape."""
        wanted, found = dims_of(value), dims_of(gradient)
        if wanted is not None and wanted == found and None not in wanted:
            return gradient
        open_ = [axis for axis, dim in enumerate(wanted or ()) if not isinstance(dim, int)]
        if wanted is not None and len(open_) <= 1 and 0 not in wanted:
            sizes = self.const(np.array([dim if isinstance(dim, int) else -1 for dim in wanted], np.int64))
        else:
            sizes = self.shape_of(value)
        return self._as(self.op("Reshape", gradient, sizes), value)

    def sum_to(self, gradient: ir.Value, value: ir.Value) -> ir.Value:
        """A gradient in what ``value`` was broadcast to, summed to the shape of ``value``."""
        wanted, found = self.shape(value), self.shape(gradient)
        if wanted == found and None not in wanted:
            return gradient
        lead = len(found) - len(wanted)
        while lead > 1:  # ONNX Runtime adds up term by term, which loses fewer digits axis by axis
            gradient = self.op("ReduceSum", gradient, [lead - 1], keepdims=0)
            found = self.shape(gradient)
            lead -= 1
        axes, certain = list(range(lead)), True
        for axis, (mine, its) in enumerate(zip(wanted, found[lead:], strict=True), lead):
            if mine == 1 and its != 1:
                axes.append(axis)
            elif not isinstance(mine, int) and (mine is None or mine != its):
                certain = False
        if not certain:
            return self._summed_at_run_time(gradient, value, lead)
        if not axes:
            return gradient
        if len(axes) == lead or lead == 0:
            return self._as(self.op("ReduceSum", gradient, axes, keepdims=int(lead == 0)), value)
        return self.like(self.op("ReduceSum", gradient, axes, keepdims=0), value)

    def _summed_at_run_time(self, gradient: ir.Value, value: ir.Value, lead: int) -> ir.Value:
        sizes = self.shape_of(value)
        if lead:
            sizes = self.op("Concat", [1] * lead, sizes, axis=0)
        stretched = self.op("And", self.op("Equal", sizes, [1]), self.op("Greater", self.shape_of(gradient), [1]))
        axes = self.op("Reshape", self.op("NonZero", stretched), [-1])
        summed = self.op("ReduceSum", gradient, axes, keepdims=1, noop_with_empty_axes=1)
        return self._as(self.op("Reshape", summed, self.shape_of(value)), value)

    def full_like(self, value: ir.Value, number: float = 0.0) -> ir.Value:
        """A tensor of the shape and dtype of a value that holds one number everywhere."""
        filling = ir.tensor(np.full(1, number, self.dtype(value)))
        return self._as(self.op("ConstantOfShape", self.shape_of(value), value=filling), value)

    def total(self, gradients: Sequence[ir.Value | None]) -> ir.Value | None:
        """The sum of gradients of one shape; None where there is none."""
        given = [gradient for gradient in gradients if gradient is not None]
        if len(given) < 2:
            return given[0] if given else None
        if isinstance(given[0].type, ir.SequenceType):
            return summed(cast("GradientBuilder", self), given)
        return self.op("Add" if len(given) == 2 else "Sum", *given)

    def pull(
        self, nodes: Sequence[ir.Node], cotangents: Mapping[ir.Value, ir.Value], wanted: Sequence[ir.Value]
    ) -> list[ir.Value | None]:
        """Gradients through several nodes."""
        return pull(self, nodes, cotangents, wanted)

    def dependents(self, nodes: Sequence[ir.Node], sources: Sequence[ir.Value]) -> frozenset[ir.Value]:
        """The floats among some values, and the floats that nodes compute of them."""
        return depending(nodes, sources)

    def size(self, value: ir.Value, axis: int) -> int:
        """Size of one axis."""
        try:
            return super().size(value, axis)
        except IndexError:
            raise ShapeNeededError(f"its {value.name} has no axis {axis}") from None

    @staticmethod
    def settle(gradient: ir.Value, value: ir.Value) -> None:
        """Note in a gradient what is known of its shape from what it is the gradient in."""
        if value.shape is None or (gradient.shape is not None and len(gradient.shape) != len(value.shape)):
            return
        pairs = zip(gradient.shape or value.shape, value.shape, strict=True)
        unknown = ir.SymbolicDim(None)
        gradient.shape = ir.Shape([own if isinstance(own, int) or its == unknown else its for own, its in pairs])

    @staticmethod
    def _as(gradient: ir.Value, value: ir.Value) -> ir.Value:
        """The gradient, of which it is known now that it has the shape of a value."""
        if value.shape is not None:
            gradient.shape = ir.Shape(value.shape)
        return gradient
