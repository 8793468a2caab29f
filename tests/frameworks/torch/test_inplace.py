"""Rectifiers overwrite what nothing else reads, and only that."""

from __future__ import annotations

import torch
from torch import nn

import graphkit
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source


class Net(nn.Module):
    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.keep = keep

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc(x)
        z = torch.relu(y)
        return torch.cat([y, z], 1) if self.keep else z


def text(module: nn.Module) -> str:
    return to_source(to_program(graphkit.load(module.eval(), inputs=[(2, 3)])), "net").text


def test_the_result_of_a_layer_is_overwritten() -> None:
    assert "F.relu(self.fc(x), inplace=True)" in text(Net(keep=False))


def test_what_is_read_again_is_kept() -> None:
    assert "inplace" not in text(Net(keep=True))


def test_inputs_and_results_that_gradients_need_are_kept() -> None:
    class Plain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) + torch.relu(torch.exp(x))

    assert "inplace" not in text(Plain())
