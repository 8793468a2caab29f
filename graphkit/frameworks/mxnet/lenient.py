"""Reading symbols of which no node is refused: what has no canonical form stays one node of MXNet's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import onnx_ir as ir

from graphkit import limits
from graphkit.errors import FormatError, GraphkitError, LimitError, ShapeNeededError
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.implied import SAME
from graphkit.frameworks.mxnet.read import NotedError, Reader
from graphkit.frameworks.mxnet.variables import TOLD, Variables
from graphkit.frameworks.mxnet.weights import WEIGHTS, wanted
from graphkit.ir import params
from graphkit.ir.dims import dims_of, unknown_inputs
from graphkit.ir.feeding import set_fed_by
from graphkit.ir.keeping import STUMBLES
from graphkit.ir.untranslated import set_untranslated
from graphkit.ops.codec import ints
from graphkit.ops.spec import Refusal
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from graphkit.frameworks.base import ReadOptions
    from graphkit.ops.builders import Operand
    from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode

__all__ = [
    "DOMAIN",
    "LenientReader",
    "LenientVariables",
    "arguments",
    "body_inputs",
    "listed",
    "output_counts",
    "symbol_attributes",
]

DOMAIN: Final = "mxnet"
"""Domain of the nodes that stay MXNet's."""


def output_counts(graph: MxGraph) -> dict[int, int]:
    """How many outputs of each operator of a symbol must be there, by the id of its node: those that are read.

    Raises:
        FormatError: An output is read that the operator does not have.
    """
    counts: dict[int, int] = {}
    refs = [(ref, f"node {node.name!r} ({node.op})") for node in graph.walk() for ref in node.inputs]
    refs += [(ref, "the list of heads") for ref in graph.heads]
    refs += [
        (ref, f"a subgraph of node {node.name!r} ({node.op})")
        for node in graph.walk()
        for body in node.subgraphs
        for ref in body.heads
    ]
    for ref, reader in refs:
        total = schema.output_count(ref.node)
        if ref.output >= (schema.MANY if total is None else total):
            raise FormatError(
                f"The symbol contradicts itself: {reader} reads output {ref.output} of "
                f"{'variable' if ref.node.is_variable else 'node'} {ref.node.name!r}, which has "
                f"{'not so many' if total is None else f'only {total}'}. Save it again with MXNet, or mend it by hand."
            )
        counts[id(ref.node)] = max(counts.get(id(ref.node), 1), ref.output + 1)
    return counts


def symbol_attributes(attrs: dict[str, str], bodies: Sequence[ir.Graph]) -> list[ir.Attr]:
    """A symbol's parameters as they are spelled, and its subgraphs, as attributes of a node."""
    graphs = [ir.AttrGraph(_free(f"subgraph{number}", attrs), body) for number, body in enumerate(bodies)]
    return [*(ir.AttrString(name, text) for name, text in attrs.items() if name), *graphs]


def body_inputs(node: MxNode, number: int, names: Sequence[str]) -> list[ir.Value]:
    """Inputs of a subgraph, one for each of its variables, which note what input of the operator they are fed from.

    Args:
        node: A control-flow operator.
        number: Which of its subgraphs.
        names: What to call the inputs.
    """
    values = [ir.Value(name=name) for name in names]
    for value, place in zip(values, _places(node, number, len(values)), strict=False):
        if place is not None:
            set_fed_by(value, place)
    return values


def _places(node: MxNode, number: int, count: int) -> list[int | None]:
    """The input of a control-flow operator that each variable of a subgraph stands for, as far as that is known."""
    try:
        if node.op == "_foreach":
            kinds = ("in_data_locs", "in_state_locs", "remain_locs")
            used = [place for kind in kinds for place in ints(node.attrs[kind])]
            return [used.index(place) if place in used else None for place in range(count)]
        names = {"_while_loop": ("cond", "func"), "_cond": ("cond", "then", "else")}[node.op]
        return list(ints(node.attrs[f"{names[number]}_input_locs"]))
    except (LookupError, ValueError):
        return []


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


class LenientVariables(Variables):
    """Variables of a symbol whose parameters may be missing, have any shape, and be all there is."""

    def __init__(self, mx: MxModel, options: ReadOptions, label: str) -> None:
        super().__init__(mx, options, label)
        self.absent: dict[str, ir.Value] = {}
        """Parameters without numbers, by name."""

    def _input(self, variable: MxNode, slot: str) -> ir.Value:
        is_parameter = variable.name and (slot in WEIGHTS or _initialised(variable))
        if variable.name in self._given or not is_parameter:
            return super()._input(variable, slot)
        shape = self._declared_shape(variable)
        value = ir.Value(
            name=variable.name,
            type=ir.TensorType(self._declared_dtype(variable)),
            shape=None if shape is None else ir.Shape(shape),
        )
        params.set_kind(value, "buffer" if slot in ("moving_mean", "moving_var") else "parameter")
        self.absent[variable.name] = value
        return value

    def _declared_shape(self, variable: MxNode) -> list[int | None] | None:
        try:
            return super()._declared_shape(variable)
        except FormatError as error:
            self._options.warn(str(error))
            return None

    def _declared_dtype(self, variable: MxNode) -> ir.DataType:
        try:
            return super()._declared_dtype(variable)
        except FormatError as error:
            self._options.warn(f"{self._label}: variable {variable.name!r} has no element type: {error}")
            return ir.DataType.FLOAT

    def inputs(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The inputs that something reads, in the symbol's order."""
        values = [self._values[name] for name in self._fed if name in self._values and name not in self.absent]
        return [value for value in values if value.uses() or value in outputs]

    def initializers(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The parameters and auxiliary states that something reads, those without numbers too."""
        stored = [value for name, value in self._values.items() if value.const_value is not None or name in self.absent]
        return [value for value in stored if value.uses() or value in outputs]

    def misfit(self, told: str, *, from_data: bool) -> NoReturn:
        """Leave the operator of a parameter that does not fit as it is."""
        del from_data
        self._options.warn(f"{self._label}: {told}.")
        raise NotedError(told)

    def check(self) -> None:
        """Tell which parameters have no numbers."""
        if self.absent:
            count = "1 parameter has" if len(self.absent) == 1 else f"{len(self.absent)} parameters have"
            self._options.warn(
                f"{self._label}: {count} no values: {several([*self.absent], TOLD)}.{self.why_lacking()} "
                f"Give the parameter file with --params."
            )


def _initialised(variable: MxNode) -> bool:
    """Whether a variable is called as MXNet's initialisers know parameters, or says how it begins."""
    return "__init__" in variable.hidden or variable.name.endswith(tuple(f"_{slot}" for slot in sorted(WEIGHTS)))


class LenientReader(Reader):
    """A reader that goes on behind what it cannot convert.

    Attributes:
        graph: The symbol.
        kept: Number of nodes that stayed MXNet's.
    """

    _variables: LenientVariables

    def __init__(self, mx: MxModel, label: str, options: ReadOptions) -> None:
        super().__init__(mx, LenientVariables(mx, options, label), label, options)
        self.graph: Final = mx.graph
        self.kept = 0
        self._counts = output_counts(mx.graph)
        self._made: list[ir.Node] = []
        self._called: list[str] = []
        self._open: dict[ir.Value, None] = {}
        """Values whose shape a node would have needed."""

    def read(self, node: MxNode) -> None:
        """Convert one node, or keep it as it is."""
        self._node, self._emitted = node, []
        made, called, constants = len(self._made), len(self._called), len(self._constants)
        try:
            result = self._result(node)
        except LimitError:
            raise
        except (GraphkitError, NotedError) as error:
            result = Refusal(str(error).rstrip("."))
        except STUMBLES:
            result = Refusal("what it reads is not known well enough")
        if not isinstance(result, Refusal) and result is not None and len(result) < self._counts.get(id(node), 1):
            result = Refusal(f"graphkit drops its output {len(result)}, which is used")
        if isinstance(result, Refusal) or result is None:
            reason = "it reads what has no canonical form" if result is None else result.reason
            self._undo(made, called, constants)
            self._node, self._emitted = node, []
            result = self._kept(node, reason)
        self._take(node, result)

    def finish(self) -> ir.Model:
        """The model of the symbol's heads."""
        model = super().finish()
        model.opset_imports[DOMAIN] = 1
        absent = self._variables.absent
        names = sorted({name for value in self._open for name in unknown_inputs(value) if name not in absent})
        if names:
            options = " ".join(f"--input {name}:SHAPE" for name in names)
            self._warn(
                f"{self._label}: some nodes stay MXNet's, because the shape of what they read is not known. Give "
                f"{options}, SHAPE being sizes such as 1x3x224x224, the batch first."
            )
        return model

    def value_of(self, node: MxNode, output: int) -> ir.Value | None:
        """What an output of a node became."""
        values = self._values.get(id(node), [])
        return values[output] if output < len(values) else None

    def _undo(self, made: int, called: int, constants: int) -> None:
        for node in self._made[made:]:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
        self._names.difference_update(self._called[called:])
        self._taken.clear()
        self._losses.pop(id(self._node), None)
        del self._made[made:], self._called[called:], self._constants[constants:]

    def _kept(self, node: MxNode, reason: str) -> list[ir.Value]:
        """Emit a node as the symbol has it.

        Its outputs have the element type of what it reads, as MXNet's own and custom operators do that have no
        parameter for another; and its shape, where the operator keeps that.
        """
        self.kept += 1
        outputs = max(self._counts.get(id(node), 1), listed(node))
        limits.check("operands", outputs, f"Node {node.name!r} ({node.op})")
        names = arguments(node)
        found = [
            self._operand(ref, names[position] if position < len(names) else "")
            for position, ref in enumerate(node.inputs)
        ]
        operands = [operand for operand in found if isinstance(operand, ir.Value)]
        made = ir.Node(
            DOMAIN,
            node.op,
            operands,
            symbol_attributes(node.attrs, [self._inside(node, number) for number in range(len(node.subgraphs))]),
            num_outputs=outputs,
            name=node.name,
        )
        if operands and "dtype" not in node.attrs:
            for value in made.outputs:
                value.type = operands[0].type
        if operands and node.op in SAME:
            made.outputs[0].shape = operands[0].shape
        set_untranslated(made, reason)
        self._emitted.append(made)
        self._made.append(made)
        return list(made.outputs)

    def _inside(self, node: MxNode, number: int) -> ir.Graph:
        graph = node.subgraphs[number]
        inputs = body_inputs(node, number, [self._unique(variable.name) for variable in graph.variables()])
        return self.body(inputs, lambda: self.inline(graph, inputs))

    def _name_emitted(self, node: MxNode, values: list[ir.Value]) -> None:
        if self._emitted and self._emitted[-1].domain == DOMAIN:
            self._name(self._emitted[-1], node, "")
        else:
            super()._name_emitted(node, values)

    def _misfits(self, node: MxNode, names: Sequence[str], data: tuple[int | str | None, ...] | None) -> bool:
        found = super()._misfits(node, names, data)
        absent = {
            slot: self._variables.absent[ref.node.name]
            for slot, ref in zip(names, node.inputs, strict=False)
            if ref.node.is_variable and ref.node.name in self._variables.absent
        }
        if any(value.shape is None for value in absent.values()):
            shapes = wanted(node, data)
            for slot, value in absent.items():
                if value.shape is None and slot in shapes:
                    value.shape = ir.Shape([dim if isinstance(dim, int) else None for dim in shapes[slot]])
        return found

    def ops(self, op_type: str, outputs: int, *inputs: Operand, domain: str = "", **attrs: Any) -> tuple[ir.Value, ...]:
        """Emit a node of several outputs, which may have to be taken back."""
        before = len(self._emitted)
        try:
            return super().ops(op_type, outputs, *inputs, domain=domain, **attrs)
        finally:
            self._made.extend(self._emitted[before:])

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        try:
            return super().dtype(value)
        except ShapeNeededError as error:
            raise ShapeNeededError("the element type of what it reads is not known") from error

    def _unique(self, name: str) -> str:
        free = super()._unique(name)
        self._called.append(free)
        return free

    def _contradiction(self, told: str) -> Exception:
        if any(operand.dtype is None for operand in self._operands):
            return ShapeNeededError("the element type of what it reads is not known")
        self._warn(f"{self._label}: {self._where()} {told}")
        return NotedError(f"it {told}".rstrip("."))

    def _shape_needed(self, value: ir.Value) -> ShapeNeededError:
        self._open[value] = None
        known = dims_of(value) is not None
        return ShapeNeededError(
            "a size of what it reads is not known" if known else "the shape of what it reads is not known"
        )

    def _note(self, reason: str) -> NoReturn:
        raise NotedError(reason)


def arguments(node: MxNode) -> Sequence[str]:
    """Names of an operator's inputs, as far as they are known."""
    try:
        return schema.arguments(node.op, node.attrs)
    except (FormatError, ValueError):
        return ()


def listed(node: MxNode) -> int:
    """Number of outputs that MXNet lists of a node, 1 where that is not known."""
    try:
        listed = schema.outputs(node.op, node.attrs)[0]
    except (FormatError, ValueError):
        return 1
    return 1 if listed is None else listed
