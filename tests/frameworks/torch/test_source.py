"""The source that is written for models reads as a person would have written it."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import networks
import pytest
import torch
from torch import nn

import graphkit
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.frameworks.torch.write import formatted

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


def source(model: ir.Model, name: str = "net") -> str:
    return formatted(to_source(to_program(model), name).text)


def source_of(module: nn.Module, *shapes: tuple[int | None, ...]) -> str:
    return source(graphkit.load(module.eval(), inputs=shapes))


def classes(text: str) -> dict[str, str]:
    return {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


def forward(text: str, name: str = "Net") -> list[str]:
    """The lines of a class's forward."""
    body = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == name)
    method = next(node for node in body.body if isinstance(node, ast.FunctionDef) and node.name == "forward")
    return [ast.unparse(stmt) for stmt in method.body]


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.down = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.down(x))


RESIDUAL = nn.Sequential(
    nn.Conv2d(3, 8, 3), Residual(8, 8), Residual(8, 8), Residual(8, 16, 2), Residual(16, 16), Residual(16, 16)
)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        scores = self.query(y) @ self.key(y).transpose(1, 2) / 8**0.5 + mask
        return x + self.out(torch.softmax(scores, -1) @ self.value(y))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attention() for _ in range(4))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


@pytest.mark.parametrize(("name", "lines"), [("resnet50", 150), ("mobilenet-v2", 150), ("densenet121", 150)])
def test_a_network_fits_on_a_few_pages(name: str, lines: int) -> None:
    assert source(networks.model(name)).count("\n") < lines


@pytest.mark.parametrize("name", ["resnet18", "squeezenet", "inception", "unet"])
def test_a_linter_finds_nothing(name: str) -> None:
    """Above all no value that nobody reads, and no name that nobody defines."""
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E7,E9,B,PLE,I", "-"]
    checked = subprocess.run(ruff, input=source(networks.model(name)), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_it_imports_nothing_but_torch() -> None:
    tree = ast.parse(source_of(RESIDUAL, (2, 3, 12, 12)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name if isinstance(node, ast.Import) else node.module for node in imports for alias in node.names}
    assert names == {"torch", "torch.nn"}


def test_repeated_blocks_are_one_class_with_its_numbers_as_arguments() -> None:
    text = source_of(RESIDUAL, (2, 3, 12, 12))
    assert len(classes(text)) == 2
    assert "(8, 16, stride=2, downsample=True)" in text
    assert text.count("nn.BatchNorm2d(") == 3


def test_a_shortcut_that_only_some_blocks_have_is_a_choice() -> None:
    block = next(text for name, text in classes(source_of(RESIDUAL, (2, 3, 12, 12))).items() if name != "Net")
    assert "if downsample else nn.Identity()" in block


def test_blocks_in_a_row_are_a_sequence() -> None:
    assert "nn.Sequential(" in classes(source_of(RESIDUAL, (2, 3, 12, 12)))["Net"]


def test_blocks_that_share_a_mask_are_called_in_a_loop() -> None:
    text = source_of(Encoder(), (2, 5, 8), (2, 5, 5))
    assert "for _ in range(4))" in text
    assert any(line.startswith("for layer in self.") for line in forward(text))


def test_an_addition_that_only_some_blocks_end_with_is_a_choice() -> None:
    assert "if self.residual else" in source(networks.model("mobilenet-v2"))


def test_layers_keep_the_names_of_the_model() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.stem(x).mean((2, 3)))

    assert forward(source_of(Named(), (2, 3, 8, 8))) == ["return self.head(self.stem(x).mean((2, 3)))"]


@pytest.mark.parametrize("through", ["torch", "onnx", "mxnet"])
def test_what_the_model_numbers_is_called_by_what_holds_it(through: str, tmp_path: Path) -> None:
    """Layers of one kind by their numbers, layers of several kinds by their kinds."""

    class Numbered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
            self.side = nn.ModuleList(nn.Conv2d(4, 4 + k, 1) for k in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.stem(x)
            return torch.cat([side(y) for side in self.side], 1)

    model = graphkit.load(Numbered().eval(), inputs=[(2, 3, 8, 8)])
    if through != "torch":
        model = graphkit.load(graphkit.save(model, tmp_path / "net.onnx", to=through)[0])
    text = source(model)
    assert [f"self.{name} = " in text for name in ("stem_conv", "stem_bn", "side0", "side1")] == [True] * 4


def test_classes_are_called_what_the_model_calls_them() -> None:
    assert {"Attention", "Encoder"} <= classes(
        source(graphkit.load(Encoder(), inputs=[(2, 5, 8), (2, 5, 5)]), "encoder")
    ).keys()
    assert "Residual" in classes(source_of(RESIDUAL, (2, 3, 12, 12)))


def test_a_part_of_a_module_is_not_called_what_the_module_is() -> None:
    """The blocks' ends are equal, their beginnings are not."""

    class Unit(nn.Module):
        def __init__(self, kernel: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(4, 4, kernel) if kernel else nn.BatchNorm2d(4)
            self.a, self.b, self.c = nn.Conv2d(4, 6, 1), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4)
            self.kernel = kernel

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(torch.sigmoid(x) if self.kernel else torch.sin(torch.cos(torch.tanh(x))))
            y = torch.sin(torch.cos(y)) if self.kernel else y * y
            return self.c(torch.relu(self.b(torch.relu(self.a(y)))))

    assert "Unit" not in classes(source_of(nn.Sequential(Unit(1), Unit(0), Unit(1), Unit(0)), (2, 4, 5, 5)))


def test_nothing_is_added_or_multiplied_that_changes_nothing() -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return sum([torch.sin(x), torch.cos(x)]) * 1.0  # type: ignore[return-value]  # no tensor in an empty sum

    assert forward(source_of(Sum(), (2, 3))) == ["return torch.sin(x) + torch.cos(x)"]


def test_what_is_computed_twice_is_written_once() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.exp(x) * 2 + torch.exp(x)

    assert sum(line.count("torch.exp") for line in forward(source_of(Twice(), (2, 3)))) == 1


def test_a_layer_that_is_called_twice_is_one_layer() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.fc(x)))

    assert source_of(Shared(), (2, 3)).count("nn.Linear(3, 3)") == 1


def test_a_weight_that_is_used_in_two_ways_is_a_parameter() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.embedding(ids) @ self.embedding.weight.t()

    text = source(graphkit.load(Tied(), inputs=["2x3:int64"]))
    assert text.count("nn.Parameter(torch.empty(") == 1
    assert "nn.Embedding" not in text


def test_a_variable_is_not_reused_while_its_value_is_needed() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.tanh(self.a(x))
            z = torch.sin(self.b(y))
            return torch.cat([x, y, torch.cos(self.c(z)) * y, z], 1)

    module = Skip().eval()
    space: dict[str, type[nn.Module]] = {}
    exec(source_of(module, (2, 3)), space)
    copy = space["Net"]()
    copy.load_state_dict(module.state_dict())
    x = torch.randn(2, 3)
    torch.testing.assert_close(copy(x), module(x), rtol=0, atol=0)
