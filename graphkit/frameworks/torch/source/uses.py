"""What statements bind, read and hold, those inside others included."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graphkit.ops.layout import shapes_of
from graphkit.ops.torchprogram import Device, Size, Stored, Var, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx_ir as ir

    from graphkit.ops.torchprogram import Arg, Body, Stmt, Targets, TorchProgram

__all__ = [
    "captured_by",
    "flat_targets",
    "needed",
    "parts_of",
    "read_by",
    "stored_by",
    "stored_dtype",
    "stored_in",
    "stored_shape",
]


def flat_targets(targets: Targets) -> Iterator[Var]:
    """The variables of a pattern."""
    for target in targets:
        if isinstance(target, Var):
            yield target
        else:
            yield from flat_targets(target)


def parts_of(arg: Arg) -> Iterator[Arg]:
    """What an argument is made of: variables, stored tensors and literals."""
    if isinstance(arg, Size | Device):
        yield arg.of
    elif isinstance(arg, tuple | list):
        for item in arg:
            yield from parts_of(item)
    elif isinstance(arg, slice):
        for item in (arg.start, arg.stop, arg.step):
            yield from parts_of(item)
    else:
        yield arg


def read_by(stmt: Stmt) -> Iterator[Var]:
    """The variables that a statement reads, in order, as often as it reads them; its bodies last."""
    for arg in (*stmt.args, *stmt.kwargs.values()):
        yield from (part for part in parts_of(arg) if isinstance(part, Var))
    for body in stmt.bodies:
        yield from captured_by(body)


def captured_by(body: Body) -> Iterator[Var]:
    """The variables of outside that a body reads, as often as it reads them."""
    own = {*body.inputs, *flat_targets(body.items)}
    own.update(var for stmt in body.stmts for var in flat_targets(stmt.outputs))
    for stmt in body.stmts:
        yield from (var for var in read_by(stmt) if var not in own)
    for arg in _results(body):
        yield from (part for part in parts_of(arg) if isinstance(part, Var) and part not in own)


def stored_by(stmt: Stmt) -> Iterator[Stored]:
    """The tensors that a statement uses directly, in order; those of statements inside it are theirs."""
    for arg in (*stmt.args, *stmt.kwargs.values(), *(arg for body in stmt.bodies for arg in _results(body))):
        yield from (part for part in parts_of(arg) if isinstance(part, Stored))


def stored_in(program: TorchProgram) -> Iterator[Stored]:
    """The tensors that a program uses directly, rather than as those of a layer."""
    for stmt in walk(program.stmts):
        yield from stored_by(stmt)
    yield from (output for output in program.outputs if isinstance(output, Stored))


def stored_shape(tensor: Stored) -> tuple[int, ...]:
    """Shape of a tensor as the module holds it."""
    held = tensor.value.const_value
    assert held is not None
    return shapes_of(tensor.layout, tuple(held.shape.numpy()))[-1]


def stored_dtype(tensor: Stored) -> ir.DataType:
    """Element type of a tensor."""
    assert tensor.value.const_value is not None
    return tensor.value.const_value.dtype


def needed(stmts: Sequence[Stmt], outputs: Iterable[Arg]) -> list[Stmt]:
    """The statements that outputs need; bodies are cut down to what their own outputs need, in place."""
    read = Counter(part for arg in outputs for part in parts_of(arg) if isinstance(part, Var))
    found: list[Stmt] = []
    for stmt in reversed(stmts):
        if stmt.kind == "break" or any(read[var] for var in flat_targets(stmt.outputs)):
            for body in stmt.bodies:
                body.stmts = needed(body.stmts, _results(body))
            read.update(read_by(stmt))
            found.append(stmt)
    return found[::-1]


def _results(body: Body) -> list[Arg]:
    return body.outputs if body.goes_on is None else [*body.outputs, body.goes_on]
