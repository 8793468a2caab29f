"""From MXNet on its own model zoo: a network of each family, as ONNX file and as PyTorch module, against MXNet itself.

``tools/zoo mxnet`` does the same to all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gluonzoo
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

FAMILIES = {
    "resnet18_v1": True,
    "resnet18_v2:fixed": False,
    "vgg11_bn:fixed": False,
    "alexnet": False,
    "densenet121:fixed": False,
    "squeezenet1.1": True,
    "inceptionv3": False,
    "mobilenet0.25:fixed": True,
    "mobilenetv2_0.25": True,
}
"""Networks, and whether they are trained here and their gradients compared; the others take long."""


def failures(report: Report) -> list[str]:
    failed = [check for check in report.checks if check.verdict != "pass"]
    return [f"{check.what} on {check.right}: {check.error:.3g} > {check.tol:.3g} {check.note}" for check in failed]


@pytest.mark.parametrize(("name", "trained"), FAMILIES.items(), ids=list(FAMILIES))
def test_a_network_computes_the_same_as_onnx_file_and_as_torch_module(name: str, trained: bool, tmp_path: Path) -> None:
    symbol = gluonzoo.make(tmp_path, [name])[name]
    size = gluonzoo.SIZES[name.removesuffix(gluonzoo.FIXED)]
    model = graphkit.load(symbol)
    report = graphkit.verify(
        model,
        on=("mxnet", "torch"),
        backward=trained,
        train_steps=2 * trained,
        dtype="float64",
        inputs=[f"2x3x{size}x{size}"],
    )
    assert failures(report) == []
    bounds = {check.kind: check.tol for check in report.checks}
    assert set(bounds) >= (
        {"output", "input gradient", "parameter gradient", "loss", "parameter"} if trained else {"output"}
    )
    assert all(bounds[kind] <= 1e-9 for kind in bounds if kind == "output" or kind.endswith("gradient"))
    assert all(bounds[kind] <= 1e-8 for kind in bounds if kind in ("loss", "parameter"))
    graphkit.save(model, tmp_path / "net.onnx", to="onnx")
    feeds = {"data": np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)}
    with runtimes()["mxnet"].open(model) as session:
        (expected,) = session.forward(feeds).values()
    with runtimes()["ort"].open(graphkit.load(tmp_path / "net.onnx")) as session:
        (found,) = session.forward(feeds).values()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
