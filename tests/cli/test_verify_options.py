"""The options of ``graphkit verify`` and ``graphkit bisect``: what they take, and what comes of them."""

from __future__ import annotations

import json
import logging
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import product

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

from graphkit.cli import main
from graphkit.report.json import from_json

ON = ("--on", "ort,reference")


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command line in a folder with ``net.onnx``; gives (status, stdout, stderr)."""
    ir.save(model(), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code, out, err

    return run


@pytest.fixture
def verified(run):
    """Run verify with --json; gives the report."""

    def verified(*arguments, status=0, on=ON):
        found, out, err = run("verify", "net.onnx", *on, "--json", *arguments)
        assert found == status, err
        return from_json(out)

    return verified


@pytest.fixture
def refuses(run):
    """Run a command that is to refuse; gives its complaint in one line."""

    def refuses(*arguments):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("graphkit: error:")
        return " ".join(err.split())

    return refuses


def wrong(monkeypatch, change=lambda y: y + 1):
    """Make the reference evaluator wrong."""
    from graphkit.frameworks.onnx.reference import ReferenceSession

    right = ReferenceSession.forward

    def forward(*arguments, **more):
        return {name: change(array) for name, array in right(*arguments, **more).items()}

    monkeypatch.setattr(ReferenceSession, "forward", forward)


@pytest.mark.parametrize("option", ["--seeds", "--seed"])
@pytest.mark.parametrize(
    ("text", "told"),
    [("7", "seed 7"), ("0,3", "2 samples (seed 0 to seed 3)"), ("1-4", "4 samples (seed 1 to seed 4)")],
)
def test_seeds(verified, option, text, told):
    assert verified(option, text).title.endswith(told)


@pytest.mark.parametrize("option", ["--batches", "--batch"])
@pytest.mark.parametrize(("text", "told"), [("3", "x 3×5, seed 0"), ("1,4", "x 1×5, 2 samples (batch 1 to batch 4)")])
def test_batch_sizes(verified, option, text, told):
    assert verified(option, text).title.endswith(told)


def test_every_seed_is_compared_with_every_batch_size(verified):
    (check, _) = verified("--seeds", "0-2", "--batches", "1,5").checks
    assert check.samples == 6


@pytest.mark.parametrize(
    ("option", "text"),
    [*product(("--seeds", "--batches"), ("", "a", "1,,2", "-1", "3-1", "1.5")), ("--batches", "0")],
)
def test_numbers_that_are_none(refuses, option, text):
    assert f"'{option}'" in refuses("verify", "net.onnx", *ON, f"{option}={text}")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((number, 5)).astype(np.float32) for number in (3, 4)]
    np.save(tmp_path / "x.npy", arrays[0])
    np.savez(tmp_path / "one.npz", x=arrays[0])
    (tmp_path / "folder").mkdir()
    for number, array in enumerate(arrays):
        np.savez(tmp_path / "folder" / f"{number}.npz", x=array)
    (tmp_path / "samples_of_tests.py").write_text(
        "import numpy as np\ndef few():\n    for n in (3, 4):\n        yield {'x': np.ones((n, 5), np.float32)}\n"
    )


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("feed", "samples"), [("x=x.npy", 1), ("one.npz", 1), ("folder", 2), ("samples_of_tests:few", 2)]
)
def test_data_of_each_form(verified, monkeypatch, tmp_path, feed, samples):
    monkeypatch.syspath_prepend(str(tmp_path))
    report = verified("--feed", feed)
    assert report.passed
    assert "x 3×5" in report.title
    assert {check.samples for check in report.checks} == {samples}


@pytest.mark.parametrize(
    ("feed", "told"),
    [
        ("gone.npz", "no file or folder that is there"),
        ("x=gone.npy", "no such file"),
        ("y=x.npy", "y"),
        ("x.npy", "say for which input it is"),
    ],
)
@pytest.mark.usefixtures("data")
def test_data_that_are_not_there(refuses, feed, told):
    assert told in refuses("verify", "net.onnx", *ON, "--feed", feed)


@pytest.mark.usefixtures("data")
def test_data_have_their_own_batch_size(refuses):
    assert "the data that is given has its own" in refuses(
        "verify", "net.onnx", *ON, "--feed", "one.npz", "--batch", "2"
    )


def test_tolerances(verified, run, monkeypatch):
    wrong(monkeypatch, lambda y: y * np.float32(1.001))
    assert not verified(status=1).passed
    report = verified("--tol", "output=1e-2")
    assert all("bound given as output=0.01" in check.note for check in report.checks)
    assert not verified("--tol", "1e-2", "--tol", "y=1e-5", status=1).passed
    status, _, err = run("verify", "net.onnx", *ON, "--tol", "1e-2", "--tol", "layer4.*=8x")
    assert status == 0
    assert err == ""


@pytest.mark.parametrize("text", ["", "output=", "output=-1", "y=nan", "out puts=1", "8xx", "float8:1e-3"])
def test_tolerances_that_are_none(refuses, text):
    assert refuses("verify", "net.onnx", *ON, "--tol", text)


def test_taps(verified):
    assert {check.name for check in verified("--taps").checks if check.kind == "value"} == {"product", "sum"}
    assert not {check for check in verified("--no-taps").checks if check.kind == "value"}


def test_training_mode(verified):
    assert " in float32 in training mode:" in verified("--mode", "train").title


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--optimizer", "sgd"), "SGD"),
        (("--optimizer", "adam", "--loss", "cross-entropy"), "Adam"),
        (("--lr", "0.5", "--loss", "mse"), "0.5"),
    ],
)
def test_steps_of_training(verified, arguments, told):
    report = verified("--train-steps", "2", *arguments, on=("--on", "torch,mxnet"))
    assert report.passed
    assert told in report.title
    assert {check.step for check in report.checks} >= {1, 2}


@pytest.mark.parametrize(
    "arguments", [("--optimizer", "lion"), ("--loss", "hinge"), ("--train-steps", "0"), ("--mode", "test")]
)
def test_choices_that_there_are_not(refuses, arguments):
    assert arguments[0] in refuses("verify", "net.onnx", *ON, *arguments)


def test_what_an_optimizer_does_not_have(refuses):
    assert "momentum" in refuses("verify", "net.onnx", "--train-steps", "1", "--optimizer", "adam", "--momentum", "0.9")


@pytest.mark.parametrize("option", [("--optimizer", "sgd"), ("--loss", "mse")])
def test_what_is_for_steps_of_training_needs_some(refuses, option):
    assert f"{option[0]} is for steps of training" in refuses("verify", "net.onnx", *ON, *option)


def test_a_summary_instead_of_tensors(run):
    status, out, _ = run("verify", "net.onnx", *ON, "--backward", "--summary")
    assert status == 0
    assert any(line.startswith("ort | reference") and line.endswith("pass") for line in out.splitlines())
    assert "tensor" not in out.splitlines()[2]


def test_a_summary_as_json(refuses):
    assert "leave one of them out" in refuses("verify", "net.onnx", *ON, "--summary", "--json")


SUFFIXES = (".json", ".xml", ".html", ".md")


def test_reports_of_every_form(run, tmp_path):
    files = [f"parity{suffix}" for suffix in SUFFIXES]
    status, out, err = run("verify", "net.onnx", *ON, "--json", *(f"--report={file}" for file in files))
    assert (status, err) == (0, "")
    report = from_json((tmp_path / "parity.json").read_text())
    told = {name: text for name, text in report.environment.items() if not name.startswith("source ")}
    assert report.environment.keys() - told.keys() == {"source net.onnx"}
    assert replace(report, environment=told) == from_json(out)
    assert ET.parse(tmp_path / "parity.xml").getroot().tag in ("testsuites", "testsuite")
    assert "<html" in (tmp_path / "parity.html").read_text()
    assert "In parity" in (tmp_path / "parity.md").read_text()


def test_reports_of_failures_are_written_too(run, tmp_path, monkeypatch):
    wrong(monkeypatch)
    status, _, _ = run("verify", "net.onnx", *ON, *(f"--report=parity{suffix}" for suffix in SUFFIXES))
    assert status == 1
    assert not from_json((tmp_path / "parity.json").read_text()).passed
    assert list(ET.parse(tmp_path / "parity.xml").getroot().iter("failure"))


@pytest.mark.parametrize("command", ["verify", "bisect"])
@pytest.mark.parametrize("name", ["parity.txt", "parity", "parity.JSON.gz"])
def test_a_report_of_no_known_form_is_refused_before_anything_runs(refuses, command, name, tmp_path):
    told = refuses(command, "gone.onnx", "--report", "good.json", "--report", name)
    assert name in told
    assert not (tmp_path / "good.json").exists()


def test_a_report_that_cannot_be_written(run):
    status, _, err = run("verify", "net.onnx", *ON, "--report", "gone/parity.json")
    assert status == 2
    assert err.startswith("graphkit: error:")


@pytest.fixture
def on_github(run, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return run


def test_github_shows_failures_and_the_summary(on_github, monkeypatch, tmp_path):
    wrong(monkeypatch)
    status, out, err = on_github("verify", "net.onnx", *ON, "--json", "--tol", "nothing*=1", "--report", "p.md")
    assert status == 1
    assert not from_json(out).passed
    lines = err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::warning"]
    assert "ort | reference" in lines[0]
    assert "nothing*=1" in lines[1]
    assert "Not in parity" in (tmp_path / "summary.md").read_text()


def test_github_is_told_nothing_where_all_is_well_but_the_summary(on_github, tmp_path):
    status, out, err = on_github("verify", "net.onnx", *ON, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)
    assert "In parity" in (tmp_path / "summary.md").read_text()


def test_github_shows_what_bisect_found(on_github, monkeypatch, tmp_path):
    wrong(monkeypatch)
    status, out, err = on_github("bisect", "net.onnx", *ON, "--json")
    assert status == 1
    assert json.loads(out)["passed"] is False
    assert err.startswith("::error")
    assert (tmp_path / "summary.md").is_file()


BASELINE = ("--save-baseline", "b.npz")


def test_a_baseline_is_compared_with(run, verified):
    assert run("verify", "net.onnx", *ON, *BASELINE)[0] == 0
    report = verified("--baseline", "b.npz", on=("--on", "ort"))
    assert report.passed
    assert all("baseline" in check.left for check in report.checks if check.verdict == "pass")


def test_a_baseline_of_one_runtime_alone(run, verified):
    status, out, _ = run("verify", "net.onnx", "--on", "reference", *BASELINE)
    assert status == 0
    assert "recorded" in out
    assert verified("--baseline", "b.npz", on=("--on", "ort")).passed


def test_a_runtime_that_is_wrong_fails_against_a_baseline(run, verified, monkeypatch):
    run("verify", "net.onnx", "--on", "ort", *BASELINE)
    wrong(monkeypatch)
    assert not verified("--baseline", "b.npz", on=("--on", "reference"), status=1).passed


def test_comparing_and_recording_at_once(refuses):
    told = refuses("verify", "net.onnx", *ON, "--baseline", "a.npz", *BASELINE)
    assert "not both at once" in told


def test_a_baseline_and_two_models(refuses, run):
    run("verify", "net.onnx", *ON, *BASELINE)
    assert "A baseline is of one model" in refuses("verify", "net.onnx", "net.onnx", "--baseline", "b.npz")


def test_a_baseline_that_is_not_there(refuses):
    assert "b.npz" in refuses("verify", "net.onnx", *ON, "--baseline", "b.npz")


def test_a_baseline_of_other_weights(run, tmp_path):
    run("verify", "net.onnx", *ON, *BASELINE)
    ir.save(model(seed=1), tmp_path / "net.onnx")
    status, _, err = run("verify", "net.onnx", *ON, "--baseline", "b.npz")
    assert status == 2
    assert "--save-baseline b.npz" in " ".join(err.split())


def test_a_baseline_of_other_seeds(refuses, run):
    run("verify", "net.onnx", *ON, *BASELINE, "--seeds", "0,1")
    assert "seeds 2 were not recorded, 0, 1 were" in refuses(
        "verify", "net.onnx", *ON, "--baseline", "b.npz", "--seed", "2"
    )


def test_some_of_the_recorded_seeds(run, verified):
    run("verify", "net.onnx", *ON, *BASELINE, "--seeds", "0-3")
    assert verified("--baseline", "b.npz").title.endswith("4 samples (seed 0 to seed 3)")
    assert verified("--baseline", "b.npz", "--seed", "2").title.endswith("seed 2")


def test_recording_does_not_leave_a_file_where_it_fails(run, tmp_path):
    assert run("verify", "net.onnx", *ON, *BASELINE, "--feed", "gone.npz")[0] == 2
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.mxnet
def test_a_baseline_of_mxnet_is_compared_with_where_mxnet_is_not(run, verified, monkeypatch):
    arguments = ("--backward", "--train-steps", "2", "--dtype", "float64")
    assert run("verify", "net.onnx", "--on", "mxnet,torch", *arguments, *BASELINE)[0] == 0
    monkeypatch.setenv("GRAPHKIT_MXNET_PYTHON", "/nowhere/python")
    found = verified("--baseline", "b.npz", on=("--on", "torch,ort"), status=0)
    assert found.passed
    made = {(check.left, check.right, check.kind) for check in found.checks if check.verdict == "pass"}
    left = {left for left, _, _ in made}
    assert any("mxnet" in name and "baseline" in name for name in left)
    assert {kind for _, _, kind in made} >= {"output", "input gradient", "parameter gradient", "parameter"}
    assert {right for _, right, kind in made if kind == "output"} >= {"torch", "ort"}
    found = verified("--baseline", "b.npz", "--no-backward", on=("--on", "torch"))
    assert not {check.kind for check in found.checks} & {"input gradient", "parameter gradient"}


def test_gradients_that_were_not_recorded(refuses, run):
    run("verify", "net.onnx", "--on", "torch", *BASELINE)
    assert "no gradients were recorded" in refuses(
        "verify", "net.onnx", "--on", "torch", "--backward", "--baseline", "b.npz"
    )


def test_bisect_says_that_nothing_differs_and_writes_nothing(run, tmp_path):
    before = set(tmp_path.iterdir())
    status, out, err = run("bisect", "net.onnx", *ON)
    assert (status, err) == (0, "")
    assert "no value differs" in " ".join(out.split())
    assert set(tmp_path.iterdir()) == before


def test_bisect_writes_where_it_is_told_and_beside_where_it_is_not(run, tmp_path, monkeypatch):
    wrong(monkeypatch, lambda y: y * y.dtype.type(1.01) if y.dtype.kind == "f" else y)
    status, out, err = run("bisect", "net.onnx", *ON)
    assert (status, err) == (1, "")
    assert (tmp_path / "net-bisect" / "reference" / "node.onnx").is_file()
    assert "first differs in" in out
    run("bisect", "net.onnx", *ON, "-o", "elsewhere")
    assert (tmp_path / "elsewhere" / "reference" / "node.onnx").is_file()


def test_bisect_as_json_holds_the_report(run, monkeypatch):
    wrong(monkeypatch, lambda y: y * y.dtype.type(1.01) if y.dtype.kind == "f" else y)
    status, out, err = run("bisect", "net.onnx", *ON, "--json", "--report", "b.html")
    assert (status, err) == (1, "")
    document = json.loads(out)
    assert from_json(json.dumps(document["report"])).checks
    assert document["findings"][0]["suspects"]
