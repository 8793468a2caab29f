"""MXNet's fused recurrent operator as ONNX nodes, one per layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.recurrent.elements import is_zero
from graphkit.ops.recurrent.gates import KINDS, Kind, Piece, input_size, pieces, span
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["READS", "read"]

READS = (
    "state_size",
    "num_layers",
    "bidirectional",
    "p",
    "state_outputs",
    "projection_size",
    "lstm_state_clip_min",
    "lstm_state_clip_max",
    "lstm_state_clip_nan",
    "use_sequence_length",
)


@dataclass(frozen=True, slots=True)
class _Fused:
    """Parameters of an ``RNN`` node."""

    kind: Kind
    hidden: int
    layers: int
    directions: int
    dropout: float
    projection: int
    states: bool
    lengths: bool

    @classmethod
    def of(cls, node: MxNode) -> _Fused:
        attrs = node.attrs
        projection = attrs.get("projection_size", "None")
        return cls(
            KINDS[attrs["mode"]],
            int(attrs["state_size"]),
            int(attrs["num_layers"]),
            2 if BOOL.parse(attrs.get("bidirectional", "False")) else 1,
            FLOAT.parse(attrs.get("p", "0")),
            0 if projection == "None" else int(projection),
            bool(BOOL.parse(attrs.get("state_outputs", "False"))),
            bool(BOOL.parse(attrs.get("use_sequence_length", "False"))),
        )


def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    """An ``RNN`` node."""
    fused = _Fused.of(node)
    if (
        node.attrs.get("lstm_state_clip_min", "None") != "None"
        or node.attrs.get("lstm_state_clip_max", "None") != "None"
    ):
        return Refusal("it clips the state of the cell at every step, which neither ONNX nor MXNet on the CPU can do")
    if fused.projection and fused.kind.mode != "lstm":
        return Refusal("it has a projection, which MXNet itself has for LSTMs only")
    data, flat, *initial = (some(operand) for operand in x)
    lengths = b.op("Cast", initial.pop(), to=ir.DataType.INT32) if fused.lengths else None
    inputs = _input_size(b, fused, data, flat)
    sizes = (fused.kind.gates, fused.layers, fused.directions, inputs, fused.hidden, fused.projection)
    length = b.shape(flat)[0] if _is_shaped(flat) else None
    if isinstance(length, int) and length != span(*sizes):
        return Refusal(f"its parameters are a vector of {length} numbers, and it needs {span(*sizes)}")
    packed = _Packed(b, flat, pieces(*sizes))
    out, last = data, []
    for layer in range(fused.layers):
        if layer and fused.dropout:
            out = b.op("Dropout", out, b.const(np.float32(fused.dropout)))
        before = [_state(b, state, layer, fused) for state in initial]
        out, after = _layer(b, fused, packed, layer, out, before, lengths)
        last.append(after)
    if not fused.states:
        return [out]
    return [
        out,
        *(parts[0] if fused.layers == 1 else b.op("Concat", *parts, axis=0) for parts in zip(*last, strict=True)),
    ]


def _input_size(b: OnnxBuilder, fused: _Fused, data: ir.Value, flat: ir.Value) -> int:
    size = b.shape(data)[2] if _is_shaped(data) else None
    if isinstance(size, int):
        return size
    length = b.shape(flat)[0] if _is_shaped(flat) else None
    found = None
    if isinstance(length, int):
        found = input_size(length, fused.kind.gates, fused.layers, fused.directions, fused.hidden, fused.projection)
    return b.static_shape(data)[2] if found is None else found


def _is_shaped(value: ir.Value) -> bool:
    return value.shape is not None or value.const_value is not None


class _Packed:
    """The packed vector: as a whole, or as the arrays that it was put together from.

    Attributes:
        biased: Whether there are biases that are not all zero.
    """

    def __init__(self, b: OnnxBuilder, flat: ir.Value, parts: Sequence[Piece]) -> None:
        self._b = b
        self._flat = flat
        self._parts = parts
        self.biased = True
        self._own = self._arrays()

    def _arrays(self) -> list[ir.Value] | None:
        """The arrays that the vector was concatenated from, where they are its pieces; zeros may be all biases."""
        producer = self._flat.producer()
        if producer is None or producer.op_type != "Concat":
            return None
        operands, parts = list(producer.inputs), self._parts
        if is_zero(some(operands[-1])):
            weights = [piece for piece in parts if piece.part.endswith("weight")]
            if len(operands) == len(weights) + 1 and self._b.shape(some(operands[-1])) == (
                parts[-1].stop - weights[-1].stop,
            ):
                operands, parts = operands[:-1], weights
                self.biased = False
        if len(operands) != len(parts):
            return None
        found = []
        for operand, piece in zip(operands, parts, strict=True):
            flattening = some(operand).producer()
            source = some(operand if flattening is None or flattening.op_type != "Reshape" else flattening.inputs[0])
            dims = self._b.shape(source) if _is_shaped(source) else (None,)
            sizes = [size for size in dims if isinstance(size, int)]
            if len(sizes) < len(dims) or prod(sizes) != prod(piece.shape):
                return None
            found.append(source)
        return found

    def weights(self, part: str, layer: int, order: Sequence[int]) -> ir.Value:
        """The weights of a layer's directions in ONNX's order: (directions, gates × hidden, columns)."""
        b, found = self._b, []
        for number, piece in self._of(layer, part):
            rows, columns = piece.shape
            array = self._piece(number, piece)
            if len(order) > 1:
                array = b.op("Reshape", array, [len(order), rows // len(order), columns])
                array = b.op("Gather", array, list(order), axis=0)
            found.append(b.op("Reshape", array, [1, rows, columns]))
        return found[0] if len(found) == 1 else b.op("Concat", *found, axis=0)

    def biases(self, layer: int, order: Sequence[int]) -> ir.Value:
        """The biases of a layer's directions in ONNX's order: (directions, 2 × gates × hidden)."""
        b = self._b
        chosen = [*self._of(layer, "i2h_bias"), *self._of(layer, "h2h_bias")]
        chosen.sort(key=lambda entry: entry[1].start)
        directions, rows = len(chosen) // 2, chosen[0][1].shape[0]
        if self._own is None:
            array = b.op("Slice", self._flat, [chosen[0][1].start], [chosen[-1][1].stop], [0])
        else:
            array = b.op("Concat", *(self._own[number] for number, _ in chosen), axis=0)
        if len(order) > 1:
            array = b.op("Reshape", array, [2 * directions, len(order), rows // len(order)])
            array = b.op("Gather", array, list(order), axis=1)
        return b.op("Reshape", array, [directions, 2 * rows])

    def _of(self, layer: int, part: str) -> list[tuple[int, Piece]]:
        return [(n, piece) for n, piece in enumerate(self._parts) if piece.layer == layer and piece.part == part]

    def _piece(self, number: int, piece: Piece) -> ir.Value:
        if self._own is not None:
            return self._own[number]
        return self._b.op("Slice", self._flat, [piece.start], [piece.stop], [0])


def _state(b: OnnxBuilder, state: ir.Value, layer: int, fused: _Fused) -> ir.Value | None:
    """The initial state of one layer; None where it is zero."""
    if is_zero(state):
        return None
    if fused.layers == 1:
        return state
    first = layer * fused.directions
    return b.op("Slice", state, [first], [first + fused.directions], [0])


def _layer(
    b: OnnxBuilder,
    fused: _Fused,
    packed: _Packed,
    layer: int,
    data: ir.Value,
    initial: Sequence[ir.Value | None],
    lengths: ir.Value | None,
) -> tuple[ir.Value, Sequence[ir.Value]]:
    """The output (T, N, directions × features) and the last states of one layer."""
    kind, both = fused.kind, fused.directions == 2
    weight = packed.weights("i2h_weight", layer, kind.order)
    recurrence = packed.weights("h2h_weight", layer, kind.order)
    bias = packed.biases(layer, kind.order) if packed.biased else None
    way = "bidirectional" if both else None
    if fused.projection:
        projection = packed.weights("h2r_weight", layer, (0,))
        inputs = [data, weight, recurrence, projection, bias, lengths, *initial]
        found = b.ops("ProjectedLSTM", 3, *inputs, domain=DOMAIN, direction=way)
    else:
        found = b.ops(
            kind.onnx,
            1 + kind.states if fused.states else 1,
            data,
            weight,
            recurrence,
            bias,
            lengths,
            *initial,
            hidden_size=fused.hidden,
            direction=way,
            activations=[kind.activation] * fused.directions if kind.activation == "Relu" else None,
            linear_before_reset=1 if kind.mode == "gru" else None,
        )
    steps, last = found[0], found[1:]
    if not both:
        return b.op("Squeeze", steps, [1]), last
    size = 2 * (fused.projection or fused.hidden)
    return b.op("Reshape", b.op("Transpose", steps, perm=[0, 2, 1, 3]), [0, 0, size]), last
