"""Where gradients stop in PyTorch's programs, and steps of training on PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphkit
from graphkit.errors import FeedError
from graphkit.frameworks.base import Batch, Sgd, runtimes
from graphkit.frameworks.torch.quiet import quiet
from graphkit.ir.training import stops_gradient
from graphkit.passes.cast_floats import cast_floats

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(x))
        return self.second(hidden.detach()) * hidden.sum() + self.first(x).detach().relu().sum()


class NoGrad(Detached):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.first(x))
        with torch.no_grad():
            gate = torch.sigmoid(hidden) + torch.tensor([1.0, 2.0, 3.0])
        return self.second(gate) * hidden.sum()


@pytest.mark.parametrize(("module", "stops"), [(Detached, 2), (NoGrad, 1)])
@pytest.mark.parametrize("other", ["mxnet", "torch"])
def test_gradients_stop_where_they_stop_in_torch(module: Any, stops: int, other: str) -> None:
    torch.manual_seed(0)
    model = graphkit.load(module(), inputs=[(2, 4)])
    assert sum(map(stops_gradient, model.graph)) == stops
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 4))}
    double = cast_floats(model, "float64")
    with runtimes()["torch"].open(double) as one, runtimes()[other].open(double, native=False) as two:
        (name,) = one.forward(feeds)
        seeds = {name: np.ones((2, 2))}
        expected, found = one.backward(feeds, seeds), two.backward(feeds, seeds)
    assert expected.keys() == found.keys()
    for key, gradient in expected.items():
        np.testing.assert_allclose(found[key], gradient, atol=1e-12, err_msg=key)


class Tied(nn.Module):
    """A network with a tied weight, BatchNorm, dropout and a weight that nothing needs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.norm, self.drop, self.slope = nn.BatchNorm1d(4), nn.Dropout(0.9), nn.RReLU()
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.drop(self.slope(self.norm(self.first(x))))) + 0 * self.unused.detach().sum()


RULE = Sgd(lr=0.1, momentum=0.5, weight_decay=0.25)


def by_hand(module: nn.Module, batches: list[Batch]) -> list[dict[str, np.ndarray]]:
    """The state of the module after each step of torch's SGD."""
    module = module.double().train()
    module.drop.eval()
    module.slope.eval()
    sgd = torch.optim.SGD(module.parameters(), lr=RULE.lr, momentum=RULE.momentum, weight_decay=RULE.weight_decay)
    states = []
    for batch in batches:
        sgd.zero_grad()
        output = module(torch.from_numpy(batch.feeds["x"]))
        (name,) = batch.targets
        gap = output * batch.scales[name] - torch.from_numpy(batch.targets[name])
        (gap.square().mean() / 2 * batch.weight).backward()
        module.unused.grad = torch.zeros(2, dtype=torch.float64)
        sgd.step()
        states.append({key: tensor.detach().numpy().copy() for key, tensor in module.state_dict().items()})
    return states


@pytest.mark.parametrize("native", [True, False], ids=["program", "source"])
def test_steps_are_those_of_torchs_optimizer_and_leave_the_session_as_it_was(native: bool) -> None:
    torch.manual_seed(1)
    module = Tied()
    model = cast_floats(graphkit.load(module, inputs=[(6, 4)], warn=lambda _message: None), "float64")
    rng = np.random.default_rng(0)
    draws = [rng.standard_normal((2, 6, 4)) for _ in range(3)]
    with runtimes()["torch"].open(model, mode="train-no-dropout", native=native) as session:
        ((name, before),) = session.forward({"x": draws[0][0]}).items()
        batches = [Batch({"x": x}, {name: y}, {name: 0.5}, 2.0) for x, y in draws]
        steps = list(session.train(batches, RULE))
        again = list(session.train(iter(batches), RULE))
        np.testing.assert_array_equal(session.forward({"x": draws[0][0]})[name], before)
    np.testing.assert_array_equal(steps[0].outputs[name], before)
    for step, same, state in zip(steps, again, by_hand(module, batches), strict=True):
        assert step.unbiased
        assert step.loss == same.loss
        expected = {key: array for key, array in state.items() if key in {**step.parameters, **step.buffers}}
        assert {
            "first.weight",
            "second.bias",
            "norm.weight",
            "norm.running_mean",
            "norm.running_var",
        } <= expected.keys()
        for key, array in {**step.parameters, **step.buffers}.items():
            # the slope of the written source is that of an ONNX attribute, which is float32
            np.testing.assert_allclose(array, expected[key], atol=1e-13 if native else 1e-8, rtol=0, err_msg=key)


def test_a_target_of_another_shape_is_refused() -> None:
    model = graphkit.load(nn.Linear(4, 3), inputs=[(2, 4)])
    x = np.ones((2, 4), np.float32)
    with runtimes()["torch"].open(model, mode="train-no-dropout") as session:
        (name,) = session.forward({"input": x})
        for targets, complaint in [
            ({}, "Target .* missing"),
            ({name: np.ones((2, 5), np.float32)}, "Target .* shape"),
            ({name: np.ones((4, 3), np.float32)}, "Target .* shape"),
            ({name: np.ones((2, 3))}, "Target .* dtype"),
        ]:
            with pytest.raises(FeedError, match=complaint):
                list(session.train([Batch({"input": x}, targets, {name: 1.0})], RULE))


@pytest.mark.parametrize("start", [True, False], ids=["exported for training", "exported for inference"])
@pytest.mark.parametrize("decomposed", [True, False])
def test_programs_train_however_they_were_exported(start: bool, decomposed: bool) -> None:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 2))
    program = torch.export.export(net.train(start), (torch.randn(4, 2, 5, 5),))
    if decomposed:
        with quiet():
            program = program.run_decompositions()
    model = cast_floats(graphkit.load(program, dynamic_batch=False), "float64")
    (x,) = (value.name for value in model.graph.inputs)
    (y,) = (value.name for value in model.graph.outputs)
    rng = np.random.default_rng(0)
    batches = [
        Batch({x: rng.standard_normal((4, 2, 5, 5))}, {y: rng.standard_normal((4, 2))}, {y: 1.0}) for _ in range(2)
    ]
    found = []
    for native in (True, False):
        with runtimes()["torch"].open(model, mode="train-no-dropout", native=native) as session:
            found.append(list(session.train(batches, RULE)))
    for one, two in zip(*found, strict=True):
        assert len(one.buffers) == 2
        for left, right in ((one.parameters, two.parameters), (one.buffers, two.buffers)):
            assert left.keys() == right.keys()
            for name, array in left.items():
                np.testing.assert_allclose(array, right[name], atol=1e-13, rtol=0, err_msg=name)
