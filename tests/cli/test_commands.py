"""The command line when all is well, and how it speaks."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import click
import onnx_ir as ir
import pytest
from fakes import model

from graphkit.cli import console, main
from graphkit.report.json import from_json


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command line in a folder with ``net.onnx``; gives (status, stdout, stderr)."""
    ir.save(model(), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


def test_convert_says_what_it_wrote(run, tmp_path):
    status, out, err = run("convert", "net.onnx", "--to", "mxnet")
    assert (status, err) == (0, "")
    size = (tmp_path / "net-0000.params").stat().st_size
    assert out.startswith("Wrote net-symbol.json (")
    assert f"and net-0000.params ({size} B): 3 nodes, 2 parameters of 18 numbers." in out


def test_convert_writes_where_it_is_told(run, tmp_path):
    assert run("convert", "net.onnx", "--to", "onnx", "-o", "other.onnx", "--opset", "17")[0] == 0
    assert ir.load(tmp_path / "other.onnx").opset_imports[""] == 17


def test_a_prefix_may_be_given_as_the_name_of_the_symbol(run, tmp_path):
    run("convert", "net.onnx", "--to", "mxnet", "-o", "other-symbol.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "other-0000.params", "other-symbol.json"]


def test_convert_verifies_what_it_wrote(run):
    status, out, _ = run("convert", "net.onnx", "--to", "onnx", "-o", "again.onnx", "--verify")
    assert status == 0
    assert "In parity" in out


def test_verify_prints_a_table_and_says_so_by_its_status(run):
    status, out, err = run("verify", "net.onnx", "--on", "ort,reference", "--batch", "3")
    assert (status, err) == (0, "")
    assert "x 3×5" in out
    assert "outputs, ort | reference" in out
    assert "outputs, ort | ort (rewritten)" in out
    assert out.splitlines()[-1].startswith("In parity: 2 checks")


def test_runtimes_may_be_named_one_by_one(run):
    assert "ort | reference" in run("verify", "net.onnx", "--on", "ort", "--on", "reference")[1]


def test_a_difference_is_told_by_status_1(run, monkeypatch):
    from graphkit.frameworks.onnx.reference import ReferenceSession

    right = ReferenceSession.forward
    monkeypatch.setattr(ReferenceSession, "forward", lambda *a, **k: {n: y + 1 for n, y in right(*a, **k).items()})
    status, out, _ = run("verify", "net.onnx", "--on", "ort,reference")
    assert status == 1
    assert "Not in parity: 1 of 2 checks failed." in out


def test_json_is_all_that_is_printed_and_reads_back(run):
    status, out, err = run("verify", "net.onnx", "--on", "ort,reference", "--json")
    assert (status, err) == (0, "")
    assert from_json(out).passed
    assert json.loads(out)["environment"]["ort"].startswith("onnxruntime")


def test_doctor_tells_versions_and_what_works(run):
    status, out, _ = run("doctor", "--json")
    assert status == 0
    document = json.loads(out)
    found = {runtime["name"]: runtime for runtime in document["runtimes"]}
    assert found["reference"]["works"]
    assert found["ort"]["works"]
    assert set(found) >= {"torch", "mxnet", "ort", "ort-cuda", "reference"}
    assert {"graphkit", "Python", "numpy"} <= set(document["environment"])


def test_doctor_gives_the_command_that_installs_what_is_missing(run, monkeypatch):
    from graphkit.frameworks.onnx.run import OrtRuntime

    monkeypatch.setattr(OrtRuntime, "missing", lambda _self: "it is not there; run: pip install 'graphkit[ort]'")
    _, out, _ = run("doctor")
    assert "run: pip install 'graphkit[ort]'" in " ".join(out.split())


def test_doctor_tries_what_is_named_and_says_by_its_status_whether_it_works(run, monkeypatch):
    from graphkit.frameworks.onnx.run import OrtRuntime

    status, out, _ = run("doctor", "graphviz", "reference")
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["graphviz", "works"], ["reference", "works"]]
    monkeypatch.setattr(OrtRuntime, "missing", lambda _self: "it is not there; run: pip install 'graphkit[ort]'")
    status, out, _ = run("doctor", "reference", "ort")
    assert status == 1
    assert [line.split()[:2] for line in out.splitlines()] == [["reference", "works"], ["ort", "missing"]]
    assert run("doctor")[0] == 0


def test_doctor_names_what_there_is_where_a_name_is_unknown(run):
    status, _, err = run("doctor", "torch", "tensorbord")
    assert status == 2
    assert "Is it meant to be 'tensorboard'?" in " ".join(err.split())


@pytest.mark.parametrize(
    ("name", "package"), [("bench", "matplotlib"), ("image", "PIL"), ("tensorboard", "tensorboard")]
)
def test_doctor_says_what_a_missing_tool_is_for_and_how_to_get_it(name, package, run, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    status, out, _ = run("doctor", name)
    out = " ".join(out.split())
    assert status == 1
    assert out.startswith(f"{name} missing")
    assert f"run: pip install 'graphkit[{name}]'. It is for " in out


def test_doctor_draws_and_compiles(run, monkeypatch, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\necho 'x.cpp:1:10: fatal error: Python.h: No such file or directory' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    pytest.importorskip("torch")
    status, out, _ = run("doctor", "torch-compile", "--json")
    (found,) = json.loads(out)["tools"]
    assert (status, found["works"], found["missing"]) == (1, False, False)
    assert "fatal error: Python.h" in found["note"]
    assert "apt-get install g++ python3-dev" in found["note"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    (found,) = json.loads(run("doctor", "torch-compile", "--json")[1])["tools"]
    assert found["missing"]
    assert "'no-such-compiler'" in found["note"]


def test_doctor_reports_an_installation_that_is_broken(run, monkeypatch):
    from graphkit.frameworks.onnx.reference import ReferenceRuntime

    def broken(*_arguments, **_options):
        raise OSError("libfoo.so: cannot open shared object file")

    monkeypatch.setattr(ReferenceRuntime, "open", broken)
    status, out, _ = run("doctor", "reference")
    assert status == 1
    assert "fails" in out
    assert "OSError: libfoo.so: cannot open shared object file" in " ".join(out.split())


def test_the_version_is_told(run):
    assert run("--version")[1].startswith("graphkit, version ")


def test_without_a_command_the_help_is_shown(run):
    status, out, err = run()
    assert status == 2
    assert "Commands:" in out + err


def test_commands_with_a_source_tell_what_one_is(run):
    assert "package.module:callable" in run("verify", "--help")[1]


def test_a_traceback_is_shown_with_debug_alone(run):
    assert "Traceback" not in run("convert", "gone.onnx", "--to", "mxnet")[2]
    err = run("convert", "gone.onnx", "--to", "mxnet", "--debug")[2]
    assert "Traceback" in err
    assert "graphkit: error:" in err


@pytest.fixture
def failing(monkeypatch):
    """Make reading a model raise what is given."""

    def fail(problem):
        def load(*_args, **_kwargs):
            raise problem

        monkeypatch.setattr("graphkit.frameworks.convert.load", load)

    return fail


def test_a_defect_is_one_paragraph_that_asks_for_a_report(run, failing):
    failing(ValueError("odd\n\nthing"))
    status, _, err = run("convert", "net.onnx", "--to", "mxnet")
    assert status == 2
    assert "graphkit itself failed (ValueError: odd thing)" in err
    assert "--debug" in " ".join(err.split())
    assert "Traceback" not in err


def test_a_full_disk_is_told_with_the_file(run, failing):
    failing(OSError(28, "No space left on device", "net-0000.params"))
    status, _, err = run("convert", "net.onnx", "--to", "mxnet")
    assert status == 2
    assert "'net-0000.params': No space left on device" in err


def test_an_interruption_is_told_by_status_130(run, failing):
    failing(KeyboardInterrupt())
    status, _, err = run("convert", "net.onnx", "--to", "mxnet")
    assert status == 130
    assert err.split() == ["graphkit:", "interrupted."]


def test_a_source_that_leaves_the_program_is_no_success(run, failing):
    failing(SystemExit(0))
    status, _, err = run("convert", "net.onnx", "--to", "mxnet")
    assert status == 2
    assert "sys.exit(0)" in err


def test_warnings_go_to_stderr(run, monkeypatch):
    def load(*_args, warn, **_kwargs):
        warn("something deviates")
        return model()

    monkeypatch.setattr("graphkit.frameworks.convert.load", load)
    status, out, err = run("convert", "net.onnx", "--to", "mxnet")
    assert (status, err) == (0, "graphkit: warning: something deviates\n")
    assert "deviates" not in out


def test_what_a_users_module_prints_does_not_spoil_the_json(run, monkeypatch):
    def load(*_args, **_kwargs):
        print("building the network")
        return model()

    monkeypatch.setattr("graphkit.frameworks.convert.load", load)
    _, out, err = run("verify", "net.onnx", "--on", "ort,reference", "--json")
    assert from_json(out).passed
    assert "building the network" in err


def test_a_pipe_that_closes_is_no_error(tmp_path):
    ir.save(model(), tmp_path / "net.onnx")
    code = "from graphkit.cli import main; main(['verify', 'net.onnx', '--on', 'ort,reference', '--json'])"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, terminal, no_color, coloured):
    shown = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(click, "echo", lambda text, **_more: shown.append(text))
    monkeypatch.setitem(os.environ, "NO_COLOR", no_color)
    console.warn("something")
    assert ("\x1b[" in shown[0]) is coloured


def test_paragraphs_are_wrapped_to_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "50")
    console.warn("word " * 40)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 50


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (46_849_123, "46.8 MB"),
        (999_960, "1.0 MB"),
        (5 * 10**13, "50.0 TB"),
    ],
)
def test_sizes_are_for_people(count, shown):
    assert console.size(count) == shown


def test_verify_makes_steps_of_training(run):
    pytest.importorskip("torch")
    pytest.importorskip("mxnet")
    arguments = (
        "verify",
        "net.onnx",
        "--on",
        "torch,mxnet",
        "--train-steps",
        "2",
        "--lr",
        "0.125",
        "--dtype",
        "float64",
    )
    status, out, err = run(*arguments)
    assert (status, err) == (0, "")
    assert "2 steps of SGD (lr 0.125, momentum 0.9, weight decay 0.0001)" in out
    assert "parameters after step 2" in out
    status, out, _ = run(*arguments, "--json")
    report = from_json(out)
    assert status == 0
    assert {(check.kind, check.step) for check in report.checks if check.step} == {
        (kind, step) for kind in ("loss", "parameter") for step in (1, 2)
    }


def test_convert_keeps_labels_and_losses_of_a_symbol(run, tmp_path):
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "head_label", "inputs": []},
        {"op": "LinearRegressionOutput", "name": "head", "inputs": [[0, 0, 0], [1, 0, 0]]},
    ]
    symbol = {"nodes": nodes, "arg_nodes": [0, 1], "heads": [[2, 0, 0]]}
    (tmp_path / "head-symbol.json").write_text(json.dumps(symbol))
    arguments = ("convert", "head-symbol.json", "--to", "onnx", "--input", "data:2x3")
    assert run(*arguments)[0] == 0
    plain = ir.load(tmp_path / "head.onnx").graph
    assert [[value.name for value in values] for values in (plain.inputs, plain.outputs)] == [["data"], ["head_output"]]
    status, _, err = run(*arguments, "--train")
    assert (status, err) == (0, "")
    kept = ir.load(tmp_path / "head.onnx").graph
    assert [value.name for value in kept.inputs] == ["data", "head_label"]
    assert [value.name for value in kept.outputs] == ["head_output", "head_loss"]
