"""Parameters that are not trained, while others are, stay so in every framework."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from torch import nn

import graphkit
from graphkit.ir.params import frozen_parameters, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


class Net(nn.Module):
    """A backbone, with a parameter of its own, and a head that is tuned."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.place = nn.Parameter(torch.randn(4, 1, 1))
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x)) + self.place).mean((2, 3)))


FROZEN = {"conv.weight", "conv.bias", "norm.weight", "norm.bias", "place"}
TRAINED = {"head.weight", "head.bias"}


def tuned() -> Net:
    net = Net().eval()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in TRAINED)
    return net


def exported(path: Path, net: nn.Module) -> Path:
    shapes = {"x": {0: torch.export.Dim.DYNAMIC}}
    torch.export.save(torch.export.export(net, (torch.randn(2, 3, 6, 6),), dynamic_shapes=shapes), path)
    return path


def of_kind(model: ir.Model, kind: str) -> set[str]:
    return {value.name or "" for value in model.graph.initializers.values() if kind_of(value) == kind}


def test_what_requires_no_gradient_is_state(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", tuned())
    for model in (graphkit.load(path), graphkit.look(path), graphkit.load(tuned(), inputs=["2x3x6x6"])):
        assert of_kind(model, "parameter") == TRAINED
        assert of_kind(model, "buffer") >= FROZEN


def test_a_module_without_any_gradient_was_made_ready_for_inference(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", Net().eval().requires_grad_(False))
    for model in (graphkit.load(path), graphkit.look(path)):
        assert of_kind(model, "parameter") == FROZEN | TRAINED


def test_some_are_frozen_only_where_others_are_trained() -> None:
    assert frozen_parameters({}) == frozenset()
    assert frozen_parameters({"a": False, "b": False}) == frozenset()
    assert frozen_parameters({"a": False, "b": True}) == {"a"}


def test_optimizers_leave_it_alone_in_every_framework(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2", tuned())
    model = graphkit.load(path)
    graphkit.save(model, tmp_path / "net", to="mxnet")
    graphkit.save(model, tmp_path / "net.onnx", to="onnx")
    graphkit.save(model, tmp_path / "source", to="torch")

    symbol = json.loads((tmp_path / "net-symbol.json").read_text())
    said = {node["name"]: node.get("attrs", {}) for node in symbol["nodes"] if node["op"] == "null"}
    rates = {name: said[name].get("__lr_mult__") for name in (FROZEN | TRAINED) & said.keys()}
    assert rates == {name: "0.0" if name in FROZEN else None for name in FROZEN | TRAINED}
    for target in ("net-symbol.json", "net.onnx", "source"):
        again = graphkit.load(tmp_path / target)
        assert of_kind(again, "parameter") == TRAINED, target
        assert graphkit.verify(model, again, train_steps=2).passed, target
