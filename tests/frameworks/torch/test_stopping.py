"""Gradients that are stopped are noted where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

import graphkit
from graphkit.ir.edit import nodes_of
from graphkit.ir.training import stops_gradient

if TYPE_CHECKING:
    from pathlib import Path


class Rotates(nn.Module):
    """Scales by angles of positions that are computed without gradients, and by a weight that is detached or not."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("frequencies", torch.arange(3.0) + 1)
        self.detached = detached

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            angles = torch.cos(torch.arange(x.shape[1])[:, None] * self.frequencies)
        return x * angles.detach() * (self.weight.detach() if self.detached else self.weight)


def stops(path: Path, *, detached: bool) -> tuple[int, list[str]]:
    told: list[str] = []
    model = graphkit.load(Rotates(detached=detached), inputs=["2x?x3"], warn=told.append)
    graphkit.save(model, path / "net.onnx", to="onnx", warn=told.append)
    return sum(stops_gradient(node) for node in nodes_of(model)), told


def test_what_depends_on_no_weight_and_no_input_has_no_gradients_to_stop(tmp_path: Path) -> None:
    assert stops(tmp_path, detached=False) == (0, [])


def test_a_weight_that_is_detached_is_noted_and_told(tmp_path: Path) -> None:
    count, told = stops(tmp_path, detached=True)
    assert count == 1
    assert "1 node stops gradients" in told[0]
