"""The main job on real networks: PyTorch to MXNet, outputs and every gradient, at batch sizes not exported with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from networks import NETWORKS, model

import graphkit
from graphkit.frameworks.mxnet.write import to_symbol

if TYPE_CHECKING:
    from graphkit.report.report import Report

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


def failures(report: Report) -> list[str]:
    failed = [check for check in report.checks if check.verdict == "fail"]
    return [f"{check.what} on {check.right}: {check.error:.3g} > {check.tol:.3g}" for check in failed]


@pytest.mark.mxnet
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_agree_in_float64(name: str, batch: int) -> None:
    report = graphkit.verify(model(name), on=("torch", "mxnet"), backward=True, dtype="float64", batches=[batch])
    assert failures(report) == []
    parameters = sum(1 for _ in NETWORKS[name].module().parameters())
    compared = Counter(check.right for check in report.checks if check.kind.endswith("gradient"))
    assert compared == dict.fromkeys(("torch (rewritten)", "mxnet"), parameters + 1)
    assert all(check.tol <= 1e-9 for check in report.checks)


@pytest.mark.mxnet
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_agree_in_float32(name: str) -> None:
    report = graphkit.verify(model(name), on=("torch", "mxnet", "ort"), backward=True, batches=[1])
    assert failures(report) == []


@pytest.mark.parametrize("name", ["mlp-relu", "mlp-sigmoid", "mlp-tanh", "lenet"])
def test_graphs_of_gradients_agree_in_float64(name: str) -> None:
    report = graphkit.verify(model(name), on=("torch", "reference"), backward=True, dtype="float64")
    assert failures(report) == []
    gradients = [check for check in report.checks if check.right == "reference" and check.kind.endswith("gradient")]
    assert len(gradients) == sum(1 for _ in NETWORKS[name].module().parameters()) + 1
    assert all(check.tol <= 1e-9 for check in gradients)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_symbol_has_no_debris(name: str) -> None:
    """No shape arithmetic, no copies, no reshaping but flattening."""
    operators = {node.op for node in to_symbol(model(name)).graph.nodes}
    assert operators.isdisjoint({"shape_array", "size_array", "_copy", "Cast", "take", "slice", "broadcast_to"})
