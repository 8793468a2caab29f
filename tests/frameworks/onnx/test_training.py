"""Training on ONNX Runtime and the reference evaluator, beside torch's own optimizers."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import graphkit
from graphkit.errors import FeedError, InputError
from graphkit.frameworks.base import Adam, Batch, Sgd, runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.training import set_losses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphkit.frameworks.base import Rule, Step

STEPS = 20
SGD = Sgd(lr=0.1, momentum=0.9, weight_decay=1e-3)
ADAM = Adam(lr=1e-2, weight_decay=1e-3)
RULES = [pytest.param(SGD, id="sgd"), pytest.param(ADAM, id="adam")]


class Convolutional(nn.Module):
    """Convolution, BatchNorm of images and of rows, Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.drop = nn.Dropout(0.4)
        self.head = nn.Sequential(nn.Linear(54, 8), nn.BatchNorm1d(8, momentum=0.3), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.features(x).flatten(1)))
        return out


class Recurrent(nn.Module):
    """An embedding and an LSTM in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 4)

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(self.embedding(ids))[0][:, -1])
        return out


class Transformer(nn.Module):
    """An embedding and an encoder layer with attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(self.embedding(ids)).mean(1))
        return out


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "convolutional": (Convolutional, "8x3x8x8"),
    "recurrent": (Recurrent, "8x5:int64"),
    "transformer": (Transformer, "8x5:int64"),
}


def made(name: str) -> tuple[nn.Module, Any]:
    """A seeded network in training mode, and its canonical model."""
    torch.manual_seed(0)
    kind, spec = NETWORKS[name]
    net = kind().train()
    return net, graphkit.load(copy.deepcopy(net), inputs=[spec])


def batches(model: Any, count: int = STEPS) -> Iterator[tuple[dict[str, Any], Any]]:
    """Inputs and classes that can be told from them."""
    rng = np.random.default_rng(0)
    (value,) = model.graph.inputs
    for _ in range(count):
        classes = rng.integers(0, 4, 8)
        if value.dtype.is_floating_point():
            fed = rng.standard_normal((8, 3, 8, 8)).astype(np.float32)
            fed[np.arange(8), classes % 3, classes] += 2
        else:
            fed = rng.integers(0, 5, (8, 5)) + 5 * classes[:, None]
        yield {value.name: fed}, classes


def losses_of_torch(net: nn.Module, model: Any, rule: Rule) -> list[float]:
    """The loss of each step that torch makes, without dropout."""
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if isinstance(rule, Sgd):
        optimizer: Any = torch.optim.SGD(net.parameters(), rule.lr, rule.momentum, weight_decay=rule.weight_decay)
    else:
        optimizer = torch.optim.Adam(net.parameters(), rule.lr, weight_decay=rule.weight_decay)
    found = []
    for feeds, classes in batches(model):
        (fed,) = feeds.values()
        loss = nn.functional.cross_entropy(net(torch.tensor(fed)), torch.tensor(classes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def trained(model: Any, rule: Rule, runtime: str = "ort", count: int = STEPS) -> list[Step]:
    """Steps on the network's batches."""
    (output,) = (value.name for value in model.graph.outputs)
    given = [Batch(f, {output: c}, {output: 1.0}, 1.0, "cross-entropy") for f, c in batches(model, count)]
    session: Any = runtimes()[runtime].open(model, mode="train-no-dropout")
    with session:
        return list(session.train(given, rule))


@pytest.mark.parametrize(("name", "rule"), [("convolutional", SGD), ("recurrent", ADAM), ("transformer", SGD)])
def test_twenty_steps_follow_the_losses_of_torch(name: str, rule: Rule) -> None:
    net, model = made(name)
    steps = trained(model, rule)
    found = [float(step.loss) for step in steps if step.loss is not None]
    wanted = losses_of_torch(net, model, rule)
    np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)
    assert found[-1] < 0.9 * found[0]
    state = net.state_dict()
    for key, array in {**steps[-1].parameters, **steps[-1].buffers}.items():
        if key in state:
            np.testing.assert_allclose(array, state[key].numpy(), atol=2e-3, rtol=0)


def test_the_reference_evaluator_makes_the_same_steps() -> None:
    _, model = made("convolutional")
    for one, two in zip(trained(model, SGD, "ort", 2), trained(model, SGD, "reference", 2), strict=True):
        for name in one.parameters:
            np.testing.assert_allclose(two.parameters[name], one.parameters[name], atol=2e-4)
        for name in one.buffers:
            np.testing.assert_allclose(two.buffers[name], one.buffers[name], atol=1e-5)


def test_training_leaves_the_session_as_it_is() -> None:
    _, model = made("convolutional")
    feeds, classes = next(batches(model))
    (output,) = (value.name for value in model.graph.outputs)
    session: Any = runtimes()["ort"].open(model, mode="train-no-dropout")
    with session:
        before = session.forward(feeds)[output]
        list(session.train([Batch(feeds, {output: classes}, {output: 1.0}, 1.0, "cross-entropy")], Sgd()))
        np.testing.assert_array_equal(session.forward(feeds)[output], before)


@pytest.mark.parametrize(
    ("target", "loss", "told"),
    [
        (np.full(8, 4), "cross-entropy", "no class"),
        (np.zeros(3, np.int64), "cross-entropy", "for inputs of these sizes it is 8"),
        (np.zeros((2, 4), np.float32), "mse", "these sizes it is 8×4"),
        (np.zeros((8, 1), np.float32), "mse", "shape 8×1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(target: Any, loss: Any, told: str) -> None:
    _, model = made("convolutional")
    feeds, _ = next(batches(model))
    (output,) = (value.name for value in model.graph.outputs)
    session: Any = runtimes()["ort"].open(model)
    with pytest.raises(FeedError, match=told):
        next(session.train([Batch(feeds, {output: target}, {output: 1.0}, 1.0, loss)], Sgd()))


def test_a_model_without_parameters_cannot_be_trained() -> None:
    model = graphkit.load(nn.ReLU(), inputs=["2x3"])
    names = [value.name or "" for value in (*model.graph.inputs, *model.graph.outputs)]
    ones = np.ones((2, 3), np.float32)
    batch = Batch({names[0]: ones}, {names[1]: ones}, {names[1]: 1.0})
    session: Any = runtimes()["ort"].open(model)
    with pytest.raises(InputError, match="no parameters of floats"):
        next(session.train([batch], Sgd()))


def test_the_gradient_of_a_loss_that_the_model_has_is_taken_times_the_weight() -> None:
    text = """<ir_version: 10, opset_import: ["": 23]>
    net (float[n, 3] x) => (y, l) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> {
        y = MatMul (x, w)
        squares = Mul (y, y)
        l = ReduceSum <keepdims = 0> (squares)
    }"""
    model = canonical(ir.from_onnx_text(text))
    set_losses(model, ["l"])
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    session: Any = runtimes()["ort"].open(model)
    (one,) = session.train([Batch({"x": x}, weight=4.0)], Sgd(0.01, 0.0, 0.0))
    (two,) = session.train([Batch({"x": x})], Sgd(0.04, 0.0, 0.0))
    np.testing.assert_array_equal(one.loss, one.outputs["l"])
    np.testing.assert_allclose(one.parameters["w"], two.parameters["w"], rtol=1e-6)
    assert list(one.outputs) == ["y", "l"]


@pytest.mark.parametrize("rule", RULES)
def test_a_file_trains_on_plain_onnx_runtime(rule: Rule, tmp_path: Path) -> None:
    net, model = made("convolutional")
    made_step = graphkit.grad(model, step=rule, loss="cross-entropy", dropout=False)
    (path,) = graphkit.save(made_step, tmp_path / "step.onnx", to="onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    fed_back = json.loads(session.get_modelmeta().custom_metadata_map["graphkit.updates"])
    assert fed_back["features.0.weight"] == "features.0.weight.next"
    assert fed_back["features.1.running_var"] == "features.1.running_var.next"
    (output,) = (value.name for value in model.graph.outputs)
    state: dict[str, Any] = {}
    found = []
    for feeds, classes in batches(model):
        results = dict(zip(names, session.run(names, {**feeds, f"{output}.target": classes, **state}), strict=True))
        state = {name: results[after] for name, after in fed_back.items()}
        found.append(float(results["loss"]))
    np.testing.assert_allclose(found, losses_of_torch(net, model, rule), atol=1e-4, rtol=0)
    with pytest.raises(Exception, match="reshape"):  # of another batch than the inputs
        session.run(names, {**feeds, f"{output}.target": classes[:4]})
    for key, tensor in net.state_dict().items():
        if key in state:
            np.testing.assert_allclose(state[key], tensor.numpy(), atol=2e-3, rtol=0)
