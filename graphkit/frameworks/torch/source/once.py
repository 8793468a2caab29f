"""What a program computes several times over, computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.source.uses import flat_targets, needed, read_by
from graphkit.ir.dims import dims_of
from graphkit.ops.torchprogram import Device, Size, Stmt, TorchProgram, Var

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from graphkit.ops.torchprogram import Body

__all__ = ["once"]

_RANDOM = ("rand", "normal", "multinomial", "bernoulli", "dropout", "poisson", "exponential", "sample")

_NEUTRAL = {"+": 0, "-": 0, "*": 1}
"""Numbers that an operator, as its right operand, leaves the left one as it is with."""


def once(program: TorchProgram) -> TorchProgram:
    """The program without statements that repeat an earlier one on the same values.

    Calls of layers stay, because they may draw random numbers or keep statistics, and so do calls that draw.
    """
    same: dict[Var, Var] = {}
    repeated: set[int] = set()
    stmts = _once(program.stmts, same, {}, {}, repeated)
    outputs = [same.get(output, output) if isinstance(output, Var) else output for output in program.outputs]
    return replace(program, stmts=_early(needed(stmts, outputs), repeated), outputs=outputs)


def _once(
    given: list[Stmt], same: dict[Var, Var], known: dict[Hashable, Stmt], maker: dict[Var, Stmt], repeated: set[int]
) -> list[Stmt]:
    """Statements without those that repeat an earlier one.

    Args:
        given: The statements.
        same: Which variable stands for each that is gone; more are added.
        known: Statements by what they compute; more are added.
        maker: Statement that binds each variable; more are added.
        repeated: Identities of those that were repeated; more are added.
    """
    stmts: list[Stmt] = []
    for stmt in given:
        args = tuple(_with(arg, same) for arg in stmt.args)
        kwargs = {key: _with(arg, same) for key, arg in stmt.kwargs.items()}
        target = stmt.outputs[0] if len(stmt.outputs) == 1 else None
        new = replace(stmt, args=args, kwargs=kwargs)
        if stmt.bodies:
            new.bodies = tuple(_once_inside(body, same, known, maker) for body in stmt.bodies)
        elif isinstance(target, Var):
            if (kept := _kept(new) or _undone(new, maker, stmt.args)) is not None:
                same[target] = kept
                continue
            if stmt.layer is None and not any(word in stmt.head for word in _RANDOM):
                first = known.setdefault((stmt.kind, stmt.head, _key(args), _key(tuple(kwargs.items()))), new)
                if first is not new:
                    assert isinstance(first.outputs[0], Var)
                    same[target] = first.outputs[0]
                    repeated.add(id(first))
                    continue
            maker[target] = new
        stmts.append(new)
    return stmts


def _once_inside(body: Body, same: dict[Var, Var], known: Mapping[Hashable, Stmt], maker: Mapping[Var, Stmt]) -> Body:
    """A body without what repeats something before it, inside or outside."""
    stmts = _once(body.stmts, same, {**known}, {**maker}, set())
    outputs = [_with(arg, same) for arg in body.outputs]
    return replace(body, stmts=stmts, outputs=outputs, goes_on=_with(body.goes_on, same))


def _undone(stmt: Stmt, maker: dict[Var, Stmt], args: Sequence[Any]) -> Var | None:
    """What a statement that takes back what one before did gives; ``args`` are its arguments as they were written."""
    source = stmt.args[0] if stmt.kind == "method" else None
    before = maker.get(source) if isinstance(source, Var) else None
    if before is None or before.kind != "method" or not isinstance(before.args[0], Var):
        return None
    if (before.head, stmt.head) == ("unsqueeze", "squeeze"):
        undone = before.args[1:] == stmt.args[1:]
    elif (before.head, stmt.head) == ("transpose", "transpose"):
        undone = sorted(map(repr, before.args[1:])) == sorted(map(repr, stmt.args[1:]))
    elif (before.head, stmt.head) == ("unflatten", "flatten"):
        dims = None if args[0].value is None else dims_of(args[0].value)
        last = isinstance(before.args[2], tuple) and len(before.args[2]) == 2 and before.args[1] == -1
        undone = last and dims is not None and stmt.args[1:] == (len(dims) - 2,)
    elif (before.head, stmt.head) == ("transpose", "squeeze"):
        return _unmoved(before, stmt.args[1:], maker)
    else:
        return None
    return before.args[0] if undone else None


def _unmoved(swap: Stmt, squeezed: Sequence[Any], maker: dict[Var, Stmt]) -> Var | None:
    """What had an axis put in that was swapped with its neighbour and is now taken out again."""
    made = maker.get(swap.args[0]) if isinstance(swap.args[0], Var) else None
    if made is None or made.kind != "method" or made.head != "unsqueeze" or not isinstance(made.args[0], Var):
        return None
    axes = [made.args[1], *squeezed]
    places = [axis for axis in (*axes, *swap.args[1:]) if isinstance(axis, int) and axis >= 0]
    beside = len(places) == 4 and abs(places[0] - places[1]) == 1 and sorted(places[:2]) == sorted(places[2:])
    return made.args[0] if beside else None


def _kept(stmt: Stmt) -> Var | None:
    """The operand that an operator leaves as it is, dtype included."""
    if stmt.kind != "infix" or stmt.head not in _NEUTRAL:
        return None
    left, right = stmt.args
    kept, number = (right, left) if stmt.head in ("+", "*") and isinstance(right, Var) else (left, right)
    if isinstance(number, bool) or not isinstance(number, int | float) or number != _NEUTRAL[stmt.head]:
        return None
    result = stmt.outputs[0]
    if not isinstance(kept, Var) or kept.value is None or not isinstance(result, Var) or result.value is None:
        return None
    return kept if kept.value.dtype == result.value.dtype and kept.value.dtype is not None else None


def _early(stmts: list[Stmt], repeated: set[int]) -> list[Stmt]:
    """The statements in order, but what was repeated right after what it reads, rather than where it was first used."""
    found: list[Stmt] = []
    for stmt in stmts:
        place = len(found)
        if id(stmt) in repeated:
            read = set(read_by(stmt))
            place = next(
                (k + 1 for k in range(len(found) - 1, -1, -1) if read & set(flat_targets(found[k].outputs))), 0
            )
        found.insert(place, stmt)
    return found


def _with(arg: Any, same: dict[Var, Var]) -> Any:
    if isinstance(arg, Var):
        return same.get(arg, arg)
    if isinstance(arg, Size | Device):
        return replace(arg, of=_with(arg.of, same))
    if isinstance(arg, tuple | list):
        return type(arg)(_with(item, same) for item in arg)
    if isinstance(arg, slice):
        return slice(_with(arg.start, same), _with(arg.stop, same), _with(arg.step, same))
    return arg


def _key(arg: Any) -> Hashable:
    """An argument as something that can be compared: equal numbers of different types differ."""
    if isinstance(arg, tuple | list):
        return (type(arg), *map(_key, arg))
    if isinstance(arg, slice):
        return ("slice", _key(arg.start), _key(arg.stop), _key(arg.step))
    if isinstance(arg, float):
        return (float, repr(arg))
    return (type(arg), arg)
