"""Files tell where they come from, and what they tell is taken for a claim."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

import graphkit
from graphkit.errors import InputError, LimitError
from graphkit.inspecting.provenance import as_json, history, lines
from graphkit.provenance import KEY
from graphkit.report.report import Report
from graphkit.report.write import write_report
from graphkit.running.run import save_outputs

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "inspect.schema.json").read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every kind of file that graphkit writes, of one source."""
    place = tmp_path_factory.mktemp("files")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="somebody"
    )
    onnx.save(model, place / "net.onnx")
    graphkit.convert(place / "net.onnx", "mxnet", place / "mx")
    graphkit.convert(place / "mx-symbol.json", "torch", place / "torch", shard_size=1)
    read = graphkit.load(place / "mx-symbol.json")
    for form in ("dot", "svg", "mmd", "html"):
        graphkit.render(read, place / f"net.{form}")
    for form in ("json", "xml", "md"):
        write_report(Report("title", ()), place / f"report.{form}", read)
    save_outputs({"y": np.ones(3)}, place / "out.npz", read)
    graphkit.save(graphkit.grad(read), place / "grad.onnx", to="onnx")
    graphkit.verify(read, on=["ort"], inputs=["2x3"], save_baseline=place / "baseline.npz")
    return place


WRITTEN = [
    "torch",
    "torch/model.py",
    "torch/model.safetensors",
    "net.dot",
    "net.svg",
    "net.mmd",
    "net.html",
    "report.json",
    "report.xml",
    "report.md",
    "out.npz",
    "baseline.npz",
    "grad.onnx",
]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_file_that_graphkit_writes_tells_its_source_and_history(folder, name):
    found = history(folder / name, [folder / "mx-symbol.json", folder / "mx-0000.params", folder / "net.onnx"])
    assert found.record is not None
    assert [each.level for each in found.checked] == [0, 0, 1]
    assert found.record.source == "mx-symbol.json"
    paths = {path.name: sha256(path) for path in folder.rglob("*") if path.is_file()}
    assert all(paths[file.name] == file.sha256 for file in found.files)
    told = "\n".join(lines(found))
    assert "Made by graphkit " in told
    assert "says of itself" in told
    jsonschema.validate(as_json(found), SCHEMA)


def test_parameters_are_told_of_by_the_symbol_beside_them(folder):
    found = history(folder / "mx-0000.params")
    assert found.beside == "mx-symbol.json"
    assert found.record is not None
    assert found.record.source == "net.onnx"


def test_another_file_is_no_source(folder, tmp_path):
    other = tmp_path / "net.onnx"
    other.write_bytes((folder / "net.onnx").read_bytes() + b"\0")
    found = history(folder / "mx-symbol.json", [other, folder / "net.onnx"])
    assert [each.level for each in found.checked] == [None, 0]
    assert not found.matches
    assert "NOT a recorded source" in "\n".join(lines(found))


def test_a_folder_stands_for_the_files_that_the_record_names(folder):
    found = history(folder / "torch", [folder])
    assert [each.file.name for each in found.checked] == ["mx-0000.params", "mx-symbol.json", "net.onnx"]
    assert found.matches
    with pytest.raises(InputError, match="has none of the files"):
        history(folder / "torch", [folder / "torch"])


def test_files_of_others_tell_their_maker(folder, tmp_path):
    found = history(folder / "net.onnx")
    assert found.record is None
    assert found.facts["producer"] == "somebody"
    safetensors.numpy.save_file({"x": np.ones(1)}, tmp_path / "x.safetensors", {"format": "np", "by": "somebody"})
    assert history(tmp_path / "x.safetensors").facts == {"format": "np", "by": "somebody"}
    assert "no record" in "\n".join(lines(found))


HOSTILE = [
    ("x.json", b'{"nodes": [], "heads": [], "attrs": 3}'),
    ("x.json", b'{"nodes": [], "heads": [], "attrs": {"graphkit.record": ["str", 5], "mxnet_version": ["int", -1]}}'),
    ("x.json", b"[" * 100_000),
    ("x.json", b'{"metadata": {"graphkit.record": []}, "weight_map": 1}'),
    ("x.json", b"\xff\xfe"),
    ("x.safetensors", struct.pack("<Q", 1 << 62)),
    ("x.safetensors", struct.pack("<Q", 2) + b"[]"),
    ("x.safetensors", struct.pack("<Q", 21) + b'{"__metadata__": [1]}'),
    ("x.safetensors", b""),
    ("x.onnx", b""),
    ("x.onnx", b"\x72\xff\xff\xff\xff\x0f"),
    ("x.onnx", b"\x72\x04\x0a\xff\xff\xff"),
    ("x.npz", b"PK\x03\x04" + bytes(100)),
    ("x.pt2", b"PK\x03\x04" + bytes(100)),
    ("x.png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40),
    ("x.svg", b"<metadata>graphkit.record: &#0;{</metadata>"),
    ("x.py", b"\n# graphkit.record: {\n#   " + b"[" * 10_000),
    ("x-0000.params", struct.pack("<Q", 0x112)),
    ("x.unknown", b"anything"),
]


@pytest.mark.parametrize(("name", "content"), HOSTILE)
def test_damaged_files_tell_nothing_and_are_hashed(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    found = history(path)
    assert found.record is None
    assert found.files[0].sha256 == sha256(path)
    assert all(line.isprintable() for line in lines(found))
    jsonschema.validate(as_json(found), SCHEMA)


def test_text_of_a_record_does_nothing_to_a_terminal(tmp_path):
    record = {
        "graphkit": "\x1b[2J\x1b]0;owned\x07",
        "source": "a\nMade by graphkit 9 from trusted.onnx\u202e",
        "files": [{"name": "\r\x1b[31mred\u2028", "bytes": 1, "sha256": "0" * 64}],
        "options": {"\x1b[5m": "\x9b31m\b\b"},
    }
    symbol = {"nodes": [], "heads": [], "attrs": {KEY: ["str", json.dumps(record)]}}
    path = tmp_path / "\x1b[31mnet.json"
    path.write_text(json.dumps(symbol))
    told = list(lines(history(path)))
    assert all(line.isprintable() for line in told)
    assert sum(line.startswith("Made by") for line in told) == 1


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        history(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="no torch source"):
        history(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(InputError, match="no file whose bytes"):
        history(tmp_path / "pipe.onnx")


def test_documents_have_the_limit_of_all_readers(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[" + "[]," * 10_000 + "[]]")
    with graphkit.limited(document=10_000), pytest.raises(LimitError, match="--limit document"):
        history(path)
