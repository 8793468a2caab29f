"""Steps of training are those that the formulas of optimizers and losses say, on every runtime that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import FeedError
from graphkit.frameworks.base import Adam, Batch, Sgd, runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.ir.training import set_losses
from graphkit.parity.training import rounded
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from graphkit.frameworks.base import Loss, Rule, Step

    Arrays = dict[str, np.ndarray[Any, np.dtype[np.float64]]]

SIDES: list[Any] = [("torch", False), pytest.param("mxnet", False, marks=pytest.mark.mxnet)]
RULES: list[Rule] = [
    rounded(Sgd(0.125, 0.0, 0.25)),
    rounded(Sgd(0.1, 0.9, 1e-3)),
    rounded(Adam(0.01, epsilon=1e-3)),
    rounded(Adam(0.02, 0.3, 0.75, 1e-6, 0.125)),
]
TEXT = """
<ir_version: 10, opset_import: ["": 23]>
dense (double[batch, 4] x) => (double[batch, 3] y)
    <double[4, 3] w = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, double[3] b = {0, 0, 0}>
{
    a = MatMul(x, w)
    y = Add(a, b)
}
"""


def dense() -> tuple[ir.Model, Arrays]:
    """A linear layer, and its weights."""
    model = ir.from_onnx_text(TEXT)
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for name, value in model.graph.initializers.items():
        arrays[name] = rng.standard_normal(tuple(value.shape))
        value.const_value = ir.tensor(arrays[name], name=name)
        set_kind(value, "parameter")
    return canonical(model), arrays


def steps(name: str, native: bool, model: ir.Model, batches: list[Batch], rule: Rule) -> list[Step]:
    runtime = runtimes()[name]
    if (problem := runtime.missing()) is not None:
        pytest.skip(problem)
    with runtime.open(model, mode="train-no-dropout", native=native) as session:
        return list(session.train(batches, rule))  # type: ignore[attr-defined]  # both train


def slope(y: Any, target: Any, loss: Loss, scale: float) -> tuple[float, Any]:
    """A loss and its gradient in the output."""
    scaled = y * scale
    if loss == "mse":
        return np.square(scaled - target).mean() / 2, (scaled - target) * scale / y.size
    share = np.exp(scaled - scaled.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    hot = np.eye(y.shape[1])[target]
    return -np.log((share * hot).sum(1)).mean(), (share - hot) * scale / len(y)


def by_hand(weights: Arrays, batches: list[Batch], rule: Rule) -> list[tuple[float, Arrays]]:
    """Loss of each step and the weights after it."""
    first, second = ({name: np.zeros_like(array) for name, array in weights.items()} for _ in range(2))
    found = []
    for number, batch in enumerate(batches, 1):
        x, target = batch.feeds["x"], batch.targets["y"]
        loss, inner = slope(x @ weights["w"] + weights["b"], target, batch.loss, batch.scales["y"])
        gradients = {"w": x.T @ inner * batch.weight, "b": inner.sum(0) * batch.weight}
        weights = dict(weights)
        for name, gradient in gradients.items():
            gradient = gradient + rule.weight_decay * weights[name]
            if isinstance(rule, Sgd):
                first[name] = rule.momentum * first[name] + gradient
                weights[name] = weights[name] - rule.lr * first[name]
                continue
            first[name] = rule.beta1 * first[name] + (1 - rule.beta1) * gradient
            second[name] = rule.beta2 * second[name] + (1 - rule.beta2) * gradient**2
            mean = first[name] / (1 - rule.beta1**number)
            root = np.sqrt(second[name] / (1 - rule.beta2**number))
            weights[name] = weights[name] - rule.lr * mean / (root + rule.epsilon)
        found.append((loss * batch.weight, weights))
    return found


def drawn(count: int, loss: Loss) -> list[Batch]:
    rng = np.random.default_rng(1)
    batches = []
    for _ in range(count):
        target = rng.integers(0, 3, 5) if loss == "cross-entropy" else rng.standard_normal((5, 3))
        batches.append(Batch({"x": rng.standard_normal((5, 4))}, {"y": target}, {"y": 0.5}, 4.0, loss))
    return batches


@pytest.mark.parametrize(("name", "native"), SIDES)
@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam", "adam with decay"])
def test_steps_follow_the_formulas(name: str, native: bool, loss: Loss, rule: Rule) -> None:
    model, weights = dense()
    batches = drawn(5, loss)
    bound = 1e-6 if isinstance(rule, Adam) else 1e-12  # MXNet's float32 numbers of one step
    for step, (value, expected) in zip(
        steps(name, native, model, batches, rule), by_hand(weights, batches, rule), strict=True
    ):
        assert step.loss is not None
        assert float(step.loss) == pytest.approx(value, rel=bound)
        for each, array in expected.items():
            np.testing.assert_allclose(step.parameters[each], array, rtol=0, atol=bound, err_msg=each)


@pytest.mark.mxnet
@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
@pytest.mark.parametrize("rule", RULES, ids=["sgd", "momentum", "adam", "adam with decay"])
def test_steps_of_a_network_agree(loss: Loss, rule: Rule) -> None:
    model = cast_floats(networks.model("lenet"), "float64")
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(5):
        target = rng.integers(0, 10, 2) if loss == "cross-entropy" else rng.standard_normal((2, 10))
        feeds = {"image": rng.standard_normal((2, 1, 28, 28))}
        batches.append(Batch(feeds, {"output": target}, {"output": 1.0}, 2.0**-4, loss))
    found = [steps("torch", native, model, batches, rule) for native in (True, False)]
    found.append(steps("mxnet", False, model, batches, rule))
    for one, two, three in zip(*found, strict=True):
        for other in (two, three):
            for name, array in one.parameters.items():
                peak = float(np.abs(array.astype(np.float64)).max())
                np.testing.assert_allclose(other.parameters[name], array, rtol=0, atol=1e-8 * peak, err_msg=name)
            assert one.loss is not None
            assert other.loss is not None
            assert float(other.loss) == pytest.approx(float(one.loss), rel=1e-8)


@pytest.mark.parametrize(("name", "native"), SIDES)
def test_classes_of_places_are_scored_along_axis_1(name: str, native: bool) -> None:
    text = """
    <ir_version: 10, opset_import: ["": 23]>
    seg (double[2, 3, 4] x) => (double[2, 3, 4] y, double[2] z) <double[1, 3, 1] w = {1, 2, 3}> {
        y = Mul(x, w)
        s = Constant <value_ints: ints = [1, 2]> ()
        z = ReduceSum <keepdims: int = 0> (y, s)
    }
    """
    model = canonical(ir.from_onnx_text(text))
    set_kind(model.graph.initializers["w"], "parameter")
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((2, 3, 4)), rng.integers(0, 3, (2, 4))
    batch = Batch({"x": x}, {"y": target}, {"y": 0.5}, 1.0, "cross-entropy")
    (step,) = steps(name, native, model, [batch], Sgd(1.0, 0.0, 0.0))
    y = x * np.array([1.0, 2, 3]).reshape(1, 3, 1)
    rows = lambda array: array.transpose(0, 2, 1).reshape(8, 3)  # noqa: E731
    loss, inner = slope(rows(y), target.reshape(8), "cross-entropy", 0.5)
    assert step.loss is not None
    assert float(step.loss) == pytest.approx(loss, rel=1e-12)
    moved = np.array([1.0, 2, 3]) - (inner * rows(x)).sum(0)
    np.testing.assert_allclose(step.parameters["w"].reshape(3), moved, rtol=1e-12)


@pytest.mark.parametrize(("name", "native"), SIDES)
def test_gradients_of_a_models_own_loss_are_weighted(name: str, native: bool) -> None:
    text = TEXT.replace("(double[batch, 3] y)", "(double loss)").replace(
        "y = Add(a, b)", "y = Add(a, b) s = Mul(y, y) loss = ReduceSum <keepdims: int = 0> (s)"
    )
    model = ir.from_onnx_text(text)
    _, weights = dense()
    for each, value in model.graph.initializers.items():
        value.const_value = ir.tensor(weights[each], name=each)
        set_kind(value, "parameter")
    model = canonical(model)
    set_losses(model, ["loss"])
    x = np.random.default_rng(1).standard_normal((5, 4))
    y = x @ weights["w"] + weights["b"]
    (step,) = steps(name, native, model, [Batch({"x": x}, weight=0.25)], Sgd(1.0, 0.0, 0.0))
    assert step.loss is not None
    assert float(step.loss) == pytest.approx(np.square(y).sum(), rel=1e-12)
    np.testing.assert_allclose(step.parameters["b"], weights["b"] - 0.25 * 2 * y.sum(0), rtol=1e-12)


@pytest.mark.parametrize(("name", "native"), SIDES)
@pytest.mark.parametrize(
    ("targets", "complaint"),
    [
        ({}, "Target 'y' is missing"),
        ({"y": np.zeros(5)}, "dtype float64, the model asks for int64"),
        ({"y": np.zeros((5, 3), np.int64)}, "Target 'y' has shape 5×3"),
        ({"y": np.zeros(4, np.int64)}, "target"),
        ({"y": np.array([0, 1, 2, 3, 0])}, "holds 3, which is no class"),
        ({"y": np.array([0, 1, -1, 2, 0])}, "holds -1, which is no class"),
    ],
)
def test_what_is_no_class_is_refused(name: str, native: bool, targets: Any, complaint: str) -> None:
    model, _ = dense()
    batch = Batch({"x": np.ones((5, 4))}, targets, {"y": 1.0}, 1.0, "cross-entropy")
    with pytest.raises(FeedError, match=f"(?i){complaint}"):
        steps(name, native, model, [batch], Sgd())


@pytest.mark.parametrize(("name", "native"), SIDES)
def test_classes_of_an_output_of_unknown_size_are_checked_when_it_is_computed(name: str, native: bool) -> None:
    text = TEXT.replace("double[batch, 4] x", "double[batch, 4, size] x").replace(
        "double[batch, 3] y", "double[batch, 4, size] y"
    )
    text = text.replace("a = MatMul(x, w)", "").replace("Add(a, b)", "Mul(x, b)").replace("double[3] b", "double[1] b")
    text = text.replace("<double[4, 3] w = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ", "<").replace("{0, 0, 0}", "{2}")
    text = text.replace("[batch, 4, size]", "[batch, size, 4]")
    model = canonical(ir.from_onnx_text(text))
    set_kind(model.graph.initializers["b"], "parameter")
    x = np.ones((2, 3, 4))
    for worst in (2, 3):
        target = np.full((2, 4), worst)
        batch = Batch({"x": x}, {"y": target}, {"y": 1.0}, 1.0, "cross-entropy")
        if worst < 3:
            assert len(steps(name, native, model, [batch], Sgd())) == 1
        else:
            with pytest.raises(FeedError, match="no class"):
                steps(name, native, model, [batch], Sgd())
