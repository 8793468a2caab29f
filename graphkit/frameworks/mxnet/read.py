"""MXNet symbol and parameters to ONNX nodes, one MXNet node at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import onnx_ir as ir

from graphkit import limits
from graphkit.errors import (
    FormatError,
    GraphkitError,
    ParameterError,
    ShapeNeededError,
    UnsupportedError,
    UnsupportedNode,
)
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.begin_states import with_known_begin_states
from graphkit.frameworks.mxnet.refused import refused
from graphkit.frameworks.mxnet.upgrade import UNSTATED
from graphkit.frameworks.mxnet.variables import Variables, initializer
from graphkit.frameworks.mxnet.weights import misfits
from graphkit.ir import params
from graphkit.ir.canonical import OPSET
from graphkit.ir.dims import dims_of, how_to_give, shown, unknown_inputs
from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.shapes import infer_node
from graphkit.ir.training import set_losses, stop_gradient
from graphkit.ops import ledger
from graphkit.ops.index import index
from graphkit.ops.spec import MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import ReadOptions
    from graphkit.ops.builders import Dim, Operand
    from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode, MxRef

__all__ = ["IR_VERSION", "POOLED_AS_IN_2015", "NotedError", "Reader", "from_symbol", "old_pools"]

IR_VERSION = 10
_MANY: Final = 200
"""Elements of a constant, outputs of a node and nodes made of one from which on they are held to limits."""
_BYTES_OF_NODE: Final = 1 << 14
"""What a node more counts for: its memory, and the time that inferring its shape takes."""
POOLED_AS_IN_2015: Final = (
    "its layers fit together only if windows of its pooling may overhang what they pool, as they did in 2015; it is "
    "read with pooling_convention=full."
)


def from_symbol(mx: MxModel, options: ReadOptions, label: str) -> ir.Model:
    """Convert a symbol with its parameters.

    Args:
        mx: The symbol and its parameters; arrays are referred to, not copied.
        options: Given input shapes, whether the batch dimension is left free, and who hears warnings.
        label: What the symbol is called in messages.

    Returns:
        A model of the canonical opset, its losses noted (:mod:`graphkit.ir.training`), not yet cleaned up by
        :func:`graphkit.ir.canonical.canonical`. Inputs and initializers have the names of the symbol's variables;
        outputs those that MXNet gives them, and each loss that of its node with ``_loss`` appended.

    Raises:
        UnsupportedError: Nodes that graphkit cannot express, all of them.
        ParameterError: Parameters that are missing or have another shape than the graph asks for.
        ShapeNeededError: A node can only be converted when the shape of an input is given.
    """
    mx = replace(mx, graph=with_known_begin_states(mx.graph))
    try:
        return _converted(mx, options, label)
    except (FormatError, ParameterError, UnsupportedError):
        model = _of_2015(mx, options, label)
        if model is None:
            raise
        return model


def old_pools(mx: MxModel) -> list[MxNode]:
    """The pooling that may be meant as it was in 2015."""
    if mx.graph.version != UNSTATED:
        return []
    return [node for node in mx.graph.nodes if node.op == "Pooling" and "pooling_convention" not in node.attrs]


def _of_2015(mx: MxModel, options: ReadOptions, label: str) -> ir.Model | None:
    """The model with pooling as it was before MXNet knew ``pooling_convention``, None where that fits no better.

    Until 2015 a window that overhangs the input counted; symbols of then do not say so. Where a symbol fits together
    in that way only, its pooling is told to, so that MXNet itself runs it, too.
    """
    pools = old_pools(mx)
    if not pools:
        return None
    for node in pools:
        node.attrs["pooling_convention"] = "full"
    try:
        model = _converted(mx, options, label)
    except GraphkitError:
        for node in pools:
            del node.attrs["pooling_convention"]
        return None
    options.warn(f"{label}: {POOLED_AS_IN_2015}")
    return model


def _converted(mx: MxModel, options: ReadOptions, label: str) -> ir.Model:
    reader = Reader(mx, Variables(mx, options, label), label, options)
    for node in mx.graph.nodes:
        if not node.is_variable:
            reader.read(node)
    return reader.finish()


class NotedError(Exception):
    """A node cannot be converted, or one inside it, which is noted."""


class Reader:
    """Implements :class:`graphkit.ops.builders.OnnxBuilder`."""

    def __init__(self, mx: MxModel, variables: Variables, label: str, options: ReadOptions) -> None:
        self._mx = mx
        self._warn = options.warn
        self._train = options.train
        self._variables = variables
        self._label = label
        self._values: dict[int, list[ir.Value]] = {}
        self._nodes: list[ir.Node] = []
        self._constants: list[ir.Value] = []
        self._refused: list[UnsupportedNode] = []
        self._unshaped: list[ShapeNeededError] = []
        self._emitted: list[ir.Node] = []
        self._losses: dict[int, ir.Value] = {}
        self._node: MxNode | None = None
        self._operands: list[ir.Value] = []
        """What the node reads, for messages."""
        self._names = {node.name for node in mx.graph.variables()}
        self._taken: dict[str, int] = {}
        """The number at the end of the last name that was made of each."""
        self._bound: dict[int, ir.Value] = {}
        """What the variables of subgraphs are."""
        self._depth = 0
        self._expanded = 0
        """Bytes of constants that nodes were written out to."""

    def read(self, node: MxNode) -> None:
        """Convert one node, or note why it cannot be."""
        self._node, self._emitted = node, []
        try:
            result = self._result(node)
        except ShapeNeededError as error:
            self._unshaped.append(error)
            return
        except NotedError:
            return
        if isinstance(result, Refusal):
            self._refused.append(UnsupportedNode(node.op, node.name, result.reason))
        elif result is not None:
            self._take(node, result)

    def _result(self, node: MxNode) -> Sequence[ir.Value] | Refusal | None:
        """What a node computes, why it cannot be converted, or None where that is noted elsewhere."""
        found = index().form_of(node)
        problems = schema.validate(node)
        if found is None or problems:
            unknown = "graphkit does not know this operator, or not with these parameters"
            return Refusal(" and ".join(problems) or ledger.MXNET.get(node.op, unknown))
        if any(not ref.node.is_variable and id(ref.node) not in self._values for ref in node.inputs):
            return None  # downstream of a node that was not converted
        result = self._convert(*found, node)
        return [result] if isinstance(result, ir.Value) else result

    def _take(self, node: MxNode, values: Sequence[ir.Value]) -> None:
        """Keep what was emitted for a node."""
        self._values[id(node)] = list(values)
        self._name_emitted(node, self._values[id(node)])
        self._nodes.extend(self._emitted)

    def finish(self) -> ir.Model:
        """The model of the symbol's heads."""
        if self._refused:
            raise UnsupportedError("ONNX", self._refused)
        self._variables.check()
        if self._unshaped:
            raise self._unshaped[0]
        outputs: list[ir.Value] = []
        for ref in self._mx.graph.heads:
            value = self._operand(ref, "")
            if isinstance(value, Refusal):
                raise UnsupportedError("ONNX", [UnsupportedNode(ref.node.op, ref.node.name, value.reason)])
            if value.producer() is None or value in outputs:
                value = self._copy_of(value)
            outputs.append(value)
        outputs.extend(self._losses.values())
        if self._train and not self._losses:
            self._warn(f"{self._label} has no output layer that carries a loss, so --train changes nothing.")
        inputs = self._variables.inputs(outputs)
        graph = ir.Graph(
            inputs,
            outputs,
            nodes=self._nodes,
            initializers=[*self._variables.initializers(outputs), *self._constants],
            opset_imports={"": OPSET},
            name=self._label,
        )
        model = ir.Model(graph, ir_version=IR_VERSION, producer_name="graphkit")
        set_losses(model, [value.name or "" for value in self._losses.values()])
        return model

    def _copy_of(self, value: ir.Value) -> ir.Value:
        self._emitted = []
        copy = self.op("Identity", value)
        copy.name = self._unique(f"{value.name}_copy")
        self._nodes.extend(self._emitted)
        return copy

    def _convert(self, op: Op, form: MxForm, node: MxNode) -> ir.Value | Sequence[ir.Value] | Refusal | None:
        """What the node computes, why it cannot be converted, or None if its parameters do not fit it."""
        names = schema.arguments(node.op, node.attrs)
        operands: list[ir.Value | None] = []
        for position, ref in enumerate(node.inputs):
            operand = self._operand(ref, names[position] if position < len(names) else "")
            if isinstance(operand, Refusal):
                return operand
            operands.append(operand)
        known = {attr.mx for attr in form.attrs}.union(form.pin, form.derive, form.ignore, form.reads)
        strange = [name for name in node.attrs if name not in known]
        if strange:
            return Refusal(f"graphkit does not know its parameter {strange[0]}={node.attrs[strange[0]]}")
        shapes = [None if operand is None else dims_of(operand) for operand in operands]
        self._operands = [operand for operand in operands if operand is not None]
        try:
            if problem := refused(node, shapes[0] if shapes else None):
                return Refusal(f"MXNet refuses it: {problem}")
            if self._misfits(node, names, shapes[0] if shapes else None):
                return None
            read = form.train if self._train and form.train else form.read
            with np.errstate(all="ignore"):
                return read(self, node, operands) if read else self._read_row(op, form, node, operands)
        except (ValueError, ArithmeticError, MemoryError) as error:
            return Refusal(f"its parameters are not what MXNet writes: {error}")
        except KeyError as error:
            return Refusal(f"its parameter {error} is absent")
        except IndexError:
            return Refusal("its parameters ask for more axes than what it reads has")

    def _misfits(self, node: MxNode, names: Sequence[str], data: tuple[Dim, ...] | None) -> bool:
        """Whether stored parameters of a node do not fit it, which is noted."""
        stored = {
            name: self._variables.stored[ref.node.name]
            for name, ref in zip(names, node.inputs, strict=False)
            if ref.node.is_variable and ref.node.name in self._variables.stored
        }
        found = misfits(node, data, stored)
        for slot, shape, wanted, decides in found:
            name = node.inputs[list(names).index(slot)].node.name
            reads = "" if decides is None else f", which reads {shown(decides)},"
            self._variables.misfit(
                f"{name!r} is {shown(shape)}, and node {node.name!r} ({node.op}){reads} asks for {shown(wanted)}",
                from_data=decides is not None,
            )
        return bool(found)

    def _operand(self, ref: MxRef, slot: str) -> ir.Value | Refusal:
        if id(ref.node) in self._bound:
            return self._bound[id(ref.node)]
        if ref.node.is_variable:
            return self._variables.value(ref.node, slot)
        values = self._values[id(ref.node)]
        if ref.output >= len(values):
            return Refusal(f"output {ref.output} of {ref.node.op} node {ref.node.name!r} is used, which graphkit drops")
        return values[ref.output]

    def _read_row(
        self, op: Op, form: MxForm, node: MxNode, operands: list[ir.Value | None]
    ) -> ir.Value | Sequence[ir.Value] | Refusal:
        attrs: dict[str, Any] = {}
        for attr in form.attrs:
            value = attr.codec.parse(node.attrs[attr.mx]) if attr.mx in node.attrs else attr.mx_default
            if value is not None and value != attr.onnx_default:
                attrs[attr.onnx] = value
        return self.op(op.onnx, *operands, domain=op.domain, **attrs)

    def _unique(self, name: str) -> str:
        candidate, number = name, self._taken.get(name, 0)
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        self._taken[name] = number
        return candidate

    def _name_emitted(self, node: MxNode, values: list[ir.Value]) -> None:
        last = values[0].producer() if values else None
        for emitted in self._emitted:
            self._name(emitted, node, "" if emitted is last else f"_{emitted.op_type.lower()}")
        if id(node) in self._losses:
            loss = self._losses[id(node)]
            loss.name = self._unique(f"{node.name}_loss")
            for emitted in self._emitted:
                emitted.name = loss.name if loss in emitted.outputs else emitted.name
        if len(values) > 1:
            for number, value in enumerate(values):
                if value.producer() in self._emitted:
                    value.name = self._unique(f"{node.name}_output{number}")

    def _name(self, emitted: ir.Node, node: MxNode, suffix: str) -> None:
        """Name a node and what it computes after the node that it was emitted for."""
        emitted.name = self._unique(f"{node.name}{suffix}")
        set_origin(emitted, Origin("mxnet", node.op, node.name))
        for number, value in enumerate(emitted.outputs):
            part = "output" if len(emitted.outputs) == 1 else f"output{number}"
            value.name = self._unique(f"{emitted.name}_{part}")

    @property
    def np_shape(self) -> bool:
        """Whether the symbol was made for MXNet's NumPy mode."""
        return self._mx.graph.np_shape

    def op(self, op_type: str, *inputs: Operand, domain: str = "", **attrs: Any) -> ir.Value:
        """Emit a node; see :class:`~graphkit.ops.builders.OnnxBuilder`."""
        return self.ops(op_type, 1, *inputs, domain=domain, **attrs)[0]

    def ops(self, op_type: str, outputs: int, *inputs: Operand, domain: str = "", **attrs: Any) -> tuple[ir.Value, ...]:
        """Emit a node of several outputs."""
        operands = [x if x is None or isinstance(x, ir.Value) else self.const(x) for x in inputs]
        while operands and operands[-1] is None:
            operands.pop()
        given = {name: value for name, value in attrs.items() if value is not None}
        if outputs > _MANY:
            limits.check("operands", outputs, f"{self._label}: {self._where()}")
        name = None if self._node is None else self._node.name
        node = ir.node(op_type, operands, given, domain=domain, num_outputs=outputs, name=name)
        self._emitted.append(node)
        if len(self._emitted) > _MANY:
            self._written_out(_BYTES_OF_NODE)
        try:
            infer_node(node)
        except FormatError as error:
            why = str(error).rpartition(" does not fit its inputs: ")[2]
            shapes = map(dims_of, self._operands)
            reads = " and ".join("?" if dims is None else shown(dims) for dims in shapes) or "none"
            raise self._contradiction(f"does not fit its inputs, which are {reads}: {why}") from error
        return tuple(node.outputs)

    def _contradiction(self, told: str) -> Exception:
        """The error for a node that does not fit what it reads."""
        return FormatError(
            f"{self._label}: {self._where()} {told} If --input gives their sizes, give those that the model was made "
            f"for; otherwise MXNet refuses the symbol, too."
        )

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant initializer."""
        given = np.asarray(array)
        data = given if dtype is None else given.astype(dtype)
        if dtype is None and not isinstance(array, np.ndarray | np.generic) and data.dtype == np.int_:
            data = data.astype(np.int64)
        if data.size > _MANY and all(operand.const_value is None for operand in self._operands):
            self._written_out(data.nbytes + given.nbytes)
        base = "constant" if self._node is None else self._node.name
        name = self._unique(f"{base}_const")
        value = initializer(name, data, "constant")
        if given.dtype == np.float64 and data.dtype != np.float64 and data.dtype.kind not in "iub":
            params.set_exact(value, given)
        self._constants.append(value)
        return value

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """A 0-d constant of the dtype of another value."""
        dtype = self.dtype(like)
        value = self.const(np.asarray(number).astype(dtype))
        if dtype.kind not in "iub":
            params.set_exact(value, np.asarray(number, np.float64))
        return value

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of an initializer."""
        return None if value is None or value.const_value is None else value.const_value.numpy()

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        dtype = value.const_value.dtype if value.const_value is not None else value.dtype
        if dtype is None:
            raise ShapeNeededError(f"The element type of {value.name!r} is not known, and {self._where()} needs it.")
        return np.dtype(dtype.numpy())

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value."""
        dims = dims_of(value)
        if dims is None:
            raise self._shape_needed(value)
        return dims

    def rank(self, value: ir.Value) -> int:
        """Rank of a value."""
        return len(self.shape(value))

    def static_shape(self, value: ir.Value) -> tuple[int, ...]:
        """Shape of a value, all dimensions known."""
        known = [dim for dim in self.shape(value) if isinstance(dim, int)]
        if len(known) != self.rank(value):
            raise self._shape_needed(value)
        return tuple(known)

    def _shape_needed(self, value: ir.Value) -> ShapeNeededError:
        if unknown_inputs(value):
            others = [operand for operand in self._operands if dims_of(operand) is None]
            why = f"and the file does not tell. Give {how_to_give(value, *others)}."
        elif dims_of(value) is not None:
            why = "and its batch is free. Give the sizes of the inputs with --input, and --no-dynamic-batch."
        else:
            why = "and that depends on the numbers that the model computes, so that nothing tells it beforehand."
        return ShapeNeededError(
            f"{self._label}: {self._where()} can only be converted when the shape of what it reads is known, {why}"
        )

    def variable(self, dtype: ir.DataType | None, shape: Sequence[Dim]) -> ir.Value:
        """A new input of a graph inside the node."""
        base = "body" if self._node is None else self._node.name
        kind = None if dtype is None else ir.TensorType(dtype)
        return ir.Value(name=self._unique(f"{base}_in"), type=kind, shape=ir.Shape(shape))

    def inline(self, graph: MxGraph, values: Sequence[ir.Value]) -> list[ir.Value]:
        """What a subgraph of the node computes."""
        outside = self._node, self._emitted, self._operands
        self._bound.update((id(node), value) for node, value in zip(graph.variables(), values, strict=True))
        for node in graph.nodes:
            if not node.is_variable:
                self.read(node)
        self._node, self._emitted, self._operands = outside
        if any(not node.is_variable and id(node) not in self._values for node in graph.nodes):
            raise NotedError
        heads = [self._operand(ref, "") for ref in graph.heads]
        found = [head for head in heads if isinstance(head, ir.Value)]
        for head in heads:
            if isinstance(head, Refusal):
                self._note(head.reason)
        return found

    def body(self, inputs: Sequence[ir.Value], emit: Callable[[], Sequence[ir.Value]]) -> ir.Graph:
        """A graph inside the node."""
        outside = self._nodes, self._emitted
        self._nodes, self._emitted = [], []
        self._depth += 1
        try:
            outputs: list[ir.Value] = []
            for value in emit():
                own = any(value in node.outputs for node in (*self._nodes, *self._emitted))
                outputs.append(self.op("Identity", value) if not own or value in outputs else value)
            nodes, made = self._nodes, self._emitted
        finally:
            self._depth -= 1
            self._nodes, self._emitted = outside
        assert self._node is not None
        for emitted in made:
            self._name(emitted, self._node, f"_{emitted.op_type.lower()}")
        return ir.Graph(inputs, outputs, nodes=[*nodes, *made], name=self._unique(f"{self._node.name}_body"))

    def stopped(self, value: ir.Value) -> ir.Value:
        """The same numbers, through which no gradient flows back."""
        result = self.op("Identity", value)
        stop_gradient(self._emitted[-1])
        return result

    def loss(self, value: ir.Value) -> None:
        """Give the model a loss of the node."""
        if self._depth:
            self._note("it is inside a loop or branch, and a model gives losses of its own nodes only")
        self._losses[id(self._node)] = value

    def _note(self, reason: str) -> NoReturn:
        """Note why the node cannot be converted."""
        if self._node is not None:
            self._refused.append(UnsupportedNode(self._node.op, self._node.name, reason))
        raise NotedError

    def warn(self, message: str) -> None:
        """Pass on a deviation with the name of the node."""
        self._warn(f"{self._label}: {self._where()}: {message}")

    def _written_out(self, size: int) -> None:
        """Note that a few words of the symbol became much more."""
        self._expanded += size
        limits.check("expanded", self._expanded, f"{self._label}, of which {self._where()} is only a part,")

    def _where(self) -> str:
        node = self._node
        return "the model" if node is None else f"node {node.name!r} ({node.op})"
