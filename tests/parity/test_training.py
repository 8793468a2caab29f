"""Training parity: networks on the real frameworks, MXNet's own output layers, and mistakes that have to be found."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import fakes
import networks
import numpy as np
import onnx_ir as ir
import pytest
import torch
from mxsymbols import graph, op, var
from paths import REAL_MODELS
from torch import nn

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import Adam, Batch, Sgd, Step, runtimes
from graphkit.frameworks.mxnet import checkpoint
from graphkit.ir.canonical import canonical
from graphkit.ir.training import losses
from graphkit.ops.mxgraph import MxModel
from graphkit.parity.statistics import Statistics
from graphkit.parity.training import MOVE, REACH, rounded
from graphkit.passes.cast_floats import cast_floats
from graphkit.report.json import from_json, to_json
from graphkit.report.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from graphkit.report.report import Report

BOTH = ("torch", "mxnet")


def worst(report: Report, kind: str) -> float:
    """The largest error of a kind, over every step and every side; nothing of the kind is an error."""
    return max(check.error for check in report.checks if check.kind == kind and check.verdict != "unavailable")


@pytest.mark.parametrize("name", ["mlp-relu", "lenet"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_trains_the_same_on_both_frameworks(name: str, dtype: Any) -> None:
    report = graphkit.verify(networks.model(name), on=BOTH, train_steps=3, dtype=dtype)
    assert report.passed
    assert {check.step for check in report.checks} == {0, 1, 2, 3}
    assert {check.right for check in report.checks} == {"mxnet", "torch (rewritten)"}
    assert report.warnings == ()
    if dtype == "float64":
        assert worst(report, "parameter") < 1e-12
        assert worst(report, "loss") < 1e-12


def test_a_resnet_trains_the_same_with_its_running_statistics() -> None:
    report = graphkit.verify(networks.model("resnet18"), on=BOTH, train_steps=3, dtype="float64")
    assert report.passed
    assert worst(report, "parameter") < 1e-12
    assert worst(report, "loss") < 1e-12
    variances = [check for check in report.checks if check.name.endswith("running_var") and check.right == "mxnet"]
    assert len(variances) == 3 * 20
    assert all("n / (n - 1)" in check.note and check.tol == 1e-6 for check in variances)
    assert worst(report, "running statistic") < 2e-7


def cancelling() -> ir.Model:
    """A convolution whose bias the BatchNorm behind it subtracts again, so that its gradient is rounding residue."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Linear(54, 4))
    return graphkit.load(net, inputs=[(8, 2, 5, 5)])


def moves(model: ir.Model, weight: float, rule: Adam = Adam()) -> dict[str, float]:  # noqa: B008  # frozen
    """How far the first step of Adam moves each parameter, in multiples of its learning rate."""
    rng = np.random.default_rng(0)
    (x,), (y,) = model.graph.inputs, model.graph.outputs
    dtype = x.dtype.numpy()
    batch = Batch(
        {x.name: rng.standard_normal((8, 2, 5, 5)).astype(dtype)},
        {y.name: rng.standard_normal((8, 4)).astype(dtype)},
        {y.name: 1.0},
        weight,
    )
    with runtimes()["torch"].open(model, mode="train-no-dropout") as session:
        (step,) = session.train([batch], rule)
    start = {name: value.const_value.numpy() for name, value in model.graph.initializers.items()}
    return {name: float(np.abs(array - start[name]).max() / rule.lr) for name, array in step.parameters.items()}


def test_adam_makes_full_steps_of_residue_unless_its_epsilon_drowns_it() -> None:
    single, double = cast_floats(cancelling(), "float32"), cast_floats(cancelling(), "float64")
    assert moves(single, 1.0)["0.bias"] > 0.1
    assert moves(double, 1.0)["0.bias"] < 1e-6
    for weight in (REACH * 1e-8 / 0.1, REACH * 1e-8 / 10):  # gradients of this network are between 0.1 and 10
        assert moves(single, weight)["0.bias"] < 1e-4
        assert moves(single, weight)["4.weight"] > 0.3


def test_a_wrong_epsilon_shows_at_the_weight_that_drowns_residue() -> None:
    model, weight = cast_floats(cancelling(), "float32"), REACH * 1e-8
    right, wrong = moves(model, weight), moves(model, weight, Adam(epsilon=1e-7))
    assert right["1.weight"] - wrong["1.weight"] > 0.1
    assert moves(model, 1.0)["1.weight"] - moves(model, 1.0, Adam(epsilon=1e-7))["1.weight"] < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", [Adam(), Adam(0.01, 0.8, 0.95, 1e-4, 0.1)], ids=["adam", "adam with decay"])
def test_adam_trains_the_same_whatever_rounding_leaves_of_gradients(dtype: Any, rule: Adam) -> None:
    report = graphkit.verify(cancelling(), on=BOTH, train_steps=3, dtype=dtype, rule=rule)
    assert report.passed, [check for check in report.checks if check.verdict == "fail"]
    bound = 1e-12 if dtype == "float64" else 1e-4
    assert worst(report, "parameter") < bound
    assert worst(report, "loss") < bound
    assert all(check.tol < 1e-3 for check in report.checks if check.kind == "parameter")


@pytest.mark.parametrize("rule", [Sgd(), Adam()], ids=["sgd", "adam"])
def test_a_network_trains_the_same_on_classes(rule: Any) -> None:
    report = graphkit.verify(
        networks.model("lenet"), on=BOTH, train_steps=3, dtype="float64", rule=rule, loss="cross-entropy"
    )
    assert report.passed
    assert worst(report, "parameter") < 1e-11
    assert {check.name for check in report.checks if check.kind == "loss"} == {"cross-entropy of the targets"}
    assert report.title.endswith("on cross-entropy")
    assert set(report.curves) == {"torch", "torch (rewritten)", "mxnet"}
    assert {len(curve) for curve in report.curves.values()} == {3}
    for curve in report.curves.values():
        np.testing.assert_allclose(curve, report.curves["torch"], rtol=1e-11)


RNG = np.random.default_rng(2)


def numbers(*shape: int) -> np.ndarray:
    return (0.3 * RNG.standard_normal(shape)).astype(np.float32)


def symbol(folder: Path, head: str, *, labelled: bool = True, **attrs: object) -> Path:
    """Convolution, a BatchNorm with fixed gamma, one with frozen statistics, dropout, pooling, a constant, a head."""
    data = op("Convolution", "conv", var("data"), var("w1"), kernel=(3, 3), num_filter=4, pad=(1, 1), no_bias=True)
    stats = [var("gamma"), var("beta"), var("mean"), var("var")]
    data = op("BatchNorm", "norm", data, *stats, fix_gamma=True, momentum=0.8, eps=1e-5)
    data = op("Activation", "relu", data, act_type="tanh")
    stats = [var("gamma2"), var("beta2"), var("mean2"), var("var2")]
    data = op("BatchNorm", "frozen", data, *stats, fix_gamma=False, use_global_stats=True)
    data = op("Dropout", "drop", data, p=0.5)
    data = op("Pooling", "pool", data, kernel=(2, 2), stride=(2, 2), pool_type="max")
    scale = var("scale")
    scale.node.hidden.update({"__lr_mult__": "0.0", "__wd_mult__": "0.0"})
    data = op("broadcast_mul", "scaled", data, scale)
    data = op("FullyConnected", "fc", data, var("w2"), var("bias"), num_hidden=3)
    data = op(head, "head", data, *([var("head_label")] if labelled else []), **attrs)
    args = {"w1": numbers(4, 3, 3, 3), "w2": numbers(3, 64), "bias": numbers(3), "scale": numbers(1, 4, 1, 1)}
    args.update(gamma=2 + numbers(4), beta=numbers(4), gamma2=1 + numbers(4), beta2=numbers(4))
    aux = {"mean": numbers(4), "var": 1 + numbers(4) ** 2, "mean2": numbers(4), "var2": 1 + numbers(4) ** 2}
    return checkpoint.write(MxModel(graph(data), args, aux), folder / "net")[0]


@pytest.mark.parametrize(
    ("head", "labelled", "attrs"),
    [
        ("SoftmaxOutput", True, {"normalization": "valid", "use_ignore": True, "ignore_label": 1}),
        ("LinearRegressionOutput", True, {"grad_scale": 0.5}),
        ("LogisticRegressionOutput", True, {}),
        ("MAERegressionOutput", True, {}),
        ("SVMOutput", True, {"regularization_coefficient": 0.5}),
        ("MakeLoss", False, {"grad_scale": 0.1, "normalization": "batch"}),
    ],
)
def test_an_output_layer_trains_as_its_loss_does(tmp_path: Path, head: str, labelled: bool, attrs: Any) -> None:
    file = symbol(tmp_path, head, labelled=labelled, **attrs)
    model = graphkit.load(file, inputs=["data:4x3x8x8"], train=True)
    assert losses(model) == ["head_loss"]
    report = graphkit.verify(model, on=BOTH, backward=True, train_steps=3, dtype="float64", batches=[4])
    assert report.passed, report.checks
    assert {check.right for check in report.checks if check.kind == "loss" and check.step} == {"mxnet (rewritten)"}
    assert {check.right for check in report.checks if check.kind == "parameter"} == {"mxnet (rewritten)", "torch"}
    assert [check.right for check in report.checks if check.verdict == "unavailable"] == ["mxnet"]
    assert "Dropout is off" in report.warnings[0]
    trained = {check.name for check in report.checks if check.kind == "parameter"}
    assert trained == {"w1", "w2", "bias", "beta", "gamma2", "beta2"}
    assert {check.name for check in report.checks if check.kind == "running statistic"} == {"mean", "var"}


def test_a_symbol_in_inference_form_trains_towards_targets(tmp_path: Path) -> None:
    model = graphkit.load(symbol(tmp_path, "SoftmaxOutput"), inputs=["data:4x3x8x8"])
    report = graphkit.verify(model, on=BOTH, train_steps=2, dtype="float64", rule=Sgd(2**-10, 0.5, 0.01))
    assert report.passed
    assert {check.name for check in report.checks if check.kind == "loss"} == {"distance to the targets"}
    assert "2 steps of SGD (lr 0.0009765625, momentum 0.5, weight decay 0.01)" in report.title


def test_adam_trains_a_symbols_own_loss(tmp_path: Path) -> None:
    model = graphkit.load(symbol(tmp_path, "SoftmaxOutput"), inputs=["data:4x3x8x8"], train=True)
    report = graphkit.verify(model, on=BOTH, train_steps=3, dtype="float64", rule=Adam(), loss="given")
    assert report.passed, [check for check in report.checks if check.verdict == "fail"]
    assert {check.right for check in report.checks if check.kind == "parameter"} == {"mxnet (rewritten)", "torch"}
    assert set(report.curves) == {"mxnet (rewritten)", "torch"}
    assert "3 steps of Adam (lr 0.001, beta1 0.9, beta2 0.999, epsilon 1e-08, weight decay 0)" in report.title
    for loss in ("mse", "cross-entropy"):
        with pytest.raises(InputError, match=f"a loss of its own \\('head_loss'\\), so it is not trained on {loss}"):
            graphkit.verify(model, on=BOTH, train_steps=1, loss=loss)


def test_two_files_are_compared_where_each_trains(tmp_path: Path) -> None:
    model = graphkit.load(symbol(tmp_path, "SoftmaxOutput"), inputs=["data:4x3x8x8"])
    graphkit.save(model, tmp_path / "again", to="mxnet")
    other = graphkit.load(tmp_path / "again-symbol.json", inputs=["data:4x3x8x8"])
    report = graphkit.verify(model, other, train_steps=2, dtype="float64")
    assert report.passed
    compared = [check for check in report.checks if check.kind == "loss"]
    assert [(check.step, check.verdict, check.size) for check in compared] == [(1, "pass", 1), (2, "pass", 1)]


class Anchored(nn.Module):
    """A layer whose outputs are multiplied by numbers that are not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.register_buffer("anchors", torch.arange(1.0, 5.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(x) * self.anchors
        return found


def test_buffers_stay_what_they_are_while_a_written_symbol_trains(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = graphkit.load(Anchored().eval(), inputs=["2x3"])
    graphkit.save(model, tmp_path / "net", to="mxnet")
    again = graphkit.load(tmp_path / "net-symbol.json")
    report = graphkit.verify(model, again, on=["mxnet"], train_steps=3, dtype="float64")
    assert report.passed, [check for check in report.checks if check.verdict == "fail"]
    variables = json.loads((tmp_path / "net-symbol.json").read_text())["nodes"]
    alone = {node["name"] for node in variables if node.get("attrs", {}).get("__lr_mult__") == "0.0"}
    assert alone == {"anchors"}


def test_models_that_train_for_different_things_are_not_compared(tmp_path: Path) -> None:
    model = graphkit.load(symbol(tmp_path, "SoftmaxOutput"), inputs=["data:4x3x8x8"], train=True)
    graphkit.save(model, tmp_path / "again", to="mxnet")
    other = graphkit.load(tmp_path / "again-symbol.json")
    assert graphkit.verify(model, other, backward=True, dtype="float64").passed
    with pytest.raises(InputError, match=r"1 loss and .* has no losses"):
        graphkit.verify(model, other, train_steps=2)


@dataclass(frozen=True)
class Learner(fakes.Fake):
    """A runtime that trains :func:`fakes.model` in numpy, rightly or wrongly in a chosen way."""

    can: frozenset[Any] = frozenset({"forward", "backward", "train"})
    change: Any = None
    decays: bool = True
    factor: float = 1.0

    def open(self, model: ir.Model, **how: Any) -> Any:
        session = super().open(model, **how)
        return LearnerSession(session.runtime, session.weights)


class LearnerSession(fakes.FakeSession):
    def train(self, batches: Iterable[Batch], rule: Sgd) -> Iterator[Step]:
        runtime: Any = self.runtime
        weights = {name: array.copy() for name, array in self.weights.items()}
        velocity = {name: np.zeros_like(array) for name, array in weights.items()}
        for number, batch in enumerate(batches):
            x, target, scale = batch.feeds["x"], batch.targets["y"], batch.scales["y"]
            hidden = x @ weights["w"] + weights["b"]
            gap = np.maximum(hidden, 0) * scale - target
            inner = gap * scale / gap.size * (hidden > 0) * batch.weight
            gradients = {"w": x.T @ inner, "b": inner.sum(0) * runtime.factor}
            for name, weight in weights.items():
                decay = rule.weight_decay * weight if runtime.decays else 0
                velocity[name] = rule.momentum * velocity[name] + gradients[name] + decay
                weights[name] = weight - rule.lr * velocity[name]
            loss = np.asarray(np.square(gap).mean() / 2 * batch.weight)
            copies = {name: array.astype(x.dtype) for name, array in weights.items()}
            step = Step({"y": np.maximum(hidden, 0)}, loss, copies, {}, unbiased=False)
            yield step if runtime.change is None else runtime.change(step, number)


def trained(*runtimes: Any, **options: Any) -> Report:
    return graphkit.verify(fakes.model(), on=runtimes, **{"train_steps": 3, "dtype": "float64", **options})


def test_equal_learners_agree() -> None:
    report = trained(Learner("one"), Learner("two"))
    assert report.passed
    assert [check.what for check in report.checks][:2] == ["output y", "loss distance to the targets, step 1"]


def moved(name: str, step: int, by: float) -> Callable[[Step, int], Step]:
    def change(found: Step, number: int) -> Step:
        parameters = dict(found.parameters)
        parameters[name] = parameters[name] * (1 + by * (number + 1 >= step))
        return replace(found, parameters=parameters)

    return change


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_parameter_that_goes_astray_is_found_in_its_step(dtype: str) -> None:
    report = trained(Learner("one"), Learner("two", change=moved("b", 2, 1e-4)), dtype=dtype)
    assert not report.passed
    failed = {(check.kind, check.name, check.step) for check in report.checks if check.verdict == "fail"}
    assert failed == {("parameter", "b", 2), ("parameter", "b", 3)}


@pytest.mark.parametrize(
    "wrong",
    [
        Learner("two", change=lambda step, _: replace(step, loss=step.loss * (1 + 1e-6))),
        Learner("two", change=lambda step, _: replace(step, parameters={"w": step.parameters["w"]})),
        Learner("two", decays=False),
        Learner("two", factor=1 + 1e-5),
    ],
    ids=["loss", "missing parameter", "no weight decay", "gradient"],
)
def test_a_wrong_learner_is_not_in_parity(wrong: Learner) -> None:
    assert not trained(Learner("one"), wrong).passed


@pytest.mark.parametrize("lr", [1e-6, 0.05, 100.0])
def test_the_first_step_moves_the_parameters_enough_to_show_errors(lr: float) -> None:
    moves: list[float] = []
    start = fakes.model().graph.initializers["w"].const_value.numpy()

    def change(step: Step, number: int) -> Step:
        if number == 0:
            moves.append(float(np.abs(step.parameters["w"] - start).max() / np.abs(start).max()))
        return step

    assert trained(Learner("one"), Learner("two", change=change), rule=Sgd(lr=lr)).passed
    assert MOVE / 4 < moves[0] < 2 * MOVE


def test_a_runtime_that_trains_nothing_is_not_available() -> None:
    report = trained(Learner("one"), Learner("two"), fakes.Fake("three"))
    assert report.passed
    absent = [check for check in report.checks if check.verdict == "unavailable"]
    assert [(check.kind, check.right) for check in absent] == [("train", "three")]
    with pytest.raises(InputError, match="only one gives steps of training here"):
        trained(Learner("one"), fakes.Fake("two"))


def test_what_cannot_be_trained_is_refused() -> None:
    model = fakes.model()
    for value in model.graph.initializers.values():
        value.metadata_props["graphkit.kind"] = "constant"
    with pytest.raises(InputError, match="no parameters"):
        graphkit.verify(model, on=[Learner("one"), Learner("two")], train_steps=1)
    with pytest.raises(InputError, match="momentum of training is -1"):
        trained(Learner("one"), Learner("two"), rule=Sgd(momentum=-1.0))


def test_a_loss_has_to_suit_the_model() -> None:
    for loss, complaint in [
        ("given", "no losses of its own to train"),
        ("huber", "No loss is called 'huber'"),
    ]:
        with pytest.raises(InputError, match=complaint):
            trained(Learner("one"), Learner("two"), loss=loss)
    model = ir.from_onnx_text(fakes.TEXT.replace("float[batch, 3] y", "float y").replace("Relu(sum)", "ReduceSum(sum)"))
    for value in model.graph.initializers.values():
        value.metadata_props["graphkit.kind"] = "parameter"
    with pytest.raises(InputError, match="no float output with two or more classes"):
        graphkit.verify(canonical(model), on=BOTH, train_steps=1, loss="cross-entropy")


def test_numbers_of_optimizers_are_those_of_float32() -> None:
    rule = rounded(Adam(0.1, 0.9, 0.3, 1e-8, 0.01))
    assert isinstance(rule, Adam)
    for number in (rule.lr, rule.beta1, rule.beta2, rule.epsilon, rule.weight_decay):
        assert number == float(np.float32(number))
    assert 1 - rule.beta2 == float(np.float32(1) - np.float32(rule.beta2))
    for wrong, complaint in [
        (Adam(beta1=1.0), "beta1 of training is 1.0; it must be below 1"),
        (Adam(epsilon=1e-60), "epsilon of training is 1e-60; it must be above 0"),
        (Adam(lr=float("nan")), "lr of training is nan"),
        (Sgd(weight_decay=-1.0), "weight decay of training is -1"),
    ]:
        with pytest.raises(InputError, match=complaint):
            rounded(wrong)


def test_curves_are_the_losses_of_the_first_sample() -> None:
    report = trained(Learner("one"), Learner("two"), seeds=(0, 1))
    assert set(report.curves) == {"one", "two"}
    first = trained(Learner("one"), Learner("two"))
    assert report.curves == first.curves
    assert len(first.curves["one"]) == 3
    found = {check.right: check for check in first.checks if check.kind == "loss" and check.step == 1}
    weight = found["two"].peak / first.curves["one"][0]
    assert weight != 1
    assert weight == 2 ** round(math.log2(weight))
    assert "3 steps of SGD" in first.title


def test_steps_are_in_the_json_and_in_the_table() -> None:
    from rich.console import Console

    report = trained(Learner("one"), Learner("two"))
    assert from_json(to_json(report)) == report
    console = Console(width=120, record=True)
    with console.capture() as captured:
        console.print(table(report))
    assert "parameters after step 3, one | two" in captured.get()
    assert "loss of step 1, one | two" in captured.get()


NORM = """
<ir_version: 10, opset_import: ["": 23]>
norm (float[batch, 2, size, 3] x) => (float[batch, 2, size, 3] y)
    <float[2] scale = {1, 1}, float[2] bias = {0, 0}, float[2] mean = {0.5, 1}, float[2] var = {2, 3}>
{
    y = BatchNormalization<momentum: float = 0.75>(x, scale, bias, mean, var)
}
"""


def norm() -> ir.Model:
    model = ir.from_onnx_text(NORM)
    for name in ("mean", "var"):
        model.graph.initializers[name].metadata_props["graphkit.kind"] = "buffer"
    return model


@pytest.mark.parametrize("biased", [True, False])
def test_variances_are_compared_without_the_factor_that_the_laws_differ_by(biased: bool) -> None:
    rng = np.random.default_rng(0)
    laws = {True: np.array([2.0, 3.0]), False: np.array([2.0, 3.0])}
    statistics = Statistics(norm(), {"batch": 4, "size": 2})
    assert statistics.names == ("mean", "var")
    for step in range(1, 4):
        batch = rng.standard_normal((4, 2, 2, 3))
        for one in laws:
            laws[one] = 0.75 * laws[one] + 0.25 * batch.var((0, 2, 3), ddof=0 if one else 1)
        found = statistics.converted({"var": laws[biased]}, step, biased=biased, to_biased=not biased)
        np.testing.assert_allclose(found["var"], laws[not biased], rtol=1e-14)
        assert statistics.converted(found, step, biased=True, to_biased=True) is found
    assert "compared without this factor" in statistics.note("var")
    assert statistics.note("mean") == ""


def test_a_factor_that_the_shapes_do_not_tell_is_named() -> None:
    statistics = Statistics(norm(), {"batch": 4})
    assert statistics.unknown == {"var"}
    assert "n is not known" in statistics.note("var")


def test_frozen_statistics_are_not_expected_to_move() -> None:
    model = norm()
    model.graph[0].metadata_props["graphkit.use_global_stats"] = "True"
    assert Statistics(model, {}).names == ()


@pytest.mark.skipif(REAL_MODELS is None, reason="the published models are not beside the repository")
@pytest.mark.parametrize(("name", "shape"), [("toy-lenet-10301", "2x1x28x28"), ("xup-mlp-R", "2x4")])
def test_published_models_train_as_their_output_layers_did(name: str, shape: str) -> None:
    assert REAL_MODELS is not None
    folder = REAL_MODELS / name
    model = graphkit.load(folder / "symbol.json", params=folder / "model.params", inputs=[f"data:{shape}"], train=True)
    report = graphkit.verify(model, on=BOTH, backward=True, train_steps=3, dtype="float64", rule=Sgd(lr=0.01))
    assert report.passed
    assert worst(report, "parameter") < 1e-12
    assert {check.right for check in report.checks if check.step} == {"mxnet (rewritten)", "torch"}


def test_training_that_diverges_is_refused_rather_than_compared() -> None:
    told = r"diverges on torch: the loss is NaN or infinite after step \d of 4.*a smaller --lr than 1e\+30"
    with pytest.raises(InputError, match=told):
        graphkit.verify(networks.model("mlp-relu"), on=BOTH, train_steps=4, rule=Sgd(1e30))


def test_it_is_told_who_does_not_diverge() -> None:
    wild = Learner("wild", change=moved("b", 1, np.inf))
    with pytest.raises(InputError, match=r"diverges on wild: 'b' is .* after step 1 of 3.*\(calm still finite\)"):
        trained(wild, Learner("calm"))
    report = trained(Learner("calm"), wild)
    assert {check.name for check in report.checks if check.verdict == "fail"} == {"b"}
