"""``assert_parity``: what it takes, what it finds, what it says when two models differ."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model
from realmxnet import mxnet

import graphkit
from graphkit.cli import main
from graphkit.errors import FeedError, InputError, MissingError
from graphkit.frameworks.base import Sgd
from graphkit.parity import verify as module
from graphkit.report.report import Check, Report
from graphkit.testing import assert_parity, observed

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


class Net(torch.nn.Module):
    """Two inputs, of which the second is scaled."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(5, 3)
        with torch.no_grad():
            self.layer.bias[1] += bias

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + 2 * scale


ARRAYS = (np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5), np.full((4, 3), 0.5, np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with ``net.onnx``, ``other.onnx``, whose bias differs, and ``plain.onnx`` of another signature."""
    path = tmp_path_factory.mktemp("models")
    for name, bias in (("net", 0.0), ("other", 0.01)):
        graphkit.save(graphkit.load(Net(bias), inputs=[(4, 5), (4, 3)]), path / f"{name}.onnx", to="onnx")
    ir.save(model(), path / "plain.onnx")
    return path


@pytest.fixture
def files(folder, monkeypatch):
    """Work in that folder."""
    monkeypatch.chdir(folder)


@pytest.fixture
def verified(monkeypatch):
    """What :func:`graphkit.verify` was called with; it finds what ``verified.report`` says."""

    class Calls(list):
        report = Report("net", (Check("output", "y", "torch", "ort", "pass"),))

    calls = Calls()

    def verify(*models, **options):
        calls.append((models, options))
        return calls.report

    monkeypatch.setattr(module, "verify", verify)
    return calls


def failed(count: int, passed: int = 0) -> Report:
    """A report on gradients of which the later ones are the farther off."""
    bad = {"error": 0.5, "tol": 0.1, "bad": 2, "size": 6, "shape": (2, 3), "dtype": "float32"}
    checks = [
        Check("parameter gradient", f"layer{i}.weight", "torch", "ort", "fail", **{**bad, "error": 0.5 + i})
        for i in range(count)
    ]
    good = {"error": 0.05, "tol": 0.1, "size": 6, "shape": (2, 3), "dtype": "float32"}
    checks += [Check("output", f"y{i}", "torch", "ort", "pass", **good) for i in range(passed)]
    return Report("Net in float32: x 2×3", tuple(checks), {"numpy": "1.23.5"})


def told(*args, **options) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_parity(*args, **options)
    return str(caught.value)


@pytest.mark.usefixtures("files")
def test_a_model_on_several_runtimes_is_in_parity_and_its_report_is_given():
    report = assert_parity("net.onnx", on="ort, reference", seeds=(0, 1), batches=(1, 3))
    assert report.passed
    assert {check.right for check in report.checks} >= {"reference"}
    assert {check.samples for check in report.checks if check.right == "reference"} == {4}


@pytest.mark.parametrize(
    "inputs",
    [
        ARRAYS,
        list(ARRAYS),
        (ARRAYS[0], (ARRAYS[1],)),
        {"scale": ARRAYS[1], "x": ARRAYS[0]},
        tuple(map(torch.tensor, ARRAYS)),
    ],
    ids=["tuple", "list", "nested", "dict", "tensors"],
)
@pytest.mark.usefixtures("files")
def test_a_module_and_a_file_are_compared_on_arrays_with_gradients(inputs):
    report = assert_parity(Net(), "net.onnx", inputs, on="torch", backward=True)
    assert report.passed
    assert "x 4×5, scale 4×3" in report.title
    assert {check.name for check in report.checks if check.kind == "input gradient"} == {"x", "scale"}


@pytest.mark.usefixtures("files")
def test_the_arrays_are_what_is_compared_on(verified):
    assert_parity(Net(), "net.onnx", {"scale": ARRAYS[1], "x": ARRAYS[0]})
    data = verified[0][1]["data"]
    assert len(data) == 1
    np.testing.assert_array_equal(data[0]["x"], ARRAYS[0])
    np.testing.assert_array_equal(data[0]["scale"], ARRAYS[1])


@pytest.mark.usefixtures("files")
def test_arrays_by_name_reach_a_second_module_in_the_order_of_the_first():
    class Other(Net):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return super().forward(a, b)

    assert assert_parity(Net(), Other(), {"scale": ARRAYS[1], "x": ARRAYS[0]}).passed


@pytest.mark.usefixtures("files")
def test_a_list_of_dicts_is_a_sample_each():
    samples = [{"x": ARRAYS[0][:n], "scale": ARRAYS[1][:n]} for n in (4, 2, 3)]
    report = assert_parity(Net(), "net.onnx", samples, on="torch")
    assert {check.samples for check in report.checks} == {3}


def test_a_sole_array_is_given_as_it_is():
    assert assert_parity(torch.nn.Linear(5, 3), inputs=torch.ones(2, 5), on=["torch", "ort"]).passed


def test_a_tensor_that_numpy_lacks_or_that_has_a_gradient_is_an_array():
    net = torch.nn.Linear(5, 3)
    for x in (torch.ones(2, 5, dtype=torch.bfloat16), torch.ones(2, 5, requires_grad=True)):
        assert assert_parity(net, inputs=x, on="torch,ort").passed


def test_integers_keep_their_type():
    report = assert_parity(torch.nn.Embedding(7, 3), inputs=(torch.tensor([[1, 6], [0, 2]]),), on="torch,ort")
    assert report.passed


@pytest.mark.parametrize("shapes", ["input:2x5", ["2x5"], [(2, 5)]])
def test_shapes_are_filled_with_seeded_numbers(shapes):
    report = assert_parity(torch.nn.ReLU(), inputs=shapes, on="torch,ort")
    assert report.passed
    assert "2×5, seed 0" in report.title


def test_models_in_memory_need_no_source_and_are_not_changed():
    given = model()
    before = ir.to_onnx_text(given)
    assert assert_parity(given, on="ort,reference").passed
    assert ir.to_onnx_text(given) == before


@pytest.mark.usefixtures("files")
def test_a_model_that_graphkit_read_stays_with_its_source():
    report = assert_parity(graphkit.load("net.onnx"), on="ort,reference")
    assert report.title.startswith("net.onnx in float32")


@pytest.mark.mxnet
def test_a_gluon_block_is_compared_on_arrays_of_mxnet():
    mx = mxnet()
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(4, activation="relu"), mx.gluon.nn.Dense(3))
    net.initialize(mx.init.Xavier())
    x = mx.nd.array(ARRAYS[0])
    report = assert_parity(net, inputs=x, on="mxnet,ort")
    assert report.passed
    assert "4×5" in report.title


@pytest.mark.usefixtures("files")
def test_a_difference_is_told_with_the_worst_rows_and_how_to_find_it():
    text = told("net.onnx", "other.onnx", on="ort", seeds=(3,))
    lines = text.splitlines()
    assert lines[0].startswith("net.onnx and other.onnx in float32")
    assert re.search(r"^ +output +2×3 .* FAIL$", text, re.MULTILINE)
    assert "Not in parity: 1 of 1 check failed." in lines
    assert lines[-1] == "To find the first node that differs: graphkit bisect net.onnx other.onnx --on ort --seeds 3"


@pytest.mark.usefixtures("files")
def test_the_command_that_is_shown_finds_the_node(tmp_path, capfd):
    text = told("net.onnx", "other.onnx", on="ort", seeds=(3,), tolerances={"output": 1e-4})
    words = shlex.split(text.splitlines()[-1].removeprefix("To find the first node that differs: "))
    with pytest.raises(SystemExit) as left:
        main([*words[1:], "--out", str(tmp_path / "found")])
    logging.disable(logging.NOTSET)
    out, err = capfd.readouterr()
    assert (left.value.code, err) == (1, "")
    assert "node 'layer'" in out


@pytest.mark.usefixtures("files")
def test_the_command_says_all_that_was_asked_for(verified):
    verified.report = failed(1)
    text = told(
        "net.onnx",
        inputs=ARRAYS,
        on=["ort", "reference"],
        backward=True,
        mode="train",
        dtype="float64",
        seeds=range(3),
        tolerances={"layer*": "8x"},
    )
    assert text.endswith(
        "graphkit bisect net.onnx --on ort,reference --backward --mode train --dtype float64 --seeds 0,1,2 "
        "--tol 'layer*=8x' (add --feed NAME=FILE.npy to feed it the same)"
    )


def test_no_command_is_shown_for_what_is_no_file(verified):
    verified.report = failed(1)
    assert "graphkit bisect" not in told(torch.nn.ReLU(), inputs=["2x5"])


def test_of_many_failures_the_worst_are_shown_and_the_others_counted(verified):
    verified.report = failed(40, passed=20)
    text = told(model())
    assert re.findall(r"layer(\d+)\.weight .* FAIL", text) == [str(i) for i in range(39, 27, -1)]
    assert "and 28 more failed checks" in text
    assert "Not in parity: 40 of 60 checks failed." in text
    assert "12 checks failed" not in text
    assert len(text.splitlines()) < 60


def test_a_message_is_plain_and_a_hundred_columns_wide(verified, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    report = failed(3)
    verified.report = replace(report, title="long " * 60)
    text = told(model())
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_every_option_reaches_verify(verified):
    options = {
        "on": ["ort"],
        "backward": True,
        "mode": "train",
        "train_steps": 2,
        "rule": Sgd(lr=1.0),
        "loss": "mse",
        "dtype": "float64",
        "batches": (2,),
        "seeds": (1, 2),
        "taps": True,
    }
    assert_parity(model(), **options, tolerances="gradient=8x", baseline="b.npz")
    (_, found) = verified[0]
    assert {name: found[name] for name in options} == options
    assert list(map(str, found["tolerances"])) == ["gradient=8x"]
    assert found["baseline"] == "b.npz"
    assert found["data"] is None


@pytest.mark.usefixtures("files")
def test_tolerances_decide():
    assert assert_parity("net.onnx", "other.onnx", on="ort", tolerances={"output": 0.1}).passed
    with pytest.raises(AssertionError):
        assert_parity("net.onnx", "other.onnx", on="ort", tolerances={"output": 0.1, "*put*": 1e-5})


def test_reports_can_be_observed(verified):
    seen = []
    with observed(lambda report, first: seen.append((report.title, first.graph.name))):
        assert_parity(model())
        verified.report = failed(1)
        told(model())
    verified.report = failed(0, passed=1)
    assert_parity(model())
    assert seen == [("net", "layer"), ("Net in float32: x 2×3", "layer")]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs is empty"),
        ((2, 5), r"give shapes in a list, one for each input: inputs=\[\(2, 5\)\]"),
        ([np.ones(3), "2x5"], "mixes arrays with texts"),
        (["two by five"], "'two by five' does not describe an input"),
        (object(), "which is no number"),
    ],
)
def test_inputs_that_are_none_are_refused(inputs, message):
    with pytest.raises(InputError, match=message):
        assert_parity(model(), inputs=inputs, on="ort,reference")


@pytest.mark.usefixtures("files")
def test_a_wrong_number_of_arrays_is_refused():
    with pytest.raises(FeedError, match="2 arrays without names"):
        assert_parity("plain.onnx", inputs=ARRAYS, on="ort,reference")


def test_a_file_that_is_not_there_is_no_failure_of_parity():
    with pytest.raises(InputError, match=r"absent\.onnx"):
        assert_parity("absent.onnx")


def test_pytest_is_not_needed():
    code = "import sys; sys.modules['pytest'] = None; import graphkit.testing"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_runtime_that_is_not_there_is_no_failure_of_parity(monkeypatch):
    from graphkit.frameworks.onnx.reference import ReferenceRuntime

    monkeypatch.setattr(ReferenceRuntime, "missing", lambda _self: "install onnx")
    with pytest.raises(MissingError, match="install onnx"):
        assert_parity(model(), on="ort,reference")
