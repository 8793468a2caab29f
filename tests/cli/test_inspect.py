"""``graphkit inspect``: what it prints, as text and as JSON, and with which status it ends."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphkit
from graphkit.cli import main

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "inspect.schema.json").read_text(encoding="utf-8"))
EVIL = "<b>\"'\n\x1b[31m[red]😀" + "x" * 10_000


def _save(path: Path, nodes: list, output: tuple, weights: dict, dtype: int = TensorProto.FLOAT) -> None:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))]
    outputs = [helper.make_tensor_value_info("y", dtype, output)]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", inputs, outputs, stored), opset_imports=opsets), path)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command in a folder with small models; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3)).astype(np.float32)
    layers = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="/body/fc/MatMul"),
        helper.make_node("Relu", ["h"], ["r"], name="/body/act/Relu"),
        helper.make_node("MatMul", ["r", "v"], ["y"], name="head"),
    ]
    tail = rng.standard_normal((3, 2)).astype(np.float32)
    _save(tmp_path / "net.onnx", layers, ("batch", 2), {"w": weight, "v": tail})
    odd = [helper.make_node("OptionalHasElement", ["x"], ["y"], name="odd")]
    _save(tmp_path / "odd.onnx", odd, (), {}, TensorProto.BOOL)
    frob = [helper.make_node("Frob", ["x"], ["y"], name="frob", domain="my.ops")]
    _save(tmp_path / "frob.onnx", frob, ("batch", 4), {})
    evil = [helper.make_node("MatMul", ["x", EVIL], ["y"], name=EVIL)]
    spoilt = weight.copy()
    spoilt[0, 0] = np.nan
    _save(tmp_path / "evil.onnx", evil, ("batch", 3), {EVIL: spoilt})

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["inspect", *arguments])
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


def test_the_overview_tells_what_a_model_is_has_and_costs(run):
    status, out, err = run("net.onnx")
    assert (status, err) == (0, "")
    assert "opset ai.onnx 17" in out
    assert "batch × 4" in out
    assert "18 in 2 tensors" in out
    assert "18 MACs × batch = 36 FLOPs × batch" in out
    assert "MatMul × 2" in out
    assert "nested 2 deep" in out


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_no_line_is_wider_than_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for source in ("net.onnx", "odd.onnx", "frob.onnx", "evil.onnx"):
        _, out, _ = run(source, "--nodes", "--tree", "--weights", "--for", "mxnet")
        assert max(map(len, out.splitlines())) <= int(columns)


def test_a_pipe_gets_no_colours_and_no_control_characters(run):
    for source in ("net.onnx", "evil.onnx"):
        _, out, _ = run(source, "--nodes", "--tree", "--weights", "--for", "onnx")
        assert all(char == "\n" or char.isprintable() for char in out)


def test_counts_are_for_the_sizes_that_are_given(run):
    status, out, _ = run("net.onnx", "--size", "batch=10", "--nodes")
    assert status == 0
    assert "10 × 4" in out
    assert "180 MACs = 360 FLOPs" in out
    assert "batch" not in out


def test_operators_are_listed_and_sorted(run):
    status, out, _ = run("net.onnx", "--nodes", "--sort", "macs", "--top", "2")
    assert status == 0
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(("MatMul", "Relu"))]
    assert rows == [["MatMul", "/body/fc/MatMul"], ["MatMul", "head"]]
    assert "\n1 more" in out


def test_the_tree_shows_modules_and_what_is_outside(run):
    _, out, _ = run("net.onnx", "--tree")
    lines = [line.rstrip() for line in out.splitlines()]
    assert any(line.startswith("├─ body") and "66.7 %" in line for line in lines)
    assert any(line.startswith("│  ├─ fc") for line in lines)
    assert any(line.startswith("└─ head  MatMul") and "33.3 %" in line for line in lines)


def test_a_tree_can_be_cut(run):
    _, out, _ = run("net.onnx", "--tree", "--depth", "1")
    assert "├─ body" in out
    assert "─ fc" not in out


def test_numbers_of_weights_are_shown(run):
    _, out, _ = run("evil.onnx", "--weights")
    assert "1 NaN" in out
    assert "1 of 1 tensors hold NaN or infinities" in out


def test_json_fits_its_schema_and_keeps_names_exact(run):
    status, out, err = run("evil.onnx", "--json", "--nodes", "--tree", "--weights", "--for", "torch", "--for", "onnx")
    assert (status, err) == (0, "")
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA)
    assert document["graphkit_inspect"] == 1
    assert document["nodes"][0]["name"] == document["weights"][0]["name"] == EVIL
    assert document["weights"][0]["statistics"]["nans"] == 1
    assert [verdict["target"] for verdict in document["targets"]] == ["torch", "onnx"]


def test_json_has_only_what_was_asked_for(run):
    document = json.loads(run("net.onnx", "--json")[1])
    assert not {"nodes", "tree", "weights", "targets"} & document.keys()
    document = json.loads(run("net.onnx", "--json", "--nodes", "--sort", "parameters", "--top", "1")[1])
    assert [node["name"] for node in document["nodes"]] == ["/body/fc/MatMul"]


def test_a_target_that_takes_the_model_ends_with_0(run):
    status, out, _ = run("net.onnx", "--for", "mxnet", "--for", "torch", "--for", "onnx")
    assert status == 0
    assert [line for line in out.splitlines() if "takes the model" in line] == [
        "MXNet takes the model.",
        "PyTorch takes the model.",
        "ONNX takes the model.",
    ]


def test_a_target_that_does_not_ends_with_1_and_says_which_operators(run):
    status, out, _ = run("odd.onnx", "--for", "onnx", "--for", "mxnet")
    assert status == 1
    assert "ONNX takes the model." in out
    assert "MXNet does not take 1 of 1 operator." in out
    assert "at odd" in out


def test_without_a_target_unknown_operators_end_with_0(run):
    status, out, _ = run("frob.onnx")
    assert status == 0
    assert "Forward" in out
    assert "unknown" in out
    assert "my.ops:Frob" in out
    assert run("frob.onnx", "--for", "onnx")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("net.onnx", "--sort", "macs"), "--nodes"),
        (("net.onnx", "--top", "3"), "--nodes"),
        (("net.onnx", "--depth", "3"), "--tree"),
        (("net.onnx", "--size", "batch"), "batch=32"),
        (("net.onnx", "--size", "bach=2"), "'batch'"),
        (("net.onnx", "--size", "batch=0"), "1 or more"),
        (("net.onnx", "--for", "tensorflow"), "tensorflow"),
        (("net.onnx", "--raw", "--for", "onnx"), "raw"),
        (("nothing.onnx",), "nothing.onnx"),
    ],
)
def test_wrong_usage_is_refused(run, arguments, told):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert told in err


def test_provenance_tells_what_a_file_was_made_from(run, tmp_path):
    graphkit.convert(tmp_path / "net.onnx", "mxnet", tmp_path / "mx")
    status, out, err = run("--provenance", "mx-symbol.json")
    assert (status, err) == (0, "")
    assert f"Made by graphkit {graphkit.__version__} from net.onnx (to mxnet)" in out
    status, out, _ = run("--provenance", "mx-symbol.json", "--source", "net.onnx")
    assert status == 0
    assert "the recorded source: net.onnx" in out
    status, out, _ = run("--provenance", "mx-symbol.json", "--source", "odd.onnx", "--json")
    assert status == 1
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA)
    assert document["checked"][0]["level"] is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--provenance", "net.onnx", "--nodes"), "ask for the other apart"),
        (("net.onnx", "--source", "odd.onnx"), "give --provenance, too"),
        (("--provenance", "absent.onnx"), "There is no file absent.onnx"),
        (("--provenance", "net.onnx", "--source", "absent"), "'absent' does not exist"),
    ],
)
def test_provenance_refuses_what_contradicts_itself(run, arguments, told):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert told in " ".join(err.split())
