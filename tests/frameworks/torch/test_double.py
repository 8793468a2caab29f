"""Models of float64 keep the numbers that their authors wrote."""

from __future__ import annotations

import torch

import graphkit


class Curve(torch.nn.Module):
    """Numbers that float32 does not have: times a tensor, and tensors made of them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(0.044715 * x**3 + x * 0.7978845608028654) + torch.full((3,), 0.1, dtype=torch.float64)


def test_numbers_of_a_model_of_float64_are_not_rounded_to_float32():
    model = graphkit.load(Curve(), inputs=["2x3:float64"])
    held = {number for value in model.graph.initializers.values() for number in value.const_value.numpy().flat}
    assert held >= {0.044715, 0.7978845608028654, 0.1}
    report = graphkit.verify(model, on=["torch", "reference"], backward=True)
    assert report.passed, report.checks
    assert "float64" in report.title
