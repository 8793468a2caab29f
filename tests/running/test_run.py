"""``graphkit.run``: one model, one runtime, one sample."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

import graphkit
from graphkit.errors import FeedError, InputError, MissingError
from graphkit.frameworks.base import Execution, runtimes
from graphkit.frameworks.onnx.run import OrtRuntime
from graphkit.ir.canonical import canonical
from graphkit.parity.inputs import draw_inputs
from graphkit.running.run import check_execution, execute, save_outputs

pytest.importorskip("onnxruntime")

X = np.arange(10, dtype=np.float32).reshape(2, 5)


def expected(x=X):
    with runtimes()["reference"].open(model()) as session:
        return session.forward({"x": x})["y"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    ir.save(model(), path)
    return path


@pytest.mark.parametrize("feeds", [{"x": X}, X, (X,), [X]])
def test_a_sample_is_given_in_any_form(file, feeds):
    found = graphkit.run(file, feeds)
    assert list(found) == ["y"]
    np.testing.assert_allclose(found["y"], expected(), rtol=1e-6)


def test_files_are_fed_as_on_the_command_line(file, tmp_path):
    (tmp_path / "x.json").write_text(str(X.tolist()))
    np.testing.assert_allclose(graphkit.run(file, f"x={tmp_path}/x.json")["y"], expected(), rtol=1e-6)
    np.testing.assert_allclose(graphkit.run(file, [tmp_path / "x.json"])["y"], expected(), rtol=1e-6)


@pytest.mark.parametrize("on", ["ort", "reference", "torch"])
def test_every_runtime_gives_the_same(on):
    pytest.importorskip("torch")
    found = graphkit.run(model(), X, on=on, taps=["sum"])
    np.testing.assert_allclose(found["y"], expected(), rtol=1e-6)
    np.testing.assert_allclose(np.maximum(found["sum"], 0), found["y"])


def test_inputs_are_drawn_as_for_a_comparison():
    found = graphkit.run(model(), seed=3, batch=4)
    np.testing.assert_allclose(found["y"], expected(draw_inputs(model(), 3, 4)["x"]), rtol=1e-5)


def test_what_is_rounded_is_warned_of():
    with pytest.warns(UserWarning, match="rounded to float32"):
        graphkit.run(model(), X.astype(np.float64) + 1e-12)
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graphkit.run(model(), X.astype(np.float64) + 1e-12, warn=told.append)
    assert len(told) == 1


def test_wrong_samples_are_refused():
    with pytest.raises(InputError, match="one sample, 2 were given"):
        graphkit.run(model(), [{"x": X}, {"x": X}])
    with pytest.raises(FeedError, match="shape 5"):
        graphkit.run(model(), X[0])
    with pytest.raises(FeedError, match="no value 'nope'"):
        graphkit.run(model(), X, taps=["nope"])


@pytest.mark.parametrize("asked", [{"mode": "test"}, {"seed": -1}, {"batch": 0}])
def test_what_cannot_be_drawn_or_followed_is_refused(asked):
    with pytest.raises(InputError, match=r"no mode 'test'; there are eval, train|seed of 0 or more, for a batch of 1"):
        graphkit.run(model(), **asked)


def test_runtimes_are_named_rightly_and_there():
    with pytest.raises(InputError, match=r"called 'ort-cud'; .* Is it meant to be 'ort-cuda'\?"):
        graphkit.run(model(), on="ort-cud")
    with pytest.raises(MissingError, match="Fake away is not available: it is away"):
        graphkit.run(model(), on=Fake("away", absent="it is away"))


@pytest.mark.parametrize(
    ("on", "execution", "says"),
    [
        ("torch", Execution(binding=True), "PyTorch has no IO binding .--io-binding.; ort, ort-cuda have"),
        ("reference", Execution(threads=2), "has no number of threads .*; mxnet, ort, ort-cuda, torch have"),
        ("torch", Execution(fast=True), "has no faster settings"),
        ("torch", Execution(optimization="none"), "has no levels of optimisation"),
        ("reference", Execution(provider_options=(("a", "b"),)), "has no provider options"),
    ],
)
def test_settings_that_a_runtime_does_not_have_are_refused(on, execution, says):
    with pytest.raises(InputError, match=says):
        check_execution(runtimes()[on], execution)


def test_settings_reach_the_runtime():
    found = graphkit.run(model(), X, threads=1, fast=True, optimization="basic", io_binding=True)
    np.testing.assert_allclose(found["y"], expected(), rtol=1e-6)
    with pytest.raises(InputError, match="no provider options, so 'a' says nothing"):
        graphkit.run(model(), X, provider_options={"a": "b"})


def test_nodes_that_run_elsewhere_are_warned_of():
    azure = OrtRuntime("azure", "ONNX Runtime (Azure)", "AzureExecutionProvider")
    with pytest.warns(UserWarning, match=r"(\d) of \1 nodes run on CPUExecutionProvider instead of Azure"):
        graphkit.run(model(), X, on=azure)


def test_calls_are_timed_one_by_one():
    done = execute(model(), {"x": X}, runtimes()["ort"], repeat=3)
    assert len(done.again) == 3
    assert min(done.again) <= done.median <= max(done.again)
    assert done.first > 0
    assert execute(model(), {"x": X}, runtimes()["ort"]).median is None


# Files of outputs


def test_outputs_are_stored_for_numpy_and_can_be_fed_again(tmp_path):
    path = tmp_path / "out.npz"
    outputs = {
        "a/b": X,
        "half": X.astype(ml_dtypes.bfloat16),
        "texts": np.array(["ä", "bc"], object),
        "boxes": [X[0], X],
        "absent": None,
        "scalar": np.int64(3).reshape(()),
    }
    assert save_outputs(outputs, path) == ["a/b", "half", "texts", "boxes.0", "boxes.1", "scalar"]
    first = path.read_bytes()
    with np.load(path) as found:
        assert sorted(found) == sorted(["a/b", "half", "texts", "boxes.0", "boxes.1", "scalar"])
        np.testing.assert_array_equal(found["a/b"], X)
        np.testing.assert_array_equal(found["half"].view(ml_dtypes.bfloat16), X)
        assert found["texts"].tolist() == ["ä", "bc"]
        np.testing.assert_array_equal(found["boxes.1"], X)
        assert found["scalar"].shape == ()
    save_outputs(outputs, path)
    assert path.read_bytes() == first
    half = canonical(
        ir.from_onnx_text(
            '<ir_version: 10, opset_import: ["": 23]> g (bfloat16[n, 5] x) => (float[n, 5] y) { y = Cast<to = 1>(x) }'
        )
    )
    save_outputs({"x": outputs["half"]}, path)
    np.testing.assert_array_equal(graphkit.run(half, str(path))["y"], X)


def test_a_file_that_cannot_be_written_is_told_and_left_as_it_is(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="give it that suffix"):
        save_outputs({"y": X}, tmp_path / "out.npy")
    with pytest.raises(InputError, match="its folder does not exist"):
        save_outputs({"y": X}, tmp_path / "no" / "out.npz")
    path = tmp_path / "out.npz"
    save_outputs({"y": X}, path)
    before = path.read_bytes()

    def full(*_given, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(InputError, match="No space left"):
        save_outputs({"y": -X}, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["out.npz"]
