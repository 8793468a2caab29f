"""``graphkit run``: what it prints and writes, and what it says to bad input."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
from graphkit.cli import main
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.onnx.run import OrtRuntime

pytest.importorskip("onnxruntime")

X = np.arange(10, dtype=np.float32).reshape(2, 5)
PICTURES = """
<ir_version: 10, opset_import: ["": 23]>
g (float[n, 3, 4, 4] image) => (float[n, 48] scores) { scores = Flatten<axis = 1>(image) }
"""
WORDS = """
<ir_version: 10, opset_import: ["": 23]>
g (int64[n, 4] ids) => (int64[n, 4] out, float[n, 4] odd) { out = Neg(ids) f = Cast<to = 1>(ids) odd = Log(f) }
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command in an empty folder; give stdout and stderr, both in one line."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["run", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert left.value.code == 0, out + err
        return out, " ".join(err.split())

    return command


@pytest.fixture
def files(tmp_path):
    """The models and data that the commands speak of."""
    ir.save(model(), tmp_path / "net.onnx")
    ir.save(ir.from_onnx_text(PICTURES), tmp_path / "pictures.onnx")
    ir.save(ir.from_onnx_text(WORDS), tmp_path / "words.onnx")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "wide.npy", X.astype(np.float64) + 1e-12)
    np.save(tmp_path / "flat.npy", X[0])
    np.save(tmp_path / "ids.npy", np.array([[0, 1, 2, 3]], np.int32))
    return tmp_path


@pytest.mark.usefixtures("files")
def test_outputs_are_shown_and_written_by_name(run):
    out, err = run("net.onnx", "--feed", "x=x.npy", "-o", "out.npz", "--threads", 1)
    expected = graphkit.run(model(), X)["y"]
    assert not err
    assert "net.onnx on ONNX Runtime (CPU), onnxruntime" in out
    assert "CPUExecutionProvider), 1 thread:" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("y ")]
    assert row[1:3] == ["float32", "2×3"]
    assert [float(number) for number in row[3:7]] == pytest.approx(
        [expected.min(), expected.max(), expected.mean(), expected.std()], rel=1e-4
    )
    assert "first call" in out
    assert "Wrote out.npz: 1 array." in out
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["y"], expected, rtol=1e-6)


@pytest.mark.usefixtures("files")
def test_inputs_are_drawn_from_a_seed(run):
    out, err = run("net.onnx", "--seed", 3, "--batch", 4, "-o", "out.npz", "--on", "reference")
    assert "Inputs are drawn from seed 3." in out
    assert not err
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["y"], graphkit.run(model(), seed=3, batch=4)["y"], rtol=1e-5)


@pytest.mark.usefixtures("files")
def test_sizes_that_are_guessed_are_told(run, tmp_path):
    free = '<ir_version: 10, opset_import: ["": 23]> g (float[n, length] x) => (float[n, length] y) { y = Relu(x) }'
    ir.save(ir.from_onnx_text(free), tmp_path / "free.onnx")
    out, err = run("free.onnx")
    assert "2×32" in out
    assert "graphkit: warning: The model leaves sizes of 'x'" in err
    out, err = run("free.onnx", "--input", "x:3x7")
    assert "3×7" in out
    assert not err


@pytest.mark.usefixtures("files")
def test_machines_get_json_alone(run):
    arguments = ["--feed", "x=wide.npy", "--json", "--repeat", 2, "--tap", "sum", "--threads", 1]
    out, err = run("net.onnx", *arguments, "--optimization", "basic", "--io-binding", "-o", "out.npz")
    found = json.loads(out)
    assert found["runtime"] == "ort"
    assert found["execution"] == {
        "threads": 1,
        "fast": False,
        "optimization": "basic",
        "provider_options": {},
        "binding": True,
    }
    assert found["fed"] == {"x": {"dtype": "float32", "shape": [2, 5]}}
    assert [output["name"] for output in found["outputs"]] == ["y", "sum"]
    assert found["written"] == ["y", "sum"]
    assert len(found["seconds"]["calls"]) == 2
    assert found["seconds"]["median"] > 0
    assert "rounded to float32" in found["warnings"][0]
    assert "rounded to float32" in err


@pytest.mark.usefixtures("files")
def test_numbers_that_are_none_are_counted_and_integers_widened(run):
    out, err = run("words.onnx", "--feed", "ids=ids.npy")
    assert not err
    (row,) = [line for line in out.splitlines() if line.startswith("odd ")]
    assert "1 infinite: -inf, 0, 0.69315, 1.0986" in row
    (row,) = [line for line in out.splitlines() if line.startswith("out ")]
    assert "int64" in row
    out, _ = run("words.onnx", "--feed", "ids=ids.npy", "--json")
    odd = json.loads(out, parse_constant=pytest.fail)["outputs"][1]
    assert odd["first"][0] == "-inf"
    assert odd["infinite"] == 1


@pytest.mark.usefixtures("files")
def test_a_picture_is_classified(run):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[1, 2, 1] = 255
    image.fromarray(pixels).save("photo.png")
    scaling = ["--mean", "0.485,0.456,0.406", "--std", "0.5"]
    out, err = run("pictures.onnx", "--feed", "image=photo.png", *scaling, "--top", 2)
    assert not err
    assert "Input 'image' is the picture photo.png: scaled to 0 … 1, minus (0.485, 0.456, 0.406), divided by 0.5" in out
    assert "Largest in row 0: 22 (1.088), " in out, "one of 16 pixels of the second channel"
    out, _ = run("pictures.onnx", "--feed", "photo.png", "--top", 0)
    assert "Largest" not in out


@pytest.mark.usefixtures("files")
def test_further_calls_are_timed(run):
    out, _ = run("net.onnx", "--repeat", 3)
    assert "median of 3 further calls" in out


@pytest.mark.usefixtures("files")
def test_a_program_of_torch_runs_itself(run):
    pytest.importorskip("torch")
    out, _ = run("net.onnx", "--on", "torch", "--feed", "x.npy", "-o", "out.npz")
    assert "on PyTorch, torch" in out
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["y"], graphkit.run(model(), X)["y"], rtol=1e-5)


@pytest.mark.mxnet
@pytest.mark.usefixtures("files")
def test_mxnet_runs_on_the_threads_asked_for(run):
    if runtimes()["mxnet"].missing():
        pytest.skip("MXNet is not installed")
    out, _ = run("net.onnx", "--on", "mxnet", "--feed", "x.npy", "--threads", 1, "-o", "out.npz")
    assert "on MXNet, mxnet" in out
    with np.load("out.npz") as found:
        np.testing.assert_allclose(found["y"], graphkit.run(model(), X)["y"], rtol=1e-5)


@pytest.mark.usefixtures("files")
def test_nodes_on_another_device_are_warned_of(run, monkeypatch):
    azure = OrtRuntime("ort-cuda", "ONNX Runtime (Azure)", "AzureExecutionProvider")
    monkeypatch.setattr("graphkit.frameworks.base.runtimes", lambda: {"ort-cuda": azure})
    out, err = run("net.onnx", "--on", "ort-cuda", "--feed", "x.npy")
    assert "y " in out
    assert "nodes run on CPUExecutionProvider instead of AzureExecutionProvider: " in err
    out, _ = run("net.onnx", "--on", "ort-cuda", "--feed", "x.npy", "--json")
    assert "instead of AzureExecutionProvider" in json.loads(out)["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--on", "otr"],
            "No runtime is called 'otr'; there are mxnet, ort, ort-cuda, reference, torch. Is it",
        ),
        (["--on", "cuda"], "Is it meant to be 'ort-cuda'?"),
        (["--provider-option", "use_arena"], "--provider-option takes KEY=VALUE, 'use_arena' was given"),
        (["--provider-option", "use_arena=1"], "ONNX Runtime (CPU) has no provider options"),
        (["--on", "reference", "--io-binding"], "has no IO binding (--io-binding); ort, ort-cuda have"),
        (["--on", "reference", "--threads", "2"], "has no number of threads (--threads)"),
        (["--threads", "0"], "0 is not in the range x>=1"),
        (["--optimization", "most"], "'most' is not one of"),
        (["--seed", "1", "--feed", "x={}/x.npy"], "--seed is for drawn inputs"),
        (["--batch", "1", "--feed", "x={}/x.npy"], "--batch is for drawn inputs"),
        (["--batch", "x"], "'x' is not a valid integer"),
        (["--feed", "x={}/gone.npy"], "which is not there"),
        (["--feed", "z={}/x.npy"], "the model has no input 'z'"),
        (["--feed", "x={}/flat.npy"], "has shape 5, the model asks for batch×5. Give 'x' its batch axis"),
        (["--feed", "x={}/net.onnx"], "is no file that graphkit reads feeds from"),
        (["--feed", "x={}/empty.npy"], "empty.npy cannot be read as numpy.save and numpy.savez write it"),
        (["--mean", "0.5"], "--mean and --std scale pictures, and none is given"),
        (["--mean", "half"], "'half' is no number"),
        (["--std", "0", "--feed", "x={}/x.npy"], "standard deviation of 0"),
        (["--top", "3", "--tap", "sum"], "--top is for one output"),
        (
            ["--tap", "summ"],
            "values are named as in the converted graph. Is it meant to be 'sum'?",
        ),
        (["-o", "out.npy"], "Outputs are written as .npz, and out.npy is called otherwise"),
        (["-o", "no/out.npz"], "its folder does not exist"),
        (["--mode", "test"], "'test' is not one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(refused, files, arguments, says):
    (files / "empty.npy").write_bytes(b"")
    told = refused("run", files / "net.onnx", *(argument.format(files) for argument in arguments))
    assert says in told


def test_a_picture_for_words_is_refused(refused, files):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(files / "photo.png")
    told = refused("run", files / "words.onnx", "--feed", f"ids={files}/photo.png")
    assert "is a picture, but input 'ids' is int64 of n×4; pictures go to inputs of floats or uint8" in told


def test_cuda_where_there_is_none_says_what_to_install(refused, files):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has the CUDA provider")
    told = refused("run", files / "net.onnx", "--on", "ort-cuda")
    assert "has no CUDAExecutionProvider" in told
    assert "pip install 'graphkit[ort-cuda]'" in told
