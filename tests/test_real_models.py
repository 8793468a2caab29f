"""Published MXNet files, of versions 0.5 to 2.0, keep computing what MXNet 1.9.1 computed with them."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from paths import REAL_MODELS, real_models
from realmxnet import mxnet

from graphkit.frameworks.base import InputSpec, ReadOptions, WriteOptions, runtimes
from graphkit.frameworks.mxnet import checkpoint, params, symbol
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.frameworks.onnx.write import write
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel, MxRef

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    Arrays = dict[str, np.ndarray]

pytestmark = pytest.mark.skipif(REAL_MODELS is None, reason="the published models are not beside the repository")

BINARY = {
    "bmxnet-cifar10-resnet18": (2, 3, 32, 32),
    "bmxnet-imagenet-resnet18": (1, 3, 224, 224),
    "bmxnet-mnist-32bit": (2, 1, 28, 28),
}
"""Models of a fork of MXNet whose operators MXNet 1.9.1 does not have, so that nothing says what they compute."""

MOON = "lightened-moon-attr"
"""A model with an output layer that MXNet 1.9.1 does not have."""

TIED = "djl-maskrcnn-r18"
"""A model whose random weights give scores so close that another order of adding swaps its detections."""

LARGE = 200e6
"""Bytes of parameters above which nothing is written to disk."""

RUN = sorted(set(real_models()) - BINARY.keys() - {MOON})


class Published(NamedTuple):
    """A model with the parameters it was run with, its inputs and outputs then, and what it is converted to."""

    name: str
    mx: MxModel
    feeds: Arrays
    expected: list[np.ndarray]
    model: ir.Model

    @property
    def large(self) -> bool:
        return sum(array.nbytes for array in self.mx.args.values()) > LARGE

    @property
    def fed(self) -> Arrays:
        """What the converted model is fed: labels are not among its inputs."""
        return {value.name or "": self.feeds[value.name or ""] for value in self.model.graph.inputs}


@cache
def fill() -> Any:
    assert REAL_MODELS is not None
    spec = importlib.util.spec_from_file_location("fill", REAL_MODELS / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> tuple[MxModel, Arrays, list[np.ndarray]]:
    """The model, with the parameters it was run with; its inputs; its outputs.

    Where MXNet 1.9.1 refused the file, the numbers are those of a file that was edited by the least, and the model is
    the original all the same.
    """
    assert REAL_MODELS is not None
    folder = REAL_MODELS / name
    edited = "" if (folder / "ref_io.npz").exists() else "derived_"
    io = np.load(folder / f"{edited}ref_io.npz")
    feeds = {key.removeprefix("in:"): io[key] for key in io if key.startswith("in:")}
    outputs = [io[key] for key in io if key.startswith("out")]
    graph = symbol.read(folder / "symbol.json")
    if (folder / "model.params").exists():
        return MxModel(graph, *params.load_checkpoint_params(folder / "model.params")), feeds, outputs
    shapes = json.loads((folder / f"{edited}shapes.json").read_text())
    read = {kind: filled(shapes[kind], feeds) for kind in ("args", "aux")}
    return MxModel(graph, read["args"], read["aux"]), feeds, outputs


def filled(shapes: dict[str, Any], feeds: Arrays) -> Arrays:
    """Values for the parameters among variables of given shape and dtype."""
    kept = {name: kind for name, kind in shapes.items() if name not in feeds and not name.endswith("label")}
    return {name: fill().value(name, *kind) for name, kind in kept.items()}


def converted(mx: MxModel, feeds: Arrays, label: str) -> ir.Model:
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    return canonical(from_symbol(mx, ReadOptions(inputs=inputs), label))


@pytest.fixture(scope="module", params=RUN)
def published(request: pytest.FixtureRequest) -> Published:
    """A published model that MXNet 1.9.1 ran, read once for all tests."""
    mx, feeds, expected = load(request.param)
    return Published(request.param, mx, feeds, expected, converted(mx, feeds, request.param))


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        assert float(np.abs(left - right).max()) <= 1e-4 * float(np.abs(right).max())


def assert_same_detections(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Classes and scores agree in order, and nearly all boxes are there."""
    assert [array.shape for array in found] == [array.shape for array in expected]
    assert_close(found[:2], expected[:2])
    assert_most_detections(found, expected)


def assert_most_detections(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Nearly all classes, scores and boxes are there, wherever one more or less box puts them."""
    left, right = (np.concatenate([array[0] for array in arrays[:3]], axis=1) for arrays in (found, expected))
    there = [bool((np.abs(left - row).max(axis=1) < 1e-5).any()) for row in right]
    assert np.mean(there) > 0.99


def run_file(path: Path, feeds: Arrays) -> list[np.ndarray]:
    """What ONNX Runtime by itself computes with a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feeds)
    return found


def test_a_published_model_computes_the_same_in_onnx_runtime(published: Published, tmp_path: Path) -> None:
    if published.large:
        with runtimes()["ort"].open(published.model) as session:
            found = list(session.forward(published.fed).values())
    else:
        write(published.model, tmp_path / "model.onnx", WriteOptions())
        found = run_file(tmp_path / "model.onnx", published.fed)
    check = assert_same_detections if published.name == TIED else assert_close
    check(found, published.expected)


def test_a_published_model_computes_the_same_as_torch_source(published: Published) -> None:
    if published.large or published.name == TIED:
        pytest.skip("it takes longer than all others together")
    with runtimes()["torch"].open(published.model) as session:
        assert_close(list(session.forward(published.fed).values()), published.expected)


def test_a_published_model_computes_the_same_after_conversion_both_ways(published: Published, tmp_path: Path) -> None:
    """Symbol to canonical form and back, written, read again, run: what MXNet 1.9.1 gave for the original."""
    again = to_symbol(published.model)
    if not published.large:
        checkpoint.write(again, tmp_path / "again")
        again = checkpoint.read(tmp_path / "again-symbol.json", ReadOptions())
    set_source(published.model, Source("mxnet", published.name, again))
    with runtimes()["mxnet"].open(published.model) as session:
        found = list(session.forward(published.fed).values())
    check = assert_most_detections if published.name == TIED else assert_close
    check(found, published.expected)


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("name", ["toy-lenet-10301", "mobileface-ident-v3", "mms-lstm-ptb", "save-000800"])
def test_a_published_model_computes_the_same_in_an_older_opset(name: str, opset: int, tmp_path: Path) -> None:
    mx, feeds, expected = load(name)
    model = converted(mx, feeds, name)
    write(model, tmp_path / "model.onnx", WriteOptions(opset=opset))
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == opset
    assert_close(
        run_file(tmp_path / "model.onnx", {value.name: feeds[value.name] for value in model.graph.inputs}), expected
    )


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_network_computes_the_same_in_onnx_runtime_torch_source_and_a_symbol_of_mxnet(name: str) -> None:
    assert REAL_MODELS is not None
    folder = REAL_MODELS / name
    mx = MxModel(symbol.read(folder / "symbol.json"), *params.load_checkpoint_params(folder / "model.params"))
    feeds = {"data": fill().value("data", BINARY[name], "float32", is_input=True)}
    model = converted(mx, feeds, name)
    set_source(model, Source("mxnet", name, to_symbol(model)))
    results = []
    for runtime in ("ort", "mxnet", "torch"):
        with runtimes()[runtime].open(model) as session:
            results.append(list(session.forward(feeds).values()))
    for found in results[1:]:
        assert_close(found, results[0])
    assert float(results[0][0].std()) > 0


def test_an_unknown_output_layer_passes_on_what_mxnet_computes_below_it() -> None:
    assert REAL_MODELS is not None
    graph = symbol.read(REAL_MODELS / MOON / "symbol.json")
    below = symbol.read(REAL_MODELS / MOON / "symbol.json")
    below.heads = [MxRef(*below.heads[0].node.inputs[0])]
    below.prune()
    feeds = {"data": fill().value("data", (2, 3, 128, 128), "float32", is_input=True)}
    loaded = mxnet().sym.load_json(symbol.dumps(below))
    shapes, _, _ = loaded.infer_shape(data=feeds["data"].shape)
    args = filled({name: (s, "float32") for name, s in zip(loaded.list_arguments(), shapes, strict=True)}, feeds)
    model = converted(MxModel(graph, args), feeds, MOON)
    with runtimes()["ort"].open(model) as session:
        found = list(session.forward(feeds).values())
    set_source(model, Source("mxnet", MOON, MxModel(below, args)))
    with runtimes()["mxnet"].open(model) as session:
        expected = list(session.forward(feeds).values())
    assert_close(found, expected)
