"""What a program is made of before it is printed: statements, and uses of blocks that are written once.

A :class:`Block` stands for pieces of the program that have the same structure. Its uses are aligned: the items at one
position of all of them are the same but for literals and for the tensors they own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from graphkit.frameworks.torch.source.uses import flat_targets, read_by
from graphkit.ops.torchprogram import Stmt, Var, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Block", "Item", "Shortcut", "Use", "reads", "stmts_of", "writes"]


@dataclass(eq=False, slots=True)
class Block:
    """A class, or a function where it owns nothing.

    Attributes:
        uses: Where it is used, in the program's order.
        tail: Whether some uses end by adding their first input, which then is a choice of the constructor.
    """

    uses: list[Use] = field(default_factory=list)
    tail: bool = False


@dataclass(eq=False, slots=True)
class Use:
    """One use of a block.

    Attributes:
        block: The block.
        items: Its statements here.
        inputs: Variables that it reads from outside, in order of first reading.
        output: Variable that is read outside.
        added: Whether its first input is added to its result, for a block with a ``tail``.
    """

    block: Block
    items: list[Item]
    inputs: list[Var]
    output: Var
    added: bool = False


@dataclass(eq=False, slots=True)
class Shortcut:
    """The way around a residual body: a chain of layers, or nothing.

    Attributes:
        items: The layers.
        input: Where it starts.
        output: Where it ends.
    """

    items: list[Stmt]
    input: Var
    output: Var


Item: TypeAlias = "Stmt | Use | Shortcut"


def writes(item: Item) -> Sequence[Var]:
    """The variables that an item binds."""
    return tuple(flat_targets(item.outputs)) if isinstance(item, Stmt) else (item.output,)


def reads(item: Item) -> Iterator[Var]:
    """The variables that an item reads."""
    if isinstance(item, Stmt):
        yield from read_by(item)
    elif isinstance(item, Use):
        yield from item.inputs
    else:
        yield item.input


def stmts_of(item: Item) -> Iterator[Stmt]:
    """All statements inside an item."""
    if isinstance(item, Stmt):
        yield from walk([item])
    else:
        for inner in item.items:
            yield from stmts_of(inner)
