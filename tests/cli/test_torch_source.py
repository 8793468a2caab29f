"""PyTorch sources from the command line: the main job, and what is refused."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import subprocess
import sys
import time

import pytest

from graphkit.cli import main
from graphkit.report.json import from_json

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

NETS = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 7 * 7, 5)
    return nn.Sequential(*layers).eval()


def broken():
    raise RuntimeError("the weights are on another disk")


def slow():
    import pathlib
    import time

    pathlib.Path("started").touch()
    time.sleep(60)


number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a module of networks."""
    (tmp_path / "nets_of_a_user.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def exported(folder):
    import nets_of_a_user

    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(nets_of_a_user.build(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


@pytest.fixture
def run(capfd):
    def run(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


@pytest.mark.mxnet
@pytest.mark.usefixtures("exported")
def test_a_program_is_converted_to_mxnet_and_the_files_verified(run):
    status, out, err = run("convert", "net.pt2", "--to", "mxnet", "--verify")
    assert (status, err) == (0, "")
    assert out.startswith("Wrote net-symbol.json")
    assert "6 parameters of 1,105 numbers" in out
    assert "In parity: 8 checks, all within their bounds." in out


@pytest.mark.mxnet
@pytest.mark.usefixtures("exported")
def test_a_program_is_proved_forward_and_backward_in_float64(run):
    arguments = ("--on", "torch,mxnet,ort", "--backward", "--dtype", "float64", "--batch", "3", "--json")
    status, out, err = run("verify", "net.pt2", *arguments)
    assert (status, err) == (0, "")
    report = from_json(out)
    checks = [check for check in report.checks if check.right == "mxnet"]
    assert {check.name for check in checks if check.kind == "parameter gradient"} == {
        f"{layer}.{name}" for layer in (0, 1, 5) for name in ("weight", "bias")
    }
    assert all(check.error <= 1e-9 for check in checks)
    gradients = {check.right for check in report.checks if check.kind == "parameter gradient"}
    assert gradients == {"torch (rewritten)", "mxnet", "ort"}


@pytest.mark.usefixtures("folder")
def test_a_function_that_makes_a_module_is_a_source(run):
    status, out, _ = run("convert", "nets_of_a_user:build", "--input", "1x3x16x16", "--to", "onnx")
    assert status == 0
    assert out.startswith("Wrote build.onnx")


def test_a_module_that_prints_leaves_the_json_alone(run, folder):
    (folder / "loud_nets_of_a_user.py").write_text(NETS.replace("torch.manual_seed(0)", "print('building')"))
    arguments = ("--input", "1x3x16x16", "--on", "torch,ort", "--json")
    status, out, err = run("verify", "loud_nets_of_a_user:build", *arguments)
    assert status == 0, err
    assert json.loads(out)["passed"]
    assert "building" in err


def refused(run, *arguments) -> str:
    status, out, err = run("convert", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("graphkit: error: ")
    assert "Traceback" not in err
    return " ".join(err.split())


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nets_of_a_user:absent", "absent"),
        ("absent_nets:build", "absent_nets"),
        ("nets_of_a_user:broken", "the weights are on another disk"),
        ("nets_of_a_user:number", "number"),
    ],
)
def test_a_function_that_makes_no_module_is_refused(run, folder, source, told):
    assert told in refused(run, source, "--input", "1x3x16x16", "--to", "onnx")
    assert not list(folder.glob("*.onnx"))


@pytest.mark.usefixtures("folder")
def test_a_function_needs_its_input_shapes(run):
    assert "--input" in refused(run, "nets_of_a_user:build", "--to", "onnx")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("given", "told"), [("1x4x16x16", "4"), ("nonsense:1x3x16x16", "nonsense")])
def test_an_input_that_does_not_fit_is_refused(run, given, told):
    assert told in refused(run, "nets_of_a_user:build", "--input", given, "--to", "onnx")


@pytest.mark.parametrize("size", [0, 10, 500, -50])
def test_a_truncated_program_is_refused(run, exported, size):
    exported.write_bytes(exported.read_bytes()[:size])
    assert "net.pt2" in refused(run, "net.pt2", "--to", "mxnet")


def test_a_pickle_is_refused_with_the_remedy_and_admitted_if_trusted(run, folder):
    import nets_of_a_user

    torch.save(nets_of_a_user.build(), folder / "net.pt")
    told = refused(run, "net.pt", "--input", "1x3x16x16", "--to", "onnx")
    assert "--trust-pickle" in told
    assert "torch.export.save" in told
    assert run("convert", "net.pt", "--input", "1x3x16x16", "--to", "onnx", "--trust-pickle")[0] == 0


def test_a_pickle_that_is_not_torchs_runs_no_code(run, folder):
    class Bomb:
        def __reduce__(self):
            return (open, (str(folder / "exploded"), "w"))

    (folder / "net.pt").write_bytes(pickle.dumps(Bomb()))
    refused(run, "net.pt", "--to", "onnx")
    assert not (folder / "exploded").exists()


def test_an_interruption_leaves_nothing_behind(folder):
    code = "from graphkit.cli import main; main(['convert', 'nets_of_a_user:slow', '--input', '2x3', '--to', 'onnx'])"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.PIPE, text=True)
    with process:
        while not (folder / "started").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.split() == ["graphkit:", "interrupted."]
    assert not list(folder.glob("*.onnx*"))
