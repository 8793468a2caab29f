"""Rows beyond a table of weights are refused by every runtime, rather than taken from somewhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import FeedError, InputError
from graphkit.frameworks.base import runtimes


class Embeds(nn.Module):
    """Embeds tokens and their positions."""

    def __init__(self, *, checked: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(9, 4)
        self.positions = nn.Embedding(6, 4)
        self.config = SimpleNamespace(max_position_embeddings=6)
        self.checked = checked

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.checked and ids.shape[1] > 6:
            raise ValueError("too long")
        return self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))


@pytest.mark.parametrize("on", ["torch", "ort", "mxnet", "reference"])
def test_feeds_beyond_a_table_are_refused_on_every_runtime(on: str) -> None:
    if runtimes()[on].missing():
        pytest.skip(f"{on} is not installed")
    model = graphkit.load(Embeds(), inputs=["2x?:int64"])
    with runtimes()[on].open(model) as session:
        assert session.forward({"ids": np.full((2, 6), 8)})["output"].shape == (2, 6, 4)
        with pytest.raises(FeedError, match=r"'positions' \(Gather\) looks up row 6 in 'positions\.weight', .* 6 rows"):
            session.forward({"ids": np.zeros((2, 7), np.int64)})
        with pytest.raises(FeedError, match=r"row 9 in 'tokens\.weight', which has 9 rows, .* 'ids' of shape 2x3"):
            session.forward({"ids": np.full((2, 3), 9)})


def test_a_fixed_length_beyond_the_positions_is_refused_on_loading() -> None:
    with pytest.raises(InputError, match=r"'positions' \(Gather\) looks up row 7 in 'positions\.weight'.* 6 at most"):
        graphkit.load(Embeds(), inputs=["2x8:int64"])


def test_a_module_that_fails_at_such_a_length_is_told_what_it_allows() -> None:
    with pytest.raises(InputError, match=r"too long .*8 long, and it has 6 positions \(max_position_embeddings"):
        graphkit.load(Embeds(checked=True), inputs=["2x8:int64"])
