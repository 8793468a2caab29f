"""Finds the ways around residual bodies."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.blocks import Shortcut, reads
from graphkit.frameworks.torch.source.uses import flat_targets
from graphkit.ops.torchprogram import Layer, Stmt, Var

if TYPE_CHECKING:
    from graphkit.frameworks.torch.source.blocks import Item
    from graphkit.ops.torchprogram import TorchProgram

__all__ = ["CHAIN", "with_shortcuts"]

CHAIN = 3
"""Layers that a shortcut holds at most."""
_POOLS = {
    f"F.{kind}_pool{axes}d": f"nn.{kind.capitalize()}Pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)
}
"""The layers that do what functions do."""


def with_shortcuts(program: TorchProgram) -> list[Item]:
    """The statements, with the ways around residual bodies as items of their own just before the addition."""
    stmts = program.stmts
    uses: Counter[Var] = Counter(var for stmt in stmts for var in reads(stmt))
    uses.update(output for output in program.outputs if isinstance(output, Var))
    added = Counter(var for stmt in stmts if stmt.kind == "infix" and stmt.head == "+" for var in reads(stmt))
    maker = {var: stmt for stmt in stmts for var in flat_targets(stmt.outputs)}
    position = {id(stmt): number for number, stmt in enumerate(stmts)}
    found: dict[int, tuple[Shortcut, Stmt]] = {}
    moved: set[int] = set()
    for stmt in stmts:
        if stmt.kind != "infix" or stmt.head != "+":
            continue
        left, right = stmt.args
        if not isinstance(left, Var) or not isinstance(right, Var) or left is right:
            continue
        for way, body, side in ((right, left, 1), (left, right, 0)):
            start, chain = _chain(way, maker, uses)
            # What is added in many places, as a mask is, goes around nothing.
            if added[start] > 1 or any(id(link) in moved for link in chain):
                continue
            if not _leads(start, body, maker, position):
                continue
            shortcut = Shortcut([*map(_as_layer, chain)], start, Var())
            args = (left, shortcut.output) if side else (shortcut.output, right)
            found[id(stmt)] = (shortcut, Stmt("infix", "+", args, {}, stmt.outputs, None, stmt.node))
            moved.update(map(id, chain))
            break
    items: list[Item] = []
    for stmt in stmts:
        if id(stmt) in found:
            items.extend(found[id(stmt)])
        elif id(stmt) not in moved:
            items.append(stmt)
    return items


def _chain(way: Var, maker: dict[Var, Stmt], uses: Counter[Var]) -> tuple[Var, list[Stmt]]:
    """Where a way begins, and the layers and pools on it, the last of which is a layer."""
    chain: list[Stmt] = []
    while len(chain) < CHAIN and uses[way] == 1 and (stmt := maker.get(way)) is not None:
        pooling = stmt.kind == "call" and stmt.head in _POOLS and bool(chain)
        if not isinstance(stmt.args[0] if stmt.args else None, Var):
            break
        if not pooling and (stmt.layer is None or len(stmt.args) != 1 or stmt.kwargs):
            break
        chain.insert(0, stmt)
        way = next(reads(stmt))
    return way, chain


def _as_layer(stmt: Stmt) -> Stmt:
    """A statement on a shortcut, pooling as the layer that may stand in a sequence."""
    if stmt.layer is not None:
        return stmt
    pool = Layer(_POOLS[stmt.head], stmt.args[1:], dict(stmt.kwargs))
    return Stmt("layer", "", stmt.args[:1], {}, stmt.outputs, pool, stmt.node)


def _leads(start: Var, end: Var, maker: dict[Var, Stmt], position: dict[int, int]) -> bool:
    """Whether a value is computed from another one, in more than one step."""
    made = maker.get(start)
    first = -1 if made is None else position[id(made)]
    stack, seen = [end], {end}
    while stack:
        stmt = maker.get(stack.pop())
        if stmt is None or position[id(stmt)] <= first:
            continue
        for var in reads(stmt):
            if var is start:
                return True
            if var not in seen:
                seen.add(var)
                stack.append(var)
    return False
