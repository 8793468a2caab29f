"""Losses, and graphs that make a step of training."""

from __future__ import annotations

from typing import Any

import fakes
import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind
from graphkit.ir.training import is_backward, losses, set_losses, targets_of, updates_of
from graphkit.passes.cast_floats import cast_floats
from graphkit.passes.gradient.loss import add_loss
from graphkit.passes.gradient.optimizers import Adam, Sgd
from graphkit.passes.gradient.step import step_model, trainable

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))
TARGET = RNG.standard_normal((4, 3))


def doubles() -> ir.Model:
    """relu(x @ w + b) in float64."""
    return cast_floats(fakes.model(), "float64")


def values(model: ir.Model) -> dict[str, Any]:
    return {name: np.array(value.const_value.numpy()) for name, value in model.graph.initializers.items()}  # type: ignore[union-attr]  # it has one


def run(model: ir.Model, **feeds: Any) -> dict[str, Any]:
    """Outputs on the reference evaluator; inputs with a default may be fed."""
    copy = model.clone()
    for name in feeds:
        value = copy.graph.initializers.pop(name, None)
        if value is not None:
            value.const_value = None
    with runtimes()["reference"].open(copy) as session:
        return dict(session.forward(feeds))


def test_the_distance_from_targets_is_halved_and_averaged() -> None:
    model = doubles()
    loss = add_loss(model, "mse")
    assert (loss.value.name, loss.targets) == ("loss", {"y": "y.target"})
    assert losses(model) == ["loss"]
    assert targets_of(model) == {"y": "y.target"}
    assert not any(is_backward(node) for node in model.graph)
    found = run(model, x=X, **{"y.target": TARGET})
    np.testing.assert_allclose(found["loss"], np.mean((found["y"] - TARGET) ** 2) / 2, rtol=1e-12)


def test_cross_entropy_is_that_of_torch() -> None:
    model = doubles()
    add_loss(model, "cross-entropy")
    classes = np.array([0, 2, 1, 2])
    found = run(model, x=X, **{"y.target": classes})
    wanted = torch.nn.functional.cross_entropy(torch.tensor(found["y"]), torch.tensor(classes))
    np.testing.assert_allclose(found["loss"], wanted.item(), rtol=1e-12)


def test_weights_and_scales_are_inputs_that_are_1_if_nobody_feeds_them() -> None:
    model = doubles()
    loss = add_loss(model, "mse", weighed=True)
    fed = {"x": X, "y.target": TARGET}
    plain = run(model, **fed)
    np.testing.assert_allclose(plain["loss"], np.mean((plain["y"] - TARGET) ** 2) / 2, rtol=1e-12)
    given = {loss.scales["y"]: np.float64(0.5), loss.weight: np.float64(4)}
    found = run(model, **fed, **given)
    np.testing.assert_allclose(found["loss"], 4 * np.mean((found["y"] / 2 - TARGET) ** 2) / 2, rtol=1e-12)


def test_several_outputs_and_losses_are_summed() -> None:
    text = '<ir_version: 10, opset_import: ["": 23]> net (double[n,3] x) => (y, z) { y = Abs(x) z = ReduceSum(x) }'
    model = canonical(ir.from_onnx_text(text))
    add_loss(model, "mse")
    x = X[:, :3]
    found = run(model, x=x, **{"y.target": x, "z.target": np.zeros((1, 1))})
    wanted = np.mean((np.abs(x) - x) ** 2) / 2 + x.sum() ** 2 / 2
    np.testing.assert_allclose(found["loss"], wanted, rtol=1e-12)


def test_own_losses_stay_and_their_sum_is_an_output_of_its_own() -> None:
    text = '<ir_version: 10, opset_import: ["": 23]> net (double[n,3] x) => (y) { y = ReduceSum<keepdims=0>(x) }'
    model = canonical(ir.from_onnx_text(text))
    set_losses(model, ["y"])
    assert add_loss(model, "given").value.name == "loss"
    assert losses(model) == ["y"]
    found = run(model, x=X[:, :3])
    assert found["loss"] == found["y"]
    with pytest.raises(InputError, match=r"has a loss of its own \('y'\)"):
        add_loss(model, "mse")


@pytest.mark.parametrize(
    ("kind", "outputs", "told"),
    [
        ("given", None, "no losses of its own"),
        ("mse", ["q"], "no output 'q'"),
        ("cross-entropy", ["n"], "'n' cannot have a target .* no tensor of floats"),
        ("cross-entropy", ["z"], "'z' cannot have a target .* no axis 1"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(kind: Any, outputs: Any, told: str) -> None:
    nodes = "y = Abs(x) z = ReduceSum<keepdims=0>(x) n = Cast<to=7>(x)"
    text = f'<ir_version: 10, opset_import: ["": 23]> net (float[n,3] x) => (y, z, n) {{ {nodes} }}'
    with pytest.raises(InputError, match=told):
        add_loss(canonical(ir.from_onnx_text(text)), kind, outputs)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_of_sgd_is_that_of_torch_and_can_be_fed_back(momentum: float) -> None:
    step = step_model(doubles(), Sgd(0.1, momentum, 0.01), "mse")
    start = values(doubles())
    tensors = {name: torch.tensor(start[name]).requires_grad_() for name in "wb"}
    optimizer: Any = torch.optim.SGD(list(tensors.values()), 0.1, momentum, weight_decay=0.01)
    state: dict[str, Any] = {}
    for _ in range(3):
        found = run(step.model, x=X, **{"y.target": TARGET}, **state)
        y = torch.relu(torch.tensor(X) @ tensors["w"] + tensors["b"])
        loss = (y - torch.tensor(TARGET)).square().mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(found["loss"], loss.item(), rtol=1e-12)
        state = {name: found[after] for name, after in step.updates.items()}
        for name, tensor in tensors.items():
            np.testing.assert_allclose(state[name], tensor.detach().numpy(), atol=1e-12)
    assert set(state) == ({"w", "b", "w.momentum", "b.momentum"} if momentum else {"w", "b"})


def test_a_step_of_adam_is_that_of_torch_and_can_be_fed_back() -> None:
    rule = Adam(0.01, 0.8, 0.99, 1e-6, 0.05)
    step = step_model(doubles(), rule, "mse")
    start = values(doubles())
    tensors = {name: torch.tensor(start[name]).requires_grad_() for name in "wb"}
    optimizer = torch.optim.Adam(list(tensors.values()), 0.01, (0.8, 0.99), 1e-6, 0.05)
    state: dict[str, Any] = {}
    for number in range(3):
        found = run(step.model, x=X, **{"y.target": TARGET}, **state)
        y = torch.relu(torch.tensor(X) @ tensors["w"] + tensors["b"])
        optimizer.zero_grad()
        ((y - torch.tensor(TARGET)).square().mean() / 2).backward()
        optimizer.step()
        state = {name: found[after] for name, after in step.updates.items()}
        assert state["step"] == number + 1
        for name, tensor in tensors.items():
            np.testing.assert_allclose(state[name], tensor.detach().numpy(), atol=1e-12)
            np.testing.assert_allclose(state[f"{name}.moment2"], optimizer.state[tensor]["exp_avg_sq"], atol=1e-12)


def test_inputs_and_outputs_have_systematic_names_and_defaults() -> None:
    step = step_model(fakes.model(), Sgd(0.25), "mse")
    graph = step.model.graph
    assert [value.name for value in graph.inputs if not value.is_initializer()] == ["x", "y.target"]
    assert [value.name for value in graph.inputs if value.is_initializer()] == [
        "w",
        "b",
        "lr",
        "w.momentum",
        "b.momentum",
    ]
    assert [value.name for value in graph.outputs] == [
        "y",
        "loss",
        "w.next",
        "w.momentum.next",
        "b.next",
        "b.momentum.next",
    ]
    assert updates_of(step.model) == step.updates
    held = values(step.model)
    assert held["lr"] == np.float32(0.25)
    assert not held["w.momentum"].any()
    np.testing.assert_array_equal(held["w"], values(fakes.model())["w"])
    assert step.parameters == ("w", "b")


def test_the_learning_rate_can_be_fed() -> None:
    step = step_model(doubles(), Sgd(0.1, 0.0, 0.0), "mse")
    fed = {"x": X, "y.target": TARGET}
    w = values(doubles())["w"]
    moved = run(step.model, **fed)["w.next"] - w
    np.testing.assert_allclose(run(step.model, **fed, lr=np.float64(0.3))["w.next"] - w, 3 * moved, rtol=1e-9)


def test_what_is_frozen_stays_and_what_the_loss_does_not_depend_on_is_decayed() -> None:
    model = doubles()
    spare = ir.val("spare", const_value=ir.tensor(np.full(2, 8.0), name="spare"))
    spare.dtype, spare.shape = ir.DataType.DOUBLE, ir.Shape([2])
    set_kind(spare, "parameter")
    model.graph.register_initializer(spare)
    step = step_model(model, Sgd(0.5, 0.0, 0.25), "mse", parameters=["w", "spare"])
    found = run(step.model, x=X, **{"y.target": TARGET})
    assert {"b.next", "b.grad"}.isdisjoint(found)
    np.testing.assert_allclose(found["spare.next"], 8 - 0.5 * 0.25 * 8, rtol=1e-12)
    assert [value.name for value in step.model.graph.inputs if value.is_initializer()] == ["w", "spare", "lr"]


def test_parameters_that_are_no_floats_are_not_trained() -> None:
    model = fakes.model()
    table = ir.val("table", const_value=ir.tensor(np.arange(3), name="table"))
    set_kind(table, "parameter")
    model.graph.register_initializer(table)
    assert trainable(model) == ["w", "b"]


def test_a_name_that_is_taken_gets_a_number() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> net (float[n,3] lr) => (loss) <float[3] w = {1, 2, 3}> '
        "{ loss = Mul(lr, w) }"
    )
    model = canonical(ir.from_onnx_text(text))
    step = step_model(model, Sgd(), "mse")
    assert (step.rate, step.loss.value.name) == ("lr_2", "loss_2")
    assert step.loss.targets == {"loss": "loss.target"}


def test_nodes_without_a_gradient_are_all_listed() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23, "graphkit.test": 1]> net (float[3,3] x) => (y) <float[3,3] w = '
        "{1, 2, 3, 4, 5, 6, 7, 8, 9}> { a = MatMul(x, w) b = graphkit.test.Odd(a) y = graphkit.test.Even(b) }"
    )
    model = ir.from_onnx_text(text)
    set_kind(model.graph.initializers["w"], "parameter")
    for node in model.graph:
        for value in node.outputs:
            value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([3, 3])
    with pytest.raises(UnsupportedError, match=r"2 nodes .*Even × 1.*Odd × 1"):
        step_model(model, Sgd(), "mse")
