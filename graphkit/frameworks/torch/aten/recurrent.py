"""Recurrent layers of any number of steps, as one ONNX node for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.torch.lasting import NAMESPACE
from graphkit.ops.recurrent.gates import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit
    from graphkit.ops.recurrent.gates import Kind

__all__ = ["ROWS"]


def _recurrent(
    mode: str,
    emit: Emit,
    x: ir.Value,
    lengths: ir.Value | None,
    states: Sequence[ir.Value],
    weights: Sequence[ir.Value],
    bias: bool,
    layers: int,
    dropout: float,
    _train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[ir.Value]:
    kind, directions = KINDS[mode], 2 if bidirectional else 1
    size = len(weights) // (layers * directions)
    projected = size == (5 if bias else 3)
    y = emit.op("Transpose", x, perm=[1, 0, 2]) if batch_first else x
    ends = None if lengths is None else emit.op("Cast", lengths, to=6)
    lasts = []
    for layer in range(layers):
        if layer and dropout:
            y = emit.op("Dropout", y, emit.array(np.array(dropout, np.float32)))
        count = size * directions
        own = weights[layer * count : (layer + 1) * count]
        sides = [own[side * size : (side + 1) * size] for side in range(directions)]
        initial = [_part(emit, state, layer * directions, directions, layers) for state in states]
        y, *last = _layer(emit, kind, y, ends, initial, sides, projected=projected)
        lasts.append(last)
    if batch_first:
        y = emit.op("Transpose", y, perm=[1, 0, 2])
    return [y, *(parts[0] if layers == 1 else emit.op("Concat", *parts, axis=0) for parts in zip(*lasts, strict=True))]


def _part(emit: Emit, state: ir.Value, start: int, count: int, layers: int) -> ir.Value:
    """The initial state of one layer."""
    if layers == 1:
        return state
    return emit.op("Slice", state, emit.ints(start), emit.ints(start + count), emit.ints(0))


def _layer(
    emit: Emit,
    kind: Kind,
    x: ir.Value,
    lengths: ir.Value | None,
    initial: Sequence[ir.Value],
    sides: Sequence[Sequence[ir.Value]],
    *,
    projected: bool,
) -> list[ir.Value]:
    """What one layer gives for (steps, batch, features), and its last states."""
    weight, recurrence = (_stacked(emit, kind, [side[place] for side in sides]) for place in (0, 1))
    bias = _biases(emit, kind, [array for side in sides for array in side[2:4]]) if len(sides[0]) > 3 else None
    hidden, directions = _size(sides[0][0], 0) // kind.gates, len(sides)
    way = "bidirectional" if directions == 2 else None
    if projected:
        projection = _joined(emit, [emit.op("Unsqueeze", side[-1], emit.ints(0)) for side in sides])
        inputs = [x, weight, recurrence, projection, bias, lengths, *initial]
        found = emit.own("ProjectedLSTM", 3, *inputs, direction=way)
    else:
        found = emit.ops(
            kind.onnx,
            1 + kind.states,
            x,
            weight,
            recurrence,
            bias,
            lengths,
            *initial,
            hidden_size=hidden,
            direction=way,
            activations=[kind.activation] * directions if kind.activation == "Relu" else None,
            linear_before_reset=1 if kind.mode == "gru" else None,
        )
    y, *last = found
    if directions == 1:
        return [emit.op("Squeeze", y, emit.ints(1)), *last]
    width = 2 * _size(sides[0][1], 1)
    return [emit.op("Reshape", emit.op("Transpose", y, perm=[0, 2, 1, 3]), emit.ints(0, 0, width)), *last]


def _size(value: ir.Value, axis: int) -> int:
    assert value.shape is not None
    return int(value.shape[axis])  # type: ignore[arg-type]  # weights have no symbolic sizes


def _stacked(emit: Emit, kind: Kind, arrays: Sequence[ir.Value]) -> ir.Value:
    """Weights of the directions in ONNX's order: (directions, gates · hidden, columns)."""
    rows, columns = _size(arrays[0], 0), _size(arrays[0], 1)
    return _joined(emit, [_ordered(emit, kind, array, 0, columns, (1, rows, columns)) for array in arrays])


def _biases(emit: Emit, kind: Kind, arrays: Sequence[ir.Value]) -> ir.Value:
    """Biases, two for each direction, in ONNX's order: (directions, 2 · gates · hidden)."""
    rows, directions = _size(arrays[0], 0), len(arrays) // 2
    return _ordered(emit, kind, _joined(emit, arrays), 1, 1, (directions, 2 * rows), parts=len(arrays))


def _ordered(
    emit: Emit, kind: Kind, array: ir.Value, axis: int, columns: int, shape: Sequence[int], parts: int = 1
) -> ir.Value:
    """An array whose gates lie along an axis, with these in ONNX's order, in another shape."""
    if kind.gates > 1:
        sizes = [kind.gates, -1, columns] if axis == 0 else [parts, kind.gates, -1]
        apart = emit.op("Reshape", array, emit.ints(*sizes))
        array = emit.op("Gather", apart, emit.ints(*kind.order), axis=axis)
    return emit.op("Reshape", array, emit.ints(*shape))


def _joined(emit: Emit, arrays: Sequence[ir.Value]) -> ir.Value:
    return arrays[0] if len(arrays) == 1 else emit.op("Concat", *arrays, axis=0)


def _row(mode: str) -> Callable[..., list[ir.Value]]:
    def row(emit: Emit, *args: Any) -> list[ir.Value]:
        return _recurrent(mode, emit, *args)

    return row


ROWS = {f"{NAMESPACE}.{mode}.default": _row(mode) for mode in KINDS}
