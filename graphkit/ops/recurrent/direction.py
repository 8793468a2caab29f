"""One direction of a recurrent layer while cotangents go back through it: what its cell is handed and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.ops.recurrent.activations import applied
from graphkit.ops.spec import decimal
from graphkit.ops.tensor.sizes import END, some

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Step
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.recurrent.activations import Activation

__all__ = ["Direction", "Gate", "Passed"]

_GATES: Mapping[str, int] = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True, slots=True)
class Passed:
    """The cotangents of one direction; rows are all steps of all sequences.

    Attributes:
        gates: Of X·Wᵀ + Wb, (rows, gates · hidden).
        after: Of what Rb is added to, the same shape.
        recurrent: Pairs of a cotangent of what rows of R give, and what these rows multiply; they make up R together.
        firsts: Of the initial states, (batch, hidden) each.
        weight: W of the direction.
        peepholes: Of P, (3 · hidden,).
    """

    gates: ir.Value
    after: ir.Value
    recurrent: Sequence[tuple[ir.Value, ir.Value]]
    firsts: Sequence[ir.Value]
    weight: ir.Value
    peepholes: ir.Value | None = None


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a layer.

    Attributes:
        b: What nodes are emitted through.
        node: The layer.
        hidden: Size of the state.
        inputs: X, (rows, features).
        weight: W, (gates · hidden, features).
        recurrence: R, (gates · hidden, hidden).
        bias: Wb and Rb, (2 · gates · hidden,).
        peepholes: P, (3 · hidden,).
        outputs: Hidden states of all steps, (steps, batch, hidden).
        firsts: Initial states, (batch, hidden) each.
        ends: Cotangents of the last states.
        cotangent: Cotangent of the outputs, zero beyond a sequence's end.
        mask: Which steps sequences have, (steps, batch, 1); None where all have all.
        backward: Whether the last step comes first.
        steps: Gives rows of a width as (steps, batch, width).
        activations: What its gates go through.
    """

    b: GradientBuilder
    node: ir.Node
    hidden: int
    inputs: ir.Value
    weight: ir.Value
    recurrence: ir.Value
    bias: ir.Value | None
    peepholes: ir.Value | None
    outputs: ir.Value
    firsts: Sequence[ir.Value]
    ends: Sequence[ir.Value]
    cotangent: ir.Value | None
    mask: ir.Value | None
    backward: bool
    steps: Callable[[ir.Value, int], ir.Value]
    activations: Sequence[Activation]

    def before(self) -> ir.Value:
        """The hidden state that each step begins with, (rows, hidden)."""
        outputs = self.outputs
        if self.backward and self.mask is not None:
            outputs = self.b.op("Where", self.mask, outputs, self.firsts[0])
        return self.rows(self.previous(self.firsts[0], outputs), self.hidden)

    def previous(self, first: ir.Value, states: ir.Value) -> ir.Value:
        """The state that each step begins with, (steps, batch, hidden), of those that they end with."""
        b, start = self.b, self.b.op("Unsqueeze", first, [0])
        if self.backward:
            return b.op("Slice", b.op("Concat", states, start, axis=0), [1], [END], [0])
        return b.op("Slice", b.op("Concat", start, states, axis=0), [0], [-1], [0])

    def rows(self, value: ir.Value, width: int) -> ir.Value:
        """A value (steps, batch, width) as rows."""
        return self.b.op("Reshape", value, [-1, width])

    def seen(self, rows: slice, *, both: bool = True) -> ir.Value:
        """Some columns of X·Wᵀ + Wb, also + Rb."""
        b = self.b
        bias = None if self.bias is None else self._part(self.bias, rows)
        if bias is not None and both:
            bias = b.op("Add", bias, self.other_bias(rows))
        return b.op("Gemm", self.inputs, self._part(self.weight, rows), bias, transB=1)

    def matrix(self, rows: slice) -> ir.Value:
        """Some rows of R."""
        return self._part(self.recurrence, rows)

    def other_bias(self, rows: slice) -> ir.Value | None:
        """Some elements of Rb."""
        size = _GATES[self.node.op_type] * self.hidden
        return None if self.bias is None else self._part(self.bias, slice(rows.start + size, rows.stop + size))

    def _part(self, value: ir.Value, rows: slice) -> ir.Value:
        """Some rows of a weight or a bias."""
        whole = self.b.shape(value)[0] == rows.stop - rows.start
        return value if whole else self.b.op("Slice", value, [rows.start], [rows.stop], [0])

    def gate(self, activation: Activation, x: ir.Value, *, clips: bool = True) -> Gate:
        """What an activation makes of values, clipped before if the layer clips."""
        clip = self.node.attributes.get_float("clip", 0.0) if clips and "clip" in self.node.attributes else None
        return Gate(self.b, activation, x, None if clip is None else decimal(clip))

    def only_active(self, rows: ir.Value, width: int, idle: float = 0.0) -> ir.Value:
        """Rows as (steps, batch, width), another number beyond a sequence's end."""
        value = self.steps(rows, width)
        return value if self.mask is None else self.b.op("Where", self.mask, value, self.b.scalar(idle, value))

    def split(self, rows: ir.Value, count: int) -> tuple[ir.Value, ...]:
        """Columns of rows in equal parts."""
        return self.b.ops("Split", count, rows, axis=1, num_outputs=count)

    def idle(self, like: ir.Value) -> ir.Value | None:
        """1 beyond a sequence's end, else 0: (steps, batch, 1)."""
        b = self.b
        return None if self.mask is None else b.op("Where", self.mask, b.scalar(0, like), b.scalar(1, like))

    def backwards(self, step: Step, scanned: Sequence[ir.Value]) -> tuple[ir.Value, ...]:
        """Go through the steps from the last to the first; their parts end with the cotangent, where there is one."""
        more = [] if self.cotangent is None else [self.cotangent]
        return self.b.scan(step, self.ends, [*scanned, *more], backward=not self.backward)

    def total(self, state: ir.Value, more: Sequence[ir.Value]) -> ir.Value:
        """The cotangent of a hidden state: from later steps, and from the outputs where these have one."""
        return self.b.op("Add", state, more[0]) if more else state


class Gate:
    """Values behind an activation.

    Attributes:
        y: The values.
    """

    def __init__(self, b: GradientBuilder, activation: Activation, x: ir.Value, clip: float | None) -> None:
        self._b, self._x = b, x
        if clip is not None:
            x = b.op("Clip", x, b.scalar(-clip, x), b.scalar(clip, x))
        self.y = applied(b, activation, x)

    def slope(self, factor: ir.Value) -> ir.Value:
        """The slope of the activation times a factor."""
        nodes: list[ir.Node] = []
        value = self.y
        while value is not self._x:
            node = some(value.producer())
            nodes.append(node)
            value = some(node.inputs[0])
        (found,) = self._b.pull(nodes[::-1], {self.y: factor}, [self._x])
        return some(found)

    def settle(self, y: ir.Value) -> None:
        """Let slopes read values that are the same as ``y``, which need not be computed then."""
        for user, place in tuple(self.y.uses()):
            user.replace_input_with(place, y)
