"""Recurrent layers: a node for each layer, its weights in ONNX's order of gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.aten.emit import known, rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

_GATES: Final = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""For each gate of ONNX (i o f c; z r h), its place among torch's (i f g o; r z n)."""


def _recurrent(op_type: str, activation: str = "") -> Callable[..., list[ir.Value]]:
    def row(
        emit: Recorder,
        x: ir.Value,
        hx: ir.Value | list[ir.Value],
        params: Sequence[ir.Value],
        has_biases: bool,
        num_layers: int,
        dropout: float,  # noqa: ARG001 -- of training
        train: bool,  # noqa: ARG001 -- models are shown in inference form
        bidirectional: bool,
        batch_first: bool,
    ) -> list[ir.Value]:
        ways, each = 1 + bidirectional, 4 if has_biases else 2
        if rank(x) != 3 or len(params) != num_layers * ways * each:
            raise UnfitError("ONNX has no projections of states")
        states = [_by_layer(emit, state, num_layers, ways) for state in (hx if isinstance(hx, list) else [hx])]
        ends: list[list[ir.Value]] = [[] for _ in states]
        if batch_first:
            x = emit.op("Transpose", x, perm=[1, 0, 2])
        for layer in range(num_layers):
            own = params[layer * ways * each : (layer + 1) * ways * each]
            directions = [own[way * each : (way + 1) * each] for way in range(ways)]
            weights = [_joined(emit, [_ordered(emit, way[place], op_type) for way in directions]) for place in (0, 1)]
            bias = _joined(emit, [_biases(emit, way[2:], op_type) for way in directions]) if has_biases else None
            initial = [state[layer] for state in states]
            outputs = emit.ops(op_type, 1 + len(states), x, *weights, bias, None, *initial, **_attrs(own, ways))
            x = _side_by_side(emit, outputs[0], known(own[1])[1], ways)
            for end, value in zip(ends, outputs[1:], strict=True):
                end.append(value)
        if batch_first:
            x = emit.op("Transpose", x, perm=[1, 0, 2])
        return [x, *(end[0] if len(end) == 1 else emit.op("Concat", *end, axis=0) for end in ends)]

    def _attrs(own: Sequence[ir.Value], ways: int) -> dict[str, Any]:
        return {
            "direction": "bidirectional" if ways == 2 else "forward",
            "hidden_size": known(own[1])[1],
            "layout": 0,
            "input_forget": 0 if op_type == "LSTM" else None,
            "linear_before_reset": 1 if op_type == "GRU" else None,
            "activations": [activation] * ways if activation else None,
        }

    return row


def _by_layer(emit: Recorder, state: ir.Value, layers: int, ways: int) -> list[ir.Value]:
    return [state] if layers == 1 else emit.ops("Split", layers, state, emit.ints(*[ways] * layers), axis=0)


def _ordered(emit: Recorder, weight: ir.Value, op_type: str) -> ir.Value:
    """A weight or bias with the gates in ONNX's order."""
    gates = _GATES[op_type]
    rows = known(weight)[0]
    if len(gates) == 1 or rows is None:
        return weight
    size = rows // len(gates)
    return emit.op("Gather", weight, emit.ints(*(gate * size + row for gate in gates for row in range(size))), axis=0)


def _biases(emit: Recorder, pair: Sequence[ir.Value], op_type: str) -> ir.Value:
    return emit.op("Concat", *(_ordered(emit, bias, op_type) for bias in pair), axis=0)


def _joined(emit: Recorder, ways: Sequence[ir.Value]) -> ir.Value:
    """What each direction has, along a first axis of directions."""
    parts = [emit.op("Unsqueeze", way, emit.ints(0)) for way in ways]
    return parts[0] if len(parts) == 1 else emit.op("Concat", *parts, axis=0)


def _side_by_side(emit: Recorder, y: ir.Value, hidden: int | None, ways: int) -> ir.Value:
    """(time, directions, batch, hidden) as (time, batch, directions · hidden)."""
    if ways == 1:
        return emit.op("Squeeze", y, emit.ints(1))
    turned = emit.op("Transpose", y, perm=[0, 2, 1, 3])
    return emit.op("Reshape", turned, emit.ints(0, 0, ways * (hidden or 0)))


ROWS: dict[str, Callable[..., Any]] = {
    "lstm.input": _recurrent("LSTM"),
    "gru.input": _recurrent("GRU"),
    "rnn_tanh.input": _recurrent("RNN", "Tanh"),
    "rnn_relu.input": _recurrent("RNN", "Relu"),
}
