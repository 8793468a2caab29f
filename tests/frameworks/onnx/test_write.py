"""ONNX files that are written are valid, complete, and read back as they were."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from opsetcases import text_of

import graphkit._version
from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import ReadOptions, WriteOptions
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Origin, origin_of, set_origin
from graphkit.ir.params import kind_of, set_kind

if TYPE_CHECKING:
    from pathlib import Path

X = np.array([[1, -2, 3], [2, 0, -1]], np.float32)


@pytest.fixture
def model() -> ir.Model:
    found = ir.from_onnx_text(
        text_of("a = MatMul(x, w) b = Add(a, s) y = Softmax<axis=0>(b)", 'float["n",3] x', "float y", 23)
    )
    free = {value.name: value for node in found.graph for value in node.inputs if value.producer() is None}
    weights = {"w": np.random.default_rng(0).normal(size=(3, 400)), "s": np.ones(400)}
    for name, array in weights.items():
        free[name].const_value = ir.tensor(array.astype(np.float32), name=name)
        found.graph.register_initializer(free[name])
    set_kind(free["w"], "parameter")
    set_kind(free["s"], "buffer")
    set_origin(found.graph[0], Origin("torch", "aten.linear", "fc"))
    return canonical(found)


def _write(model: ir.Model, path: Path, opset: int | None = None) -> list[Path]:
    return FRAMEWORK.write(model, path, WriteOptions(opset=opset))


def _run(path: Path) -> np.ndarray:
    return onnxruntime.InferenceSession(path).run(None, {"x": X})[0]


def _expected(model: ir.Model) -> np.ndarray:
    with FRAMEWORK.runtimes[0].open(model) as session:
        return session.forward({"x": X})["y"]


def test_what_is_written_is_valid_and_reads_back_the_same(model, tmp_path):
    path = tmp_path / "out.onnx"
    before = ir.to_onnx_text(model)
    assert _write(model, path) == [path]
    assert ir.to_onnx_text(model) == before
    onnx.checker.check_model(path, full_check=True)
    again = FRAMEWORK.read(path, ReadOptions())
    again.producer_name = again.producer_version = None
    assert ir.to_onnx_text(again) == before
    assert {name: kind_of(value) for name, value in again.graph.initializers.items()} == {
        "w": "parameter",
        "s": "buffer",
    }
    assert origin_of(again.graph[0]) == Origin("torch", "aten.linear", "fc")
    assert [str(dim) for dim in again.graph.inputs[0].shape] == ["n", "3"]
    np.testing.assert_array_equal(_run(path), _expected(model))


def test_the_producer_is_graphkit(model, tmp_path):
    _write(model, tmp_path / "out.onnx")
    proto = onnx.load(tmp_path / "out.onnx")
    assert (proto.producer_name, proto.producer_version) == ("graphkit", graphkit._version.__version__)
    assert proto.opset_import[0].version == 23


def test_an_older_opset_is_written_on_request(model, tmp_path):
    path = tmp_path / "out.onnx"
    _write(model, path, 11)
    onnx.checker.check_model(path, full_check=True)
    assert onnx.load(path).opset_import[0].version == 11
    np.testing.assert_allclose(_run(path), _expected(model), rtol=1e-6)
    again = FRAMEWORK.read(path, ReadOptions())
    assert kind_of(again.graph.initializers["w"]) == "parameter"


def test_a_model_is_written_in_the_opset_that_its_newest_operator_needs(tmp_path):
    found = canonical(ir.from_onnx_text(text_of("y = CumProd(x, @int64{0})", "float[2,3] x", "float[2,3] y", 28)))
    path = tmp_path / "net.onnx"
    _write(found, path)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == 26
    with pytest.raises(UnsupportedError, match="newer than opset 23"):
        _write(found, tmp_path / "other.onnx", 23)


def test_what_an_older_opset_cannot_say_leaves_no_file(tmp_path):
    model = canonical(ir.from_onnx_text(text_of("y = CumSum(x, @int64{1})", 'float["n",3] x', "float y", 23)))
    with pytest.raises(UnsupportedError, match="newer than opset 9"):
        _write(model, tmp_path / "out.onnx", 9)
    assert list(tmp_path.iterdir()) == []


def test_large_weights_go_beside_the_file(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("graphkit.frameworks.onnx.write"), "INLINE_LIMIT", 1000)
    path = tmp_path / "out.onnx"
    data = tmp_path / "out.onnx.data"
    assert _write(model, path) == [path, data]
    assert sorted(tmp_path.iterdir()) == [path, data]
    assert data.stat().st_size >= 3 * 400 * 4
    assert path.stat().st_size < 2000
    onnx.checker.check_model(path, full_check=True)
    np.testing.assert_array_equal(_run(path), _expected(model))
    again = FRAMEWORK.read(path, ReadOptions())
    np.testing.assert_array_equal(_expected(again), _expected(model))
    _write(again, path)
    np.testing.assert_array_equal(_run(path), _expected(model))


def test_a_model_outlives_the_data_file_that_it_was_read_from(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("graphkit.frameworks.onnx.write"), "INLINE_LIMIT", 1000)
    path = tmp_path / "out.onnx"
    _write(model, path)
    again = FRAMEWORK.read(path, ReadOptions())
    before = _expected(model)
    weight = model.graph.initializers["w"]
    weight.const_value = ir.tensor(2 * weight.const_value.numpy(), name="w")
    _write(model, path)
    np.testing.assert_array_equal(_run(path), _expected(model))
    with FRAMEWORK.runtimes[0].open(again, native=False) as session:
        np.testing.assert_array_equal(session.forward({"x": X})["y"], before)
    assert not np.array_equal(_run(path), before)


def test_external_data_is_named_without_a_folder(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("graphkit.frameworks.onnx.write"), "INLINE_LIMIT", 1000)
    _write(model, tmp_path / "out.onnx")
    (tmp_path / "moved").mkdir()
    for name in ("out.onnx", "out.onnx.data"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    np.testing.assert_array_equal(_run(tmp_path / "moved" / "out.onnx"), _expected(model))


def test_weights_of_another_file_are_taken_along(model, tmp_path, monkeypatch):
    """A file must not refer to the data of the one it was made from."""
    monkeypatch.setattr(importlib.import_module("graphkit.frameworks.onnx.write"), "INLINE_LIMIT", 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _write(model, tmp_path / "a" / "out.onnx")
    again = FRAMEWORK.read(tmp_path / "a" / "out.onnx", ReadOptions())
    monkeypatch.undo()
    assert _write(again, tmp_path / "b" / "out.onnx") == [tmp_path / "b" / "out.onnx"]
    np.testing.assert_array_equal(_run(tmp_path / "b" / "out.onnx"), _expected(model))


def test_an_interrupted_write_leaves_what_was_there(model, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("graphkit.frameworks.onnx.write"), "INLINE_LIMIT", 1000)
    path = tmp_path / "out.onnx"
    path.write_bytes(b"old")
    tensor = model.graph.initializers["w"].const_value

    def fail() -> ir.TensorProtocol:
        raise KeyboardInterrupt

    model.graph.initializers["w"].const_value = ir.LazyTensor(fail, tensor.dtype, tensor.shape)
    with pytest.raises(KeyboardInterrupt):
        _write(model, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.onnx"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_not_there_is_told(model, tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        _write(model, tmp_path / "none" / "out.onnx")


def test_what_onnx_runtime_runs_in_older_opsets_only_is_written_so_unless_told(tmp_path: Path) -> None:
    regions = canonical(
        ir.from_onnx_text(
            text_of("y = MaxRoiPool<pooled_shape=[1,1]>(x, r)", "float[1,2,3,4] x, float[2,5] r", "float y", 23)
        )
    )
    path = tmp_path / "m.onnx"
    FRAMEWORK.write(regions, path, WriteOptions())
    assert onnx.load(path).opset_import[0].version == 21
    onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    FRAMEWORK.write(regions, path, WriteOptions(opset=23))
    assert onnx.load(path).opset_import[0].version == 23
