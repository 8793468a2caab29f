"""Comparisons that make no sense, from the command line: a paragraph and status 2, or status 1, never a pass."""

from __future__ import annotations

import json
import logging

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.cli import main

HEAD = '<ir_version: 10, opset_import: ["": 23]>'
NET = "net (float[batch, 5] x) => (float[batch, 5] y) { a = Exp(x)  y = Neg(a) }"
ON = ("--on", "ort,reference")


@pytest.fixture
def write(tmp_path):
    """Write a model in ONNX's text form into a file."""

    def write(text, name="net.onnx"):
        found = ir.from_onnx_text(f"{HEAD} {text}")
        for index, node in enumerate(found.graph):
            node.name = node.name or f"node{index}"
        ir.save(found, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code, " ".join(out.split()), " ".join(err.split())

    return run


OTHERS = {
    "an input more": (
        "net (float[batch, 5] x, float[batch, 5] z) => (float[batch, 5] y) { a = Exp(x)  y = Add(a, z) }",
        "inputs",
    ),
    "an input less": ("net () => (float[2, 5] y) <float[2, 5] c = {1,2,3,4,5,6,7,8,9,0}> { y = Neg(c) }", "inputs"),
    "an input of another size": (
        "net (float[batch, 6] x) => (float[batch, 6] y) { a = Exp(x)  y = Neg(a) }",
        "batch×6",
    ),
    "an input of more axes": ("net (float[batch, 5, 1] x) => (float[batch, 5, 1] y) { y = Neg(x) }", "batch×5×1"),
    "an input of another type": ("net (int64[batch, 5] x) => (float[batch, 5] y) { y = Cast<to = 1>(x) }", "int64"),
    "an output of another type": ("net (float[batch, 5] x) => (int64[batch, 5] y) { y = Cast<to = 7>(x) }", "int64"),
}


@pytest.mark.parametrize("command", ["verify", "bisect"])
@pytest.mark.parametrize("other", OTHERS)
def test_a_model_of_another_signature(refused, write, command, other):
    text, told = OTHERS[other]
    found = refused(command, write(NET), write(text, "other.onnx"))
    assert "cannot be compared" in found
    assert told in found


MORE = "net (float[batch, 5] x) => (float[batch, 5] y, float[batch, 5] a) { a = Exp(x)  y = Neg(a) }"


@pytest.mark.parametrize("command", ["verify", "bisect"])
def test_a_model_that_lacks_an_output(refused, write, command):
    found = refused(command, write(MORE), write(NET, "other.onnx"))
    assert "cannot be compared" in found
    assert "no counterpart of 'a'" in found


@pytest.mark.parametrize("command", ["verify", "bisect"])
def test_an_output_more_is_told(run, write, command):
    status, out, err = run(command, write(NET), write(MORE, "other.onnx"))
    assert (status, err) == (0, "")
    assert "1 more output in the second model, not compared: a" in out


def test_an_output_of_another_shape_is_no_parity(run, write):
    reduced = "net (float[batch, 5] x) => (float[batch, 1] y) { a = Exp(x)  y = ReduceSum<keepdims = 1>(a, last) }"
    reduced = reduced.replace("y) {", "y) <int64[1] last = {1}> {")
    status, out, _ = run("verify", write(NET), write(reduced, "other.onnx"))
    assert status == 1
    assert "2×1" in out


@pytest.mark.parametrize("other", [False, True])
def test_nothing_but_nan_is_no_parity(run, write, other):
    text = "net (float[batch, 5] x) => (float[batch, 5] y) { a = Abs(x)  b = Neg(a)  y = Log(b) }"
    files = [write(text), *([write(text, "other.onnx")] if other else [])]
    status, out, _ = run("verify", *files, *ON)
    assert status == 1
    assert "10 of 10 elements are NaN or infinite on both sides" in out


def test_some_nan_on_both_sides_is_told(run, write):
    text = "net (float[batch, 5] x) => (float[batch, 5] y) { y = Sqrt(x) }"
    status, out, _ = run("verify", write(text), *ON, "--json")
    assert status == 0
    document = json.loads(out)
    assert all("elements are NaN or infinite on both sides" in check["note"] for check in document["checks"])


def test_bisect_on_nothing_but_nan_says_where_it_begins_and_blames_no_node(run, write, tmp_path):
    text = "net (float[batch, 5] x) => (float[batch, 5] y) { a = Abs(x)  b = Neg(a)  c = Log(b)  y = Tanh(c) }"
    status, out, err = run("bisect", write(text), "--on", "reference,torch")
    assert (status, err) == (1, "")
    assert "first differs in value c of Log node 'node2'" in out
    assert "c is NaN or infinite throughout on both sides" in out
    assert "computes something else" not in out
    assert not (tmp_path / "net-bisect").exists()


DROPOUT = (
    "net (float[batch, 5] x) => (float[batch, 5] y) <float ratio = {0.5}, bool on = {1}> "
    "{ a = Exp(x)  y = Dropout(a, ratio, on) }"
)


def test_a_dropout_that_is_active_in_onnx_is_named(run, write, tmp_path):
    status, _, err = run("verify", write(DROPOUT), *ON)
    assert "Dropout is active" in err
    assert "(training_mode of 'node1')" in err
    assert status == 2
    assert "ort gives other numbers each time" in err
    assert "as Dropout is active in its source ('node1')" in err
    assert run("verify", tmp_path / "net.onnx", "--on", "reference,torch")[0] == 0


def test_a_dropout_that_was_exported_in_training_mode_is_named(run, tmp_path):
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 3)).train()
    torch.export.save(torch.export.export(module, (torch.ones(2, 5),)), tmp_path / "net.pt2")
    for command in ("verify", "bisect"):
        status, _, err = run(command, tmp_path / "net.pt2", "--on", "torch,ort", "--backward")
        assert status == 0
        assert "Dropout is active in net.pt2 ('dropout')" in err.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("command", ["verify", "bisect"])
@pytest.mark.parametrize(
    "body",
    [
        "y = RandomNormalLike(x)",
        "r = RandomUniformLike(x)  y = Add(x, r)",
        "u = RandomUniform<shape = [2, 5]>()  y = Mul(u, x)",
    ],
)
def test_random_operators_leave_nothing_to_compare(run, write, command, body):
    status, out, err = run(command, write(f"net (float[batch, 5] x) => (float[batch, 5] y) {{ {body} }}"), *ON)
    assert (status, out) == (2, "")
    assert "depends on random numbers" in err
    assert err.startswith("graphkit: error:")


@pytest.mark.parametrize("command", ["verify", "bisect"])
def test_a_folder_without_samples(refused, write, command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no .npz or .npy file" in refused(command, write(NET), *ON, "--feed", tmp_path / "empty")


@pytest.mark.parametrize("command", ["verify", "bisect"])
@pytest.mark.parametrize("body", ["return []", "yield from ()", "return None", "raise ValueError('no disk')"])
def test_a_callable_that_gives_nothing(run, write, monkeypatch, command, body, tmp_path):
    name = f"void_{abs(hash((command, body)))}"
    (tmp_path / f"{name}.py").write_text(f"def give():\n    {body}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, err = run(command, write(NET), *ON, "--feed", f"{name}:give")
    assert (status, out) == (2, "")
    assert err.startswith("graphkit: error:")


def test_data_of_another_shape(refused, write, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((2, 6), np.float32))
    assert "x" in refused("verify", write(NET), *ON, "--feed", tmp_path / "x.npz")


def test_data_that_lack_an_input(refused, write, tmp_path):
    np.savez(tmp_path / "x.npz", z=np.ones((2, 5), np.float32))
    assert "x" in refused("verify", write(NET), *ON, "--feed", tmp_path / "x.npz")


def test_an_empty_batch_proves_nothing(run, write, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((0, 5), np.float32))
    status, out, err = run("verify", write(NET), *ON, "--feed", tmp_path / "x.npz")
    assert status != 0, out + err


@pytest.mark.parametrize("command", ["verify", "bisect"])
def test_a_runtime_alone(refused, write, command):
    assert "There is nothing to compare" in refused(command, write(NET), "--on", "reference")


GATHERING = """
net (float[batch, 5] x, int64 turns) => (float[rows, 5] y) {
    none = SequenceEmpty ()
    all = Loop (turns, , none) <
        body = step (int64 turn, bool going, seq(float[m, 5]) a) => (bool on, seq(float[n, 5]) b) {
            on = Identity (going)
            b = SequenceInsert (a, x)
        }
    >
    y = ConcatFromSequence <axis = 0> (all)
}
"""


def test_gradients_that_no_graph_of_operators_computes(refused, write):
    assert "Loop × 1" in refused("verify", write(GATHERING), "--on", "ort,reference", "--backward")


def test_a_model_of_integers_has_no_gradients(refused, write):
    text = "net (int64[batch, 5] x) => (int64[batch, 5] y) { y = Neg(x) }"
    assert "no gradients to compare" in refused("verify", write(text), "--on", "torch,ort", "--backward")


@pytest.mark.parametrize("command", ["verify", "bisect"])
def test_another_source_that_is_not_there(refused, write, command):
    assert "gone.onnx" in refused(command, write(NET), "gone.onnx")


def test_steps_of_training_of_what_has_nothing_to_train(refused, write):
    assert refused("verify", write(NET), "--on", "torch,ort", "--train-steps", "1")
