"""Rectifiers overwrite what nothing else reads, and only that."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import graphkit
from graphkit.frameworks.base import runtimes
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


class Masked(torch.autograd.Function):
    """Writes over what the gradient of its softmax would need, as it has a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        result = torch.softmax(x.masked_fill(mask, -1e30), -1)
        result.masked_fill_(mask, 0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> Any:
        (result,) = ctx.saved_tensors
        scaled = given[0] * result
        return scaled - result * scaled.sum(-1, keepdim=True), None


def test_a_program_has_gradients_where_a_function_with_its_own_overwrites_what_others_need() -> None:
    class Attends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = Masked.apply(x, torch.tensor([False, True, False]))
            return found

    x = np.array([[0.5, 1.0, -2.0], [3.0, 0.0, 1.0]], np.float32)
    seed = np.array([[1.0, 2.0, -1.0], [0.5, 1.0, 4.0]], np.float32)
    given = torch.tensor(x, requires_grad=True)
    Attends()(given).backward(torch.tensor(seed))
    model = graphkit.load(Attends(), inputs=["2x3"])
    with runtimes()["torch"].open(model) as session:
        found = session.backward({"x": x}, {"output": seed})["x"]
    assert given.grad is not None
    np.testing.assert_allclose(found, given.grad.numpy(), atol=1e-6)
