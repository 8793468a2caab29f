"""Bad input, from the command line: one paragraph on stderr, exit status 2, no traceback, nothing written."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
from graphkit.cli import main


@pytest.fixture
def symbol(tmp_path):
    """An MXNet checkpoint that is as it should be."""
    graphkit.save(model(), tmp_path / "net", to="mxnet")
    return tmp_path / "net-symbol.json"


@pytest.fixture
def exported(tmp_path):
    """An ONNX file that is as it should be."""
    path = tmp_path / "net.onnx"
    ir.save(model(), path)
    return path


def params_of(symbol):
    return symbol.with_name("net-0000.params")


def edit(symbol, change):
    document = json.loads(symbol.read_text())
    change(document)
    symbol.write_text(json.dumps(document))


@pytest.mark.parametrize("size", [0, 4, 20, 40, 100, -1])
def test_truncated_parameters(refused, symbol, size):
    whole = params_of(symbol).read_bytes()
    params_of(symbol).write_bytes(whole[:size])
    assert "net-0000.params" in refused("convert", symbol, "--to", "onnx")


@pytest.mark.parametrize("position", [0, 16, 24, 28, 32])
def test_corrupted_parameters(refused, symbol, position):
    damaged = bytearray(params_of(symbol).read_bytes())
    damaged[position : position + 4] = b"\xff\xfe\xfd\x7f"
    params_of(symbol).write_bytes(damaged)
    assert "net-0000.params" in refused("convert", symbol, "--to", "onnx")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}', '{"nodes": 3, "arg_nodes": [], "heads": []}', "\x00"])
def test_json_that_is_no_symbol(refused, symbol, text):
    symbol.write_text(text)
    assert "net-symbol.json" in refused("convert", symbol, "--to", "onnx")


def test_a_symbol_without_its_parameters(refused, symbol):
    params_of(symbol).unlink()
    assert "--params" in refused("convert", symbol, "--to", "onnx")


def test_a_parameter_file_that_is_not_there(refused, symbol):
    assert "other.params" in refused("convert", symbol, "--to", "onnx", "--params", "other.params")


@pytest.fixture
def layer(tmp_path):
    """A checkpoint of one FullyConnected, whose arguments have names that tell what they are."""
    nodes = [{"op": "null", "name": name, "inputs": []} for name in ("data", "fc_weight", "fc_bias")]
    inputs = [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    nodes.append({"op": "FullyConnected", "name": "fc", "attrs": {"num_hidden": "3"}, "inputs": inputs})
    path = tmp_path / "fc-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "arg_nodes": [0, 1, 2], "heads": [[3, 0, 0]]}))
    return path


def save_params(path, **arrays):
    from graphkit.frameworks.mxnet.params import write

    write(path, {f"arg:{name}": np.zeros(shape, np.float32) for name, shape in arrays.items()})


def test_parameters_that_lack_a_name(refused, layer):
    save_params(layer.with_name("fc-0000.params"), fc_weight=(3, 4))
    assert "fc_bias" in refused("convert", layer, "--to", "onnx", "--input", "data:2x4")


@pytest.mark.parametrize("shapes", [{"fc_weight": (4, 4), "fc_bias": (3,)}, {"fc_weight": (3, 4), "fc_bias": (5,)}])
def test_parameters_of_another_shape(refused, layer, shapes):
    save_params(layer.with_name("fc-0000.params"), **shapes)
    told = refused("convert", layer, "--to", "onnx", "--input", "data:2x4")
    assert "fc" in told


def test_an_unsupported_operator_of_onnx_all_listed_with_counts(refused, tmp_path):
    text = """
    <ir_version: 10, opset_import: ["": 23, "com.acme": 1]>
    g (float[2, 3] x) => (float[2, 3] y)
    {
        a = com.acme.Frobnicate(x)
        b = com.acme.Frobnicate(a)
        y = com.acme.Twist(b)
    }
    """
    path = tmp_path / "odd.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    told = refused("convert", path, "--to", "mxnet")
    assert re.search(r"3 nodes cannot be converted to MXNet", told)
    assert "Frobnicate × 2" in told
    assert "Twist × 1" in told


def test_an_unsupported_operator_of_mxnet_all_listed_with_counts(refused, symbol):
    def change(document):
        for node in document["nodes"]:
            if node["op"] != "null":
                node["op"] = "Frobnicate" if node["op"] == "Activation" else "Twist"
                node.pop("attrs", None)

    edit(symbol, change)
    told = refused("convert", symbol, "--to", "onnx")
    assert "Twist × " in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("image:2x5", "no input 'image'; its inputs are 'x'"),
        ("x:2x6", "does not fit its inputs"),
        ("x:2", "has 2 dimensions"),
        ("x:twoxfive", "does not describe an input"),
        ("x:2x5:float99", "float99"),
        ("x:", "does not describe an input"),
    ],
)
def test_a_wrong_input_name_or_shape(refused, exported, given, told):
    assert told in refused("verify", exported, "--on", "ort,reference", "--input", given)


def test_a_batch_size_that_the_model_does_not_leave_open(refused, tmp_path):
    fixed = model()
    fixed.graph.inputs[0].shape = ir.Shape([1, 5])
    ir.save(fixed, tmp_path / "fixed.onnx")
    assert "fixed at 1" in refused("verify", tmp_path / "fixed.onnx", "--on", "ort,reference", "--batch", "3")


def test_a_missing_runtime(refused, exported, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_MXNET_PYTHON", "/nowhere/python")
    assert "/nowhere/python" in refused("verify", exported, "--on", "reference,mxnet")


def test_an_unknown_runtime(refused, exported):
    assert "No runtime is called 'tensorrt'" in refused("verify", exported, "--on", "ort,tensorrt")


def test_one_runtime_alone(refused, exported):
    assert "nothing to compare" in refused("verify", exported, "--on", "reference")


@pytest.mark.parametrize("name", ["gone.onnx", "gone-symbol.json", "gone.pt2", "gone.pt", "gone"])
def test_a_source_that_is_not_there(refused, name):
    assert name in refused("convert", name, "--to", "mxnet")


def test_a_source_of_no_known_kind(refused, tmp_path):
    (tmp_path / "net.h5").write_bytes(b"\x89HDF")
    told = refused("convert", tmp_path / "net.h5", "--to", "mxnet")
    assert "x.pt2" in told
    assert "x-symbol.json" in told


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 50])
def test_an_onnx_file_that_is_none(refused, tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    assert "bad.onnx" in refused("convert", tmp_path / "bad.onnx", "--to", "mxnet")


def test_a_folder_for_a_source(refused, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx" in refused("convert", tmp_path / "folder.onnx", "--to", "mxnet")


def test_an_output_folder_that_is_not_there(refused, exported):
    assert "no folder" in refused("convert", exported, "--to", "mxnet", "-o", "gone/net")


def test_a_result_that_would_overwrite_its_source(refused, exported, monkeypatch):
    monkeypatch.chdir(exported.parent)
    assert "overwrite" in refused("convert", "net.onnx", "--to", "onnx")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "caffe"], "they can for mxnet, onnx"),
        (["--to", "mxnet", "--opset", "12"], "--opset says which ONNX"),
        (["--to", "onnx", "--opset", "3"], "--opset"),
        ([], "Missing option '--to'"),
        (["--to", "mxnet", "--frobnicate"], "--frobnicate"),
    ],
)
def test_wrong_usage(refused, exported, arguments, told):
    assert told in refused("convert", exported, *arguments)


def test_an_unknown_command(refused):
    assert "frobnicate" in refused("frobnicate")


def test_a_model_that_is_not_finite_is_no_proof(tmp_path, capfd):
    """Everything NaN: the comparison fails, with status 1."""
    broken = model()
    broken.graph.initializers["b"].const_value = ir.tensor(np.full(3, np.nan, np.float32), name="b")
    ir.save(broken, tmp_path / "nan.onnx")
    with pytest.raises(SystemExit) as left:
        main(["verify", str(tmp_path / "nan.onnx"), "--on", "ort,reference"])
    logging.disable(logging.NOTSET)
    assert left.value.code == 1
    assert "NaN or infinite on both sides" in " ".join(capfd.readouterr().out.split())


def test_a_training_form_of_what_has_none(refused, exported):
    assert "has no training form of its own" in refused("convert", exported, "--to", "mxnet", "--train")


@pytest.mark.parametrize("option", ["lr", "momentum", "weight-decay"])
def test_numbers_for_steps_that_are_not_made(refused, exported, option):
    assert f"--{option} is for steps of training" in refused("verify", exported, f"--{option}", "0.1")


@pytest.mark.parametrize("number", ["-1", "nan", "inf"])
def test_numbers_that_no_steps_are_made_with(refused, exported, number):
    assert "The momentum of training is" in refused("verify", exported, "--train-steps", "1", "--momentum", number)
