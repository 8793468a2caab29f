"""``graphkit diff``: exit status, terminal, JSON, pictures, bad input."""

from __future__ import annotations

import json
import logging

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.cli import main

NET = """
<ir_version: 10, opset_import: ["": 23]>
net (float[n, 4] x) => (float[n, 4] y)
<float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
{ a = MatMul(x, w) b = Relu(a) y = Softmax(b) }
"""


def write(path, text=NET, rename=False):
    model = ir.from_onnx_text(text)
    for index, node in enumerate(model.graph):
        node.name = f"node{index}" if rename else node.outputs[0].name
    ir.save(model, path)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command line in a folder with ``net.onnx``; gives (status, stdout, stderr)."""
    write(tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code, out, err

    return run


def test_the_status_is_that_of_diff(run, tmp_path):
    write(tmp_path / "same.onnx")
    write(tmp_path / "other.onnx", NET.replace("Relu", "Tanh"))
    status, out, err = run("diff", "net.onnx", "same.onnx")
    assert (status, out.splitlines()[-1], err) == (0, "The same.", "")
    status, out, _ = run("diff", "net.onnx", "other.onnx")
    assert (status, out.splitlines()[-1]) == (1, "Different: 1 node replaced.")
    assert "operator: Relu → Tanh" in out
    assert run("diff", "net.onnx", "nowhere.onnx")[0] == 2


def test_names_count_unless_they_are_ignored(run, tmp_path):
    write(tmp_path / "renamed.onnx", rename=True)
    status, out, _ = run("diff", "net.onnx", "renamed.onnx")
    assert (status, out.splitlines()[-1]) == (1, "The same but for names: 3 things renamed.")
    status, out, _ = run("diff", "net.onnx", "renamed.onnx", "--ignore", "names")
    assert (status, out.splitlines()[-1]) == (0, "The same, but for names.")


def test_numbers_count_unless_they_are_ignored(run, tmp_path):
    write(tmp_path / "tuned.onnx", NET.replace("16}", "17}"))
    status, out, _ = run("diff", "net.onnx", "tuned.onnx")
    assert status == 1
    assert "~ w: max|d| 1 (relative 0.062), l2 0.026, 1 of 16 elements" in out
    assert run("diff", "net.onnx", "tuned.onnx", "--ignore", "names,parameters")[0] == 0


def test_json_has_what_differs_and_with_all_what_does_not(run, tmp_path):
    write(tmp_path / "other.onnx", NET.replace("Relu", "Tanh"))
    status, out, _ = run("diff", "net.onnx", "other.onnx", "--json")
    found = json.loads(out)
    assert (status, found["format"], found["same"]) == (1, 1, False)
    assert found["counts"]["nodes replaced"] == 1
    (node,) = found["nodes"]
    assert (node["index"], node["status"], node["left"]["op"], node["right"]["op"]) == (1, "replaced", "Relu", "Tanh")
    assert node["changes"] == [{"what": "operator", "name": "", "old": "Relu", "new": "Tanh"}]
    _, out, _ = run("diff", "net.onnx", "other.onnx", "--json", "--all")
    assert [each["status"] for each in json.loads(out)["nodes"]] == ["same", "replaced", "same"]


def test_infinite_differences_are_text_in_json(run, tmp_path):
    model = ir.from_onnx_text(NET)
    array = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    array[0, 0] = np.inf
    for node in model.graph:
        node.name = node.outputs[0].name
    model.graph.initializers["w"].const_value = ir.tensor(array, name="w")
    ir.save(model, tmp_path / "other.onnx")
    _, out, _ = run("diff", "net.onnx", "other.onnx", "--json")
    numbers = json.loads(out)["parameters"][0]["numbers"]
    assert (numbers["max_abs"], numbers["differing"]) == ("inf", 1)


def test_of_very_many_differences_the_first_are_shown(run, tmp_path):
    body = " ".join(f"v{i + 1} = {{}}(v{i})" for i in range(40))
    text = '<ir_version: 10, opset_import: ["": 23]> g (float[n] v0) => (float[n] v40) {{ {} }}'
    write(tmp_path / "a.onnx", text.format(body.replace("{}", "Sin")))
    write(tmp_path / "b.onnx", text.format(body.replace("{}", "Cos")))
    _, out, _ = run("diff", "a.onnx", "b.onnx")
    assert "and 28 more (--all)" in out
    assert len(out.splitlines()) < 40
    _, out, _ = run("diff", "a.onnx", "b.onnx", "--all")
    assert "more (--all)" not in out


def test_lines_fit_a_narrow_terminal(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = "a" * 300
    write(tmp_path / "other.onnx", NET.replace("a = MatMul", f"{long} = MatMul").replace("Relu(a)", f"Tanh({long})"))
    _, out, _ = run("diff", "net.onnx", "other.onnx")
    assert max(map(len, out.splitlines())) <= 80


def test_names_are_no_markup_and_no_control_characters(run, tmp_path):
    model = ir.from_onnx_text(NET)
    names = ("[red]bold[/red]", "\x1b[31mred\x1b[0m\nnext", "<script>alert(1)</script>")
    for node, name in zip(model.graph, names, strict=True):
        node.name = name
    ir.save(model, tmp_path / "odd.onnx")
    status, out, _ = run("diff", "net.onnx", "odd.onnx", "--all")
    assert status == 1
    assert "[red]bold[/red]" in out
    assert "\x1b" not in out


def test_a_picture_of_both_is_drawn(run, tmp_path):
    write(tmp_path / "other.onnx", NET.replace("b = Relu(a)", "c = Tanh(a) b = Sin(c)"))
    status, out, _ = run("diff", "net.onnx", "other.onnx", "-o", "both.dot")
    assert status == 1
    assert out.splitlines()[-1] == "Wrote both.dot."
    text = (tmp_path / "both.dot").read_text()
    assert "only in B" in text
    assert "operator: Relu → " in text
    again = tmp_path / "both.dot"
    before = again.read_bytes()
    run("diff", "net.onnx", "other.onnx", "-o", "both.dot")
    assert again.read_bytes() == before


def test_a_page_of_both_is_written(run, tmp_path):
    write(tmp_path / "other.onnx", NET.replace("Relu", "Tanh"))
    status, _, _ = run("diff", "net.onnx", "other.onnx", "-o", "both.html")
    assert status == 1
    assert "<!doctype html>" in (tmp_path / "both.html").read_text().lower()


def test_what_cannot_be_drawn_is_refused_before_anything_is_read(run):
    status, out, err = run("diff", "nowhere.onnx", "nowhere.onnx", "-o", "x.docx")
    assert (status, out) == (2, "")
    assert "x.docx does not say how to draw a difference" in err


def test_an_unknown_aspect_is_refused(run):
    status, _, err = run("diff", "net.onnx", "net.onnx", "--ignore", "colour")
    assert status == 2
    assert "'colour' is nothing that a comparison can leave out" in err


def test_files_are_compared_as_they_are_spelled_where_asked(run, tmp_path):
    text = NET.replace("b = Relu(a)", "c = Identity(a) b = Relu(c)")
    write(tmp_path / "copying.onnx", text)
    assert run("diff", "net.onnx", "copying.onnx")[0] == 0
    status, out, _ = run("diff", "net.onnx", "copying.onnx", "--raw")
    assert status == 1
    assert "+ Identity c" in out
    assert "both as the files spell them" in out


def test_each_side_has_options_of_its_own(run, tmp_path):
    write(tmp_path / "free.onnx", NET.replace("float[n, 4]", "float[n, k]"))
    status, out, err = run("diff", "net.onnx", "free.onnx", "--other-input", "x:?x4")
    assert status in (0, 1), err
    assert "input x" not in out


def test_a_model_that_cannot_be_converted_is_compared_as_far_as_it_can_be_looked_at(run, tmp_path):
    for name, op in (("net", "relu"), ("odd", "my_own_layer")):
        nodes = [
            {"op": "null", "name": "x", "inputs": []},
            {"op": "null", "name": "w", "inputs": []},
            {"op": op, "name": "layer", "inputs": [[0, 0, 0]]},
            {"op": "broadcast_add", "name": "sum", "inputs": [[2, 0, 0], [1, 0, 0]]},
        ]
        document = {"nodes": nodes, "arg_nodes": [0, 1], "heads": [[3, 0, 0]]}
        (tmp_path / f"{name}-symbol.json").write_text(json.dumps(document))
    status, out, err = run("diff", "odd-symbol.json", "odd-symbol.json")
    assert status == 0, err
    assert "both as far as they can be looked at" in out
    assert "1 without canonical form" in out
    status, out, _ = run("diff", "net-symbol.json", "odd-symbol.json")
    assert status == 1
    assert "operator: Relu → mxnet:my_own_layer" in out
