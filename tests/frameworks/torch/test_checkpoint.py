"""Weights given as files of their own."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch

import graphkit
from graphkit.errors import InputError, ParameterError
from graphkit.frameworks.torch.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.LayerNorm(4)

    def forward(self, ids):
        return self.head(self.norm(self.embed(ids)))


kept = Net()
"""
_IDS = "2x3:int64"


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of a module with tied weights, in a module that can be imported."""
    (tmp_path / "weighty.py").write_text(_SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import weighty  # type: ignore[import-not-found]  # written above

    yield weighty
    del sys.modules["weighty"]


def _state(module: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {name: torch.rand_like(value) for name, value in module.Net().state_dict().items() if name != "head.weight"}


def _sharded(state: dict[str, torch.Tensor], folder: Path) -> Path:
    places = {}
    for number, (name, value) in enumerate(state.items()):
        file = f"model-{number:05}-of-{len(state):05}.safetensors"
        safetensors.torch.save_file({name: value}, folder / file)
        places[name] = file
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def _stored(save: Callable[[dict[str, torch.Tensor], Path], Any], name: str) -> Any:
    def write(state: dict[str, torch.Tensor], folder: Path) -> Path:
        save(state, folder / name)
        return folder / name

    return write


@pytest.mark.parametrize(
    "write",
    [
        _stored(torch.save, "weights.pt"),
        _stored(lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path), "weights.ckpt"),
        _stored(lambda state, path: torch.save({"model": state, "optimizer": {}}, path), "weights.pth"),
        _stored(lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False), "weights.bin"),
        _stored(safetensors.torch.save_file, "weights.safetensors"),
        _sharded,
    ],
    ids=["state_dict", "within", "model", "legacy", "safetensors", "shards"],
)
def test_weights_of_a_file_are_read(write: Any, net: Any, tmp_path: Path) -> None:
    state = _state(net)
    found = read_checkpoint(write(state, tmp_path))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("attribute", ["Net", "kept"])
def test_weights_of_a_file_are_those_of_the_model(attribute: str, net: Any, tmp_path: Path) -> None:
    state = _state(net)
    torch.save(state, tmp_path / "weights.pt")
    before = net.kept.embed.weight.detach().clone()
    model = graphkit.load(f"weighty:{attribute}", inputs=[_IDS], params=tmp_path / "weights.pt")
    held = model.graph.initializers["embed.weight"].const_value
    assert held is not None
    np.testing.assert_array_equal(held.numpy(), state["embed.weight"].numpy())
    assert torch.equal(net.kept.embed.weight, before)


def test_what_stands_before_all_names_is_left_out(net: Any, tmp_path: Path) -> None:
    state = _state(net)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "weights.pt")
    with pytest.warns(UserWarning, match="'module.'"):
        model = graphkit.load("weighty:Net", inputs=[_IDS], params=tmp_path / "weights.pt")
    held = model.graph.initializers["norm.weight"].const_value
    assert held is not None
    np.testing.assert_array_equal(held.numpy(), state["norm.weight"].numpy())


def test_weights_that_differ_are_named(net: Any, tmp_path: Path) -> None:
    state = _state(net)
    state["norm.weigth"] = state.pop("norm.weight")
    state["embed.weight"] = torch.zeros(8, 4)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ParameterError) as caught:
        graphkit.load("weighty:Net", inputs=[_IDS], params=tmp_path / "weights.pt")
    for part in ("lacks norm.weight", "norm.weigth (is that norm.weight?)", "embed.weight (8x4 in the file, 7x4"):
        assert part in str(caught.value)


def test_weights_that_lose_precision_are_told(net: Any, tmp_path: Path) -> None:
    torch.save({name: value.double() for name, value in _state(net).items()}, tmp_path / "weights.pt")
    with pytest.warns(UserWarning, match="lose precision"):
        graphkit.load("weighty:Net", inputs=[_IDS], params=tmp_path / "weights.pt")


def test_a_file_of_weights_says_what_it_holds(net: Any, tmp_path: Path) -> None:
    torch.save(_state(net), tmp_path / "weights.pt")
    for read in (graphkit.load, graphkit.look):
        with pytest.raises(InputError, match=r"3 weights of 36 numbers in all: embed.weight 7x4 float32.*--params"):
            read(tmp_path / "weights.pt")


def test_params_have_no_place_where_a_source_has_its_own(net: Any, tmp_path: Path) -> None:
    torch.save(_state(net), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="own weights"):
        graphkit.load(net.Net(), inputs=[_IDS], params=tmp_path / "weights.pt")
    with pytest.raises(InputError, match="own weights"):
        graphkit.load(tmp_path / "weights.pt", params=tmp_path / "weights.pt")
