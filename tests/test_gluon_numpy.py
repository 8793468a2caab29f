"""From MXNet's NumPy mode on: small Gluon networks as ONNX files and as PyTorch modules, against MXNet itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gluonnumpy
import numpy as np
import pytest

import graphkit
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.report.report import Report

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.mxnet

FLAT = {"truths"}
"""Networks of steps and comparisons, whose gradients say nothing."""


@pytest.fixture(scope="module")
def symbols(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return gluonnumpy.make(tmp_path_factory.mktemp("gluon"))


def failures(report: Report) -> list[str]:
    failed = [check for check in report.checks if check.verdict != "pass"]
    return [f"{check.what} on {check.right}: {check.error:.3g} > {check.tol:.3g} {check.note}" for check in failed]


def inputs(name: str) -> list[str]:
    shapes = gluonnumpy.SHAPES[name]
    names = ["data"] if len(shapes) == 1 else [f"data{number}" for number in range(len(shapes))]
    return [f"{key}:{'x'.join(map(str, shape))}" for key, shape in zip(names, shapes, strict=True)]


@pytest.mark.parametrize("name", gluonnumpy.SHAPES)
def test_a_network_computes_the_same_as_mxnet_symbol_and_as_torch_module(name: str, symbols: dict[str, Path]) -> None:
    model = graphkit.load(symbols[name], inputs=inputs(name))
    report = graphkit.verify(
        model, on=("mxnet", "torch"), backward=name not in FLAT, dtype="float64", inputs=inputs(name)
    )
    assert failures(report) == []


@pytest.mark.parametrize("name", gluonnumpy.SHAPES)
def test_a_network_computes_the_same_as_onnx_file(name: str, symbols: dict[str, Path], tmp_path: Path) -> None:
    model = graphkit.load(symbols[name], inputs=inputs(name))
    graphkit.save(model, tmp_path / "net.onnx", to="onnx")
    rng = np.random.default_rng(0)
    feeds = {
        spec.partition(":")[0]: rng.uniform(-1, 1, shape).astype(np.float32)
        for spec, shape in zip(inputs(name), gluonnumpy.SHAPES[name], strict=True)
    }
    with runtimes()["mxnet"].open(model) as session:
        expected = session.forward(feeds)
    with runtimes()["ort"].open(graphkit.load(tmp_path / "net.onnx")) as session:
        found = session.forward(feeds)
    for left, right in zip(found.values(), expected.values(), strict=True):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert np.allclose(np.asarray(left, float), np.asarray(right, float), rtol=1e-4, atol=1e-5)
