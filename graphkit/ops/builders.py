"""What a room is handed: the two builders it emits nodes through.

The drivers that implement them live with the frameworks (:mod:`graphkit.frameworks.mxnet.read` and
:mod:`graphkit.frameworks.mxnet.write`); a room sees these protocols only and so imports no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxBody, MxGraph, MxRef
    from graphkit.ops.torchprogram import Arg, Body, Code, Size, Targets, Var

__all__ = ["Again", "BodyBuilder", "Dim", "MxBuilder", "OnnxBuilder", "Operand", "Step", "TorchBuilder"]

Dim: TypeAlias = "int | str | None"
"""A dimension: known, symbolic (equal names are equal sizes; may be an expression such as ``"2*n + 1"``) or unknown."""
Operand: TypeAlias = "ir.Value | npt.NDArray[np.generic] | Sequence[int] | None"
"""An input of an emitted ONNX node: a value, a constant array, int64 constants, or an absent optional input."""
Step: TypeAlias = (
    "Callable[[tuple[ir.Value, ...], tuple[ir.Value, ...]], tuple[Sequence[ir.Value], Sequence[ir.Value]]]"
)
"""One step of a recurrence: (states, parts) -> (states afterwards, what is stacked up)."""
Again: TypeAlias = "Callable[[tuple[ir.Value, ...]], tuple[ir.Value, Sequence[ir.Value]]]"
"""One step of a repetition: states -> (whether another step is to follow, states afterwards)."""


class OnnxBuilder(Protocol):
    """Emits ONNX nodes in canonical form while an MXNet graph is read.

    Every emitted value has its dtype, and its rank and shape as far as they follow from the inputs.
    """

    @property
    def np_shape(self) -> bool:
        """Whether the symbol was made for MXNet's NumPy mode, where ``()`` is a scalar's shape and 0 a size."""
        ...

    def op(self, op_type: str, *inputs: Operand, domain: str = "", **attrs: Any) -> ir.Value:
        """Emit a node.

        Args:
            op_type: ONNX operator of the canonical opset.
            inputs: Values, arrays or integer sequences (which become constant initializers), or None.
            domain: Operator domain, empty for ONNX's own.
            attrs: Attributes as Python values; None leaves an attribute out.
        """
        ...

    def ops(self, op_type: str, outputs: int, *inputs: Operand, domain: str = "", **attrs: Any) -> tuple[ir.Value, ...]:
        """Emit a node of several outputs; otherwise as :meth:`op`."""
        ...

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant initializer; ``dtype`` defaults to the array's own. Doubles that are narrowed are remembered."""
        ...

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """A 0-d constant of the dtype of ``like``, cast as MXNet casts scalars (truncated for integers)."""
        ...

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value (``ml_dtypes.bfloat16`` included)."""
        ...

    def rank(self, value: ir.Value) -> int:
        """Rank of a value.

        Raises:
            ShapeNeededError: It is unknown; the message names the graph input whose shape must be given.
        """
        ...

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value, dimensions possibly symbolic or unknown; raises like :meth:`rank`."""
        ...

    def static_shape(self, value: ir.Value) -> tuple[int, ...]:
        """Shape of a value, all dimensions known; raises like :meth:`rank` where one is not."""
        ...

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of an initializer, None for anything that is computed or fed."""
        ...

    def variable(self, dtype: ir.DataType | None, shape: Sequence[Dim]) -> ir.Value:
        """A new input of a graph inside the node."""
        ...

    def inline(self, graph: MxGraph, values: Sequence[ir.Value]) -> list[ir.Value]:
        """What a subgraph of the node computes; its nodes go where nodes are being emitted.

        Args:
            graph: The subgraph.
            values: What its variables are, in the order of :meth:`MxGraph.variables`.
        """
        ...

    def body(self, inputs: Sequence[ir.Value], emit: Callable[[], Sequence[ir.Value]]) -> ir.Graph:
        """A graph inside the node, for an attribute of a control-flow operator.

        Args:
            inputs: Its inputs, as :meth:`variable` makes them.
            emit: Emits its nodes and returns its outputs; it may read what is outside.
        """
        ...

    def stopped(self, value: ir.Value) -> ir.Value:
        """The same numbers, through which no gradient flows back."""
        ...

    def loss(self, value: ir.Value) -> None:
        """Give the model a loss of the node: a scalar output of its own."""
        ...

    def warn(self, message: str) -> None:
        """Record a deviation that the user must know of; the message names the node by itself."""
        ...


class BodyBuilder(Protocol):
    """Emits the ONNX nodes that one of graphkit's own operators stands for."""

    def op(self, op_type: str, *inputs: Operand, domain: str = "", **attrs: Any) -> ir.Value:
        """Emit a node; see :meth:`OnnxBuilder.op`. One of graphkit's own operators is emitted as its body."""
        ...

    def ops(self, op_type: str, outputs: int, *inputs: Operand, domain: str = "", **attrs: Any) -> tuple[ir.Value, ...]:
        """Emit a node of several outputs; otherwise as :meth:`op`."""
        ...

    def const(self, array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> ir.Value:
        """A constant; ``dtype`` defaults to the array's own."""
        ...

    def scalar(self, number: float, like: ir.Value) -> ir.Value:
        """A 0-d constant of the dtype of ``like``."""
        ...

    def scan(
        self, step: Step, states: Sequence[ir.Value], scanned: Sequence[Operand], *, backward: bool = False
    ) -> tuple[ir.Value, ...]:
        """Repeat a step over the first axis of what is scanned.

        Args:
            step: Emits one step; it may use values from outside.
            states: What is carried from step to step.
            scanned: What is handed to the steps, a slice of the first axis to each.
            backward: Whether the last slice comes first; what the steps give stands where their slices do.

        Returns:
            The last states, then what the steps gave, stacked along a new first axis.
        """
        ...

    def repeat(self, step: Again, states: Sequence[ir.Value], most: int) -> tuple[ir.Value, ...]:
        """Repeat a step at least once, and as long as it asks for it.

        Args:
            step: Emits one step; it may use values from outside.
            states: What is carried from step to step.
            most: Number of steps after which it ends in any case.

        Returns:
            The last states.
        """
        ...

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        ...

    def rank(self, value: ir.Value) -> int:
        """Rank of a value; an unknown one refuses the node."""
        ...

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value, dimensions possibly symbolic; an unknown rank refuses the node."""
        ...

    def size(self, value: ir.Value, axis: int) -> int:
        """Size of one axis; an unknown or symbolic one refuses the node."""
        ...


class MxBuilder(Protocol):
    """Emits MXNet nodes while an ONNX graph is written."""

    def op(self, op: str, *inputs: MxRef, name: str = "", **attrs: Any) -> MxRef:
        """Emit a node.

        Args:
            op: Canonical MXNet operator name.
            inputs: What it reads.
            name: Suffix that tells this node from others emitted for the same ONNX node; the last node emitted
                without one gets the ONNX node's own name.
            attrs: Parameters as Python values, spelled as MXNet spells them (``True``, ``(1, 1)``, ``None``,
                shortest float); a value of Python's None is *left out*, write ``"None"`` for MXNet's None.
        """
        ...

    def ops(
        self,
        op: str,
        outputs: int,
        *inputs: MxRef,
        name: str = "",
        subgraphs: Sequence[MxGraph] = (),
        **attrs: Any,
    ) -> tuple[MxRef, ...]:
        """Emit a node of several outputs, hidden ones included; otherwise as :meth:`op`."""
        ...

    @property
    def is_inside(self) -> bool:
        """Whether what is emitted goes into the body of a loop or branch."""
        ...

    @property
    def inputs(self) -> Sequence[ir.Value]:
        """The model's inputs."""
        ...

    def once(self, what: str, make: Callable[[], MxRef | None]) -> MxRef | None:
        """What was made under a name before, for this node or another one; makes it where nothing was."""
        ...

    def bind(self, value: ir.Value, ref: MxRef) -> None:
        """Say what holds a value; a node that computes only such values is not written."""
        ...

    def inline(self, graph: ir.Graph) -> list[MxRef]:
        """What a graph inside the node computes; its nodes go where nodes are being emitted."""
        ...

    def body(self, inputs: Sequence[ir.Value | None], emit: Callable[[Sequence[MxRef]], Sequence[MxRef]]) -> MxBody:
        """A graph inside the node, for an operator with subgraphs.

        Args:
            inputs: Values that its variables hold; None for a variable of the room's own.
            emit: Emits its nodes, given its variables, and returns its heads; it may read what is outside.
        """
        ...

    def const(self, array: npt.ArrayLike, name: str = "") -> MxRef:
        """A constant, stored as a parameter without gradient."""
        ...

    def derived(self, value: ir.Value, layout: Layout) -> MxRef:
        """A parameter stored in another layout, e.g. ``(("transpose", (1, 0)),)``.

        The derivation is recorded, so that gradients are mapped back and the parameter can be written back under its
        own layout. A value that is no initializer, or is used elsewhere in another layout, gets the operators instead.
        """
        ...

    def number(self, value: ir.Value | None) -> float | int | bool | None:
        """The one element of a constant initializer, in double precision where the source had it; else None."""
        ...

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of a *constant* (shape, axes, scalar, table); None for parameters, inputs and computed values."""
        ...

    def is_initializer(self, value: ir.Value | None) -> bool:
        """Whether the value is stored with the model (a parameter, buffer or constant)."""
        ...

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        ...

    def rank(self, value: ir.Value) -> int:
        """Rank of a value.

        Raises:
            ShapeNeededError: It is unknown; the message names the graph input whose shape must be given.
        """
        ...

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value, dimensions possibly symbolic or unknown; raises like :meth:`rank`."""
        ...

    def ref(self, value: ir.Value) -> MxRef:
        """The MXNet reference that holds an IR value already written."""
        ...

    def warn(self, message: str) -> None:
        """Record a deviation that the user must know of; the message names the node by itself."""
        ...


class TorchBuilder(Protocol):
    """Emits statements of a torch module while an ONNX graph is written as source.

    Every method that emits returns the variable it binds. How statements are nested into expressions, grouped into
    classes and named is the printer's business: rooms emit one thing at a time and never name anything.
    """

    def call(self, function: str, *args: Arg, **kwargs: Arg) -> Var:
        """``function(*args, **kwargs)`` of ``torch``, ``F`` (torch.nn.functional) or Python, e.g. ``"F.relu"``."""
        ...

    def calls(self, function: str, outputs: Targets | int, *args: Arg, **kwargs: Arg) -> tuple[Any, ...]:
        """A call of several results, unpacked into that many variables or into a nested pattern of :meth:`var`."""
        ...

    def method(self, name: str, of: Arg, *args: Arg, **kwargs: Arg) -> Var:
        """``of.name(*args, **kwargs)``."""
        ...

    def infix(self, operator: str, left: Arg, right: Arg) -> Var:
        """``left operator right``.

        An operand that is a constant of one element is written as a number where that changes neither dtype nor shape
        of the result.
        """
        ...

    def prefix(self, operator: str, operand: Arg) -> Var:
        """``-operand`` or ``~operand``."""
        ...

    def item(self, of: Arg, *index: Arg) -> Var:
        """``of[index]``; a Python slice prints as ``start:stop:step``, ``Code("...")`` as an ellipsis."""
        ...

    def layer(
        self,
        type_: str,
        inputs: Sequence[Arg],
        tensors: Mapping[str, ir.Value | tuple[ir.Value, Layout] | npt.NDArray[np.generic] | None],
        *args: Arg,
        outputs: Targets | None = None,
        **kwargs: Arg,
    ) -> Any:
        """Call a submodule that owns its tensors, or return None where it cannot own them.

        It can when all are initializers that no other statement uses (the very same layer called twice is one layer).
        The room then emits a functional call on the stored tensors instead.

        Args:
            type_: Class, e.g. ``"nn.Conv2d"``.
            inputs: Arguments of the call.
            tensors: Its parameters and buffers by their names in its ``state_dict``: an initializer, an initializer
                with the layout it is stored in, or an array of its own; None for one that is absent.
            args: Positional arguments of the constructor: literals.
            outputs: Pattern of the result where it is unpacked, else one variable.
            kwargs: Keyword arguments of the constructor: literals.
        """
        ...

    def body(self, graph: ir.Graph, *inputs: Arg) -> Body:
        """What a graph inside the node does, for :meth:`branch` or :meth:`loop`.

        Args:
            graph: The graph.
            inputs: What holds its inputs, as far as that is known before; None, or nothing, for an input that becomes
                a variable of the body, one of its ``inputs``.
        """
        ...

    def block(self, emit: Callable[[], Sequence[Arg]]) -> Body:
        """What a function emits, for :meth:`branch` or :meth:`loop`; it returns the body's outputs."""
        ...

    def stop_unless(self, condition: Arg) -> None:
        """``if not condition: break``, in a body of a loop."""
        ...

    def anew(self, value: ir.Value, given: Mapping[ir.Value, Arg]) -> Arg:
        """What computes a value, once more, with others in place of some of the values that it depends on."""
        ...

    def branch(self, condition: Arg, then: Body, otherwise: Body) -> tuple[Var, ...]:
        """An ``if`` with as many outputs as each of its branches."""
        ...

    def loop(self, body: Body, initial: Sequence[Arg], *through: Arg, head: str = "") -> tuple[Var, ...]:
        """A loop; what it carries, and then one list for each further output of its body.

        Args:
            body: What it does on each turn.
            initial: What it carries at first, one for each of the body's inputs.
            through: What it goes through; nothing for a ``while``.
            head: Function of these that gives what it goes through, e.g. ``"zip"`` or ``"range"``.
        """
        ...

    def var(self) -> Var:
        """A new variable for a pattern of results."""
        ...

    def arg(self, value: ir.Value) -> Arg:
        """What holds an IR value that is stored or already written."""
        ...

    def derived(self, value: ir.Value, layout: Layout) -> Arg:
        """An initializer in another layout: stored so; for a computed value the steps are emitted."""
        ...

    def const(self, array: npt.ArrayLike) -> Arg:
        """A constant tensor of the module, for tables that are no literals."""
        ...

    def size(self, value: ir.Value, axis: int) -> int | Size:
        """Size of an axis: a number where it is known, else ``x.shape[axis]``."""
        ...

    def number(self, value: ir.Value | None) -> float | int | bool | None:
        """The one element of a constant initializer, in double precision where the source had it; else None."""
        ...

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of a *constant* (shape, axes, scalar, table); None for parameters, inputs and computed values."""
        ...

    def is_initializer(self, value: ir.Value | None) -> bool:
        """Whether the value is stored with the model (a parameter, buffer or constant)."""
        ...

    def is_parameter(self, value: ir.Value | None) -> bool:
        """Whether the value is stored with the model and trained."""
        ...

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """Element type of a value."""
        ...

    def torch_dtype(self, dtype: npt.DTypeLike | ir.DataType) -> Code:
        """``torch.float32`` and so on.

        Raises:
            ValueError: torch has no such dtype.
        """
        ...

    def rank(self, value: ir.Value) -> int:
        """Rank of a value.

        Raises:
            ShapeNeededError: It is unknown; the message names the graph input whose shape must be given.
        """
        ...

    def shape(self, value: ir.Value) -> tuple[Dim, ...]:
        """Shape of a value, dimensions possibly symbolic or unknown; raises like :meth:`rank`."""
        ...

    def warn(self, message: str) -> None:
        """Record a deviation that the user must know of; the message names the node by itself."""
        ...
