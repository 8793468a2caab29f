"""Recurrent layers of PyTorch in every combination of what they can be, as networks of one layer.

``CASES`` has all of them; each builds its network in evaluation mode with seeded weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

__all__ = ["CASES", "FEATURES", "HIDDEN", "Recurrent"]

FEATURES, HIDDEN, PROJECTION = 3, 5, 2
KINDS = {"tanh": nn.RNN, "relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU, "projected": nn.LSTM}
USED = {"steps": (0,), "last": (1,), "all": (0, 1, 2)}
"""Which of a layer's outputs a network returns: those of all steps, the last hidden states, and all that there are."""


@dataclass(frozen=True)
class Recurrent:
    """A network of one recurrent layer.

    Attributes:
        kind: One of ``KINDS``.
        layers: How many lie on one another.
        both: Whether they go both ways.
        batch_first: Whether the batch comes before the steps.
        bias: Whether there are biases.
        states: Whether initial states are inputs.
        used: One of ``USED``.
        dropout: Share that is dropped between layers in training.
    """

    kind: str
    layers: int = 1
    both: bool = False
    batch_first: bool = False
    bias: bool = True
    states: bool = False
    used: str = "steps"
    dropout: float = 0.0

    @property
    def name(self) -> str:
        """What is particular about it."""
        words = [self.kind, str(self.layers)]
        words += [word for word in ("both", "batch_first", "states") if getattr(self, word)]
        return "-".join([*words, *(["plain"] if not self.bias else []), self.used])

    def layer(self) -> nn.RNNBase:
        """The layer."""
        options = {"nonlinearity": "relu"} if self.kind == "relu" else {}
        if self.kind == "projected":
            options["proj_size"] = PROJECTION
        torch.manual_seed(0)
        made: nn.RNNBase = KINDS[self.kind](
            FEATURES,
            HIDDEN,
            self.layers,
            bidirectional=self.both,
            batch_first=self.batch_first,
            bias=self.bias,
            dropout=self.dropout,
            **options,
        )
        return made

    def build(self) -> nn.Module:
        """The network."""
        return Network(self.layer(), self.used).eval()

    def inputs(self, *, batch: int | str = 2, length: int | str = 4) -> list[str]:
        """Descriptions of its inputs; ``?`` for sizes leaves them free."""
        order = (batch, length) if self.batch_first else (length, batch)
        found = [f"x:{order[0]}x{order[1]}x{FEATURES}"]
        if self.states:
            count = self.layers * (1 + self.both)
            found.append(f"h:{count}x{batch}x{PROJECTION if self.kind == 'projected' else HIDDEN}")
            if KINDS[self.kind] is nn.LSTM:
                found.append(f"c:{count}x{batch}x{HIDDEN}")
        return found


class Network(nn.Module):
    """A recurrent layer and what of it is used."""

    def __init__(self, layer: nn.RNNBase, used: str) -> None:
        super().__init__()
        self.layer = layer
        self.used = USED[used]

    def forward(
        self, x: torch.Tensor, h: torch.Tensor | None = None, c: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Some of the layer's outputs."""
        states = (h, c) if h is not None and c is not None else h
        steps, last = self.layer(x, states)
        found = [steps, *(last if isinstance(last, tuple) else [last])]
        return [found[place] for place in self.used if place < len(found)]


CASES = {
    case.name: case for case in (Recurrent(*choice) for choice in product(KINDS, (1, 2, 3), *[(False, True)] * 4, USED))
}
"""All combinations by name."""
