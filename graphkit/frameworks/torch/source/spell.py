"""Statements and arguments as Python text, with no more parentheses than needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphkit.ops.torchprogram import Code, Device, Size, Stored, Var

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.torchprogram import Arg, Layer, Stmt, Targets

__all__ = ["ATOM", "Text", "break_unless", "indented", "literal", "spell", "spell_arg", "spell_call", "spell_targets"]

ATOM = 20
"""Binding power of what never needs parentheses."""
_UNARY = 14
_POWERS = {
    "**": 15,
    "*": 13,
    "/": 13,
    "//": 13,
    "%": 13,
    "@": 13,
    "+": 12,
    "-": 12,
    "<<": 11,
    ">>": 11,
    "&": 10,
    "^": 9,
    "|": 8,
    "<": 7,
    "<=": 7,
    ">": 7,
    ">=": 7,
    "==": 7,
    "!=": 7,
    "is not": 7,
}
_COMPARISON = 7


class Text(NamedTuple):
    """An expression.

    Attributes:
        text: The expression.
        power: How strongly its outermost operator binds.
    """

    text: str
    power: int = ATOM

    def within(self, power: int) -> str:
        """The expression as an operand of an operator of that binding power."""
        return self.text if self.power >= power else f"({self.text})"


def literal(value: bool | float | str | None) -> Text:
    """A Python literal; numbers that have none are spelled by ``torch``."""
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return Text("torch.nan")
        text = "torch.inf" if math.isinf(number) else repr(abs(number))
        return Text(f"-{text}", _UNARY) if math.copysign(1, number) < 0 else Text(text)
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return Text(text, _UNARY if text.startswith("-") else ATOM)


def spell_arg(arg: Arg, name: Callable[[Var | Stored], Text]) -> Text:
    """An argument.

    Args:
        arg: What to spell.
        name: Spells variables and stored tensors.
    """
    if isinstance(arg, Var | Stored):
        return name(arg)
    if isinstance(arg, Size):
        return Text(f"{name(arg.of).within(ATOM)}.shape[{arg.axis}]")
    if isinstance(arg, Device):
        return Text(f"{name(arg.of).within(ATOM)}.device")
    if isinstance(arg, Code):
        return Text(arg.text)
    if isinstance(arg, tuple | list):
        items = ", ".join(spell_arg(item, name).text for item in arg)
        if isinstance(arg, list):
            return Text(f"[{items}]")
        return Text(f"({items},)" if len(arg) == 1 else f"({items})")
    if isinstance(arg, slice):
        return Text(_slice(arg, name), 0)
    return literal(arg)


def spell_call(function: str, args: tuple[Arg, ...], kwargs: dict[str, Arg], name: Callable[..., Text]) -> Text:
    """A call."""
    given = [spell_arg(arg, name).text for arg in args]
    given += [f"{key}={spell_arg(arg, name).text}" for key, arg in kwargs.items()]
    return Text(f"{function}({', '.join(given)})")


def spell(stmt: Stmt, name: Callable[[Var | Stored], Text], layer: Callable[[Layer], str]) -> Text:
    """What a statement computes.

    Args:
        stmt: The statement.
        name: Spells variables and stored tensors, perhaps as nested expressions.
        layer: Spells submodules.

    Returns:
        The expression; for a statement with bodies its first line, for a ``break`` what keeps it from breaking.
    """
    match stmt.kind:
        case "call":
            return spell_call(stmt.head, stmt.args, stmt.kwargs, name)
        case "layer":
            assert stmt.layer is not None
            return spell_call(layer(stmt.layer), stmt.args, stmt.kwargs, name)
        case "method":
            of = spell_arg(stmt.args[0], name).within(ATOM)
            return spell_call(f"{of}.{stmt.head}", stmt.args[1:], stmt.kwargs, name)
        case "prefix":
            return Text(f"{stmt.head}{spell_arg(stmt.args[0], name).within(_UNARY)}", _UNARY)
        case "item":
            index = ", ".join(spell_arg(arg, name).text for arg in stmt.args[1:])
            return Text(f"{spell_arg(stmt.args[0], name).within(ATOM)}[{index}]")
        case "if":
            return Text(f"if {spell_arg(stmt.args[0], name).text}:", 0)
        case "break":
            return spell_arg(stmt.args[0], name)
        case "loop":
            return Text(_loop(stmt, name), 0)
        case "infix":
            power = _POWERS[stmt.head]
            left, right = (spell_arg(arg, name) for arg in stmt.args)
            # Comparisons chain, and a power binds to the right: their left operands need parentheses at equal power.
            before = power + 1 if power == _COMPARISON or stmt.head == "**" else power
            return Text(f"{left.within(before)} {stmt.head} {right.within(power + 1)}", power)


def _loop(stmt: Stmt, name: Callable[[Var | Stored], Text]) -> str:
    """The line that a loop begins with."""
    (body,) = stmt.bodies
    through = stmt.args[: len(stmt.args) - len(body.inputs)]
    if not through:
        return "while True:"
    items = spell_targets(body.items, lambda var: name(var).text)
    source = spell_call(stmt.head, through, {}, name) if stmt.head else spell_arg(through[0], name)
    return f"for {items} in {source.text}:"


def spell_targets(targets: Targets, name: Callable[[Var], str]) -> str:
    """The left side of an assignment."""
    parts = []
    for target in targets:
        if isinstance(target, Var):
            parts.append(name(target))
        else:
            inner = spell_targets(target, name)
            parts.append(f"({inner})" if set(inner) - set("_, ()") else "_")
    return ", ".join(parts) + ("," if len(parts) == 1 and not isinstance(targets[0], Var) else "")


def break_unless(condition: str) -> list[str]:
    """The lines that leave a loop unless a condition holds."""
    return [f"if not {condition}:", "    break"]


def indented(lines: Sequence[str]) -> list[str]:
    """Lines as the inside of a statement."""
    return [f"    {line}" for line in lines] or ["    pass"]


def _slice(given: slice, name: Callable[..., Text]) -> str:
    start, stop, step = ("" if part is None else spell_arg(part, name).text for part in _bounds(given))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _bounds(given: slice) -> tuple[Arg, Arg, Arg]:
    return given.start, given.stop, given.step
