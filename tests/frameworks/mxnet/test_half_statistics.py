"""Normalisations of float16, whose statistics MXNet holds in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.frameworks.base import runtimes


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_statistics_are_stored_in_float32_and_the_rest_stays_half(kind, tmp_path):
    problem = runtimes()["mxnet"].missing()
    if problem is not None:
        pytest.skip(problem)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()).eval()
    net[1].running_var.uniform_(0.5, 2)
    model = graphkit.load(net.to(kind), inputs=[f"2x3x5x5:{str(kind).removeprefix('torch.')}"])
    graphkit.save(model, tmp_path / "net", to="mxnet", warn=lambda _message: None)
    written = graphkit.load(tmp_path / "net-symbol.json")
    kinds = {name: value.const_value.dtype.numpy().name for name, value in written.graph.initializers.items()}
    half = str(kind).removeprefix("torch.")
    assert kinds["1.running_var"] == kinds["1.running_mean"] == "float32"
    assert kinds["0.weight"] == kinds["1.weight"] == half
    np.testing.assert_array_equal(
        written.graph.initializers["1.running_var"].const_value.numpy(), net[1].running_var.float().numpy()
    )
    report = graphkit.verify(model, on=["torch", "mxnet"], backward=True)
    assert report.passed, report.checks
    assert not any(check.note for check in report.checks), report.checks
