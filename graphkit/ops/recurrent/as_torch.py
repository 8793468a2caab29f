"""ONNX's recurrent layers as torch's, one each."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.recurrent.by_steps import by_steps
from graphkit.ops.recurrent.elements import Elements, arrangement, is_zero
from graphkit.ops.recurrent.writing import NOT_ITS_GATES, kinds_of, misfit_of, operands
from graphkit.ops.runs import Runs
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sequence import torch_reversed
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.recurrent.gates import Kind
    from graphkit.ops.torchprogram import Arg, Targets

    Source = tuple[ir.Value, Layout]

__all__ = ["as_torch"]

_LAYERS = {"lstm": "nn.LSTM", "gru": "nn.GRU", "rnn_tanh": "nn.RNN", "rnn_relu": "nn.RNN"}


def as_torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg] | Refusal:
    """Emit an LSTM, GRU or RNN node."""
    if (misfit := misfit_of(b, node)) is not None:
        return misfit
    kinds = kinds_of(node)
    if isinstance(kinds, Refusal):
        return by_steps(b, node, x)
    found = _Layer(b, node, kinds, x).emit()
    if found is None and node.op_type == "ProjectedLSTM":
        return Refusal("its weights are computed, and torch packs sequences for layers that own their weights")
    return by_steps(b, node, x) if found is None else found


def _in_int64(b: TorchBuilder, lengths: ir.Value | None, arg: Any) -> Any:
    """Lengths as torch has them; ONNX's are int32, to which others are cast."""
    if lengths is None:
        return None
    node = lengths.producer()
    source = some(node.inputs[0]) if node is not None and node.op_type == "Cast" else None
    if source is not None and b.dtype(source).name == "int64":
        return b.arg(source)
    return b.method("long", arg)


class _Layer:
    """One node while it is emitted."""

    def __init__(self, b: TorchBuilder, node: ir.Node, kinds: Sequence[Kind], x: Sequence[Any]) -> None:
        self._b = b
        self._kinds = kinds
        self._values, self._projection = operands(node, node.inputs)
        self._args, _ = operands(node, x)
        self._lengths = _in_int64(b, self._values[4], self._args[4])
        self._backward = node.attributes.get_string("direction", "forward") == "reverse"
        self._batch_first = bool(node.attributes.get_int("layout", 0))
        self._time = 1 if self._batch_first else 0
        self._elements = Elements(b)

    def _size(self, place: int, axis: int) -> int | None:
        size = self._b.shape(some(self._values[place]))[axis]
        return size if isinstance(size, int) else None

    def emit(self) -> Sequence[Arg] | Refusal | None:
        """The outputs; None where torch has no such layer."""
        b, directions = self._b, len(self._kinds)
        if self._size(1, 2) is None or self._size(2, 2) is None:
            return Refusal("the shapes of its weights are not known; give the shapes of the model's inputs")
        if self._size(1, 1) != self._kinds[0].gates * self._cell or self._size(2, 1) != self._size(1, 1):
            return Refusal(NOT_ITS_GATES)
        initial = self._initial()
        if len(set(self._kinds)) == 1 and not self._backward:
            found = self._run(self._kinds[0], range(directions), self._args[0], initial)
            if found is None:
                return None
            outputs, last = found[0], list(found[1:])
        else:
            sides = []
            for n, kind in enumerate(self._kinds):
                backward = self._backward or n == 1
                data = self._reversed(self._args[0]) if backward else self._args[0]
                own = initial if directions == 1 else [b.item(state, slice(n, n + 1)) for state in initial]
                side = self._run(kind, range(n, n + 1), data, own)
                if side is None:
                    return None
                sides.append([self._reversed(side[0]) if backward else side[0], *side[1:]])
            outputs, *last = sides[0]
            if directions == 2:
                outputs = b.call("torch.cat", (outputs, sides[1][0]), dim=2)
                last = [b.call("torch.cat", pair) for pair in zip(last, sides[1][1:], strict=True)]
        if self._batch_first:
            return [
                b.method("unflatten", outputs, -1, (directions, self._hidden)),
                *(b.method("transpose", s, 0, 1) for s in last),
            ]
        if directions == 1:
            return [b.method("unsqueeze", outputs, 1), *last]
        return [b.method("transpose", b.method("unflatten", outputs, -1, (2, self._hidden)), 1, 2), *last]

    def _reversed(self, data: Any) -> Arg:
        if self._lengths is None:
            return self._b.method("flip", data, self._time)
        return torch_reversed(self._b, some(self._values[0]), data, self._lengths, batch_first=self._batch_first)

    @property
    def _hidden(self) -> int:
        return some(self._size(2, 2))

    @property
    def _cell(self) -> int:
        """Size of the hidden state before it is projected."""
        size = None if self._projection is None else self._b.shape(self._projection)[2]
        return size if isinstance(size, int) else self._hidden

    def _initial(self) -> list[Any]:
        """The initial states as (directions, N, hidden); none where all are zero."""
        places = range(5, 5 + self._kinds[0].states)
        values = [self._values[place] for place in places]
        states = [None if v is None or is_zero(v) else self._args[p] for p, v in zip(places, values, strict=True)]
        given = [state for state in states if state is not None]
        if not given:
            return []
        if self._batch_first:
            states = [None if state is None else self._b.method("transpose", state, 0, 1) for state in states]
            given = [state for state in states if state is not None]
        sizes = (self._hidden, self._cell)
        return [
            self._zeros(given[0], size) if state is None else state for state, size in zip(states, sizes, strict=False)
        ]

    def _zeros(self, other: Arg, size: int) -> Arg:
        """An initial state of zeros beside another one."""
        if self._projection is None:
            return self._b.call("torch.zeros_like", other)
        batch = self._b.size(some(self._values[0]), 1 - self._time)
        return self._b.method("new_zeros", self._args[0], len(self._kinds), batch, size)

    def _run(self, kind: Kind, directions: range, data: Arg, initial: Sequence[Any]) -> Sequence[Any] | None:
        """Output (T, N, directions × hidden) and last states of some directions; None where torch has no such layer."""
        b = self._b
        sources = self._tensors(kind, directions)
        options: dict[str, Arg] = {}
        if kind.mode == "rnn_relu":
            options["nonlinearity"] = "relu"
        if self._values[3] is None:
            options["bias"] = False
        if self._batch_first:
            options["batch_first"] = True
        if len(directions) == 2:
            options["bidirectional"] = True
        if self._projection is not None:
            options["proj_size"] = self._hidden
        states = [b.var() for _ in range(kind.states)]
        pattern: Targets = (b.var(), tuple(states)) if len(states) > 1 else (b.var(), states[0])
        packed = self._packed(data)
        state = [tuple(initial) if len(initial) > 1 else initial[0]] if initial else []
        inputs = [packed, *state]
        made = b.layer(_LAYERS[kind.mode], inputs, sources, self._size(1, 2), self._cell, outputs=pattern, **options)
        if made is not None:
            return [self._unpacked(made[0]), *states]
        if self._lengths is not None:
            return None
        return self._functional(kind, directions, data, initial, [b.derived(*source) for source in sources.values()])

    def _packed(self, data: Arg) -> Arg:
        if self._lengths is None:
            return data
        lengths = self._b.method("cpu", self._lengths)
        return self._b.call(
            "nn.utils.rnn.pack_padded_sequence",
            data,
            lengths,
            batch_first=True if self._batch_first else None,
            enforce_sorted=False,
        )

    def _unpacked(self, outputs: Any) -> Any:
        if self._lengths is None:
            return outputs
        steps, _ = self._b.calls(
            "nn.utils.rnn.pad_packed_sequence",
            2,
            outputs,
            batch_first=True if self._batch_first else None,
            total_length=self._b.size(some(self._values[0]), self._time),
        )
        return steps

    def _functional(
        self, kind: Kind, directions: range, data: Arg, initial: Sequence[Any], tensors: list[Any]
    ) -> Sequence[Any]:
        b = self._b
        if not initial:
            batch = b.size(some(self._values[0]), 1 - self._time)
            sizes = (self._hidden, self._cell)[: kind.states]
            zeros = {size: b.method("new_zeros", data, len(directions), batch, size) for size in sizes}
            initial = [zeros[size] for size in sizes]
        return b.calls(
            f"torch.{kind.mode}",
            1 + kind.states,
            data,
            tuple(initial) if kind.states > 1 else initial[0],
            tensors,
            self._values[3] is not None,
            1,
            0.0,
            False,
            len(directions) == 2,
            self._batch_first,
        )

    def _tensors(self, kind: Kind, directions: range) -> dict[str, Source]:
        """What torch's layer has: initializers in another layout, or computed values, by torch's names."""
        order = [kind.order.index(gate) for gate in range(kind.gates)]
        found: dict[str, Source] = {}
        names = (("weight_ih", 1, 0), ("weight_hh", 2, 0), ("bias_ih", 3, 0), ("bias_hh", 3, 1))
        for direction in directions:
            for name, place, part in names:
                value = self._values[place]
                if value is None:
                    continue
                parts = 2 if place == 3 else 1
                shape = [int(str(size)) for size in self._b.shape(value)]
                rows = kind.gates * self._cell
                own = (rows,) if parts == 2 else (rows, shape[2])
                gates = (direction * parts + part) * kind.gates + np.array(order)
                suffix = "_reverse" if direction > directions.start else ""
                found[f"{name}_l0{suffix}"] = self._source(value, prod(own) // kind.gates, gates, own)
            if self._projection is not None:
                own = (self._hidden, self._cell)
                suffix = "_reverse" if direction > directions.start else ""
                found[f"weight_hr_l0{suffix}"] = self._source(self._projection, prod(own), direction, own)
        return found

    def _source(self, value: ir.Value, size: int, order: npt.ArrayLike, shape: Sequence[int]) -> Source:
        """Where parts of ``size`` elements of a value come from: one initializer or other value, and the steps to them.

        Args:
            value: The value.
            size: How many elements make a part.
            order: Which parts are wanted, in their order.
            shape: Shape of what is wanted.
        """
        numbers = self._elements.of(value).chunks(size, order)
        for source in self._elements.sources:
            start, stop = self._elements.span(source)
            if numbers.within(start, stop).all():
                return source, arrangement(numbers.shifted(-start), [int(str(n)) for n in self._b.shape(source)], shape)
        whole = [int(str(n)) for n in self._b.shape(value)]
        return value, arrangement(Runs.of([0], [prod(whole)]).chunks(size, order), whole, shape)
