"""What MXNet's one recurrent operator packs into one vector, and in which order.

The vector of ``RNN`` holds, for each layer and each of its directions, the weight of the input and the weight of the
state, with a projection also that; after all of them come, in the same order, the biases of the input and of the state.
The rows of a weight are gate after gate: input, forget, cell, output for an LSTM, reset, update, new for a GRU. ONNX
has other orders, see :attr:`Kind.order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final, Literal

from graphkit import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "Kind", "Piece", "input_size", "pieces", "span"]

Part = Literal["i2h_weight", "h2h_weight", "h2r_weight", "i2h_bias", "h2h_bias"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of recurrent layer.

    Attributes:
        mode: MXNet's name of it.
        onnx: ONNX operator.
        order: Which of MXNet's gates each of ONNX's is.
        activation: ONNX's activation where the operator has a choice, else empty.
    """

    mode: str
    onnx: str
    order: tuple[int, ...]
    activation: str = ""

    @property
    def gates(self) -> int:
        """Number of gates."""
        return len(self.order)

    @property
    def states(self) -> int:
        """Number of states that it carries from step to step."""
        return 2 if self.mode == "lstm" else 1


KINDS: Final[Mapping[str, Kind]] = {
    "lstm": Kind("lstm", "LSTM", (0, 3, 1, 2)),
    "gru": Kind("gru", "GRU", (1, 0, 2)),
    "rnn_tanh": Kind("rnn_tanh", "RNN", (0,), "Tanh"),
    "rnn_relu": Kind("rnn_relu", "RNN", (0,), "Relu"),
}
"""The kinds by MXNet's mode."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One array of the packed vector.

    Attributes:
        part: Which one, as Gluon calls it.
        layer: Layer, from 0.
        direction: 0 forward, 1 backward.
        shape: Its shape.
        start: Where it begins in the vector.
    """

    part: Part
    layer: int
    direction: int
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        """Where it ends in the vector."""
        return self.start + prod(self.shape)


def pieces(gates: int, layers: int, directions: int, inputs: int, hidden: int, projection: int = 0) -> list[Piece]:
    """The arrays of a packed vector, in order.

    Args:
        gates: Number of gates.
        layers: Number of layers.
        directions: 1, or 2 for a bidirectional one.
        inputs: Size of the first layer's input.
        hidden: Size of the state.
        projection: Size that the output of an LSTM is projected to, 0 for none.

    Raises:
        LimitError: There are more than a node may read.
    """
    limits.check("operands", 4 * layers * directions, f"A recurrent network of {layers} layers")
    found: list[Piece] = []

    def add(part: Part, layer: int, direction: int, *shape: int) -> None:
        found.append(Piece(part, layer, direction, shape, found[-1].stop if found else 0))

    rows, out = gates * hidden, projection or hidden
    for layer in range(layers):
        for direction in range(directions):
            add("i2h_weight", layer, direction, rows, directions * out if layer else inputs)
            add("h2h_weight", layer, direction, rows, out)
            if projection:
                add("h2r_weight", layer, direction, projection, hidden)
    for layer in range(layers):
        for direction in range(directions):
            add("i2h_bias", layer, direction, rows)
            add("h2h_bias", layer, direction, rows)
    return found


def span(gates: int, layers: int, directions: int, inputs: int, hidden: int, projection: int = 0) -> int:
    """Length of the packed vector."""
    return pieces(gates, layers, directions, inputs, hidden, projection)[-1].stop


def input_size(length: int, gates: int, layers: int, directions: int, hidden: int, projection: int = 0) -> int | None:
    """Size of the first layer's input that a packed vector of a length is for; None where no size fits."""
    rest = length - span(gates, layers, directions, 0, hidden, projection)
    size, odd = divmod(rest, directions * gates * hidden)
    return size if size > 0 and not odd else None
