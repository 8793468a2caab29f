"""Files say what they were made from, and history can be followed back."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from realmxnet import mxnet

import graphkit
from graphkit import provenance, stamps
from graphkit.frameworks.mxnet import symbol
from graphkit.provenance import KEY, LEVELS, Record, SourceFile, parse
from graphkit.report.json import from_json
from graphkit.report.report import Report
from graphkit.report.write import write_report
from graphkit.running.run import save_outputs

if TYPE_CHECKING:
    from pathlib import Path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def network(path: Path, *, seed: int = 0, external: str = "") -> Path:
    """A small ONNX file: x · w + b, the weight beside it where that is asked for."""
    weight = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.ones(3, np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external:
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def of_onnx(path: Path) -> Record:
    told = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    record = parse(told[KEY])
    assert record is not None
    return record


def of_symbol(path: Path) -> Record:
    record = parse(symbol.record_in(json.loads(path.read_bytes())))
    assert record is not None
    return record


def of_weights(path: Path) -> Record:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        record = parse(file.metadata()[KEY])
    assert record is not None
    return record


def test_each_target_names_its_source_with_its_hash(tmp_path):
    source = network(tmp_path / "net.onnx")
    graphkit.convert(source, "mxnet", tmp_path / "mx")
    graphkit.convert(source, "torch", tmp_path / "torch")
    graphkit.convert(source, "onnx", tmp_path / "again.onnx", opset=15)
    for record, options in (
        (of_symbol(tmp_path / "mx-symbol.json"), {"to": "mxnet"}),
        (of_weights(tmp_path / "torch" / "model.safetensors"), {"to": "torch"}),
        (of_onnx(tmp_path / "again.onnx"), {"to": "onnx", "opset": "15"}),
    ):
        assert record.graphkit == graphkit.__version__
        assert record.source == "net.onnx"
        assert record.files == (SourceFile("net.onnx", source.stat().st_size, sha256(source)),)
        assert dict(record.options) == options
        assert record.earlier is None


def test_external_data_and_parameters_are_files_of_the_source(tmp_path):
    source = network(tmp_path / "net.onnx", external="weights.bin")
    graphkit.convert(source, "mxnet", tmp_path / "mx")
    graphkit.convert(tmp_path / "mx-symbol.json", "onnx", tmp_path / "back.onnx")
    first = of_symbol(tmp_path / "mx-symbol.json")
    assert {file.name: file.sha256 for file in first.files} == {
        "net.onnx": sha256(source),
        "weights.bin": sha256(tmp_path / "weights.bin"),
    }
    record = of_onnx(tmp_path / "back.onnx")
    assert {file.name: file.sha256 for file in record.files} == {
        name: sha256(tmp_path / name) for name in ("mx-symbol.json", "mx-0000.params")
    }
    assert record.earlier == first


def test_history_is_followed_back_through_every_format(tmp_path):
    network(tmp_path / "net.onnx")
    graphkit.convert(tmp_path / "net.onnx", "torch", tmp_path / "folder", shard_size=40)
    graphkit.convert(tmp_path / "folder", "mxnet", tmp_path / "mx")
    graphkit.convert(tmp_path / "mx-symbol.json", "onnx", tmp_path / "last.onnx")
    chain = of_onnx(tmp_path / "last.onnx").chain
    assert [record.source for record in chain] == ["mx-symbol.json", "folder", "net.onnx"]
    names = {file.name: file.sha256 for file in chain[1].files}
    assert names == {path.name: sha256(path) for path in (tmp_path / "folder").iterdir() if path.is_file()}
    assert chain[1].options == {"to": "mxnet"} or chain[0].options == {"to": "onnx"}


def test_a_model_in_memory_has_no_file(tmp_path):
    model = ir.from_proto(onnx.load(network(tmp_path / "net.onnx")))
    graphkit.save(model, tmp_path / "saved.onnx", to="onnx")
    assert of_onnx(tmp_path / "saved.onnx").files == ()


def test_gradients_say_how_they_were_made(tmp_path):
    source = network(tmp_path / "net.onnx")
    graphkit.save(graphkit.grad(source, loss="mse", wrt=["w"]), tmp_path / "grad.onnx", to="onnx")
    record = of_onnx(tmp_path / "grad.onnx")
    assert record.files[0].sha256 == sha256(source)
    assert record.options["loss"] == "mse"
    assert record.options["wrt"] == "w"


def test_a_source_that_was_replaced_is_hashed_as_it_was_read(tmp_path):
    source = network(tmp_path / "net.onnx", external="weights.bin")
    model = graphkit.load(source)
    read = {path.name: sha256(path) for path in (source, tmp_path / "weights.bin")}
    for name in read:
        (tmp_path / name).unlink()
    network(source, seed=1, external="weights.bin")
    graphkit.save(model, tmp_path / "mx", to="mxnet")
    assert {file.name: file.sha256 for file in of_symbol(tmp_path / "mx-symbol.json").files} == read


def test_a_source_that_was_changed_in_place_has_no_hash(tmp_path):
    source = network(tmp_path / "net.onnx")
    model = graphkit.load(source)
    with source.open("r+b") as file:
        file.write(b"\x08\x07")
    os.utime(source, ns=(1, 1))
    graphkit.save(model, tmp_path / "folder", to="torch")
    (file,) = of_weights(tmp_path / "folder" / "model.safetensors").files
    assert file == SourceFile("net.onnx", source.stat().st_size, None)
    assert graphkit.load(tmp_path / "folder").graph.inputs[0].name == "x"


def test_nothing_is_hashed_where_nothing_is_written(tmp_path, monkeypatch):
    source = network(tmp_path / "net.onnx", external="weights.bin")
    monkeypatch.setattr(provenance, "_sha256", lambda *_: pytest.fail("a file was hashed"))
    model = graphkit.load(source)
    graphkit.inspect(source, weights=True)
    graphkit.look(source, raw=True)
    graphkit.diff(source, model)


def test_many_files_do_not_stay_open(tmp_path):
    weights = {f"w{number}": np.full(3, number, np.float32) for number in range(80)}
    names = ["x", *weights]
    graph = helper.make_graph(
        [helper.make_node("Sum", names, ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    before = len(os.listdir("/proc/self/fd"))
    with provenance.reading("net.onnx") as sources:
        for path in sorted(tmp_path.iterdir()):
            provenance.note(path)
    assert len(sources.files) == 81
    assert len(os.listdir("/proc/self/fd")) - before < 40
    graphkit.convert(tmp_path / "net.onnx", "onnx", tmp_path / "out.onnx")
    record = of_onnx(tmp_path / "out.onnx")
    assert {file.name: file.sha256 for file in record.files} == {
        path.name: sha256(path) for path in tmp_path.iterdir() if path.name != "out.onnx"
    }
    del sources
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) - before < 5


def test_records_are_bounded():
    record = Record("1", "x", tuple(SourceFile("n" * 100, 1, "0" * 64) for _ in range(400)))
    for number in range(100):
        record = Record(str(number), f"file {number}", record.files, {}, record)
    text = record.text()
    assert len(text) <= 1 << 18
    read = parse(text)
    assert read is not None
    assert [each.graphkit for each in read.chain] == [str(99 - level) for level in range(len(read.chain))]
    small = Record("1", "x")
    for _ in range(100):
        small = Record("1", "x", earlier=small)
    found = parse(small.text())
    assert found is not None
    assert len(found.chain) == LEVELS


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "[]",
        "{}",
        '{"graphkit": 1, "source": "x"}',
        '{"graphkit": "1", "source": "x", "files": 3}',
        '{"graphkit": "1", "source": "x", "files": [{"name": "a", "bytes": -1, "sha256": null}]}',
        '{"graphkit": "1", "source": "x", "files": [{"name": "a", "bytes": true, "sha256": null}]}',
        '{"graphkit": "1", "source": "x", "files": [{"name": "a", "bytes": 1, "sha256": "A"}]}',
        '{"graphkit": "1", "source": "\\ud800"}',
        '{"graphkit": "1", "source": "x", "options": {"a": 1}}',
        '{"graphkit": "1", "source": "x", "earlier": 5}',
        "[" * 100_000,
        '{"graphkit": "1", "source": "' + "x" * (1 << 20) + '"}',
    ],
)
def test_what_is_no_record_is_not_taken_for_one(text):
    assert parse(text) is None


PICTURES = ["dot", "svg", "mmd", "html", "png", "pdf"]


@pytest.mark.parametrize("form", PICTURES)
def test_pictures_carry_the_record(tmp_path, form):
    source = network(tmp_path / "a\"b--&<>'%}{é.onnx")
    path = graphkit.render(graphkit.look(source), tmp_path / f"net.{form}", direction="LR")
    record = parse(stamps.stamp(path.read_bytes(), form))
    assert record is not None
    assert record.source == source.name
    assert record.files[0].sha256 == sha256(source)
    assert record.options == {"direction": "LR"}
    if form in ("svg", "html"):
        assert (
            ET.fromstring(path.read_bytes()).tag.endswith("svg") if form == "svg" else b"</html>" in path.read_bytes()
        )
    if form == "png":
        from PIL import Image

        with Image.open(path) as image:
            image.load()
            assert parse(image.text[KEY]) == record
    if form == "dot":
        import pygraphviz

        assert len(pygraphviz.AGraph(string=path.read_text()).nodes()) > 1


@pytest.mark.parametrize("form", ["json", "xml", "html", "md"])
def test_reports_carry_the_record_and_name_the_files(tmp_path, form):
    source = network(tmp_path / "net--1.onnx")
    model = graphkit.load(source)
    report = Report("title", (), {"graphkit": "1"})
    path = write_report(report, tmp_path / f"report.{form}", model)
    content = path.read_text()
    record = parse(stamps.stamp(path.read_bytes(), form))
    assert record is not None
    assert record.files[0].sha256 == sha256(source)
    assert content.count(sha256(source)) > 1
    if form == "json":
        assert from_json(content).environment["source net--1.onnx"] == f"SHA-256 {sha256(source)}"
    if form == "xml":
        assert ET.fromstring(content).tag == "testsuites"


def test_a_comparison_of_two_models_names_the_files_of_both(tmp_path):
    first, second = network(tmp_path / "a.onnx"), network(tmp_path / "b.onnx", seed=1)
    models = graphkit.load(first), graphkit.load(second)
    path = write_report(Report("title", ()), tmp_path / "report.json", *models)
    record = parse(stamps.stamp(path.read_bytes(), "json"))
    assert record is not None
    assert record.source == "a.onnx and b.onnx"
    assert [file.sha256 for file in record.files] == [sha256(first), sha256(second)]


def test_outputs_of_a_run_carry_the_record(tmp_path):
    source = network(tmp_path / "net.onnx")
    save_outputs({"y": np.ones(3)}, tmp_path / "out.npz", graphkit.load(source), on="ort")
    with zipfile.ZipFile(tmp_path / "out.npz") as archive:
        record = parse(stamps.of_zip(archive.comment))
    assert record is not None
    assert record.files[0].sha256 == sha256(source)
    assert record.options == {"on": "ort"}
    assert np.load(tmp_path / "out.npz")["y"].tolist() == [1, 1, 1]


def test_a_record_that_a_zip_cannot_hold_is_left_out():
    files = tuple(SourceFile("n" * 100, 1, "0" * 64) for _ in range(1000))
    assert stamps.in_zip(Record("1", "x", files)) == b""
    kept = stamps.of_zip(stamps.in_zip(Record("1", "x", files[:200], {}, Record("1", "y", files))))
    assert parse(kept) == Record("1", "x", files[:200])


def test_content_without_a_record_has_none():
    for form in stamps.FORMS:
        assert stamps.stamp(b"", form) is None
        assert stamps.stamp(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xff", form) is None
        assert stamps.stamp(b"{}", form) is None


def test_a_folder_has_its_name_whatever_it_is_called(tmp_path, monkeypatch):
    network(tmp_path / "net.onnx")
    graphkit.convert(tmp_path / "net.onnx", "torch", tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    for number, source in enumerate((tmp_path / "folder", ".", "../folder/")):
        graphkit.convert(source, "onnx", tmp_path / f"{number}.onnx")
        (tmp_path / str(number)).mkdir()
        graphkit.convert(source, "torch", tmp_path / str(number) / "again")
    for name in ("{}.onnx", "{}/again/model.py", "{}/again/model.safetensors"):
        assert len({sha256(tmp_path / name.format(number)) for number in range(3)}) == 1, name
    assert of_onnx(tmp_path / "1.onnx").source == "folder"


def test_mxnet_loads_symbols_with_a_record_and_runs_them(tmp_path):
    mx = mxnet()
    graphkit.convert(network(tmp_path / 'a "quoted" \\ é.onnx'), "mxnet", tmp_path / "mx")
    assert of_symbol(tmp_path / "mx-symbol.json").source == 'a "quoted" \\ é.onnx'
    net, args, _ = mx.model.load_checkpoint(str(tmp_path / "mx"), 0)
    given = mx.nd.ones((2, 4))
    found = net.bind(mx.cpu(), {**args, "x": given}).forward()[0].asnumpy()
    np.testing.assert_allclose(found, np.ones((2, 4)) @ args["w"].asnumpy().T + 1, rtol=1e-6)
    assert KEY not in net.tojson()
