"""Rotary positions as products of complex numbers, whose table is indexed and given axes."""

from __future__ import annotations

from typing import Any

import pytest

import graphkit

torch = pytest.importorskip("torch")


class Rotary(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(16.0), torch.tensor([1.0, 0.5, 0.25, 0.125]))
        self.register_buffer("table", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x: Any, position: Any) -> Any:
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        turned = pairs * self.table[position].unsqueeze(-2)
        first = turned.select(-2, 0).unsqueeze(1).expand(-1, 3, -1, -1)
        return torch.view_as_real(turned).flatten(-2), torch.view_as_real(first)


@pytest.mark.mxnet
def test_complex_tables_are_indexed_and_broadcast_as_pairs() -> None:
    model = graphkit.load(Rotary(), inputs=["x:?x?x2x8", "position:?x?:int64"])
    sizes = ["x:2x5x2x8", "position:2x5:int64"]
    report = graphkit.verify(model, on=("torch", "ort", "mxnet"), dtype="float64", backward=True, inputs=sizes)
    assert len(report.checks) == 9
    assert [check.what for check in report.checks if check.verdict != "pass"] == []
