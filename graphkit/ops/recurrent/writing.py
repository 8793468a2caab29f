"""ONNX's recurrent layers as MXNet's fused operator, one each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from graphkit.ops.recurrent.elements import Elements, arrangement, is_zero
from graphkit.ops.recurrent.gates import KINDS
from graphkit.ops.recurrent.mx_steps import write_steps
from graphkit.ops.runs import Runs
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.recurrent.gates import Kind

__all__ = ["NOT_ITS_GATES", "kinds_of", "misfit_of", "operands", "write"]

_T = TypeVar("_T")

_MODES: Final[Mapping[str, Mapping[tuple[str, ...], str]]] = {
    "LSTM": {("sigmoid", "tanh", "tanh"): "lstm"},
    "ProjectedLSTM": {("sigmoid", "tanh", "tanh"): "lstm"},
    "GRU": {("sigmoid", "tanh"): "gru"},
    "RNN": {("tanh",): "rnn_tanh", ("relu",): "rnn_relu"},
}
"""MXNet's mode by the activations; ONNX's default comes first."""
NOT_ITS_GATES: Final = "its weights are not those of a layer with as many gates, and none of ONNX's is projected"
_SHUT = 1e4
"""What closes and opens gates in every element type: their sigmoids round to 0 and 1."""
_FEW = 64
"""Runs of neighbouring elements up to which they are sliced one by one."""


def kinds_of(node: ir.Node) -> list[Kind] | Refusal:
    """The kind of each direction of a layer, or why it is none that MXNet and torch have."""
    directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
    modes = _MODES[node.op_type]
    defaults = next(iter(modes))
    names = [name.lower() for name in node.attributes.get_strings("activations", ())] or [*defaults * directions]
    found = []
    for n in range(directions):
        own = tuple(names[n * len(defaults) : (n + 1) * len(defaults)])
        mode = modes.get(own)
        if mode is None:
            known = " or ".join(", ".join(choice) for choice in modes)
            return Refusal(f"its activations are {', '.join(own)}, and only {known} can be written")
        found.append(KINDS[mode])
    if "clip" in node.attributes:
        return Refusal("it clips what its gates are computed from at every step, which only ONNX has")
    if node.attributes.get_int("input_forget", 0):
        return Refusal("its input and forget gates are coupled, which only ONNX has")
    if node.op_type == "LSTM" and len(node.inputs) > 7 and node.inputs[7] is not None:
        return Refusal("it has peepholes, from the cell to the gates, which only ONNX has")
    if node.op_type == "GRU" and not node.attributes.get_int("linear_before_reset", 0):
        return Refusal(
            "it applies the reset gate before the recurrent weight (linear_before_reset=0), and MXNet and torch after "
            "it; train and export it with the gate behind (reset_after=True in Keras)"
        )
    return found


def operands(node: ir.Node, given: Sequence[_T | None]) -> tuple[list[_T | None], _T | None]:
    """What stands for X, W, R, B, lengths and two initial states of a layer, and for its projection; None for none."""
    found = [*given, *[None] * (8 - len(given))]
    projection = found.pop(3) if node.op_type == "ProjectedLSTM" else None
    return found[:7], projection


def misfit_of(b: MxBuilder | TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why its arrays are not those of as many directions as it has."""
    directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
    (_, *arrays), projection = operands(node, node.inputs)
    names = ("weight", "recurrence weight", "bias", "projection")
    for what, value in zip(names, [*arrays[:3], projection], strict=True):
        have = None if value is None else b.shape(value)[0]
        if isinstance(have, int) and have != directions:
            return Refusal(f"its {what} is one of {have} directions, and it has {directions}")
    return None


def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    """An LSTM, GRU or RNN node."""
    if (misfit := misfit_of(b, node)) is not None:
        return misfit
    kinds = kinds_of(node)
    if isinstance(kinds, Refusal):
        return write_steps(b, node, x, kinds)
    layer = _Layer(b, node, kinds)
    why = layer.refusal()
    return layer.write(some(x[0]), x) if why is None else write_steps(b, node, x, why)


class _Layer:
    """One node while it is written."""

    def __init__(self, b: MxBuilder, node: ir.Node, kinds: Sequence[Kind]) -> None:
        self._b = b
        self._node = node
        self._kinds = kinds
        inputs, self._projection = operands(node, node.inputs)
        self._data, self._weight, self._recurrence = (some(value) for value in inputs[:3])
        self._bias, self._lengths, *initial = inputs[3:]
        self._initial = initial[: kinds[0].states]
        self._backward = node.attributes.get_string("direction", "forward") == "reverse"
        self._batch_first = bool(node.attributes.get_int("layout", 0))
        if self._lengths is not None and self._whole(self._lengths):
            self._lengths = None
        self._wanted = [bool(value.uses()) or value.is_graph_output() for value in node.outputs]

    def _whole(self, lengths: ir.Value) -> bool:
        """Whether all sequences can be seen to have all steps."""
        array = self._b.value(lengths)
        steps = self._b.shape(self._data)[1 if self._batch_first else 0]
        return array is not None and isinstance(steps, int) and bool((array == steps).all())

    def refusal(self) -> Refusal | None:
        """Why it cannot be written, if that is so."""
        shapes = [self._b.shape(value) for value in (self._weight, self._recurrence)]
        if any(not isinstance(size, int) for shape in shapes for size in shape):
            return Refusal("the shapes of its weights are not known; give the shapes of the model's inputs")
        if shapes[0][1] != self._kinds[0].gates * self._cell or shapes[1][1] != shapes[0][1]:
            return Refusal(NOT_ITS_GATES)
        return None

    @property
    def _hidden(self) -> int:
        size = self._b.shape(self._recurrence)[2]
        assert isinstance(size, int)
        return size

    @property
    def _cell(self) -> int:
        """Size of the hidden state before it is projected."""
        size = None if self._projection is None else self._b.shape(self._projection)[2]
        return size if isinstance(size, int) else self._hidden

    def write(self, data: MxRef, x: Sequence[MxRef | None]) -> Sequence[MxRef]:
        """The references of the outputs."""
        b, directions = self._b, len(self._kinds)
        if self._batch_first:
            data = b.op("SwapAxis", data, dim1=0, dim2=1)
        initial = [self._state(value, x) for value in self._initial]
        together = self._lengths is None and not self._backward and len(set(self._kinds)) == 1
        if together:
            outputs, *last = self._run(self._kinds[0], range(directions), data, initial)
        else:
            found = [
                self._one_way(kind, n, data, [self._part(state, n) for state in initial])
                for n, kind in enumerate(self._kinds)
            ]
            parts = list(zip(*found, strict=True))
            outputs = parts[0][0] if directions == 1 else b.op("Concat", *parts[0], num_args=2, dim=2)
            last = [part[0] if directions == 1 else b.op("Concat", *part, num_args=2, dim=0) for part in parts[1:]]
        if not self._batch_first:
            self._bind_joined(outputs)
        return [self._steps(outputs), *(self._ended(state) for state in last)]

    def _bind_joined(self, outputs: MxRef) -> None:
        """Say where the output is put together as MXNet has it: (T, N, directions × hidden)."""
        b, directions = self._b, len(self._kinds)
        for use in self._node.outputs[0].uses():
            made, found = use.node, use.node.outputs[0]
            if directions == 1 and made.op_type == "Squeeze" and _numbers(b, made, 1) == [1]:
                b.bind(found, outputs)
            elif directions == 2 and made.op_type == "Transpose":
                if list(made.attributes.get_ints("perm", ())) != [0, 2, 1, 3]:
                    continue
                for joining in (use.node for use in found.uses()):
                    codes = _numbers(b, joining, 1) if joining.op_type == "Reshape" else []
                    if codes in ([0, 0, -1], [0, 0, 2 * self._hidden]):
                        b.bind(joining.outputs[0], outputs)

    def _state(self, value: ir.Value | None, x: Sequence[MxRef | None]) -> MxRef | None:
        """An initial state as (directions, N, hidden); None where it is zero."""
        if value is None or is_zero(value):
            return None
        given = x[list(self._node.inputs).index(value, 5)]
        return self._b.op("SwapAxis", given, dim1=0, dim2=1) if given is not None and self._batch_first else given

    def _part(self, state: MxRef | None, direction: int) -> MxRef | None:
        if state is None or len(self._kinds) == 1:
            return state
        return self._b.op("slice_axis", state, axis=0, begin=direction, end=direction + 1)

    def _zeros(self, directions: int, size: int) -> MxRef:
        """An initial state of zeros for whatever batch there is."""
        dtype = self._b.dtype(self._data).name
        return self._b.op("_zeros", shape=(directions, 0, size), dtype=dtype, name="begin_state")

    def _run(
        self, kind: Kind, directions: range, data: MxRef, initial: Sequence[MxRef | None], *, holds: bool = False
    ) -> Sequence[MxRef]:
        # MXNet 1.9.1 writes the last states of a projected layer to memory, whether it was asked for them or not
        states = any(self._wanted[1:]) or self._lengths is not None or self._projection is not None
        return self._b.ops(
            "RNN",
            1 + kind.states if states else 1,
            data,
            self._parameters(directions, kind, holds=holds),
            *(
                self._zeros(len(directions), size) if state is None else state
                for state, size in zip(initial, (self._hidden, self._cell), strict=False)
            ),
            mode=kind.mode,
            state_size=self._cell,
            num_layers=1,
            bidirectional=len(directions) == 2 or None,
            state_outputs=states or None,
            projection_size=None if self._projection is None else self._hidden,
        )

    def _one_way(self, kind: Kind, direction: int, data: MxRef, initial: Sequence[MxRef | None]) -> Sequence[MxRef]:
        """Output (T, N, hidden) and last states of one direction."""
        b, backward = self._b, self._backward or direction == 1
        lengths = None if self._lengths is None else b.ref(self._lengths)
        if backward:
            data = self._reversed(data, lengths)
        holds = lengths is not None and any(self._wanted[2:3])
        if lengths is not None and holds:
            data = self._with_end(data, lengths)
        outputs, *last = self._run(kind, range(direction, direction + 1), data, initial, holds=holds)
        if lengths is not None:
            none = b.op("zeros_like", b.op("slice_axis", outputs, axis=0, begin=0, end=1))
            steps = b.op("Concat", none, outputs, num_args=2, dim=0)
            ends = b.op("SequenceLast", steps, b.op("_plus_scalar", lengths, scalar=1), use_sequence_length=True)
            cells = [b.op("SequenceMask", state, lengths, use_sequence_length=True) for state in last[1:] if holds]
            last = [b.op("expand_dims", ends, axis=0), *cells]
            outputs = b.op("SequenceMask", outputs, lengths, use_sequence_length=True)
        return [self._reversed(outputs, lengths) if backward else outputs, *last]

    def _with_end(self, data: MxRef, lengths: MxRef) -> MxRef:
        """Data with a further feature: 1 beyond the end of a sequence, where all others are 0.

        With :meth:`_holding` the cell after the last step is that of the sequence's end, to the bit: sigmoids of
        ±10000 are 0 and 1.
        """
        b = self._b
        feature = b.op("zeros_like", b.op("slice_axis", data, axis=2, begin=0, end=1))
        ended = b.op("SequenceMask", feature, lengths, use_sequence_length=True, value=1.0)
        masked = b.op("SequenceMask", data, lengths, use_sequence_length=True)
        return b.op("Concat", masked, ended, num_args=2, dim=2)

    def _reversed(self, data: MxRef, lengths: MxRef | None) -> MxRef:
        if lengths is None:
            return self._b.op("reverse", data, axis=0)
        return self._b.op("SequenceReverse", data, lengths, use_sequence_length=True)

    def _steps(self, outputs: MxRef) -> MxRef:
        """Output (T, N, directions × hidden) as ONNX has it: (T, directions, N, hidden)."""
        b, directions = self._b, len(self._kinds)
        if self._batch_first:
            swapped = b.op("SwapAxis", outputs, dim1=0, dim2=1)
            return b.op("Reshape", swapped, shape=(0, 0, directions, self._hidden))
        if directions == 1:
            return b.op("expand_dims", outputs, axis=1)
        apart = b.op("Reshape", outputs, shape=(0, 0, directions, self._hidden))
        return b.op("transpose", apart, axes=(0, 2, 1, 3))

    def _ended(self, state: MxRef) -> MxRef:
        return self._b.op("SwapAxis", state, dim1=0, dim2=1) if self._batch_first else state

    def _parameters(self, directions: range, kind: Kind, *, holds: bool) -> MxRef:
        """The packed vector of some directions, with a feature that holds the cell if there is to be one."""
        b = self._b
        elements = Elements(b)
        arrays = [self._ordered(elements.of(value), kind, 1) for value in (self._weight, self._recurrence)]
        if self._projection is not None:
            arrays.append(elements.of(self._projection))
        packed = [self._side(array, n) for n in directions for array in arrays]
        if self._bias is not None:
            bias = self._ordered(elements.of(self._bias), kind, 2)
            packed += [self._side(bias, n) for n in directions]
        parts: list[MxRef] = []
        if holds:
            parts.append(self._holding(_gathered(b, elements, packed.pop(0)), kind))
        parts += _gathered(b, elements, Runs.joined(packed))
        if self._bias is None:
            size = len(directions) * 2 * kind.gates * self._cell
            parts.append(b.op("_zeros", shape=(size,), dtype=b.dtype(self._data).name, name="bias"))
        if len(parts) == 1:
            return parts[0]
        return b.op("_rnn_param_concat", *parts, num_args=len(parts), dim=0, name="parameters")

    def _holding(self, parts: Sequence[MxRef], kind: Kind) -> MxRef:
        """The weight of the input, flat, with a feature that closes the input gate and opens the forget gate."""
        b = self._b
        whole = parts[0] if len(parts) == 1 else b.op("Concat", *parts, num_args=len(parts), dim=0)
        column = np.repeat(np.array([-_SHUT, _SHUT, 0, 0], b.dtype(self._data)), self._cell)[:, None]
        matrix = b.op("Reshape", whole, shape=(kind.gates * self._cell, -1))
        wider = b.op("Concat", matrix, b.const(column, "hold"), num_args=2, dim=1)
        return b.op("Reshape", wider, shape=(-1,))

    def _ordered(self, array: Runs, kind: Kind, parts: int) -> Runs:
        """An array of (directions, parts × gates × …) with the gates of each part in MXNet's order."""
        order = [kind.order.index(gate) for gate in range(kind.gates)]
        count = len(self._kinds) * parts
        return array.chunks(array.size // (count * kind.gates), np.arange(count)[:, None] * kind.gates + order)

    def _side(self, array: Runs, direction: int) -> Runs:
        """The part of an array of (directions, …) that is one direction's."""
        return array.chunks(array.size // len(self._kinds), direction)


def _numbers(b: MxBuilder, node: ir.Node, place: int) -> list[int]:
    """The constant integers that are an input of a node; empty for none."""
    value = b.value(node.inputs[place]) if len(node.inputs) > place else None
    return [] if value is None else [int(number) for number in value.reshape(-1)]


def _gathered(b: MxBuilder, elements: Elements, wanted: Runs) -> list[MxRef]:
    """One-dimensional arrays that together are the wanted elements.

    An array that is wanted as a whole is stored in the order that it is wanted in; parts of others are sliced.
    """
    starts = wanted.starts.copy()
    sources = [source for source in elements.sources if wanted.within(*elements.span(source)).any()]
    flat: list[MxRef] = []
    for source in sources:
        start, stop = elements.span(source)
        used = wanted.within(start, stop)
        order = Runs.of(wanted.starts[used] - start, wanted.sizes[used])
        shape = [int(str(size)) for size in b.shape(source)]
        if len(order.starts) > 1 and _is_permutation(order, stop - start):
            own = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
            ref = b.derived(source, arrangement(order, shape, own))
            starts[used] = start + np.cumsum(wanted.sizes[used]) - wanted.sizes[used]
            shape = own
        else:
            ref = b.ref(source)
        flat.append(ref if len(shape) == 1 else b.op("Reshape", ref, shape=(-1,)))
    owner = np.searchsorted([elements.span(source)[0] for source in sources], starts, side="right") - 1
    found = []
    for part in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(owner)) + 1):
        number = int(owner[part[0]])
        start, stop = elements.span(sources[number])
        found += _cut(b, flat[number], Runs.of(starts[part] - start, wanted.sizes[part]), stop - start)
    return found


def _is_permutation(order: Runs, size: int) -> bool:
    """Whether each number below a size is there once."""
    return order.size == size and order.is_apart() and int((order.starts + order.sizes).max()) == size


def _cut(b: MxBuilder, flat: MxRef, places: Runs, size: int) -> list[MxRef]:
    """Elements of a one-dimensional array of a size, in order."""
    runs = list(places)
    if len(runs) > _FEW:
        return [b.op("take", flat, b.const(places.numbers().astype(np.int32), "order"), axis=0)]
    return [
        flat if (begin, end) == (0, size) else b.op("slice_axis", flat, axis=0, begin=begin, end=end)
        for begin, end in runs
    ]
