"""Outputs onto the files that they are made from: what is mapped from a file stays what it was."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.onnx import write as onnx_writer

SHAPE = (300, 300)


@pytest.fixture
def weight():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def source(tmp_path, weight):
    text = '<ir_version: 10, opset_import: ["" : 21]> g (float[2, 300] x) => (float[2, 300] y) { y = MatMul(x, w) }'
    path = tmp_path / "x.onnx"
    ir.save(ir.from_onnx_text(text, initializers=[ir.tensor(weight, name="w")]), path)
    return path


def weights(path, **options):
    model = graphkit.load(path, **options)
    return [np.array(value.const_value.numpy()) for value in model.graph.initializers.values() if value.shape]


def same(path, weight, **options):
    (found,) = (array for array in weights(path, **options) if array.size == weight.size)
    return np.array_equal(found, weight) or np.array_equal(found, weight.T)


@pytest.mark.parametrize("to", ["onnx", "mxnet", "torch"])
def test_a_model_is_written_over_itself(tmp_path, source, weight, to):
    out = {"onnx": source, "mxnet": tmp_path / "net", "torch": tmp_path / "folder"}[to]
    first = graphkit.convert(source, to, out)
    read = {"onnx": source, "mxnet": first[0], "torch": out}[to]
    before = {path.name: path.read_bytes() for path in first}
    for _ in range(2):
        assert [path.name for path in graphkit.convert(read, to, out)] == [path.name for path in first]
        assert same(read, weight)
    assert {path.name for path in first[0].parent.iterdir() if path in first} == set(before)


def test_a_model_with_weights_in_another_file_is_written_over_itself(tmp_path, source, weight, monkeypatch):
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 1000)
    files = graphkit.convert(source, "onnx", tmp_path / "y.onnx")
    assert [path.name for path in files] == ["y.onnx", "y.onnx.data"]
    kept = graphkit.load(files[0])
    graphkit.convert(files[0], "onnx", files[0])
    assert same(files[0], weight)
    (array,) = (value.const_value.numpy() for value in kept.graph.initializers.values() if value.shape)
    assert np.array_equal(array, weight), "what was read before is still mapped from the file that is gone"


def test_weights_of_the_source_are_not_replaced_without_it(tmp_path, source, weight, monkeypatch):
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 1000)
    graphkit.convert(source, "onnx", tmp_path / "y.onnx")
    (tmp_path / "y.onnx").rename(tmp_path / "z.onnx")
    with pytest.raises(InputError, match="holds those of the source"):
        graphkit.convert(tmp_path / "z.onnx", "onnx", tmp_path / "y.onnx")
    assert not (tmp_path / "y.onnx").exists()
    assert same(tmp_path / "z.onnx", weight)


def test_weights_lie_beside_the_file_that_a_link_leads_to(tmp_path, source, weight, monkeypatch):
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 1000)
    (tmp_path / "far").mkdir()
    (tmp_path / "link.onnx").symlink_to("far/y.onnx")
    graphkit.convert(source, "onnx", tmp_path / "link.onnx")
    assert {path.name for path in (tmp_path / "far").iterdir()} == {"y.onnx", "y.onnx.data"}
    assert same(tmp_path / "link.onnx", weight)
