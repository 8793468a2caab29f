"""What files say of themselves, read from their bytes."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import onnx
import pytest
from fakes import model
from onnx import TensorProto, helper

from graphkit.frameworks.base import ReadOptions, frameworks

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.frameworks.base import About


def _about(framework: str, source: object) -> About:
    return frameworks()[framework].about(source, ReadOptions(), model())


def _onnx(path: Path) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (2,))
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("my.ops", 2)]
    proto = helper.make_model(graph, opset_imports=opsets, producer_name="maker", producer_version="1.2", ir_version=8)
    proto.model_version = 5
    onnx.save(proto, path)
    return path


def test_an_onnx_file_tells_its_opsets_and_its_producer(tmp_path: Path) -> None:
    found = _about("onnx", _onnx(tmp_path / "net.onnx"))
    assert found.kind == "ONNX model"
    assert found.facts == {
        "IR version": "8",
        "producer": "maker",
        "producer version": "1.2",
        "model version": "5",
        "opset": "ai.onnx 13, my.ops 2",
    }


@pytest.mark.parametrize("length", range(1, 60, 7))
def test_a_file_that_is_cut_off_tells_what_it_can(tmp_path: Path, length: int) -> None:
    path = _onnx(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:length])
    assert _about("onnx", path).kind == "ONNX model"


def test_an_exported_program_tells_which_pytorch_saved_it(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    text = '{"graph": [], "schema_version": {"major": 8, "minor": 5}, "verifiers": [], "torch_version": "2.7.1+cu126"}'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/models/model.json", text)
    found = _about("torch", path)
    assert found.kind == "PyTorch exported program"
    assert found.facts == {"schema": "8.5", "PyTorch version": "2.7.1+cu126"}


def test_a_torchscript_archive_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/constants.pkl", b"")
    assert _about("torch", path).kind == "TorchScript archive"
