"""Interpolation by factors that PyTorch's kernels forget."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
import torch
from torch.nn import functional

import graphkit
from graphkit.frameworks.base import runtimes

KEPT: Final = 1.1
DOUBLED: Final = 2.05


@pytest.mark.parametrize(
    ("mode", "dims", "factor"),
    [
        ("nearest", 2, KEPT),
        ("nearest", 2, DOUBLED),
        ("nearest", 1, DOUBLED),
        ("bilinear", 2, KEPT),
        ("linear", 1, KEPT),
    ],
)
def test_a_size_that_stays_or_doubles_is_computed_as_torch_does(mode: str, dims: int, factor: float) -> None:
    class Resized(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.interpolate(x, scale_factor=factor, mode=mode)

    model = graphkit.load(Resized(), inputs=["1x2" + "x8" * dims])
    given = torch.randn(1, 2, *(8,) * dims)
    name = str(model.graph.inputs[0].name)
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({name: given.numpy()}).values()
    assert np.abs(found - Resized()(given).numpy()).max() < 1e-5
