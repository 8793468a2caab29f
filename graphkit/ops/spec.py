"""The vocabulary of a room: what one operator means in each framework, as data.

A room is a module under :mod:`graphkit.ops` that defines ``OP`` (one :class:`Op`), ``OPS`` (several) or ``ROWS`` (a
table of :class:`Row`). Being there is being registered: :mod:`graphkit.ops.index` finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.codec import Codec
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxGraph, MxNode, MxRef
    from graphkit.ops.torchprogram import Arg
    from graphkit.ops.work import Macs

__all__ = [
    "Arr",
    "Attr",
    "Case",
    "Limit",
    "MxForm",
    "Op",
    "Refusal",
    "Row",
    "Tol",
    "arr",
    "decimal",
    "given",
    "int64",
    "is_float",
    "per_axis",
    "torch_call",
    "torch_float",
    "torch_lacks",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a room does not convert a node.

    Attributes:
        reason: A clause without a full stop that says what to do where it can.
        needs: What would have to be constants; the driver names the model's inputs that they come from, or those whose
            sizes they are made of.
        sizes: What would have to be of a known shape, or single sizes as they are spelled; the driver names the model's
            inputs that they come from.
    """

    reason: str
    needs: Sequence[ir.Value | None] = ()
    sizes: Sequence[ir.Value | str | None] = ()


@dataclass(frozen=True, slots=True)
class Attr:
    """One attribute that an ONNX operator and an MXNet operator share.

    Attributes:
        mx: Its name in MXNet.
        onnx: Its name in ONNX.
        codec: How to spell it.
        onnx_default: ONNX's default; left out of an emitted ONNX node when equal. None where ONNX requires it.
        mx_default: MXNet's default, assumed when the symbol does not say. None where MXNet requires it.
    """

    mx: str
    onnx: str
    codec: Codec
    onnx_default: Any = None
    mx_default: Any = None


Read: TypeAlias = "Callable[[OnnxBuilder, MxNode, Sequence[ir.Value | None]], ir.Value | Sequence[ir.Value] | Refusal]"
"""MXNet to ONNX: (builder, node, inputs) -> one value per output that the node has."""
Write: TypeAlias = "Callable[[MxBuilder, ir.Node, Sequence[MxRef | None]], MxRef | Sequence[MxRef] | Refusal]"
"""ONNX to MXNet: (builder, node, inputs) -> one reference per output of the ONNX node."""
Torch: TypeAlias = "Callable[[TorchBuilder, ir.Node, Sequence[Any]], Arg | Sequence[Arg] | Refusal]"
"""ONNX to torch: (builder, node, inputs) -> one argument per output of the ONNX node. Inputs that are present are
variables or stored tensors; absent ones are None."""
Body: TypeAlias = "Callable[[BodyBuilder, ir.Node, Sequence[Any]], ir.Value | Sequence[ir.Value] | Refusal]"
"""One of graphkit's own operators in ONNX's: (builder, node, inputs) -> one value per output of the node. Inputs are
values; absent ones are None."""
Gradients: TypeAlias = "Sequence[ir.Value | None] | Mapping[ir.Value, ir.Value | None]"
"""One gradient per input of a node, of the input's shape and dtype; None, or nothing at the end, where there is none.
By value where graphs inside the node read values from around it."""
Gradient: TypeAlias = "Callable[[GradientBuilder, ir.Node, Sequence[Any]], Gradients | Refusal]"
"""How gradients pass an ONNX operator: (builder, node, cotangents) -> gradients. A cotangent is a value of its output's
shape and dtype, None where it is zero; at least one is not."""
When: TypeAlias = "Callable[[MxBuilder, ir.Node], bool | Refusal]"
Derive: TypeAlias = "Callable[[MxBuilder, ir.Node], Any]"


_SINGLE: Final = np.dtype(np.float32)


def per_axis(numbers: Sequence[int]) -> int | tuple[int, ...]:
    """One number for each axis as torch's arguments are written: a single one where all are equal."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def decimal(number: float, dtype: np.dtype[Any] = _SINGLE) -> float:
    """The shortest decimal that rounds to a float32, which is what an ONNX attribute's author wrote (1e-05).

    Args:
        number: The number.
        dtype: Another float type of no more bits, to whose numbers it rounds.

    Returns:
        The decimal; the number itself where it is larger than the largest of the type, which frameworks refuse.
    """
    held = dtype.type(number)
    shortest = float(str(held))
    return float(held) if np.isfinite(held) and abs(shortest) > float(np.finfo(dtype).max) else shortest


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is one of floating-point numbers; numpy takes those it lacks, such as bfloat16, for void."""
    return dtype.kind in "fV"


def torch_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute as a torch argument: what its author wrote."""
    return decimal(node.attributes.get_float(name, default))


def whole(number: float | None) -> float | int | None:
    """A number as one writes it: an integer where it is a small one."""
    if not isinstance(number, float) or not number.is_integer() or abs(number) >= 1e6 or str(number) == "-0.0":
        return number
    return int(number)


def torch_lacks(b: TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why torch cannot compute with a node's operands.

    It has no strings, and stores and compares unsigned integers of more than 8 bits, but computes nothing of them.
    """
    for value in node.inputs:
        dtype = None if value is None else b.dtype(value)
        if dtype is not None and dtype.kind == "O":
            return Refusal("torch has no strings; encode them before the model")
        if dtype is not None and dtype.kind == "u" and dtype.itemsize > 1 and node.op_type != "Equal":
            return Refusal(f"torch does not compute with {dtype.name} numbers; cast them to int64")
    return None


def torch_call(function: str) -> Torch:
    """Emits a call of a torch function, or an infix operator, on an operator's inputs in order; no attributes."""

    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
        if (lacking := torch_lacks(b, node)) is not None:
            return lacking
        if "." not in function and len(x) == 2:
            return b.infix(function, x[0], x[1])
        return b.prefix(function, x[0]) if "." not in function else b.call(function, *x)

    return emit


def always(_builder: MxBuilder, _node: ir.Node) -> bool:
    """The form fits every node of its operator."""
    return True


@dataclass(frozen=True, slots=True)
class Arr:
    """A test input: random numbers of a shape and range, or given values.

    Attributes:
        shape: Dimensions.
        low: Smallest value drawn.
        high: Largest value drawn; exclusive for integers.
        dtype: Element type; None takes the case's own.
        values: Given values instead of random ones.
    """

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    dtype: str | None = None
    values: Any = None

    def make(self, rng: np.random.Generator, dtype: str) -> np.ndarray[Any, np.dtype[Any]]:
        """Draw the array, in the case's ``dtype`` unless it has its own."""
        kind = np.dtype(self.dtype or dtype)
        if self.values is not None:
            return np.asarray(self.values, kind).reshape(self.shape)
        if kind.kind == "b":
            return rng.integers(0, 2, self.shape).astype(bool)
        if kind.kind in "iu":
            return rng.integers(int(self.low), int(self.high), self.shape).astype(kind)
        return rng.uniform(self.low, self.high, self.shape).astype(kind)


def arr(*shape: int, low: float = -1.0, high: float = 1.0, dtype: str | None = None) -> Arr:
    """Random test input, e.g. ``arr(2, 3, low=0.1)``."""
    return Arr(shape, low, high, dtype)


def given(values: Any, dtype: str | None = None) -> Arr:
    """Test input with given values, e.g. ``given([0, 2], "int64")``."""
    return Arr(_shape(values), dtype=dtype, values=values)


def _shape(values: Any) -> tuple[int, ...]:
    """``numpy.shape`` of an array or nested sequences, without making an array of them as rooms are imported."""
    if isinstance(values, np.ndarray | np.generic):
        return values.shape
    dims: list[int] = []
    while isinstance(values, list | tuple):
        dims.append(len(values))
        values = values[0] if values else None
    return tuple(dims)


def int64(values: Any) -> Arr:
    """Test input of given integers: a shape, axes, indices, e.g. ``int64([0, 2])``."""
    return given(values, "int64")


@dataclass(frozen=True, slots=True)
class Tol:
    """How far two results of a case may differ, as max|d| / max|reference|.

    Attributes:
        float32: Bound in float32.
        float64: Bound in float64.
        reason: Why the default bounds do not hold.
    """

    float32: float = 1e-5
    float64: float = 1e-9
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One use of one operator. It knows no test and no runtime.

    Attributes:
        name: What is particular about it, unique in its form or operator.
        inputs: Inputs in order; None is an absent optional input.
        attrs: ONNX attributes as Python values; for a case of a form, MXNet's parameters.
        const: Positions of the inputs that are initializers rather than fed.
        buffers: Positions of those initializers that are state rather than trained.
        outputs: Number of outputs the node has, hidden ones excluded.
        dtype: Element type of the inputs that have none of their own.
        grad: Whether gradients are compared.
        tol: Bounds where the default ones do not hold.
        dynamic: Positions of the inputs whose first dimension is left free in the model.
        random: Whether the outputs are random numbers: of two runs only the distributions agree. Each row of the
            first axis (the whole, where there is only one; columns where rows are short) samples one distribution.
        captured: How many of the last inputs the node does not read. The graphs inside it do, under the names that
            inputs have by their positions, ``"x0"``, ``"x1"`` and so on.
        graphs: Graphs inside an ONNX operator by attribute, in ONNX's textual syntax, with ``float`` as float type.
        subgraphs: Subgraphs of an MXNet operator.
    """

    name: str
    inputs: tuple[Arr | None, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    const: tuple[int, ...] = ()
    buffers: tuple[int, ...] = ()
    outputs: int = 1
    dtype: str = "float32"
    grad: bool = True
    tol: Tol = Tol()
    dynamic: tuple[int, ...] = ()
    random: bool = False
    captured: int = 0
    graphs: Mapping[str, str] = field(default_factory=dict)
    subgraphs: tuple[MxGraph, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """A known gap: a strict expected failure in the tests and a line in the documentation.

    Attributes:
        where: The claim that fails, e.g. ``"mxnet-backward"``; the claims are listed in ``tests/test_ops.py``.
        reason: Why, as a clause.
        case: Name of the case, ``"*"`` for all of the operator; ``"_npi_add>floats"`` for one MXNet operator alone of
            those that are read the same way.
    """

    where: str
    reason: str
    case: str = "*"


@dataclass(frozen=True, slots=True)
class MxForm:
    """One way in which MXNet expresses an ONNX operator.

    With neither ``read`` nor ``write`` the form is a row: the inputs agree by position and ``attrs`` say the rest.

    Attributes:
        op: Canonical MXNet operator.
        also: Other MXNet operators that are read the same way, and never written.
        attrs: Shared attributes.
        pin: MXNet parameters that must have these values on reading (an absent parameter has its ``pin_default``) and
            get them on writing.
        pin_default: MXNet's default for pinned parameters, where it has one.
        derive: MXNet parameters computed on writing; they are ignored on reading.
        ignore: MXNet parameters without meaning for the result (``workspace``, ``cudnn_tune``).
        when: Whether the form can express an ONNX node; a Refusal says why not.
        read: Function that reads it, where a row cannot.
        reads: MXNet parameters that ``read`` heeds; a node with any other is refused.
        train: Function that reads it in the model's training form, where that is another: it gives the same value,
            and a loss (:meth:`~graphkit.ops.builders.OnnxBuilder.loss`).
        write: Function that writes it, where a row cannot.
        direction: ``"read"`` or ``"write"`` where only that direction exists.
        cases: Uses of the MXNet operator; attributes are MXNet parameters.
    """

    op: str
    also: tuple[str, ...] = ()
    attrs: tuple[Attr, ...] = ()
    pin: Mapping[str, str] = field(default_factory=dict)
    pin_default: Mapping[str, str] = field(default_factory=dict)
    derive: Mapping[str, Derive] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    when: When = always
    read: Read | None = None
    reads: tuple[str, ...] = ()
    train: Read | None = None
    write: Write | None = None
    direction: Literal["both", "read", "write"] = "both"
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Op:
    """What one operator means in each framework.

    Attributes:
        onnx: ONNX operator type; empty for an MXNet operator that no ONNX operator corresponds to.
        mx: How MXNet expresses it, in order of preference on writing.
        torch: Function that writes it as statements of a torch module.
        cases: Uses of the ONNX operator.
        limits: Known gaps.
        domain: ONNX operator domain; ``"graphkit"`` for an operator of graphkit's own (:mod:`graphkit.ir.own`).
        body: What an operator of graphkit's own computes, in ONNX's operators; None where these cannot.
        gradient: How gradients pass it; where None, that follows from ``body``, or the one that ONNX defines it with.
        macs: The matrix products and convolutions that it makes (:mod:`graphkit.ops.work`); None where it makes none.
    """

    onnx: str
    mx: tuple[MxForm, ...] = ()
    torch: Torch | None = None
    cases: tuple[Case, ...] = ()
    limits: tuple[Limit, ...] = ()
    domain: str = ""
    body: Body | None = None
    gradient: Gradient | None = None
    macs: Macs | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An operator on which the frameworks agree: same inputs, no attributes.

    Attributes:
        onnx: ONNX operator type.
        mx: MXNet operator.
        cases: Uses of it.
        torch: What torch calls it: a function such as ``"torch.abs"``, or an operator such as ``"+"``; empty where it
            has none.
        also: Other MXNet operators that are read the same way.
        limits: Known gaps.
        gradient: How gradients pass it.
    """

    onnx: str
    mx: str
    cases: tuple[Case, ...]
    torch: str = ""
    also: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    gradient: Gradient | None = None

    def op(self) -> Op:
        """The row as an :class:`Op`."""
        return Op(
            self.onnx,
            mx=(MxForm(self.mx, also=self.also),),
            torch=torch_call(self.torch) if self.torch else None,
            cases=self.cases,
            limits=self.limits,
            gradient=self.gradient,
        )
