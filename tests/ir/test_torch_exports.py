"""Graphs that PyTorch's exporter writes come out as a person would write them, for every batch size."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from torch import Tensor, nn

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

ORT = FRAMEWORK.runtimes[0]


class Classifier(nn.Module):
    """A residual block, an adaptive pool, a view and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.adaptive_avg_pool2d(x + self.inner(x), (2, 2))
        return self.head(x.view(x.size(0), -1))


class Attention(nn.Module):
    """Positions, one masked attention of two heads, a residual and LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 6, 8))
        self.query = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        x = x + self.positions[:, :length]
        parts = [part.view(batch, length, 2, 4).transpose(1, 2) for part in self.query(x).chunk(3, -1)]
        scores = parts[0] @ parts[1].transpose(-2, -1) * 0.5
        mask = torch.tril(torch.ones(length, length, dtype=torch.bool))
        mixed = scores.masked_fill(~mask, float("-inf")).softmax(-1) @ parts[2]
        return self.norm(x + mixed.transpose(1, 2).reshape(batch, length, width))


class Pyramid(nn.Module):
    """Upsampling to the size of another map, an expanded factor, a slice of half an axis."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        up = F.interpolate(x, size=y.shape[-2:], mode="nearest")
        ones = torch.ones(x.shape[0], 1, 1, 1).expand(x.shape[0], 4, 1, 1)
        return torch.cat([up * ones, y], 1), torch.flatten(y, 1)[:, : y.shape[2] // 2]


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...], str]] = {
    "classifier": (
        Classifier,
        ((2, 3, 10, 10),),
        "Conv BatchNormalization Relu Conv Add AveragePool Reshape Gemm",
    ),
    "attention": (
        Attention,
        ((2, 6, 8),),
        (
            "Add Transpose MatMul Add Split Reshape Transpose Reshape Transpose Reshape Transpose "
            "Attention Transpose Reshape Add LayerNormalization"
        ),
    ),
    "pyramid": (
        Pyramid,
        ((2, 4, 3, 3), (2, 4, 6, 7)),
        "Resize Mul Concat Reshape Slice",
    ),
}


def _exported(module: nn.Module, inputs: tuple[Tensor, ...]) -> ir.Model:
    batch = torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in inputs)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside PyTorch's exporter
            program = torch.export.export(module, inputs, dynamic_shapes=shapes)
            found = torch.onnx.export(program, dynamo=True, optimize=False, opset_version=23, verbose=False)
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert found is not None
    return found.model


@pytest.mark.parametrize("name", CASES)
def test_no_debris_is_left_and_the_batch_is_free(name):
    build, shapes, expected = CASES[name]
    torch.manual_seed(0)
    module = build().eval()
    model = canonical(_exported(module, tuple(torch.randn(shape) for shape in shapes)))
    assert sorted(node.op_type for node in model.graph) == sorted(expected.split())
    for batch in (1, 2, 5):
        inputs = [torch.randn(batch, *shape[1:]) for shape in shapes]
        reference = module(*inputs)
        names = [value.name for value in model.graph.inputs]
        with ORT.open(model) as session:
            found = session.forward({name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        for left, right in zip(
            reference if isinstance(reference, tuple) else (reference,), found.values(), strict=True
        ):
            np.testing.assert_allclose(right, left.detach().numpy(), rtol=1e-4, atol=1e-5)
