"""However a model is put together, the source that is written for it computes and trains what the model does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own spelling
from torchtext import assert_as_native

import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.identifiers import MODULE, camel, identifier
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


def compare(model: ir.Model) -> str:
    """Hold the source against the module in float64, outputs and gradients; gives the source's text."""
    assert_as_native(model)
    return to_source(to_program(cast_floats(model, "float64")), "net").text


class Splits(nn.Module):
    """Blocks that end in a split of which several parts are used."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(6, 6, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = []
        for conv in self.convs:
            first, second, third = torch.split(torch.tanh(conv(x)), [1, 2, 3], 1)
            x = torch.cat([third, first * 2, second], 1)
            outputs += [first, second]
        return (x, *outputs)


class Branch(nn.Module):
    """What is added is a result of the model besides."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1), nn.Conv2d(3, 3, 1)])
            for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ways = []
        for wide, norm, narrow, side in self.units:
            ways.append(side(x))
            x = narrow(F.relu(norm(wide(x)))) + ways[-1]
        return (x, *ways[:2])


class Tail(nn.Module):
    """Some blocks add their input, and what they give before that is a result besides."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, 2 * o, 1), nn.ReLU6(), nn.Conv2d(2 * o, o, 1), nn.BatchNorm2d(o))
            for i, o in ((4, 4), (4, 4), (4, 6), (6, 6), (6, 8))
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bodies = []
        for unit in self.units:
            bodies.append(unit(x))
            x = x + bodies[-1] if x.shape == bodies[-1].shape else bodies[-1]
        return x, bodies[1], bodies[3]


class Everything(nn.Module):
    """Every block's result is a result of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        results = []
        for unit in self.units:
            x = F.relu(unit(x))
            results.append(x)
        return results


class Scaled(nn.Module):
    """A function that is used within a class, with a number in which the uses of the class differ."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList(nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(2)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for k, unit in enumerate(self.units):
            for conv in unit:
                y = torch.tanh(torch.sigmoid(conv(x)) * (k + 2))
                x = torch.sin(torch.tanh(torch.sigmoid(y) * (k + 2)))
        return x


class Widths(nn.Module):
    """Parameters used as they are, of another shape in each block."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(n, 3, 1, 1)) for n in (2, 3, 5))
        self.scales = nn.ParameterList(nn.Parameter(torch.randn(3, 1, 1)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for weight, scale in zip(self.weights, self.scales, strict=True):
            x = torch.tanh(F.conv2d(x, weight)).mean(1, keepdim=True) * scale + x
        return x


class Towers(nn.Module):
    """The same layers on two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = self.tower(x), self.tower(y)
        return (first - second).abs(), second


class Hourglass(nn.Module):
    """A module within itself."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.up, self.low, self.out = (
            nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, 1, 1), nn.ReLU()) for _ in range(3)
        )
        self.inner = Hourglass(depth - 1) if depth else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.out(self.inner(self.low(F.max_pool2d(x, 2))))
        return x + self.up(x) + F.interpolate(y, scale_factor=2.0)


class Given(nn.Module):
    """An input, a parameter and one value twice as results."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3, 1, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x * self.scale
        return x, self.scale, y, y


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Splits(), ["2x6x4x4"]),
        (Branch(), ["2x3x4x4"]),
        (Tail(), ["2x4x4x4"]),
        (Everything(), ["2x3x6x6"]),
        (Scaled(), ["2x2x3x3"]),
        (Widths(), ["2x3x4x4"]),
        (Towers(), ["2x3x8x8", "2x3x8x8"]),
        (Hourglass(2), ["2x3x8x8"]),
        (Given(), ["2x3x4x4"]),
        (nn.Identity(), ["2x3"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_source_computes_what_the_module_does(module: nn.Module, inputs: list[str]) -> None:
    torch.manual_seed(0)
    compare(graphkit.load(module.eval(), inputs=inputs))


NAMES = ["x", "self", "class", "nn", "torch", "weight", "F", "len", "0", "größe", "x²", "ﬁ", "size", "train", "eval"]
NAMES += ["kernel_size", "in_channels", "channels", "parameters", "modules", "half", "type", "residual", "_", "a-b"]
NAMES += ["x.y", "__init__", "to", "None", "range", "features", "i", "layer", "requires_grad_", "İ"]


def test_whatever_layers_and_inputs_are_called_the_source_runs(tmp_path: Path) -> None:
    """In the module itself and in a class of blocks that differ in kernel and width."""
    rng = np.random.default_rng(0)
    nodes, weights, value, channels = [], [], "torch", 2
    for block, (width, kernel) in enumerate([(3, 3), (4, 1), (5, 3)]):
        for name in NAMES:
            weight = rng.standard_normal((width, channels, kernel, kernel)).astype(np.float32) / kernel / channels
            weights.append(numpy_helper.from_array(weight, f"block{block}/{name}/w"))
            result, pads = f"block{block}/{name}/y", [kernel // 2] * 4
            inputs = [value, weights[-1].name]
            nodes.append(helper.make_node("Conv", inputs, [result], f"/block{block}/{name}/Conv", pads=pads))
            value, channels = result, width
        nodes.append(helper.make_node("Tanh", [value], [f"{value}_t"], f"/block{block}/Tanh"))
        value = f"{value}_t"
    nodes.append(helper.make_node("Add", [value, "self"], ["class"]))
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values]
        for values in ([("torch", (1, 2, 4, 4)), ("self", (1, 1, 4, 4))], [("class", None)])
    ]
    graph = helper.make_graph(nodes, "none", *ends, weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "none.onnx"
    )
    model = graphkit.load(tmp_path / "none.onnx")
    feeds = {"torch": rng.standard_normal((1, 2, 4, 4)), "self": rng.standard_normal((1, 1, 4, 4))}
    feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
    with runtimes()["ort"].open(model) as right, runtimes()["torch"].open(model, native=False) as left:
        np.testing.assert_allclose(left.forward(feeds)["class"], right.forward(feeds)["class"], rtol=1e-5, atol=1e-5)
    space: dict[str, type[nn.Module]] = {}
    source = to_source(to_program(model), "none")
    exec(source.text, space)
    assert set(space[source.name]().train().state_dict()) == set(source.tensors)


def test_what_a_module_has_itself_is_known() -> None:
    own = {name for name in dir(nn.Module()) if not name.startswith("_")}
    patched = {
        name for name in own if getattr(getattr(nn.Module, name, None), "__module__", "").startswith("transformers")
    }
    assert own - patched <= MODULE


@pytest.mark.parametrize("text", ["", "None", "F", "²", "3d", "class", "größe", "ﬁn", "a b", "__x", "İ"])
def test_any_text_makes_an_identifier(text: str) -> None:
    assert identifier(text).isidentifier()
    space: dict[str, object] = {}
    exec(f"class {camel(text)}: pass", space)
    assert camel(text) in space
    assert camel(text) != "F"
