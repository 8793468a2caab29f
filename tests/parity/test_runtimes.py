"""Verification on the real MXNet and ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

import graphkit
from graphkit.parity.verify import verify

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.mxnet


@pytest.fixture
def symbol(tmp_path) -> ir.Model:
    """The model, written for MXNet and read back."""
    graphkit.save(model(), tmp_path / "net", to="mxnet")
    return graphkit.load(tmp_path / "net-symbol.json", inputs=[(2, 5)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_runtime_agrees_with_mxnet_and_onnx_runtime(dtype):
    report = verify(model(), on=[Fake("numpy"), "mxnet", "ort"], backward=True, dtype=dtype, batches=[4])
    assert report.passed
    assert {(check.what, check.right) for check in report.checks if check.verdict == "pass"} == {
        ("output y", "mxnet"),
        ("output y", "ort"),
        ("input gradient x", "mxnet"),
        ("parameter gradient w", "mxnet"),
        ("parameter gradient b", "mxnet"),
        ("input gradient x", "ort"),
        ("parameter gradient w", "ort"),
        ("parameter gradient b", "ort"),
    }
    assert not [check for check in report.checks if check.verdict == "unavailable"]


@pytest.mark.parametrize("name", ["w", "b"])
def test_a_parameter_that_is_off_by_a_thousandth_is_found(name):
    wrong = model()
    value = wrong.graph.initializers[name]
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(1.001), name=name)
    report = verify(model(), wrong, on=["mxnet"], batches=[4])
    assert not report.passed


def test_an_mxnet_symbol_is_compared_with_what_graphkit_writes_for_it(symbol):
    report = verify(symbol, on=["ort", "mxnet"], backward=True)
    assert report.passed
    assert {(check.left, check.right) for check in report.checks if check.kind == "output"} == {
        ("mxnet", "mxnet (rewritten)"),
        ("mxnet", "ort"),
    }
    assert {(check.left, check.right) for check in report.checks if check.kind.endswith("gradient")} == {
        ("mxnet", "mxnet (rewritten)"),
        ("mxnet", "ort"),
    }


def test_dead_gradients_are_in_parity():
    dead = model()
    dead.graph.initializers["b"].const_value = ir.tensor(np.full(3, -100, np.float32), name="b")
    report = verify(dead, on=[Fake("numpy"), "mxnet"], backward=True)
    assert report.passed
    assert all("zero in the reference" in check.note for check in report.checks)


def test_single_precision_inside_mxnet_is_allowed_for_where_it_is():
    leaky = model()
    relu = next(node for node in leaky.graph if node.op_type == "Relu")
    node = ir.node("LeakyRelu", relu.inputs, {"alpha": 0.1}, name="leaky")
    node.outputs[0].name, node.outputs[0].type = "leaky", relu.outputs[0].type
    leaky.graph.insert_before(relu, node)
    relu.outputs[0].replace_all_uses_with(node.outputs[0], replace_graph_outputs=True)
    leaky.graph.remove(relu)
    report = verify(leaky, on=["reference", "mxnet"], dtype="float64")
    (check,) = report.checks
    assert (check.verdict, check.tol) == ("pass", 1e-6)
    assert "float32" in check.note


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_gradients_that_mxnet_adds_up_over_many_positions_are_in_parity(seed):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 10),
    )
    found = graphkit.load(net.eval(), inputs=[(2, 3, 32, 32)])
    report = verify(found, on=["torch", "mxnet"], backward=True, batches=[1], seeds=[seed])
    assert report.passed
    gradients = [check for check in report.checks if check.kind == "parameter gradient" and check.right == "mxnet"]
    assert all(check.error < 1e-4 for check in gradients)
