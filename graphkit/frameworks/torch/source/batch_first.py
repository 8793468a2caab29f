"""Recurrent layers between transpositions as layers that have the batch first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphkit.frameworks.torch.source.uses import flat_targets, needed, read_by
from graphkit.ops.torchprogram import Size, Stmt, TorchProgram, Var, walk

if TYPE_CHECKING:
    from graphkit.ops.torchprogram import Arg

__all__ = ["with_batch_first"]

_RECURRENT: Final = frozenset({"nn.GRU", "nn.LSTM", "nn.RNN"})
_PACK: Final = "nn.utils.rnn.pack_padded_sequence"
_PAD: Final = "nn.utils.rnn.pad_packed_sequence"


def with_batch_first(program: TorchProgram) -> TorchProgram:
    """The program with ``batch_first`` in layers whose data are transposed for them, and what they give again.

    Where that is not read at all, or by nothing but one transposition, the layers can do without either.
    """
    calls = Counter(id(stmt.layer) for stmt in walk(program.stmts) if stmt.layer is not None)
    found = program
    for stmt in program.stmts:
        if stmt.layer is not None and stmt.layer.type in _RECURRENT and calls[id(stmt.layer)] == 1:
            found = _turned(found, stmt)
    return found


def _turned(program: TorchProgram, stmt: Stmt) -> TorchProgram:
    """The program with one layer turned, or as it is."""
    makers = {var: each for each in program.stmts for var in flat_targets(each.outputs)}
    readers: dict[Var, list[Stmt]] = {}
    for each in program.stmts:
        for var in dict.fromkeys(read_by(each)):
            readers.setdefault(var, []).append(each)
    assert stmt.layer is not None
    if stmt.layer.kwargs.get("batch_first"):
        return program
    chain = [stmt]
    before = makers.get(stmt.args[0]) if isinstance(stmt.args[0], Var) else None
    if before is not None and before.head == _PACK:
        after = readers.get(_first(stmt), [])
        if readers[_first(before)] != [stmt] or len(after) > 1 or any(each.head != _PAD for each in after):
            return program
        chain = [before, stmt, *after]
        before = makers.get(before.args[0]) if isinstance(before.args[0], Var) else None
    if before is None or not _is_transposition(before):
        return program
    end = _first(chain[-1])
    turning = readers.get(end, []) if chain[-1] is stmt or chain[-1].head == _PAD else []
    if end in program.outputs or len(turning) > 1 or not all(_is_transposition(each) for each in turning):
        return program
    source = before.args[0]
    new: dict[int, Stmt | None] = {id(each): None for each in turning}
    for each in chain:
        args = (source, *each.args[1:]) if each is chain[0] else each.args
        outputs = (_first(turning[0]), *each.outputs[1:]) if turning and each is chain[-1] else each.outputs
        kwargs = {name: _size(arg, _first(before), source) for name, arg in each.kwargs.items()}
        if each.layer is None:
            new[id(each)] = replace(each, args=args, outputs=outputs, kwargs={**kwargs, "batch_first": True})
        else:
            layer = replace(each.layer, kwargs={**each.layer.kwargs, "batch_first": True})
            new[id(each)] = replace(each, args=args, outputs=outputs, layer=layer)
    stmts = [new.get(id(each), each) for each in program.stmts]
    return replace(program, stmts=needed([each for each in stmts if each is not None], program.outputs))


def _first(stmt: Stmt) -> Var:
    return next(iter(flat_targets(stmt.outputs)))


def _is_transposition(stmt: Stmt) -> bool:
    """Whether a statement swaps the first two axes of an array."""
    return stmt.kind == "method" and stmt.head == "transpose" and stmt.args[1:] == (0, 1) and not stmt.kwargs


def _size(arg: Arg, turned: Var, source: Arg) -> Arg:
    """A size of what is transposed as one of what it is transposed from."""
    if isinstance(arg, Size) and arg.of is turned and arg.axis < 2 and isinstance(source, Var):
        return Size(source, 1 - arg.axis)
    return arg
