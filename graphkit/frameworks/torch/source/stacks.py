"""Recurrent layers one above the other as one layer of several."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphkit.frameworks.torch.source.uses import flat_targets, needed, read_by
from graphkit.ir.dims import dims_of
from graphkit.ops.torchprogram import Layer, Size, Stmt, TorchProgram, Var, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.torchprogram import Arg, Stored

__all__ = ["stacked"]

_RECURRENT: Final = frozenset({"nn.GRU", "nn.LSTM", "nn.RNN"})


_PACK: Final = "nn.utils.rnn.pack_padded_sequence"
_PAD: Final = "nn.utils.rnn.pad_packed_sequence"


class _Step(NamedTuple):
    """What leads from one layer to the one above it.

    Attributes:
        upper: The call of the layer above.
        between: A dropout between them, and what pads and packs its sequences, as far as there are any.
    """

    upper: Stmt
    between: tuple[Stmt, ...] = ()

    @property
    def rate(self) -> Arg:
        """Share of what is dropped."""
        layer = next((stmt.layer for stmt in self.between if stmt.layer is not None), None)
        if layer is None:
            return 0.0
        return layer.args[0] if layer.args else layer.kwargs.get("p", 0.5)


def stacked(program: TorchProgram) -> TorchProgram:
    """The program with chains of alike recurrent layers as single ones.

    They can be one where only the layer above, or a dropout between, reads what one gives; the sequences of all may be
    packed with the same lengths. All start from zeros, or
    from the parts of one array in their order; and their last states are not read, or only to be joined in their order.
    """
    program = _with_known_lengths(program)
    stacks = _Stacks(program)
    merged: dict[int, Stmt | None] = {}
    for stmt in program.stmts:
        if id(stmt) not in merged and stacks.is_recurrent(stmt):
            merged.update(stacks.merged(stmt))
    if not merged:
        return program
    stmts = [merged.get(id(stmt), stmt) for stmt in program.stmts]
    return replace(program, stmts=needed([stmt for stmt in stmts if stmt is not None], program.outputs))


def _with_known_lengths(program: TorchProgram) -> TorchProgram:
    """The program in which sequences that were padded to a length are padded to that again, not to their size."""
    known: dict[Var, Arg] = {}
    stmts = []
    for stmt in program.stmts:
        length = stmt.kwargs.get("total_length")
        if isinstance(length, Size) and isinstance(length.of, Var) and length.of in known:
            length = known[length.of]
            stmt = replace(stmt, kwargs={**stmt.kwargs, "total_length": length})
        if stmt.head == _PAD and length is not None and not stmt.kwargs.get("batch_first"):
            known[_steps(stmt)] = length
        elif stmt.layer is not None and stmt.layer.type == "nn.Dropout" and stmt.args[0] in known:
            known[_steps(stmt)] = known[stmt.args[0]]
        stmts.append(stmt)
    return replace(program, stmts=stmts)


class _Stacks:
    """What is known of a program's recurrent layers."""

    def __init__(self, program: TorchProgram) -> None:
        self._calls = Counter(id(stmt.layer) for stmt in walk(program.stmts) if stmt.layer is not None)
        self._reads = Counter(var for stmt in program.stmts for var in read_by(stmt))
        self._reads.update(output for output in program.outputs if isinstance(output, Var))
        self._readers = {var: stmt for stmt in program.stmts for var in read_by(stmt)}
        self._makers = {var: stmt for stmt in program.stmts for var in flat_targets(stmt.outputs)}

    def is_recurrent(self, stmt: Stmt) -> bool:
        """Whether a statement calls a recurrent layer of its own."""
        return stmt.layer is not None and stmt.layer.type in _RECURRENT and self._calls[id(stmt.layer)] == 1

    def merged(self, lowest: Stmt) -> dict[int, Stmt | None]:
        """What becomes of the statements of the chain that begins with one, by their identity; empty for none."""
        chain, steps = [lowest], list[_Step]()
        while (step := self._above(chain[-1])) is not None and (not steps or step.rate == steps[0].rate):
            steps.append(step)
            chain.append(step.upper)
        initial, last = self._initial(chain), self._last(chain)
        if not steps or initial is None or last is None:
            return {}
        gone = [*chain, *(stmt for step in steps for stmt in step.between)]
        gone += [self._makers[var] for var in last if not any(self._makers[var] is stmt for stmt in chain)]
        found: dict[int, Stmt | None] = {id(stmt): None for stmt in gone}
        ends = last[0] if len(last) == 1 else tuple(last)
        found[id(chain[-1])] = replace(
            chain[-1],
            args=(chain[0].args[0], *initial),
            outputs=(_steps(chain[-1]), ends),
            layer=_one(chain, steps[0].rate),
            node=chain[0].node,
        )
        return found

    def _above(self, stmt: Stmt) -> _Step | None:
        """What leads to the one layer that reads what a layer gives, where both could be one."""
        between: list[Stmt] = []
        upper = self._reader(_steps(stmt))
        while upper is not None and not self.is_recurrent(upper) and upper.args[0] is _steps([stmt, *between][-1]):
            between.append(upper)
            upper = self._reader(_steps(upper))
        if upper is None or not self.is_recurrent(upper) or stmt.layer is None or upper.layer is None:
            return None
        if upper.args[0] is not _steps([stmt, *between][-1]) or not self._passes(stmt, between):
            return None
        hidden = stmt.layer.args[1]
        alike = stmt.layer.type == upper.layer.type and stmt.layer.kwargs == upper.layer.kwargs
        width = stmt.layer.kwargs.get("proj_size", hidden)
        fits = isinstance(width, int) and upper.layer.args == (width * _directions(stmt), hidden)
        return _Step(upper, tuple(between)) if alike and fits else None

    def _passes(self, lower: Stmt, between: Sequence[Stmt]) -> bool:
        """Whether there is nothing but a dropout between layers; packed sequences may be padded and packed again."""
        inner = list(between)
        packed = self._packed(lower)
        if packed is not None:
            if len(inner) < 2 or inner[0].head != _PAD or inner[-1].head != _PACK:
                return False
            pad, *inner, pack = inner
            options = (pad.kwargs.get("batch_first"), pack.kwargs.get("batch_first"))
            if pack.args[1:] != packed.args[1:] or set(options) != {packed.kwargs.get("batch_first")}:
                return False
            if self._reads[list(flat_targets(pad.outputs))[1]]:
                return False
        if not inner:
            return True
        (dropout, *more), layer = inner, inner[0].layer
        return not more and layer is not None and layer.type == "nn.Dropout" and self._calls[id(dropout.layer)] == 1

    def _packed(self, stmt: Stmt) -> Stmt | None:
        """What packs the sequences that a layer reads, if they are packed."""
        data = stmt.args[0]
        maker = self._makers.get(data) if isinstance(data, Var) else None
        return maker if maker is not None and maker.head == _PACK else None

    def _reader(self, var: Var) -> Stmt | None:
        """The one statement that reads a variable, once."""
        return self._readers.get(var) if self._reads[var] == 1 else None

    def _initial(self, chain: Sequence[Stmt]) -> list[Arg] | None:
        """The initial states of a chain as further arguments of one call; None where they do not fit together."""
        if all(len(stmt.args) == 1 for stmt in chain):
            return []
        if not all(len(stmt.args) == 2 for stmt in chain):
            return None
        states = [stmt.args[1] if isinstance(stmt.args[1], tuple) else (stmt.args[1],) for stmt in chain]
        wholes = [self._whole(chain, parts) for parts in zip(*states, strict=True)]
        if any(whole is None for whole in wholes):
            return None
        return [tuple(wholes) if len(wholes) > 1 else wholes[0]]

    def _whole(self, chain: Sequence[Stmt], parts: Sequence[Arg]) -> Arg:
        """The array whose parts, one after the other, a state of each layer is; None if there is none."""
        makers = [self._makers.get(part) if isinstance(part, Var) else None for part in parts]
        found: Any = makers[0].args[0] if makers[0] is not None and makers[0].kind == "item" else None
        dims = dims_of(found.value) if isinstance(found, Var) and found.value is not None else None
        count = _directions(chain[0])
        if not dims or dims[0] != count * len(chain):
            return None
        for number, maker in enumerate(makers):
            if maker is None or maker.kind != "item" or maker.args[0] is not found or len(maker.args) != 2:
                return None
            cut: Any = maker.args[1]
            if not isinstance(cut, slice) or range(dims[0])[cut] != range(number * count, (number + 1) * count):
                return None
        return found if isinstance(found, Var) else None

    def _last(self, chain: Sequence[Stmt]) -> list[Var] | None:
        """Variables for the last states of a chain as one call gives them; None where they do not fit together."""
        found: list[Var] = []
        for parts in zip(*(list(flat_targets(stmt.outputs))[1:] for stmt in chain), strict=True):
            if not any(self._reads[part] for part in parts):
                found.append(parts[-1])
                continue
            reader = self._reader(parts[0])
            joins = reader is not None and reader.head == "torch.cat" and reader.kwargs.get("dim", 0) == 0
            if reader is None or not joins or list(read_by(reader)) != list(parts):
                return None
            if any(self._reads[part] != 1 for part in parts):
                return None
            found.append(_steps(reader))
        return found


def _directions(stmt: Stmt) -> int:
    return 2 if stmt.layer is not None and stmt.layer.kwargs.get("bidirectional") else 1


def _steps(stmt: Stmt) -> Var:
    """The variable that holds the first result of a statement."""
    return next(iter(flat_targets(stmt.outputs)))


def _one(chain: Sequence[Stmt], rate: Arg) -> Layer:
    """One layer for the layers of a chain, the lowest first."""
    layers = [stmt.layer for stmt in chain if stmt.layer is not None]
    tensors: dict[str, Stored | npt.NDArray[np.generic]] = {}
    frozen: list[str] = []
    for number, layer in enumerate(layers):
        names = {name: name.replace("_l0", f"_l{number}") for name in layer.tensors}
        tensors.update({names[name]: tensor for name, tensor in layer.tensors.items()})
        frozen += [names[name] for name in layer.frozen]
    options: dict[str, Arg] = {"num_layers": len(layers), **layers[0].kwargs}
    if rate:
        options["dropout"] = rate
    return Layer(layers[0].type, layers[0].args, options, tensors, tuple(frozen))
