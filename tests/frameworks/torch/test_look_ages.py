"""Exported programs of every age look the same."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.ir.origin import origin_of
from graphkit.ir.params import kind_of
from tests.frameworks.torch.ages import AGES, entries, packed, saved

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


class Net(nn.Module):
    """A little of everything that the formats differ in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5, dtype=torch.float32)
        self.register_buffer("scale", torch.arange(5.0))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2, ceil_mode=True)
        y = self.fc(x.mean((2, 3))) * self.scale
        return {"logits": y, "index": y.argmax(1), "parts": torch.cat(torch.split(y, 2, 1)[:2], 1)}


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return torch.export.export(
        Net().eval(), (torch.randn(2, 3, 8, 8),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )


@pytest.fixture(scope="module")
def current(program: torch.export.ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    return look(saved(program), tmp_path_factory.mktemp("now"))


def look(data: bytes, folder: Path, **options: Any) -> ir.Model:
    path = folder / "net.pt2"
    path.write_bytes(data)
    return graphkit.look(path, warn=pytest.fail, **options)


def told(model: ir.Model) -> list[Any]:
    """All that a model tells, weights aside."""
    return [
        [(value.name, str(value.shape), value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)],
        [
            (
                node.name,
                node.op_type,
                node.domain,
                [None if value is None else value.name for value in node.inputs],
                [(value.name, str(value.shape), value.dtype) for value in node.outputs],
                {name: str(attribute.value) for name, attribute in node.attributes.items()},
                origin_of(node),
            )
            for node in model.graph
        ],
    ]


@pytest.mark.parametrize("age", AGES)
def test_older_files_look_as_current_ones(
    age: str, program: torch.export.ExportedProgram, current: ir.Model, tmp_path: Path
) -> None:
    model = look(AGES[age](program), tmp_path)
    assert told(model) == told(current)
    assert list(model.graph.initializers) == list(current.graph.initializers)
    for name, value in model.graph.initializers.items():
        other = current.graph.initializers[name]
        assert kind_of(value) == kind_of(other)
        assert value.const_value is not None
        assert other.const_value is not None
        np.testing.assert_array_equal(value.const_value.numpy(), other.const_value.numpy())


@pytest.mark.parametrize("age", AGES)
def test_older_files_look_the_same_raw(age: str, program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    kinds = [node.op_type for node in look(AGES[age](program), tmp_path, raw=True).graph]
    assert kinds == [node.op_type for node in look(saved(program), tmp_path, raw=True).graph]


def test_compressed_archives_are_read(program: torch.export.ExportedProgram, current: ir.Model, tmp_path: Path) -> None:
    model = look(packed(entries(saved(program)), zipfile.ZIP_DEFLATED), tmp_path)
    assert told(model) == told(current)
    weight = model.graph.initializers["conv.weight"].const_value
    assert weight is not None
    np.testing.assert_array_equal(weight.numpy(), program.state_dict["conv.weight"].detach().numpy())


@pytest.mark.parametrize("age", ["now", "2.8", "2.5"])
def test_weights_stay_in_the_file(age: str, program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    model = look(saved(program) if age == "now" else AGES[age](program), tmp_path)
    tensor = model.graph.initializers["conv.weight"].const_value
    assert tensor is not None
    base: Any = tensor.numpy()
    assert not base.flags.owndata
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(getattr(base, "obj", base)).__name__ == "mmap"


def test_the_weights_of_big_endian_files_are_turned(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    held = entries(saved(program))
    root = next(iter(held)).partition("/")[0]
    held[f"{root}/byteorder"] = b"big"
    for name, data in held.items():
        if "/weights/weight_" in name:
            held[name] = np.frombuffer(data, "<u4").astype(">u4").tobytes() if len(data) % 8 else data
    weight = look(packed(held), tmp_path).graph.initializers["conv.bias"].const_value
    assert weight is not None
    stored = program.state_dict["conv.bias"].detach().numpy()
    np.testing.assert_array_equal(weight.numpy(), stored.astype(">f4").view("<f4"))


def test_of_several_programs_one_is_shown(program: torch.export.ExportedProgram, tmp_path: Path) -> None:
    held = entries(saved(program))
    root = next(iter(held)).partition("/")[0]
    more = {name.replace("/model", "/other").replace("/others", "/models"): data for name, data in held.items()}
    path = tmp_path / "two.pt2"
    path.write_bytes(packed({**more, **held, f"{root}/archive_format": b"pt2"}))
    warnings: list[str] = []
    graphkit.look(path, warn=warnings.append)
    assert len(warnings) == 1
    assert "'other'" in warnings[0]
