"""ONNX files are read as they are meant, and damaged ones are refused in a paragraph."""

from __future__ import annotations

import logging
import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from opsetcases import text_of

import graphkit
from graphkit.errors import FormatError, GraphkitError, InputError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.origin import origin_of, source_of

if TYPE_CHECKING:
    import onnx_ir as ir

WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)


def _proto(body: str = "y = MatMul(x, w)", inputs: str = 'float["n",3] x', opset: int = 13) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(text_of(body, inputs, "float y", opset))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHT, "w"))
    return proto


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(_proto(), path)
    return path


def _read(path: Path, *inputs: InputSpec) -> ir.Model:
    return FRAMEWORK.read(path, ReadOptions(inputs=inputs))


def _run(model: ir.Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    with runtimes()["ort"].open(model, native=False) as session:
        return session.forward(feeds)


def test_paths_of_onnx_files_are_recognised():
    assert FRAMEWORK.recognises("a/net.onnx")
    assert FRAMEWORK.recognises(Path("net.onnx"))
    assert not FRAMEWORK.recognises("net-symbol.json")
    assert not FRAMEWORK.recognises("package.module:net")


def test_a_file_is_read_with_its_source_and_origins(file):
    model = _read(file)
    source = source_of(model)
    assert (source.framework, source.label, source.handle) == ("onnx", "net.onnx", file)
    assert (origin_of(model.graph[0]).framework, origin_of(model.graph[0]).op) == ("onnx", "MatMul")
    np.testing.assert_array_equal(_run(model, x=np.ones((2, 3), np.float32))["y"], np.ones((2, 3)) @ WEIGHT)


def test_external_weights_are_mapped_not_loaded(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(_proto(), path, save_as_external_data=True, location="net.bin", size_threshold=0)
    model = _read(path)
    base = model.graph.initializers["w"].const_value.numpy()
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)
    np.testing.assert_array_equal(_run(model, x=np.ones((2, 3), np.float32))["y"], np.ones((2, 3)) @ WEIGHT)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    (folder / "link.bin").symlink_to("../secret.bin")
    proto = _proto()
    _externalise(proto, location)
    onnx.save(proto, folder / "net.onnx")
    with pytest.raises(FormatError, match="outside the model's folder"):
        _read(folder / "net.onnx")


def _externalise(proto: onnx.ModelProto, location: str, **more: int) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (None, {}, "has its data in 'w.bin', which is missing"),
        (bytes(20), {}, "needs 24 bytes at offset 0 of 'w.bin', which has 20"),
        (bytes(30), {"offset": 8}, "needs 24 bytes at offset 8 of 'w.bin', which has 30"),
        (bytes(30), {"length": 30}, "needs 24 bytes"),
        (bytes(30), {"offset": "x"}, "says nonsense"),
    ],
)
def test_damaged_external_weights_are_refused(tmp_path, content, more, message):
    if content is not None:
        (tmp_path / "w.bin").write_bytes(content)
    proto = _proto()
    _externalise(proto, "w.bin", **more)
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(FormatError, match=message):
        _read(tmp_path / "net.onnx")


def test_every_truncation_is_refused(file):
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(FormatError, match=r"net\.onnx"):
            _read(file)


def test_no_flipped_byte_gives_anything_but_a_model_or_a_paragraph(tmp_path):
    body = (
        "a = Conv<pads=[1,1]>(x, w) s = Shape(a) n = Gather(s, @int64[1]{0}) t = Concat<axis=0>(n, @int64[1]{-1}) "
        "r = Reshape(a, t) y = Softmax(r)"
    )
    proto = _proto(body, 'float["n",2,8] x')
    proto.graph.initializer[0].dims[:] = [1, 2, 3]
    content = bytearray(proto.SerializeToString())
    path = tmp_path / "net.onnx"
    messages = []
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x15
        path.write_bytes(damaged)
        try:
            _read(path)
        except GraphkitError as error:
            messages.append(str(error))
    assert len(messages) > len(content) / 4
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(100), b'{"nodes": []}'])
def test_other_files_are_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(FormatError, match="is not an ONNX file"):
        _read(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        _read(tmp_path / "none.onnx")


def _damaged(proto: onnx.ModelProto, how: str) -> None:
    graph = proto.graph
    if how == "dangling":
        graph.node[0].input[1] = "nowhere"
    elif how == "output":
        graph.output[0].name = "nowhere"
    elif how == "no outputs":
        del graph.output[:]
    elif how == "cycle":
        graph.node[0].input[0] = "y"
    elif how == "short":
        graph.initializer[0].raw_data = bytes(20)
    elif how == "type":
        graph.initializer[0].data_type = 99
    elif how == "negative":
        graph.initializer[0].dims[0] = -3
    elif how == "shapes":
        graph.initializer[0].dims[:] = [2, 3]
    elif how == "opset":
        proto.opset_import[0].version = 0
    elif how == "no opset":
        proto.opset_import[0].domain = "other"
    elif how == "twice":
        graph.node.append(graph.node[0])
    elif how == "attribute":
        graph.node[0].attribute.add(name="axis", type=onnx.AttributeProto.INT, i=1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("dangling", "reads 'nowhere', which is no input"),
        ("output", "Output 'nowhere' is computed by no node"),
        ("no outputs", "has no outputs"),
        ("cycle", "cycle"),
        ("short", "needs 24 bytes, but has 20"),
        ("type", "unknown element type 99"),
        ("negative", r"has the shape \(-3, 2\)"),
        ("shapes", r"\(MatMul\) does not fit its inputs"),
        ("opset", "does not say which opset"),
        ("no opset", "does not say which opset"),
        ("twice", "y"),
        ("attribute", "axis"),
    ],
)
def test_damaged_graphs_are_refused_in_a_paragraph(file, how, message, caplog):
    proto = _proto()
    _damaged(proto, how)
    file.write_bytes(proto.SerializeToString())
    with caplog.at_level(logging.WARNING), pytest.raises(FormatError, match=message) as raised:
        _read(file)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)
    assert not caplog.records


def test_a_fixed_batch_can_be_freed(tmp_path):
    proto = _proto("a = MatMul(x, w) y = Reshape(a, @int64[2]{-1,2})", "float[4,3] x")
    onnx.save(proto, tmp_path / "net.onnx")
    model = _read(tmp_path / "net.onnx", InputSpec("x", (None, 3)))
    assert [str(dim) for dim in model.graph.outputs[0].shape] == ["batch", "2"]
    assert _run(model, x=np.ones((7, 3), np.float32))["y"].shape == (7, 2)


def test_a_batch_that_the_file_fixes_inside_cannot_be_freed(tmp_path):
    proto = _proto("a = MatMul(x, w) y = Reshape(a, @int64[3]{4,2,1})", "float[4,3] x")
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"cannot be freed: node .* \(Reshape\) fixes it at 4"):
        _read(tmp_path / "net.onnx", InputSpec("", (None, 3)))


def test_pinning_a_dimension_pins_it_wherever_it_is_named(tmp_path):
    proto = _proto("a = MatMul(x, w) y = Add(a, z)", 'float["n",3] x, float["n",2] z')
    onnx.save(proto, tmp_path / "net.onnx")
    model = _read(tmp_path / "net.onnx", InputSpec("x", (5, 3)))
    assert [list(value.shape) for value in model.graph.inputs] == [[5, 3], [5, 2]]
    assert list(model.graph.outputs[0].shape) == [5, 2]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (InputSpec("q", (1, 3)), "no input 'q'; its inputs are 'x'"),
        (InputSpec("x", (1, 3, 1)), "has 2 dimensions in the file, 3 were given"),
        (InputSpec("x", (1, 3), "float64"), "is float32 in the file, not float64"),
        (InputSpec("x", (1, 4)), "does not fit its inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(file, spec, message):
    with pytest.raises(InputError, match=message):
        _read(file, spec)


def test_training_information_is_left_out_with_a_warning(tmp_path):
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    )
    proto.training_info.add().algorithm.CopyFrom(proto.graph)
    onnx.save(proto, tmp_path / "net.onnx")
    told: list[str] = []
    graphkit.load(tmp_path / "net.onnx", warn=told.append)
    assert len(told) == 1
    assert "training_info" in told[0]


def test_an_opset_that_is_not_known_yet_is_refused_and_looked_at(tmp_path):
    newest = onnx.defs.onnx_opset_version()
    for opset in (newest, newest + 1):
        proto = _proto()
        proto.opset_import[0].version = opset
        onnx.save(proto, tmp_path / f"{opset}.onnx")
    _read(tmp_path / f"{newest}.onnx")
    with pytest.raises(FormatError, match=rf"opset {newest + 1}, .*up to {newest}:.* Upgrade onnx, or export"):
        _read(tmp_path / f"{newest + 1}.onnx")
    assert graphkit.look(tmp_path / f"{newest + 1}.onnx").graph.node(0).op_type == "MatMul"
