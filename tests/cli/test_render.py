"""``graphkit render`` and its options."""

from __future__ import annotations

import json
import logging

import onnx_ir as ir
import pytest
from drawn import block, chain

from graphkit.cli import main
from graphkit.render import FORMATS
from graphkit.report.json import to_json
from graphkit.report.report import Check, Report


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run ``graphkit render net.onnx …`` in a folder of its own; gives (status, stdout, stderr in one line)."""
    ir.save(block(), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, source="net.onnx"):
        with pytest.raises(SystemExit) as left:
            main(("render", source, *arguments))
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        return left.value.code, out, " ".join(err.split())

    return run


def report(*checks: Check) -> str:
    return to_json(Report("net", checks))


PASS = Check("output", "out", "torch", "ort", "pass", error=2e-6, tol=1e-5, dtype="float32")
FAIL = Check("parameter gradient", "body.bn.weight", "torch", "ort", "fail", error=3e-5, tol=1e-5, dtype="float32")
STRAY = Check("value", "elsewhere", "torch", "ort", "pass", error=0.0, tol=1e-5, dtype="float32")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_takes_a_part(run, tmp_path, form):
    status, out, err = run("-o", f"net.{form}", "--around", "add", "--hops", "1")
    assert (status, err) == (0, "")
    assert out.startswith(f"Wrote net.{form} (")
    assert (tmp_path / f"net.{form}").stat().st_size > 500


def test_a_part_is_given_by_its_ends(run, tmp_path):
    assert run("-o", "x.dot", "--from", "conv1", "--to", "add", "--to", "bn")[0] == 0
    text = (tmp_path / "x.dot").read_text()
    assert "4 of 8 operators" in text
    assert "from conv1 to add, bn" in text


def test_a_wrong_name_is_told_with_the_nearest(run, tmp_path):
    status, _, err = run("-o", "x.dot", "--from", "conv2")
    assert status == 2
    assert "'conv2' is the name of no node, module or value of the graph; did you mean 'conv1'" in err
    assert not (tmp_path / "x.dot").exists()


def test_hops_need_something_to_be_around(run):
    status, _, err = run("-o", "x.dot", "--hops", "3")
    assert (status, "--around NODE" in err) == (2, True)


@pytest.mark.parametrize(
    ("option", "gone", "left"),
    [
        ("--no-shapes", "N×4×8×8<", "weight 4×4×3×3"),
        ("--no-parameters", "weight 4×4×3×3<", "N×4×8×8<"),
        ("--no-attributes", "3×3, pad 1<", "weight 4×4×3×3<"),
    ],
)
def test_what_is_written_out_can_be_left_out(run, tmp_path, option, gone, left):
    assert run("-o", "all.dot")[0] == run("-o", "less.dot", option)[0] == 0
    assert gone in (tmp_path / "all.dot").read_text()
    less = (tmp_path / "less.dot").read_text()
    assert gone not in less
    assert left in less


def test_the_backward_pass_is_drawn_too(run, tmp_path):
    assert run("-o", "x.dot", "--backward")[0] == 0
    text = (tmp_path / "x.dot").read_text()
    assert "<b>net.onnx, with gradients</b>" in text
    assert "<b>forward</b>" in text
    assert "<b>backward</b>" in text
    assert "body.conv1.weight.grad" in text


def test_a_report_colours_it(run, tmp_path):
    (tmp_path / "r.json").write_text(report(PASS, FAIL))
    assert run("-o", "x.dot", "--parity", "r.json") == (0, f"Wrote x.dot ({size(tmp_path / 'x.dot')}).\n", "")
    text = (tmp_path / "x.dot").read_text()
    assert "20 % of its bound" in text
    assert "fails: 3 × its bound" in text


def size(path) -> str:
    return f"{path.stat().st_size / 1000:.1f} kB"


def test_checks_of_no_node_are_a_warning(run, tmp_path):
    (tmp_path / "r.json").write_text(report(PASS, STRAY))
    status, _, err = run("-o", "x.svg", "--parity", "r.json")
    assert status == 0
    assert "warning: r.json: 1 check (0 failed) belongs to no node that is drawn: value elsewhere." in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (report(STRAY), "None of the 1 checks in r.json is about a value or parameter of this model"),
        ("{}", "r.json: This is not a report that graphkit wrote"),
        (json.dumps({"graphkit_report": 99}), "layout 99"),
        (None, "The report r.json cannot be read"),
    ],
)
def test_a_report_that_is_none_or_of_another_model_is_refused(run, tmp_path, content, said):
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    status, _, err = run("-o", "x.svg", "--parity", "r.json")
    assert status == 2
    assert said in err
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.parametrize("cost", ["flops", "backward-flops", "memory", "parameters"])
def test_costs_colour_it(run, tmp_path, cost):
    assert run("-o", "x.dot", "--colour", cost)[0] == 0
    text = (tmp_path / "x.dot").read_text()
    assert "≤ " in text
    assert "normalisation" not in text


def test_a_cost_that_nothing_has_is_refused(run, tmp_path):
    ir.save(chain(2), tmp_path / "chain.onnx")
    status, _, err = run("-o", "x.dot", "--colour", "parameters", source="chain.onnx")
    assert status == 2
    assert "no operator has parameters" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--parity", "r.json", "--colour", "flops"), "one colour for each box"),
        (("--raw", "--backward"), "--backward is about the canonical form"),
        (("--raw", "--parity", "r.json"), "--parity is about the canonical form"),
    ],
)
def test_options_that_exclude_each_other_are_refused(run, tmp_path, options, said):
    (tmp_path / "r.json").write_text(report(PASS))
    status, _, err = run("-o", "x.svg", *options)
    assert status == 2
    assert said in err


def test_operators_can_be_drawn_as_the_file_spells_them(run, tmp_path):
    old = ir.from_onnx_text("""<ir_version: 6, opset_import: ["": 9]>
        g (float[2, 3] x) => (float[2, 3] y) { a = Identity (x) y = Relu (a) }""")
    ir.save(old, tmp_path / "old.onnx")
    assert run("-o", "raw.dot", "--raw", source="old.onnx")[0] == run("-o", "x.dot", source="old.onnx")[0] == 0
    assert "Identity" in (tmp_path / "raw.dot").read_text()
    assert "Identity" not in (tmp_path / "x.dot").read_text()


def test_a_folder_gets_a_graph_for_tensorboard(run, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    status, out, _ = run("-o", "logs/net/")
    assert status == 0
    (file,) = (tmp_path / "logs" / "net").iterdir()
    assert "tfevents" in file.name
    assert out.startswith(f"Wrote logs/net/{file.name} (")


def test_the_viewer_has_the_costs_and_the_errors(run, tmp_path):
    (tmp_path / "r.json").write_text(report(PASS))
    assert run("-o", "x.html", "--parity", "r.json")[0] == 0
    text = (tmp_path / "x.html").read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert run("-o", "y.html", "--depth", "1")[0] == 2
