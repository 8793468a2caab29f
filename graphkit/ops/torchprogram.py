"""A torch module as data: the statements of its ``forward``, with the layers and tensors they use.

A program is in single-assignment form: every statement calls one thing, or is an ``if`` or a loop of such statements,
and binds its results to new variables. How it is split into classes, nested into expressions, named and spelled is
decided where it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.layout import Layout

__all__ = ["Arg", "Body", "Code", "Device", "Layer", "Size", "Stmt", "Stored", "Targets", "TorchProgram", "Var", "walk"]


@dataclass(eq=False, slots=True)
class Var:
    """A variable of ``forward``.

    Attributes:
        value: The IR value it holds; None for what only a room's own steps need.
    """

    value: ir.Value | None = None

    def __repr__(self) -> str:
        return f"Var({self.value.name if self.value is not None else '…'!r})"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of the module, used directly.

    Attributes:
        value: The initializer that it holds.
        layout: Steps from the initializer's array to the stored one.
    """

    value: ir.Value
    layout: Layout = ()


@dataclass(frozen=True, slots=True)
class Size:
    """``x.shape[axis]``."""

    of: Var | Stored
    axis: int


@dataclass(frozen=True, slots=True)
class Device:
    """``x.device``."""

    of: Var | Stored


@dataclass(frozen=True, slots=True)
class Code:
    """Source text as it stands, such as ``torch.float64``."""

    text: str


Arg: TypeAlias = (
    "Var | Stored | Size | Device | Code | bool | int | float | str | slice | tuple[Arg, ...] | list[Arg] | None"
)
"""An argument: something computed or stored, or a literal; tuples, lists and slices may hold any of these."""
Targets: TypeAlias = "tuple[Var | Targets, ...]"
"""What a statement binds; a nested tuple is unpacked as such."""


@dataclass(eq=False, slots=True)
class Layer:
    """A submodule, e.g. ``nn.Conv2d(3, 64, 7, stride=2, bias=False)``.

    Attributes:
        type: Its class as the source spells it, e.g. ``"nn.Conv2d"``.
        args: Positional arguments of its constructor: literals.
        kwargs: Keyword arguments of its constructor: literals.
        tensors: Its parameters and buffers by their names in its ``state_dict``; an array for one that the model has
            no initializer for.
        frozen: Names of its parameters that are not trained.
    """

    type: str
    args: tuple[Arg, ...] = ()
    kwargs: dict[str, Arg] = field(default_factory=dict)
    tensors: dict[str, Stored | npt.NDArray[np.generic]] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Body:
    """Statements inside another one: a branch of an ``if``, or what a loop does on each turn.

    They read what they bind themselves, what the loop binds for them, and what was bound before the outer statement.

    Attributes:
        stmts: The statements.
        outputs: What a branch gives; what a turn of a loop hands to the next one, then what it appends to lists.
        inputs: Of a loop: the variables that hold what it carries from turn to turn.
        items: Of a ``for``: what it binds on each turn.
        goes_on: Of a loop: what must be true at the end of a turn for another one to follow.
    """

    stmts: list[Stmt]
    outputs: list[Arg]
    inputs: list[Var] = field(default_factory=list)
    items: Targets = ()
    goes_on: Arg = None


@dataclass(eq=False, slots=True)
class Stmt:
    """One statement.

    Attributes:
        kind: ``call`` of a function, ``method`` of the first argument, ``infix`` or ``prefix`` operator, ``item`` for
            the first argument indexed by the others, ``layer`` for a call of a submodule, ``if`` with its condition
            as argument, ``break`` out of a loop unless its argument is true, ``loop`` with what it goes through and
            then the initial value of all that it carries; a loop that goes through nothing is a ``while``.
        head: Function (``"F.relu"``), method or operator; of a loop the function that joins or makes what it goes
            through (``"zip"``, ``"range"``). Empty for an item, a layer or an ``if``.
        args: Positional arguments.
        kwargs: Keyword arguments.
        outputs: Variables bound; of a loop, what it carried last and then its lists.
        layer: The submodule that is called.
        node: The ONNX node that it was emitted for.
        bodies: The two branches of an ``if``, what is done where the condition holds first; the one body of a loop.
    """

    kind: Literal["call", "method", "infix", "prefix", "item", "layer", "if", "break", "loop"]
    head: str
    args: tuple[Arg, ...]
    kwargs: dict[str, Arg]
    outputs: Targets
    layer: Layer | None = None
    node: ir.Node | None = None
    bodies: tuple[Body, ...] = ()


@dataclass(eq=False, slots=True)
class TorchProgram:
    """A module.

    Attributes:
        name: Name of the model.
        inputs: Arguments of ``forward``.
        outputs: What ``forward`` returns.
        stmts: Its statements, each after those it reads.
    """

    name: str
    inputs: list[Var]
    outputs: list[Var | Stored]
    stmts: list[Stmt]


def walk(stmts: Iterable[Stmt]) -> Iterator[Stmt]:
    """All statements in order, each before those inside it."""
    for stmt in stmts:
        yield stmt
        for body in stmt.bodies:
            yield from walk(body.stmts)
