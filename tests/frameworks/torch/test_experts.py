"""Mixtures of experts: rows are multiplied with the matrix of their group."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkit

pytest.importorskip("transformers.integrations.moe", reason="transformers is not installed")


class Experts(nn.Module):
    """Sends every row to the expert whose score is the highest, sorted by expert as libraries do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.score = nn.Linear(4, 3)
        self.weight = nn.Parameter(torch.randn(3, 4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        expert = self.score(x).argmax(-1)
        order = expert.argsort(stable=True)
        ends = (expert[:, None] == torch.arange(3)).sum(0).cumsum(0)
        grouped = torch.ops.transformers.grouped_mm_fallback(x[order], self.weight, ends)
        return grouped[order.argsort(stable=True)]


def test_rows_are_multiplied_with_the_matrix_of_their_expert() -> None:
    model = graphkit.load(Experts(), inputs=["7x4"])
    report = graphkit.verify(model, on=("torch", "ort", "mxnet"), backward=True, dtype="float64")
    assert report.passed, report
