"""ONNX's recurrent layers as MXNet's fused operator, one each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ops.recurrent.elements import Elements, arrangement, is_zero
from graphkit.ops.recurrent.gates import KINDS
from graphkit.ops.recurrent.mx_steps import write_steps
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.recurrent.gates import Kind

    Numbers = npt.NDArray[np.int64]

__all__ = ["kinds_of", "misfit_of", "write"]

_MODES: Final[Mapping[str, Mapping[tuple[str, ...], str]]] = {
    "LSTM": {("sigmoid", "tanh", "tanh"): "lstm"},
    "GRU": {("sigmoid", "tanh"): "gru"},
    "RNN": {("tanh",): "rnn_tanh", ("relu",): "rnn_relu"},
}
"""MXNet's mode by the activations; ONNX's default comes first."""
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
    if len(node.inputs) > 7 and node.inputs[7] is not None:
        return Refusal("it has peepholes, from the cell to the gates, which only ONNX has")
    if node.op_type == "GRU" and not node.attributes.get_int("linear_before_reset", 0):
        return Refusal(
            "it applies the reset gate before the recurrent weight (linear_before_reset=0), and MXNet and torch after "
            "it; train and export it with the gate behind (reset_after=True in Keras)"
        )
    return found


def misfit_of(b: MxBuilder | TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why its arrays are not those of as many directions as it has."""
    directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
    for what, value in zip(("weight", "recurrence weight", "bias"), node.inputs[1:4], strict=False):
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
        inputs = [*node.inputs, *[None] * (7 - len(node.inputs))]
        self._data, self._weight, self._recurrence = (some(value) for value in inputs[:3])
        self._bias, self._lengths, *initial = inputs[3:7]
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
        if shapes[0][1] != self._kinds[0].gates * self._hidden or shapes[1][1] != shapes[0][1]:
            return Refusal(
                "its weights are not those of a layer with as many gates; a projected LSTM is none of ONNX's"
            )
        if self._lengths is not None and any(self._wanted[2:3]):
            return Refusal(
                "it gives the last cell state of sequences of different lengths, and MXNet on the CPU has that of "
                "the last step only"
            )
        return None

    @property
    def _hidden(self) -> int:
        size = self._b.shape(self._recurrence)[2]
        assert isinstance(size, int)
        return size

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
        return [self._steps(outputs), *(self._ended(state) for state in last)]

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

    def _zeros(self, directions: int) -> MxRef:
        """An initial state of zeros for whatever batch there is."""
        dtype = self._b.dtype(self._data).name
        return self._b.op("_zeros", shape=(directions, 0, self._hidden), dtype=dtype, name="begin_state")

    def _run(self, kind: Kind, directions: range, data: MxRef, initial: Sequence[MxRef | None]) -> Sequence[MxRef]:
        states = any(self._wanted[1:]) or self._lengths is not None
        return self._b.ops(
            "RNN",
            1 + kind.states if states else 1,
            data,
            self._parameters(directions, kind),
            *(self._zeros(len(directions)) if state is None else state for state in initial),
            mode=kind.mode,
            state_size=self._hidden,
            num_layers=1,
            bidirectional=len(directions) == 2 or None,
            state_outputs=states or None,
        )

    def _one_way(self, kind: Kind, direction: int, data: MxRef, initial: Sequence[MxRef | None]) -> Sequence[MxRef]:
        """Output (T, N, hidden) and last states of one direction."""
        b, backward = self._b, self._backward or direction == 1
        lengths = None if self._lengths is None else b.ref(self._lengths)
        if backward:
            data = self._reversed(data, lengths)
        outputs, *last = self._run(kind, range(direction, direction + 1), data, initial)
        if lengths is not None:
            none = b.op("zeros_like", b.op("slice_axis", outputs, axis=0, begin=0, end=1))
            steps = b.op("Concat", none, outputs, num_args=2, dim=0)
            ends = b.op("SequenceLast", steps, b.op("_plus_scalar", lengths, scalar=1), use_sequence_length=True)
            last = [b.op("expand_dims", ends, axis=0)]
            outputs = b.op("SequenceMask", outputs, lengths, use_sequence_length=True)
        return [self._reversed(outputs, lengths) if backward else outputs, *last]

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

    def _parameters(self, directions: range, kind: Kind) -> MxRef:
        """The packed vector of some directions."""
        b = self._b
        elements = Elements(b)
        weights = [self._ordered(elements.of(value), kind, 1) for value in (self._weight, self._recurrence)]
        packed = [weight[n].reshape(-1) for n in directions for weight in weights]
        if self._bias is not None:
            bias = self._ordered(elements.of(self._bias), kind, 2)
            packed += [bias[n].reshape(-1) for n in directions]
        parts = _gathered(b, elements, np.concatenate(packed))
        if self._bias is None:
            size = len(directions) * 2 * kind.gates * self._hidden
            parts.append(b.op("_zeros", shape=(size,), dtype=b.dtype(self._data).name, name="bias"))
        if len(parts) == 1:
            return parts[0]
        return b.op("_rnn_param_concat", *parts, num_args=len(parts), dim=0, name="parameters")

    @staticmethod
    def _ordered(array: Numbers, kind: Kind, parts: int) -> Numbers:
        """An array of (directions, parts × gates × …) with the gates of each part in MXNet's order."""
        order = [kind.order.index(gate) for gate in range(kind.gates)]
        return array.reshape(len(array), parts, kind.gates, -1)[:, :, order]


def _gathered(b: MxBuilder, elements: Elements, wanted: Numbers) -> list[MxRef]:
    """One-dimensional arrays that together are the wanted elements.

    An array that is wanted as a whole is stored in the order that it is wanted in; parts of others are sliced.
    """
    wanted = wanted.copy()
    sources = list(elements.sources)
    flat: list[MxRef] = []
    for source in sources:
        start, stop = elements.span(source)
        used = (start <= wanted) & (wanted < stop)
        order, places = wanted[used] - start, np.arange(stop - start)
        shape = [int(str(size)) for size in b.shape(source)]
        if np.array_equal(np.sort(order), places) and not np.array_equal(order, places):
            own = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
            ref = b.derived(source, arrangement(order, shape, own))
            wanted[used] = np.arange(start, stop)
            shape = own
        else:
            ref = b.ref(source)
        flat.append(ref if len(shape) == 1 else b.op("Reshape", ref, shape=(-1,)))
    starts = [elements.span(source)[0] for source in sources]
    owner = np.searchsorted(starts, wanted, side="right") - 1
    found = []
    for part in np.split(np.arange(wanted.size), np.flatnonzero(np.diff(owner)) + 1):
        number = int(owner[part[0]])
        start, stop = elements.span(sources[number])
        found += _cut(b, flat[number], wanted[part] - start, stop - start)
    return found


def _cut(b: MxBuilder, flat: MxRef, places: Numbers, size: int) -> list[MxRef]:
    """Elements of a one-dimensional array of a size, in order."""
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    if len(runs) > _FEW:
        return [b.op("take", flat, b.const(places.astype(np.int32), "order"), axis=0)]
    whole = len(runs) == 1 and len(runs[0]) == size
    return [flat if whole else b.op("slice_axis", flat, axis=0, begin=run[0], end=run[-1] + 1) for run in runs]
