"""Numbers that come before arrays of integers, as in masks made of ``1.0 - mask``."""

from __future__ import annotations

from typing import Any

import pytest

import graphkit

torch = pytest.importorskip("torch")


class Reversed(torch.nn.Module):
    def forward(self, mask: Any, x: Any) -> Any:
        steps = x.shape[1]
        whole = (1 - mask) * (steps - mask) + torch.rsub(mask, 7, alpha=2)
        return (1.0 - mask) * x + torch.rsub(mask, 2.5, alpha=2) + (0.5 * steps - mask) + (steps - x), whole


def test_numbers_minus_arrays_of_integers_are_promoted_as_torch_does() -> None:
    model = graphkit.load(Reversed(), inputs=["mask:?x?:int64", "x:?x?"])
    sizes = ["mask:2x5:int64", "x:2x5"]
    report = graphkit.verify(model, on=("torch", "ort"), dtype="float64", backward=True, inputs=sizes)
    assert len(report.checks) == 6
    assert [check.what for check in report.checks if check.verdict != "pass"] == []
