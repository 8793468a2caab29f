"""How gradients pass ONNX's recurrent layers: back-propagation through time (Werbos, Proc. IEEE 78, 1990).

Hidden states of all steps are outputs of the layer, so what its gates were is computed anew for all steps at once. Only
what carries cotangents from step to step is a Scan; weights then take theirs from the cotangents of all steps together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.recurrent.activations import activations_of
from graphkit.ops.recurrent.direction import Direction
from graphkit.ops.recurrent.grad_cells import CELLS
from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.recurrent.activations import Activation
    from graphkit.ops.recurrent.direction import Passed

__all__ = ["gradient"]

_X, _W, _R, _B, _LENGTHS, _H, _C, _P = range(8)


def gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The gradient of an LSTM, GRU or RNN node."""
    activations = activations_of(node)
    if isinstance(activations, Refusal):
        return activations
    layer = _Layer(b, node, dy)
    passed = [CELLS[node.op_type](layer.direction(number, own)) for number, own in enumerate(activations)]
    return layer.gradients(passed)[: len(node.inputs)]


class _Layer:
    """One node: what its directions share.

    Steps come before the batch here, whatever the node's layout; ``rows`` are all steps of all sequences.
    """

    def __init__(self, b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> None:
        self._b = b
        self._node = node
        self._inputs = [*node.inputs, *[None] * (8 - len(node.inputs))]
        self._cotangents = [*dy, *[None] * (3 - len(dy))]
        self._batch_first = bool(node.attributes.get_int("layout", 0))
        way = node.attributes.get_string("direction", "forward")
        self._count = 2 if way == "bidirectional" else 1
        self._reverse = way == "reverse"
        self._hidden = b.size(some(self._inputs[_R]), 2)
        self._features = b.size(some(self._inputs[_W]), 2)
        self._x = self._turned(some(node.inputs[0]), (1, 0, 2))
        self._sizes = b.shape(self._x)[:2]
        self._mask, self._some = self._masks()
        inputs = self._x if self._mask is None else b.op("Where", self._mask, self._x, b.scalar(0, self._x))
        self._rows = b.op("Reshape", inputs, [-1, self._features])
        self._outputs = self._turned(b.output(node, 0), (1, 2, 0, 3))

    def _turned(self, value: ir.Value, axes: Sequence[int]) -> ir.Value:
        return self._b.op("Transpose", value, perm=list(axes)) if self._batch_first else value

    def _masks(self) -> tuple[ir.Value | None, ir.Value | None]:
        """Which steps sequences have (steps, batch, 1), and which sequences have any (batch, 1); None where all do."""
        b, lengths = self._b, self._inputs[_LENGTHS]
        if lengths is None:
            return None, None
        known = b.value(lengths)
        if known is not None and isinstance(self._sizes[0], int) and (known == self._sizes[0]).all():
            return None, None
        ends = b.op("Unsqueeze", b.op("Cast", lengths, to=int(ir.DataType.INT64)), [1])
        steps = b.op("Squeeze", b.op("Slice", b.shape_of(self._x), [0], [1]), [0])
        times = b.op("Range", np.array(0), steps, np.array(1))
        return b.op("Less", b.op("Unsqueeze", times, [1, 2]), ends), b.op("Greater", ends, [0])

    def direction(self, number: int, activations: Sequence[Activation]) -> Direction:
        """What the cell of one direction is handed."""
        b = self._b
        own = [self._one(value, number) for value in (self._inputs[place] for place in (_W, _R, _B, _P))]
        states = 2 if self._node.op_type == "LSTM" else 1
        batch_last = (1, 0, 2)
        firsts = [
            None if value is None else self._one(self._turned(value, batch_last), number)
            for value in self._inputs[_H : _H + states]
        ]
        ends = [
            None if value is None else self._one(self._turned(value, batch_last), number)
            for value in self._cotangents[1 : 1 + states]
        ]
        cotangent = self._cotangents[0]
        if cotangent is not None:
            cotangent = self._one(self._turned(cotangent, (1, 2, 0, 3)), number, 1)
            if self._mask is not None:
                cotangent = b.op("Where", self._mask, cotangent, b.scalar(0, self._x))
        if self._some is not None:
            ends = [None if end is None else b.op("Where", self._some, end, b.scalar(0, end)) for end in ends]
        zeros = self._zeros() if None in (*firsts, *ends) else self._x
        return Direction(
            b,
            self._node,
            hidden=self._hidden,
            inputs=self._rows,
            weight=some(own[0]),
            recurrence=some(own[1]),
            bias=own[2],
            peepholes=own[3],
            outputs=some(self._one(self._outputs, number, 1)),
            firsts=[zeros if first is None else first for first in firsts],
            ends=[zeros if end is None else end for end in ends],
            cotangent=cotangent,
            mask=self._mask,
            backward=self._reverse or number == 1,
            steps=self._steps,
            activations=activations,
        )

    def _one(self, value: ir.Value | None, number: int, axis: int = 0) -> ir.Value | None:
        """One direction's part of a value."""
        if value is None:
            return None
        if self._count == 1:
            return self._b.op("Squeeze", value, [axis])
        return self._b.op("Gather", value, np.array(number), axis=axis)

    def _zeros(self) -> ir.Value:
        """A state of zeros, (batch, hidden)."""
        b = self._b
        filling = ir.tensor(np.zeros(1, b.dtype(self._x)))
        if isinstance(self._sizes[1], int):
            return b.op("ConstantOfShape", [self._sizes[1], self._hidden], value=filling)
        batch = b.op("Slice", b.shape_of(self._x), [1], [2])
        return b.op("ConstantOfShape", b.op("Concat", batch, [self._hidden], axis=0), value=filling)

    def _steps(self, rows: ir.Value, width: int) -> ir.Value:
        """Rows (steps × batch, width) as (steps, batch, width)."""
        b = self._b
        free = [size for size in self._sizes if not isinstance(size, int)]
        if len(free) < 2:
            return b.op("Reshape", rows, [*(size if isinstance(size, int) else -1 for size in self._sizes), width])
        sizes = b.op("Slice", b.shape_of(self._x), [0], [2])
        return b.op("Reshape", rows, b.op("Concat", sizes, [width], axis=0))

    def gradients(self, passed: Sequence[Passed]) -> list[ir.Value | None]:
        """The gradients in the node's inputs."""
        b, inputs = self._b, self._inputs
        found: list[ir.Value | None] = [None] * 8
        if b.wants(inputs[_X]):
            found[_X] = self._in_data(passed)
        if b.wants(inputs[_W]):
            found[_W] = self._stacked([_product(b, each.gates, self._rows) for each in passed])
        if b.wants(inputs[_R]):
            found[_R] = self._stacked([self._in_recurrence(each) for each in passed])
        if b.wants(inputs[_B]):
            found[_B] = self._stacked([self._in_bias(each) for each in passed])
        for place, value in enumerate(inputs[_H : _H + len(passed[0].firsts)]):
            if b.wants(value):
                stacked = self._stacked([each.firsts[place] for each in passed])
                found[_H + place] = self._turned(stacked, (1, 0, 2))
        if b.wants(inputs[_P]):
            found[_P] = self._stacked([some(each.peepholes) for each in passed])
        return [
            None if gradient is None or value is None else b.like(gradient, value)
            for gradient, value in zip(found, inputs, strict=True)
        ]

    def _in_data(self, passed: Sequence[Passed]) -> ir.Value:
        b, rows = self._b, None
        for each in passed:
            rows = b.op("Gemm", each.gates, each.weight, rows)
        return self._turned(self._steps(some(rows), self._features), (1, 0, 2))

    def _in_recurrence(self, passed: Passed) -> ir.Value:
        parts = [_product(self._b, gates, state) for gates, state in passed.recurrent]
        return parts[0] if len(parts) == 1 else self._b.op("Concat", *parts, axis=0)

    def _in_bias(self, passed: Passed) -> ir.Value:
        b = self._b
        own = b.op("ReduceSum", passed.gates, [0], keepdims=0)
        other = own
        if passed.after is not passed.gates:
            other = b.op("ReduceSum", passed.after, [0], keepdims=0)
        return b.op("Concat", own, other, axis=0)

    def _stacked(self, parts: Sequence[ir.Value]) -> ir.Value:
        """The directions' parts along a new first axis."""
        b = self._b
        apart = [b.op("Unsqueeze", part, [0]) for part in parts]
        return apart[0] if len(apart) == 1 else b.op("Concat", *apart, axis=0)


def _product(b: GradientBuilder, gates: ir.Value, state: ir.Value) -> ir.Value:
    """The gradient of a weight: Σ over rows of the cotangent of what it gave times what it was given."""
    return b.op("Gemm", gates, state, transA=1)
