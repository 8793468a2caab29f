"""ONNX's recurrent layers that MXNet's fused operator does not have, step by step.

Every activation, peepholes, clipping, coupled gates, a reset gate before the recurrent weight, and the last cell state
of sequences of different lengths. The definitions are those of ONNX's RNN, GRU and LSTM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.recurrent.activations import activations_of
from graphkit.ops.recurrent.elements import is_zero
from graphkit.ops.spec import Refusal, decimal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.recurrent.activations import Activation

__all__ = ["write_steps"]

_MOST = 256
"""Steps that are written one after the other at most."""


def write_steps(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None], why: Refusal) -> Sequence[MxRef] | Refusal:
    """Write an LSTM, GRU or RNN node by its steps, or say why it is not written as one operator."""
    batch_first = bool(node.attributes.get_int("layout", 0))
    steps = b.shape(some(node.inputs[0]))[1 if batch_first else 0]
    hidden = b.shape(some(node.inputs[2]))[2]
    if not isinstance(steps, int) or not isinstance(hidden, int):
        return Refusal(f"{why.reason}; its steps can be written one by one where --input gives their number")
    if steps > _MOST:
        return Refusal(f"{why.reason}; its {steps} steps are too many to be written one by one")
    way = node.attributes.get_string("direction", "forward")
    directions = 2 if way == "bidirectional" else 1
    activations = activations_of(node)
    if isinstance(activations, Refusal):
        return activations
    refs = [*x, *[None] * (8 - len(x))]
    data = some(refs[0])
    if batch_first:
        data = b.op("SwapAxis", data, dim1=0, dim2=1)
    sides = [
        _Side(b, node, refs, number, activations[number], hidden, batch_first=batch_first).run(
            data, steps, backward=way == "reverse" or number == 1
        )
        for number in range(directions)
    ]
    ys = b.op("stack", *(side[0] for side in sides), num_args=directions, axis=1, name="all")
    lasts = [b.op("stack", *states, num_args=directions, axis=0) for states in list(zip(*sides, strict=True))[1:]]
    if batch_first:
        ys = b.op("transpose", ys, axes=(2, 0, 1, 3))
        lasts = [b.op("SwapAxis", last, dim1=0, dim2=1) for last in lasts]
    return [ys, *lasts]


class _Side:
    """One direction of a layer while it is written."""

    def __init__(
        self,
        b: MxBuilder,
        node: ir.Node,
        refs: Sequence[MxRef | None],
        number: int,
        activations: Sequence[Activation],
        hidden: int,
        *,
        batch_first: bool,
    ) -> None:
        self._b, self._node, self._hidden = b, node, hidden
        self._act = [_function(b, activation) for activation in activations]
        self._gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[node.op_type]
        self._weight, self._recurrence = (self._matrix(some(refs[place]), number) for place in (1, 2))
        bias = None if refs[3] is None else self._vector(some(refs[3]), number)
        width = self._gates * hidden
        self._biases = [
            None if bias is None else b.op("slice_axis", bias, axis=0, begin=at, end=at + width) for at in (0, width)
        ]
        peepholes = None if refs[7] is None else self._vector(some(refs[7]), number)
        self._peepholes = (
            []
            if peepholes is None
            else [
                b.op("expand_dims", b.op("slice_axis", peepholes, axis=0, begin=at, end=at + hidden), axis=0)
                for at in range(0, 3 * hidden, hidden)
            ]
        )
        self._lengths = (
            None if refs[4] is None else b.op("Cast", some(refs[4]), dtype=b.dtype(some(node.inputs[0])).name)
        )
        self._first = [
            None
            if value is None or ref is None or is_zero(value)
            else self._state(ref, number, batch_first=batch_first)
            for value, ref in zip([*node.inputs, *[None] * 8][5:7], refs[5:7], strict=True)
        ][: 2 if node.op_type == "LSTM" else 1]
        self._clip = decimal(node.attributes.get_float("clip", 0.0)) if "clip" in node.attributes else None

    def run(self, data: MxRef, steps: int, *, backward: bool) -> tuple[MxRef, ...]:
        """All outputs (steps, batch, hidden), the last one and, for an LSTM, the last cell state."""
        b, width = self._b, self._gates * self._hidden
        bias = self._biases[0]
        options: dict[str, Any] = {"num_hidden": width, "flatten": False, "no_bias": bias is None or None}
        read = b.op("FullyConnected", data, self._weight, *([] if bias is None else [bias]), **options)
        each = b.ops("SliceChannel", steps, read, num_outputs=steps, axis=0, squeeze_axis=True)
        zeros = b.op("zeros_like", b.op("slice_axis", each[0], axis=1, begin=0, end=self._hidden), name="zeros")
        states = [zeros if first is None else first for first in self._first]
        outputs: list[MxRef] = [zeros] * steps
        step = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[self._node.op_type]
        for place in reversed(range(steps)) if backward else range(steps):
            new = step(each[place], states)
            outputs[place] = new[0]
            if self._lengths is not None:
                within = b.op("expand_dims", b.op("_greater_scalar", self._lengths, scalar=float(place)), axis=1)
                beyond = b.op("_rminus_scalar", within, scalar=1.0)
                outputs[place] = b.op("broadcast_mul", new[0], within)
                new = [
                    b.op("elemwise_add", b.op("broadcast_mul", now, within), b.op("broadcast_mul", old, beyond))
                    for now, old in zip(new, states, strict=True)
                ]
            states = list(new)
        return b.op("stack", *outputs, num_args=steps, axis=0), *states

    def _rnn(self, read: MxRef, states: Sequence[MxRef]) -> list[MxRef]:
        return [self._act[0](self._clipped(self._add(read, self._recur(states[0], 0, 1))))]

    def _gru(self, read: MxRef, states: Sequence[MxRef]) -> list[MxRef]:
        b, state = self._b, states[0]
        both = self._act[0](self._clipped(self._add(self._part(read, 0, 2), self._recur(state, 0, 2))))
        update, reset = (self._part(both, at, at + 1) for at in (0, 1))
        if self._node.attributes.get_int("linear_before_reset", 0):
            past = b.op("elemwise_mul", reset, self._recur(state, 2, 3))
        else:
            past = self._recur(b.op("elemwise_mul", reset, state), 2, 3)
        new = self._act[1](self._clipped(self._add(self._part(read, 2, 3), past)))
        return [self._add(new, b.op("elemwise_mul", update, b.op("elemwise_sub", state, new)))]

    def _lstm(self, read: MxRef, states: Sequence[MxRef]) -> list[MxRef]:
        b, (state, cell) = self._b, states
        total = self._add(read, self._recur(state, 0, 4))
        parts = [self._part(total, at, at + 1) for at in range(4)]
        enter = self._act[0](self._clipped(self._seen(parts[0], 0, cell)))
        if self._node.attributes.get_int("input_forget", 0):
            keep = b.op("_rminus_scalar", enter, scalar=1.0)
        else:
            keep = self._act[0](self._clipped(self._seen(parts[2], 2, cell)))
        new = self._act[1](self._clipped(parts[3]))
        cell = self._add(b.op("elemwise_mul", keep, cell), b.op("elemwise_mul", enter, new))
        leave = self._act[0](self._clipped(self._seen(parts[1], 1, cell)))
        return [b.op("elemwise_mul", leave, self._act[2](cell)), cell]

    def _seen(self, gate: MxRef, number: int, cell: MxRef) -> MxRef:
        """What a gate is computed from, with its peephole to the cell."""
        if not self._peepholes:
            return gate
        return self._add(gate, self._b.op("broadcast_mul", cell, self._peepholes[number]))

    def _recur(self, state: MxRef, first: int, end: int) -> MxRef:
        """The state times the recurrent weights of some gates, with their bias."""
        rows = (first * self._hidden, end * self._hidden)
        whole = end - first == self._gates
        weight, bias = (
            part if whole or part is None else self._b.op("slice_axis", part, axis=0, begin=rows[0], end=rows[1])
            for part in (self._recurrence, self._biases[1])
        )
        options: dict[str, Any] = {"num_hidden": rows[1] - rows[0], "flatten": False, "no_bias": bias is None or None}
        return self._b.op("FullyConnected", state, some(weight), *([] if bias is None else [bias]), **options)

    def _part(self, gates: MxRef, first: int, end: int) -> MxRef:
        return self._b.op("slice_axis", gates, axis=1, begin=first * self._hidden, end=end * self._hidden)

    def _add(self, left: MxRef, right: MxRef) -> MxRef:
        return self._b.op("elemwise_add", left, right)

    def _clipped(self, data: MxRef) -> MxRef:
        return data if self._clip is None else self._b.op("clip", data, a_min=-self._clip, a_max=self._clip)

    def _matrix(self, weight: MxRef, number: int) -> MxRef:
        """The weights of the direction, (rows, columns)."""
        own = self._b.op("slice_axis", weight, axis=0, begin=number, end=number + 1)
        return self._b.op("Reshape", own, shape=(-3, 0))

    def _vector(self, bias: MxRef, number: int) -> MxRef:
        own = self._b.op("slice_axis", bias, axis=0, begin=number, end=number + 1)
        return self._b.op("Reshape", own, shape=(-1,))

    def _state(self, state: MxRef, number: int, *, batch_first: bool) -> MxRef:
        """The first state of the direction, (batch, hidden)."""
        own = self._b.op("slice_axis", state, axis=int(batch_first), begin=number, end=number + 1)
        return self._b.op("Reshape", own, shape=(0, -3) if batch_first else (-3, 0))


def _function(b: MxBuilder, activation: Activation) -> Callable[[MxRef], MxRef]:
    name, alpha, beta = activation.name, activation.alpha or 0.0, activation.beta or 0.0
    plain = {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "softsign": "softsign"}
    if name in plain:
        return lambda x: b.op(plain[name], x)
    if name == "softplus":
        return lambda x: b.op("Activation", x, act_type="softrelu")
    if name == "leakyrelu":
        return lambda x: b.op("LeakyReLU", x, act_type="leaky", slope=alpha)
    if name == "elu":
        return lambda x: b.op("LeakyReLU", x, act_type="elu", slope=alpha)
    if name == "thresholdedrelu":
        return lambda x: b.op("elemwise_mul", x, b.op("_greater_scalar", x, scalar=alpha))
    if name == "scaledtanh":
        return lambda x: b.op("_mul_scalar", b.op("tanh", b.op("_mul_scalar", x, scalar=beta)), scalar=alpha)
    if name == "affine":
        return lambda x: b.op("_plus_scalar", b.op("_mul_scalar", x, scalar=alpha), scalar=beta)
    return lambda x: b.op(
        "clip", b.op("_plus_scalar", b.op("_mul_scalar", x, scalar=alpha), scalar=beta), a_min=0.0, a_max=1.0
    )
