"""PyTorch as a runtime: the program as it is, with inputs, outputs, parameters and taps by the model's names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.errors import ExecutionError, FeedError, MissingError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.run import TorchRuntime
from graphkit.ir.canonical import canonical
from graphkit.passes.cast_floats import cast_floats

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)
        self.embed = nn.Embedding(5, 3)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, image: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.relu(self.bn(self.conv(image))) * 0.7
        y = self.embed(ids) + self.unused.sum() * 0
        return {"map": x, "scores": x.mean((2, 3)) @ y.mT, "best": x.argmax(1)}


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.bn.running_mean.normal_()
        net.bn.running_var.uniform_(0.5, 2)
    return net.eval()


@pytest.fixture(scope="module")
def model(net: nn.Module) -> ir.Model:
    return graphkit.load(net, inputs=["image:2x2x5x5", "ids:4:int64"])


def feeds(dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(3, 2, 5, 5)).astype(dtype), "ids": np.array([1, 4, 0, 2])}


def gradients(net: Any, seeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    dtype = next(iter(seeds.values())).dtype
    image = torch.from_numpy(feeds(dtype.name)["image"]).requires_grad_()
    outputs = net(image, torch.from_numpy(feeds()["ids"]))
    total = sum((outputs[name] * torch.from_numpy(seed)).sum() for name, seed in seeds.items())
    targets = {"image": image, **dict(net.named_parameters())}
    found = torch.autograd.grad(total, list(targets.values()), materialize_grads=True, allow_unused=True)
    return {name: value.numpy() for name, value in zip(targets, found, strict=True)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_and_gradients_are_those_of_the_module(net: nn.Module, model: ir.Model, dtype: str) -> None:
    import copy

    own = copy.deepcopy(net).to(getattr(torch, dtype))
    given = feeds(dtype)
    rng = np.random.default_rng(1)
    seeds = {"map": rng.normal(size=(3, 3, 5, 5)).astype(dtype), "scores": rng.normal(size=(3, 4)).astype(dtype)}
    opened = model if dtype == "float32" else cast_floats(model, dtype)
    with runtimes()["torch"].open(opened) as session:
        found, slopes = session.forward(given), session.backward(given, seeds)
    with torch.no_grad():
        wanted = own(*(torch.from_numpy(array) for array in given.values()))
    assert list(found) == ["map", "scores", "best"]
    assert all(np.array_equal(found[name], wanted[name].numpy()) for name in found)
    expected = gradients(own, seeds)
    assert slopes.keys() == expected.keys() - {"unused"} | ({"unused"} & slopes.keys())
    assert all(np.array_equal(slopes[name], expected[name]) for name in slopes)
    assert all(value.dtype == dtype for value in slopes.values())


def test_what_an_output_does_not_depend_on_has_zero_gradient(model: ir.Model) -> None:
    seeds = {"map": np.ones((3, 3, 5, 5), np.float32), "scores": np.zeros((3, 4), np.float32)}
    with runtimes()["torch"].open(model) as session:
        found = session.backward(feeds(), seeds)
    assert not found["embed.weight"].any()
    assert found["conv.weight"].any()


def test_inner_values_are_tapped_by_the_model_s_names(net: nn.Module, model: ir.Model) -> None:
    """Even where the program overwrites them in place afterwards."""
    taps = ["conv", "bn", "relu", "image", "conv.weight", "map"]
    with runtimes()["torch"].open(model) as one, runtimes()["ort"].open(model) as other:
        found, wanted = one.forward(feeds(), taps), other.forward(feeds(), taps)
    assert found.keys() == wanted.keys() == {*taps, "scores", "best"}
    assert all(np.allclose(found[name], wanted[name], atol=1e-5) for name in taps)
    assert (found["bn"] < 0).any()
    assert not (found["relu"] < 0).any()
    with torch.no_grad():
        conv = net.conv(torch.from_numpy(feeds()["image"])).numpy()
    assert np.array_equal(found["conv"], conv)


def test_a_value_that_the_program_does_not_have_cannot_be_tapped(model: ir.Model) -> None:
    copy = model.clone()
    copy.meta.update(model.meta)
    copy.graph[0].outputs[0].name = "renamed"
    with runtimes()["torch"].open(copy) as session:
        with pytest.raises(UnsupportedError, match="renamed"):
            session.forward(feeds(), ["renamed"])
        with pytest.raises(FeedError, match="nowhere"):
            session.forward(feeds(), ["nowhere"])


def test_feeds_are_checked_and_left_alone(model: ir.Model) -> None:
    given = feeds()
    before = given["image"].copy()
    with runtimes()["torch"].open(model) as session:
        with pytest.raises(FeedError, match="'ids' is missing"):
            session.forward({"image": given["image"]})
        with pytest.raises(FeedError, match="dtype float64"):
            session.forward(feeds("float64"))
        with pytest.raises(FeedError, match="shape"):
            session.backward(given, {"map": np.ones((1, 1), np.float32), "scores": np.ones((3, 4), np.float32)})
        session.forward(given)
    assert np.array_equal(before, given["image"])


def test_what_torch_refuses_is_an_execution_error() -> None:
    text = (
        '<ir_version: 10, opset_import: ["" : 23]> g (float[3,2] t, int64[2] i) => (float[2,2] y) { y = Gather (t, i) }'
    )
    given = {"t": np.ones((3, 2), np.float32), "i": np.array([0, 9])}
    with (
        runtimes()["torch"].open(canonical(ir.from_onnx_text(text))) as session,
        pytest.raises(ExecutionError, match=r"index out of range|out of bounds"),
    ):
        session.forward(given)


def test_layers_that_torch_does_not_make_are_an_execution_error() -> None:
    weight = ", ".join(["1"] * 12)
    text = (
        '<ir_version: 10, opset_import: ["" : 23]> g (float[1,3,5] x) => (float[1,4,3] y) '
        f"<float[4,1,3] w = {{{weight}}}> {{ y = Conv <group = 3> (x, w) }}"
    )
    with pytest.raises(ExecutionError, match="out_channels must be divisible by groups"):
        runtimes()["torch"].open(canonical(ir.from_onnx_text(text)))


def test_models_of_other_sources_run_as_the_source_written_for_them() -> None:
    model = canonical(
        ir.from_onnx_text('<ir_version: 10, opset_import: ["" : 23]> g (float[2] x) => (float[2] y) { y = Relu(x) }')
    )
    with runtimes()["torch"].open(model) as session:
        assert session.forward({"x": np.array([-1, 2], np.float32)})["y"].tolist() == [0, 2]


def test_the_converted_form_computes_what_the_program_does(model: ir.Model) -> None:
    found = []
    for native in (True, False):
        with runtimes()["torch"].open(model, native=native) as session:
            found.append(session.forward(feeds()))
    for name, expected in found[0].items():
        np.testing.assert_allclose(found[1][name], expected, rtol=1e-5, atol=1e-6)


def test_the_runtime_tells_what_it_is() -> None:
    runtime = runtimes()["torch"]
    assert (runtime.native, runtime.missing()) == ("torch", None)
    assert runtime.can == {"forward", "taps", "backward", "train"}
    assert runtime.version() == f"torch {torch.__version__.partition('+')[0]}" or runtime.version().startswith("torch ")


def test_a_missing_torch_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, model: ir.Model) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install 'graphkit[torch]'" in (TorchRuntime().missing() or "")
    with pytest.raises(MissingError, match=r"graphkit\[torch\]"):
        TorchRuntime().open(model)
    with pytest.raises(MissingError, match=r"graphkit\[torch\]"):
        graphkit.load("x.pt2")


def test_asking_for_torch_s_version_does_not_import_it() -> None:
    code = (
        "import sys; from graphkit.frameworks.base import runtimes; r = runtimes()['torch']; "
        "print(r.missing(), r.version(), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("None torch ")
    assert told.strip().endswith("False")
