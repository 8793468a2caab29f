"""Models that ONNX Runtime's own tools fuse and quantize compute the same everywhere."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from graphkit.frameworks.base import ReadOptions, frameworks, runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH, HEADS = 32, 4
EVERYWHERE = ("ort", "torch", "mxnet")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's and ONNX Runtime's tools print and warn of."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def export(module: nn.Module, args: tuple[torch.Tensor, ...], path: Path, names: list[str]) -> None:
    free = {name: {axis: f"{name}_{axis}" for axis in range(2)} for name in names} if len(names) > 1 else {}
    with quiet():
        torch.onnx.export(
            module,
            args,
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=["y"],
            dynamic_axes=free,
        )


def kernel(path: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What ONNX Runtime computes of a file as it is."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, feeds)[0]
    return found


def assert_alike(path: Path, feeds: dict[str, np.ndarray], atol: float) -> None:
    right = kernel(path, feeds)
    model = frameworks()["onnx"].read(path, ReadOptions())
    assert {node.domain for node in model.graph} == {""}
    for runtime in EVERYWHERE:
        with runtimes()[runtime].open(model, native=False) as session:
            (found,) = session.forward(feeds).values()
        np.testing.assert_allclose(found, right, rtol=0, atol=atol, err_msg=runtime)


class Planes(nn.Module):
    """Convolutions with all that the quantizer has operators for around them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.wide, self.narrow = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        y = nn.functional.leaky_relu(self.narrow(self.wide(x)), 0.1)
        x = torch.max_pool2d(x + y, 2)
        x = torch.cat([x * torch.sigmoid(x), y[:, :, ::2, ::2]], 1)[:, :8]
        return torch.softmax(self.last(x.mean((2, 3))), -1)


IMAGES = np.random.default_rng(3).standard_normal((2, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("planes") / "planes.onnx"
    export(Planes().eval(), (torch.from_numpy(IMAGES),), path, ["x"])
    return path


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(("by_filter", "activations"), [(False, "QUInt8"), (True, "QInt8")])
def test_a_quantized_network(planes: Path, tmp_path: Path, form: str, by_filter: bool, activations: str) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Batches(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]  # imported where it is there
        def __init__(self) -> None:
            self.waiting = iter([{"x": IMAGES}])

        def get_next(self) -> Any:
            return next(self.waiting, None)

    path = tmp_path / "quantized.onnx"
    with quiet():
        quantization.quantize_static(
            str(planes),
            str(path),
            Batches(),
            quant_format=quantization.QuantFormat[form],
            per_channel=by_filter,
            activation_type=quantization.QuantType[activations],
            weight_type=quantization.QuantType.QInt8,
        )
    # Sums of floats in another order, and scales in one factor, may move a number to the next step of 1/255.
    assert_alike(path, {"x": IMAGES}, 1.01 / 255)


def test_a_dynamically_quantized_network(planes: Path, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    with quiet():
        quantization.quantize_dynamic(str(planes), str(tmp_path / "dynamic.onnx"))
    assert_alike(tmp_path / "dynamic.onnx", {"x": IMAGES}, 1e-6)


class Block(nn.Module):
    """A layer of BERT, spelled as the optimizer's patterns have it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.inner, self.outer = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.size(0), x.size(1), HEADS, WIDTH // HEADS).permute(0, 2, 1, 3)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = (self.heads(layer(x)) for layer in (self.query, self.key, self.value))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS) + mask
        mixed = torch.matmul(scores.softmax(-1), value).permute(0, 2, 1, 3).contiguous()
        x = self.first(self.out(mixed.view(mixed.size(0), mixed.size(1), WIDTH)) + x)
        return self.second(self.outer(nn.functional.gelu(self.inner(x))) + x)


class Bert(nn.Module):
    places: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions, self.types = (
            nn.Embedding(50, WIDTH),
            nn.Embedding(20, WIDTH),
            nn.Embedding(2, WIDTH),
        )
        self.norm, self.blocks = nn.LayerNorm(WIDTH), nn.ModuleList([Block(), Block()])
        self.register_buffer("places", torch.arange(20)[None])

    def forward(self, words: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        x = self.words(words) + self.types(types) + self.positions(self.places[:, : words.size(1)])
        x, hidden = self.norm(x), (1.0 - mask[:, None, None, :].to(torch.float32)) * -10000.0
        for block in self.blocks:
            x = block(x, hidden)
        return x


def test_a_fused_and_quantized_transformer(tmp_path: Path) -> None:
    optimizer = pytest.importorskip("onnxruntime.transformers.optimizer")
    quantization = pytest.importorskip("onnxruntime.quantization")
    torch.manual_seed(0)
    words, types = torch.randint(0, 50, (2, 7)), torch.randint(0, 2, (2, 7))
    mask = (torch.arange(7) < torch.tensor([[7], [5]])).long()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    export(Bert().eval(), (words, mask, types), tmp_path / "bert.onnx", names)
    fused, small = tmp_path / "fused.onnx", tmp_path / "small.onnx"
    with quiet():
        found = optimizer.optimize_model(str(tmp_path / "bert.onnx"), "bert", num_heads=HEADS, hidden_size=WIDTH)
        found.save_model_to_file(str(fused))
        quantization.quantize_dynamic(str(fused), str(small), extra_options={"DefaultTensorType": 1})
    assert {"Attention", "SkipLayerNormalization", "BiasGelu"} <= {node.op_type for node in found.model.graph.node}
    feeds = dict(zip(names, (words.numpy(), mask.numpy(), types.numpy()), strict=True))
    assert_alike(fused, feeds, 5e-6)
    assert_alike(small, feeds, 5e-6)
