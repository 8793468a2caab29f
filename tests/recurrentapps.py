"""Networks that people build from recurrent layers, tiny and with seeded weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["APPLICATIONS", "Application"]

WORDS = 11


class LanguageModel(nn.Module):
    """Characters that follow, with the state handed in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(8, WORDS)

    def forward(self, ids: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y, (h, c) = self.lstm(self.embedding(ids), (h, c))
        return self.head(y), h, c


class Classifier(nn.Module):
    """A class for each text, from the last states of texts of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.gru = nn.GRU(6, 5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        found: torch.Tensor = self.head(torch.cat((last[0], last[1]), 1))
        return found


class Translator(nn.Module):
    """An encoder, and a decoder of cells that attends to what it gave: Luong's (dot) or Bahdanau's (additive)."""

    def __init__(self, *, additive: bool, steps: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.encoder = nn.GRU(6, 4, bidirectional=True, batch_first=True)
        self.cell = nn.GRUCell(6 + 8, 8)
        self.query, self.key, self.score = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.head = nn.Linear(16, WORDS)
        self.additive, self.steps = additive, steps

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        memory, last = self.encoder(self.embedding(source))
        state, context = torch.cat((last[0], last[1]), 1), torch.zeros_like(memory[:, 0])
        words, found = self.embedding(target), []
        for step in range(self.steps):
            state = self.cell(torch.cat((words[:, step], context), 1), state)
            if self.additive:
                scores = self.score(torch.tanh(self.query(state)[:, None] + self.key(memory)))[..., 0]
            else:
                scores = (memory @ state[:, :, None])[..., 0]
            context = (nn.functional.softmax(scores, 1)[:, None] @ memory)[:, 0]
            found.append(self.head(torch.cat((state, context), 1)))
        return torch.stack(found, 1)


class Reader(nn.Module):
    """Scores of characters in an image of text, column by column (CRNN)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)
        )
        self.lstm = nn.LSTM(24, 5, 2, bidirectional=True)
        self.head = nn.Linear(10, WORDS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = torch.tanh(self.features(image))
        columns = maps.flatten(1, 2).permute(2, 0, 1)
        return nn.functional.log_softmax(self.head(self.lstm(columns)[0]), -1)


class Synthesizer(nn.Module):
    """Convolutions, a layer both ways over packed phonemes, and projected layers above, as in Tacotron 2's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.conv = nn.Conv1d(6, 6, 5, padding=2)
        self.norm = nn.BatchNorm1d(6)
        self.lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(8, 8, 2, batch_first=True, proj_size=4)
        self.mel = nn.Linear(4, 5)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.norm(self.conv(self.embedding(ids).transpose(1, 2)))).transpose(1, 2)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        found: torch.Tensor = self.mel(self.decoder(y)[0])
        return found


class Cells(nn.Module):
    """Cells of each kind, one after the other, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(3, 5), nn.GRUCell(5, 4), nn.RNNCell(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = o = x.new_zeros(x.shape[0], 5)
        g = x.new_zeros(x.shape[0], 4)
        for step in range(x.shape[1]):
            h, c = self.lstm(x[:, step], (h, c))
            g = self.gru(h, g)
            o = self.rnn(g, o)
        return torch.cat((o, c), 1)


@dataclass(frozen=True)
class Application:
    """A network.

    Attributes:
        make: Makes it.
        shapes: Its inputs, as ``--input`` describes them, with ``{batch}`` and ``{length}`` in place of sizes.
        free: Whether its length is free.
    """

    make: Callable[[], nn.Module]
    shapes: tuple[str, ...]
    free: bool = True

    def build(self) -> nn.Module:
        """The network, in evaluation mode."""
        torch.manual_seed(0)
        return self.make().eval()

    def inputs(self, *, batch: int | str = 2, length: int | str = 6) -> list[str]:
        """Descriptions of its inputs; ``?`` for sizes leaves them free."""
        return [shape.format(batch=batch, length=length) for shape in self.shapes]


_IDS, _LENGTHS = "ids:{batch}x{length}:int64", "lengths:{batch}:int64"
APPLICATIONS = {
    "language-model": Application(LanguageModel, (_IDS, "h:2x{batch}x8", "c:2x{batch}x8")),
    "classifier": Application(Classifier, (_IDS, _LENGTHS)),
    "translator-dot": Application(
        lambda: Translator(additive=False), ("source:{batch}x{length}:int64", "target:{batch}x3:int64")
    ),
    "translator-additive": Application(
        lambda: Translator(additive=True), ("source:{batch}x{length}:int64", "target:{batch}x3:int64")
    ),
    "reader": Application(Reader, ("image:{batch}x1x8x12",), free=False),
    "synthesizer": Application(Synthesizer, (_IDS, _LENGTHS)),
    "cells": Application(Cells, ("x:{batch}x4x3",), free=False),
}
"""Networks by name."""
