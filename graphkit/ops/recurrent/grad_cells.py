"""How cotangents go back through the cells of recurrent layers, one direction of a layer at a time.

What a cell does to a cotangent at a step is linear, so its coefficients are computed for all steps at once, and the
steps themselves only multiply. Names of gates and weights are those of ONNX's operator texts (LSTM, GRU, RNN of opset
22).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphkit.ops.recurrent.direction import Passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.recurrent.direction import Direction, Gate

__all__ = ["CELLS"]


def _rnn(of: Direction) -> Passed:
    b, hidden = of.b, of.hidden
    before = of.before()
    seen = b.op("Gemm", before, of.recurrence, of.seen(slice(0, hidden)), transB=1)
    gate, state = of.gate(of.activations[0], seen), of.rows(of.outputs, hidden)
    slope = of.only_active(gate.slope(b.full_like(state, 1.0)), hidden)
    gate.settle(state)
    idle = of.idle(seen)
    given = [slope, *([] if idle is None else [idle])]

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        total = of.total(states[0], parts[len(given) :])
        gates = b.op("Mul", total, parts[0])
        return [_carried(b, gates, of.recurrence, total, None if idle is None else parts[1])], [gates]

    first, gates = of.backwards(step, given)
    rows = of.rows(gates, hidden)
    return Passed(rows, rows, [(rows, before)], [first], of.weight)


def _carried(
    b: GradientBuilder, gates: ir.Value, recurrence: ir.Value, total: ir.Value, idle: ir.Value | None
) -> ir.Value:
    """The cotangent of the state before a step; that of the state after it beyond a sequence's end."""
    found = b.op("MatMul", gates, recurrence)
    return found if idle is None else b.op("Add", found, b.op("Mul", total, idle))


def _gru(of: Direction) -> Passed:
    b, hidden = of.b, of.hidden
    both, last = slice(0, 2 * hidden), slice(2 * hidden, 3 * hidden)
    before = of.before()
    gates = of.gate(of.activations[0], b.op("Gemm", before, of.matrix(both), of.seen(both), transB=1))
    update, reset = of.split(gates.y, 2)
    if of.node.attributes.get_int("linear_before_reset", 0):
        inner = b.op("Gemm", before, of.matrix(last), of.other_bias(last), transB=1)
        fresh = of.gate(of.activations[1], b.op("Add", of.seen(last, both=False), b.op("Mul", reset, inner)))
        emit = _reset_after
    else:
        inner = b.op("Mul", reset, before)
        fresh = of.gate(of.activations[1], b.op("Gemm", inner, of.matrix(last), of.seen(last), transB=1))
        emit = _reset_before
    new = fresh.slope(b.op("Sub", b.scalar(1, update), update))
    return emit(of, _Gru(before, gates, update, reset, inner, new, b.op("Sub", before, fresh.y)))


class _Gru(NamedTuple):
    """Values in a GRU at all steps, rows.

    Attributes:
        before: The state that a step begins with.
        gates: Update and reset gate.
        update: The former.
        reset: The latter.
        inner: What the reset gate is multiplied with behind the recurrent weight; else what that weight multiplies.
        new: Slope of the state in what the hidden gate is computed from.
        change: Slope of the state in the update gate.
    """

    before: ir.Value
    gates: Gate
    update: ir.Value
    reset: ir.Value
    inner: ir.Value
    new: ir.Value
    change: ir.Value


def _reset_after(of: Direction, at: _Gru) -> Passed:
    """The reset gate applies behind the recurrent weight: one product gives all three gates."""
    b, hidden = of.b, of.hidden
    both = at.gates.slope(b.op("Concat", at.change, b.op("Mul", at.new, at.inner), axis=1))
    scale = of.only_active(b.op("Concat", both, b.op("Mul", at.new, at.reset), axis=1), 3 * hidden)

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        total = of.total(states[0], parts[2:])
        gates = b.op("Mul", b.op("Concat", total, total, total, axis=1), parts[0])
        return [b.op("Add", b.op("MatMul", gates, of.recurrence), b.op("Mul", total, parts[1]))], [gates, total]

    first, gates, totals = of.backwards(step, [scale, of.only_active(at.update, hidden, 1.0)])
    after = of.rows(gates, 3 * hidden)
    last = of.rows(b.op("Mul", totals, of.only_active(at.new, hidden)), hidden)
    own = b.op("Concat", b.op("Slice", after, [0], [2 * hidden], [1]), last, axis=1)
    return Passed(own, after, [(after, at.before)], [first], of.weight)


def _reset_before(of: Direction, at: _Gru) -> Passed:
    """The reset gate applies to the state, before the recurrent weight of the hidden gate."""
    b, hidden = of.b, of.hidden
    both, last = of.matrix(slice(0, 2 * hidden)), of.matrix(slice(2 * hidden, 3 * hidden))
    scale = of.only_active(at.gates.slope(b.op("Concat", at.change, at.before, axis=1)), 2 * hidden)
    keep, new, reset = (
        of.only_active(at.update, hidden, 1.0),
        of.only_active(at.new, hidden),
        of.steps(at.reset, hidden),
    )

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        total = of.total(states[0], parts[4:])
        fresh = b.op("Mul", total, parts[2])
        inner = b.op("MatMul", fresh, last)
        gates = b.op("Mul", b.op("Concat", total, inner, axis=1), parts[0])
        kept = b.op("Add", b.op("Mul", total, parts[1]), b.op("Mul", inner, parts[3]))
        return [b.op("Add", b.op("MatMul", gates, both), kept)], [b.op("Concat", gates, fresh, axis=1)]

    first, gates = of.backwards(step, [scale, keep, new, reset])
    rows = of.rows(gates, 3 * hidden)
    parts = [b.op("Slice", rows, [start], [stop], [1]) for start, stop in ((0, 2 * hidden), (2 * hidden, 3 * hidden))]
    return Passed(rows, rows, [(parts[0], at.before), (parts[1], at.inner)], [first], of.weight)


def _lstm(of: Direction) -> Passed:
    b, hidden = of.b, of.hidden
    before = of.before()
    seen = b.op("Gemm", before, of.recurrence, of.seen(slice(0, 4 * hidden)), transB=1)
    three, cell = b.ops("Split", 2, seen, [3 * hidden, hidden], axis=1)
    fresh = of.gate(of.activations[1], cell)
    if of.peepholes is None:
        at = _gated(of, three)
        cells = _cells(of, at.keep, b.op("Mul", at.take, fresh.y))
    else:
        cells = _looking_cells(of, three, fresh.y, of.peepholes)
    old, now = of.rows(of.previous(of.firsts[1], cells), hidden), of.rows(cells, hidden)
    looked = b.op("Concat", old, now, old, axis=1)
    if of.peepholes is not None:
        at = _gated(of, b.op("Add", three, b.op("Mul", looked, of.peepholes)))
    shown = of.gate(of.activations[2], now, clips=False)
    scale = _slopes(of, at, fresh, shown, old)
    through, keep = shown.slope(at.give), at.keep
    if of.peepholes is not None:
        seen = b.op("Mul", b.op("Slice", scale, [0], [3 * hidden], [1]), of.peepholes)
        take, give, forget = of.split(seen, 3)
        through, keep = b.op("Add", through, give), b.op("Sum", keep, take, forget)
    idle = of.idle(keep)
    given = [
        of.only_active(scale, 4 * hidden),
        of.only_active(through, hidden),
        of.only_active(keep, hidden, 1.0),
        *([] if idle is None else [idle]),
    ]

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        total = of.total(states[0], parts[len(given) :])
        cell = b.op("Add", states[1], b.op("Mul", total, parts[1]))
        gates = b.op("Mul", b.op("Concat", cell, total, cell, cell, axis=1), parts[0])
        carried = _carried(b, gates, of.recurrence, total, None if idle is None else parts[3])
        return [carried, b.op("Mul", cell, parts[2])], [gates]

    *firsts, gates = of.backwards(step, given)
    rows = of.rows(gates, 4 * hidden)
    peepholes = None
    if of.peepholes is not None:
        products = b.op("Mul", b.op("Slice", rows, [0], [3 * hidden], [1]), looked)
        peepholes = b.op("ReduceSum", products, [0], keepdims=0)
    return Passed(rows, rows, [(rows, before)], firsts, of.weight, peepholes)


class _Lstm(NamedTuple):
    """The gates of an LSTM at all steps, rows.

    Attributes:
        gates: Those that are computed with the first activation.
        take: Input gate.
        give: Output gate.
        keep: Forget gate.
    """

    gates: Gate
    take: ir.Value
    give: ir.Value
    keep: ir.Value


def _is_coupled(of: Direction) -> bool:
    return bool(of.node.attributes.get_int("input_forget", 0))


def _gated(of: Direction, three: ir.Value) -> _Lstm:
    """The gates, from what input, output and forget gate are computed of."""
    b = of.b
    if not _is_coupled(of):
        gates = of.gate(of.activations[0], three)
        return _Lstm(gates, *of.split(gates.y, 3))
    gates = of.gate(of.activations[0], b.op("Slice", three, [0], [2 * of.hidden], [1]))
    take, give = of.split(gates.y, 2)
    return _Lstm(gates, take, give, b.op("Sub", b.scalar(1, take), take))


def _slopes(of: Direction, at: _Lstm, fresh: Gate, shown: Gate, old: ir.Value) -> ir.Value:
    """Slopes of the cell, for the output gate of the state, in what the gates are computed of: rows (…, 4 · hidden)."""
    b = of.b
    new = fresh.slope(at.take)
    if _is_coupled(of):
        factors = b.op("Concat", b.op("Sub", fresh.y, old), shown.y, axis=1)
        return b.op("Concat", at.gates.slope(factors), b.full_like(new), new, axis=1)
    return b.op("Concat", at.gates.slope(b.op("Concat", fresh.y, shown.y, old, axis=1)), new, axis=1)


def _cells(of: Direction, keep: ir.Value, more: ir.Value) -> ir.Value:
    """The cells after all steps, (steps, batch, hidden)."""
    b = of.b

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        cell = b.op("Add", b.op("Mul", states[0], parts[0]), parts[1])
        return [cell], [cell]

    given = [of.only_active(keep, of.hidden, 1.0), of.only_active(more, of.hidden)]
    return b.scan(step, [of.firsts[1]], given, backward=of.backward)[1]


def _looking_cells(of: Direction, three: ir.Value, fresh: ir.Value, peepholes: ir.Value) -> ir.Value:
    """The cells after all steps where gates look at them."""
    b, hidden = of.b, of.hidden
    looks = [b.op("Slice", peepholes, [start], [start + hidden], [0]) for start in (0, 2 * hidden)]
    take, _, keep = of.split(three, 3)
    given = [of.steps(value, hidden) for value in (take, keep, fresh)]

    def step(states: Sequence[ir.Value], parts: Sequence[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
        (old,) = states
        take = of.gate(of.activations[0], b.op("Add", parts[0], b.op("Mul", looks[0], old))).y
        if _is_coupled(of):
            keep = b.op("Sub", b.scalar(1, take), take)
        else:
            keep = of.gate(of.activations[0], b.op("Add", parts[1], b.op("Mul", looks[1], old))).y
        cell = b.op("Add", b.op("Mul", keep, old), b.op("Mul", take, parts[2]))
        if of.mask is not None:
            cell = b.op("Where", parts[3], cell, old)
        return [cell], [cell]

    if of.mask is not None:
        given.append(of.mask)
    return b.scan(step, [of.firsts[1]], given, backward=of.backward)[1]


CELLS: Mapping[str, Callable[[Direction], Passed]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}
"""By operator."""
