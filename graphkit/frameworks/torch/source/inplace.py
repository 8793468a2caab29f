"""Activations that overwrite what nothing else reads, as people write them to save memory and time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.uses import flat_targets, read_by
from graphkit.ops.torchprogram import Var

if TYPE_CHECKING:
    from graphkit.ops.torchprogram import Stmt, TorchProgram

__all__ = ["in_place"]

_ACTIVATIONS = ("F.relu", "F.relu6")
_LAYERS = ("nn.Conv", "nn.BatchNorm", "nn.Linear")


def in_place(program: TorchProgram) -> TorchProgram:
    """The program with rectifiers that overwrite the fresh result of a layer or sum.

    Neither convolutions, linear layers, normalisations of batches nor sums need their result for their gradients, so
    that the backward pass stays the same.
    """
    readers: Counter[Var] = Counter(var for stmt in program.stmts for var in read_by(stmt))
    readers.update(output for output in program.outputs if isinstance(output, Var))
    maker = {var: stmt for stmt in program.stmts for var in flat_targets(stmt.outputs)}

    def overwrites(stmt: Stmt) -> bool:
        if stmt.kind != "call" or stmt.head not in _ACTIVATIONS or not isinstance(stmt.args[0], Var):
            return False
        made = maker.get(stmt.args[0])
        return made is not None and readers[stmt.args[0]] == 1 and _is_fresh(made)

    stmts = [
        replace(stmt, kwargs={**stmt.kwargs, "inplace": True}) if overwrites(stmt) else stmt for stmt in program.stmts
    ]
    return replace(program, stmts=stmts)


def _is_fresh(stmt: Stmt) -> bool:
    """Whether a statement gives memory of its own that its gradient does not need."""
    if stmt.layer is not None:
        return stmt.layer.type.startswith(_LAYERS)
    return stmt.kind == "infix" and stmt.head == "+" and all(isinstance(arg, Var) for arg in stmt.args)
