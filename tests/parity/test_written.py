"""Written gradients and steps compared with MXNet, whose output layers inject the gradients of their losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mxsymbols import graph, op, var
from realmxnet import mxnet

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import Adam, Sgd
from graphkit.frameworks.mxnet import checkpoint
from graphkit.ops.mxgraph import MxModel
from graphkit.parity.written import check_able, verify_written

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.report.report import Report


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    """A convolution with BatchNorm that ends in a SoftmaxOutput, with its label."""
    mxnet()
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32) / 2

    data = op("Convolution", "conv", var("data"), var("w"), var("c"), kernel=(3, 3), num_filter=4)
    data = op("BatchNorm", "bn", data, var("gamma"), var("beta"), var("mean"), var("var"), fix_gamma=False)
    data = op("FullyConnected", "fc", op("Activation", "act", data, act_type="tanh"), var("v"), var("b"), num_hidden=3)
    data = op("SoftmaxOutput", "head", data, var("head_label"))
    args = {"w": numbers(4, 3, 3, 3), "c": numbers(4), "v": numbers(3, 64), "b": numbers(3)}
    args |= {"gamma": 1 + numbers(4), "beta": numbers(4)}
    aux = {"mean": numbers(4), "var": 1 + numbers(4) ** 2}
    folder = tmp_path_factory.mktemp("symbol")
    file = checkpoint.write(MxModel(graph(data), args, aux), folder / "net")[0]
    return graphkit.load(file, inputs=["data:6x3x6x6"], train=True)


def compared(model: ir.Model, folder: Path, rule: Any = None, **options: Any) -> Report:
    """What a file made of a model is found to be."""
    made = graphkit.grad(model, step=rule, **options)
    check_able(model, made)
    (path,) = graphkit.save(made, folder / "made.onnx", to="onnx")
    return verify_written(model, made, path, training=options.get("mode") == "train" or rule is not None, rule=rule)


def test_gradients_of_an_output_layer_are_those_that_mxnet_injects(model: ir.Model, tmp_path: Path) -> None:
    report = compared(model, tmp_path, mode="train")
    assert report.passed
    assert {check.left for check in report.checks} == {"mxnet"}
    assert {check.name for check in report.checks} == {"head_output", "data", "head_label", *"wcvb", "gamma", "beta"}


@pytest.mark.parametrize("rule", [Sgd(), Adam()], ids=["sgd", "adam"])
def test_a_step_is_the_one_that_mxnet_makes(model: ir.Model, tmp_path: Path, rule: Any) -> None:
    report = compared(model, tmp_path, rule)
    assert report.passed
    kinds = {check.name: check.kind for check in report.checks}
    assert kinds["var"] == "running statistic"
    assert {check.step for check in report.checks} == {1}


def test_a_step_of_another_rate_is_found(model: ir.Model, tmp_path: Path) -> None:
    made = graphkit.grad(model, step=Sgd(0.02))
    (path,) = graphkit.save(made, tmp_path / "made.onnx", to="onnx")
    report = verify_written(model, made, path, training=True, rule=Sgd(0.05))
    assert not report.passed
    failed = {check.kind for check in report.checks if check.verdict == "fail"}
    assert failed == {"parameter"}


def test_a_cotangent_that_mxnet_would_not_heed_is_refused(model: ir.Model) -> None:
    with pytest.raises(InputError, match="leave --outputs out"):
        check_able(model, graphkit.grad(model, loss="none", outputs=["head_output"]))
