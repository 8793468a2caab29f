"""The weights of exported programs stay in their files."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import _pytree

import graphkit
from graphkit.errors import FormatError
from graphkit.frameworks.base import Batch, ReadOptions, Sgd, runtimes
from graphkit.frameworks.torch import load as loading
from graphkit.frameworks.torch import stored_program
from graphkit.frameworks.torch.stored_program import load_mapped
from tests.frameworks.torch.ages import AGES, entries, packed, saved

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore:No complete tensor found")  # torch's word for turned ones


class Net(nn.Module):
    """Has a weight of each kind: tied, frozen, turned, empty, a number, halves, buffers and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.frozen = nn.Parameter(torch.randn(7), requires_grad=False)
        self.turned = nn.Parameter(torch.randn(7, 3).t())
        self.halves = nn.Parameter(torch.randn(3).bfloat16())
        self.empty = nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("mask", torch.tensor([True, False, True]), persistent=False)
        self.plain = torch.randn(3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.head(self.embed(ids)) + self.frozen
        x = torch.where(self.mask, x @ self.turned.t(), self.plain) * self.scale + self.halves.float()
        return x + self.empty.sum()


IDS = torch.tensor([[1, 2, 6], [0, 5, 3]])


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return torch.export.export(Net().eval(), (IDS,), dynamic_shapes=({0: torch.export.Dim("n")},))


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size are mapped, and nothing is left to torch."""
    monkeypatch.setattr(stored_program, "MAPPED", 1)
    monkeypatch.setattr(loading, "MAPPED", 1)
    monkeypatch.setattr(torch.export, "load", None)


def lies_in(tensor: torch.Tensor, path: Path) -> bool:
    """Whether a tensor is a piece of a mapped file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        start, stop = (int(end, 16) for end in span.split("-"))
        if name.strip() == str(path) and start <= tensor.data_ptr() < stop:
            return True
    return False


def written(data: bytes, folder: Path) -> Path:
    path = folder / "net.pt2"
    path.write_bytes(data)
    return path


def told(program: torch.export.ExportedProgram) -> dict[str, Any]:
    """What there is to know of the tensors of a program."""
    return {
        name: (
            type(value),
            value.dtype,
            tuple(value.shape),
            value.stride() if value.numel() else (),
            value.requires_grad,
        )
        for held in (program.state_dict, program.constants)
        for name, value in held.items()
    }


def test_a_program_is_what_torch_loads(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    path = written(saved(program), tmp_path)
    loaded, found = torch.export.load(path), load_mapped(path)
    assert found is not None
    assert list(found.state_dict) == list(loaded.state_dict)
    assert set(found.constants) == set(loaded.constants)
    assert told(found) == told(loaded)
    for name, value in {**loaded.state_dict, **loaded.constants}.items():
        assert torch.equal({**found.state_dict, **found.constants}[name], value)
    assert str(found.graph) == str(loaded.graph)
    assert str(found.range_constraints) == str(loaded.range_constraints)
    assert torch.equal(found.example_inputs[0][0], IDS)


def _compressed(program: torch.export.ExportedProgram) -> bytes:
    return packed(entries(saved(program)), zipfile.ZIP_DEFLATED)


def _unaligned(program: torch.export.ExportedProgram) -> bytes:
    return packed({"net/odd": b"x", **entries(saved(program))})


def _on_gpu(program: torch.export.ExportedProgram) -> bytes:
    """The program as it is exported on a GPU."""
    cpu, gpu = b'{"type": "cpu", "index": null}', b'{"type": "cuda", "index": 0}'
    held = entries(saved(program))
    assert any(cpu in data for data in held.values())
    return packed({name: data.replace(cpu, gpu) if name.endswith(".json") else data for name, data in held.items()})


@pytest.mark.usefixtures("mapped")
@pytest.mark.parametrize(
    ("make", "in_place"),
    [(saved, True), (AGES["2.8"], None), (_compressed, False), (_unaligned, None), (_on_gpu, None)],
    ids=["current", "2.8", "compressed", "unaligned", "gpu"],
)
def test_every_layout_is_read_with_what_lies_in_the_file_left_there(
    make: Callable[..., bytes], in_place: bool | None, program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    path = written(make(program), tmp_path)
    found = load_mapped(path)
    assert found is not None
    torch.testing.assert_close(found.module()(IDS), program.module()(IDS))
    assert found.state_dict["embed.weight"].data_ptr() == found.state_dict["head.weight"].data_ptr()
    assert {type(found.state_dict[name]) for name in ("turned", "frozen")} == {nn.Parameter}
    if in_place is not None:
        assert lies_in(found.state_dict["turned"], path) == in_place


@pytest.mark.usefixtures("mapped")
def test_training_what_is_mapped_changes_no_file(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    path = written(saved(program), tmp_path)
    before = path.read_bytes()
    model = graphkit.load(path)
    stored = model.graph.initializers["embed.weight"].const_value
    assert stored is not None
    np.testing.assert_array_equal(stored.numpy(), program.state_dict["embed.weight"].detach().numpy())
    with runtimes()["torch"].open(model, mode="train-no-dropout") as session:
        ((name, outputs),) = session.forward({"ids": IDS.numpy()}).items()
        batch = Batch({"ids": IDS.numpy()}, {name: np.zeros_like(outputs)}, {name: 1.0})
        first, second = session.train([batch] * 2, Sgd(lr=0.1))
    assert not np.array_equal(first.parameters["turned"], second.parameters["turned"])
    found = load_mapped(path)
    assert found is not None
    for value in found.state_dict.values():
        value.data.fill_(1)
    assert lies_in(found.state_dict["turned"], path)
    assert found.state_dict["turned"].data.sum() == 21
    assert path.read_bytes() == before


def test_a_small_file_may_be_written_to_while_its_model_is_used(
    program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    path = written(saved(program), tmp_path)
    found = load_mapped(path)
    path.write_bytes(b"")
    assert found is not None
    torch.testing.assert_close(found.module()(IDS), program.module()(IDS))


@pytest.mark.usefixtures("mapped")
def test_modules_in_trusted_pickles_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(nn.Sequential(nn.Linear(3, 4)), path)
    module = loading._unpickled(path)
    assert isinstance(module, nn.Sequential)
    assert lies_in(module[0].weight, path)
    torch.save(module, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(loading._unpickled(tmp_path / "old.pt")[0].weight, module[0].weight)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("models/model.json", b'"major": 8', b'"major": 99'),
        ("data/weights/model_weights_config.json", b'"sizes": [{"as_int": 7', b'"sizes": [{"as_int": 70'),
    ],
)
def test_what_does_not_fit_is_left_to_torch_to_tell(
    name: str, old: bytes, new: bytes, program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    held = entries(saved(program))
    (key,) = (key for key in held if key.endswith(name))
    assert old in held[key]
    held[key] = held[key].replace(old, new)
    with pytest.raises(FormatError, match=r"net\.pt2 .* torch .* cannot load it"):
        loading.load(written(packed(held), tmp_path), ReadOptions())


class Result(OrderedDict[str, Any]):
    """A result as models of the transformers library give them."""


@dataclass
class Pair:
    left: torch.Tensor
    right: torch.Tensor
    none: torch.Tensor | None = None


class Pairing(nn.Module):
    def forward(self, pair: Pair) -> Result:
        return Result(total=pair.left + pair.right, parts=Pair(pair.left * 2, pair.right.exp()))


def test_a_program_that_takes_and_returns_objects_needs_none_of_their_classes(tmp_path: Path) -> None:
    _pytree.register_pytree_node(
        Result,
        lambda result: (list(result.values()), list(result)),
        lambda values, names: Result(zip(names, values, strict=True)),
        serialized_type_name="elsewhere.Result",
    )
    torch.export.register_dataclass(Pair, serialized_type_name="elsewhere.Pair")
    example = torch.arange(6.0).reshape(2, 3)
    try:
        program = torch.export.export(Pairing(), (Pair(example, example),))
        torch.export.save(program, tmp_path / "pairing.pt2")
        held = graphkit.load(program, dynamic_batch=False)
    finally:
        for made in (Result, Pair):
            name = f"elsewhere.{made.__name__}"
            _pytree._deregister_pytree_node(made)
            _pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE.pop(name, None)
    model = graphkit.load(tmp_path / "pairing.pt2", dynamic_batch=False)
    for each in (model, held):
        assert [value.name for value in each.graph.inputs] == ["pair.left", "pair.right"]
        assert [value.name for value in each.graph.outputs] == ["total", "parts_left", "parts_right"]
    assert graphkit.verify(model, on=("torch", "ort"), backward=False).passed
