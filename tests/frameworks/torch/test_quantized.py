"""Programs that torch's quantizers write: integers with scales and zero points."""

from __future__ import annotations

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from torch import nn

import graphkit

OPS = torch.ops.quantized_decomposed


class Layer(nn.Module):
    """A convolution of weights quantized by filter, between quantized data and a quantized result of fewer steps."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randint(-127, 128, (4, 3, 3, 3), generator=draw, dtype=torch.int8))
        self.register_buffer("steps", torch.rand(4, generator=draw) * 0.01 + 0.005)
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = OPS.quantize_per_tensor(x, 0.02, 128, 0, 255, torch.uint8)
        data = OPS.dequantize_per_tensor(held, 0.02, 128, 0, 255, torch.uint8)
        weight = OPS.dequantize_per_channel(self.weight, self.steps, self.zeros, 0, -127, 127, torch.int8)
        made = OPS.quantize_per_tensor(torch.relu(nn.functional.conv2d(data, weight)), 0.05, -20, -20, 100, torch.int8)
        return OPS.dequantize_per_tensor(made, 0.05, -20, -20, 100, torch.int8)


class Dynamic(nn.Module):
    """Data in steps that are found while it runs."""

    def __init__(self, choose: object, kind: torch.dtype) -> None:
        super().__init__()
        self.choose, self.kind = choose, kind
        self.ends = (-127, 127) if kind == torch.int8 else (0, 255)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        how = (*self.choose(x, *self.ends, 1e-6, self.kind), *self.ends, self.kind)
        return OPS.dequantize_per_tensor.tensor(OPS.quantize_per_tensor.tensor(x, *how), *how)


@pytest.mark.parametrize(
    ("module", "least"),
    [
        (Layer(), {"QuantizeLinear", "Conv", "Clip"}),
        (Dynamic(OPS.choose_qparams.tensor, torch.uint8), {"ReduceMin", "QuantizeLinear"}),
        (Dynamic(OPS.choose_qparams_symmetric.tensor, torch.int8), {"Clip", "DequantizeLinear"}),
    ],
    ids=["layer", "dynamic", "symmetric"],
)
def test_what_torch_quantizes_computes_the_same(module, least):
    model = graphkit.load(module.eval(), inputs=["2x3x6x6"])
    assert {node.op_type for node in model.graph} >= least
    report = graphkit.verify(model, on=["torch", "mxnet", "reference"])
    assert report.passed, report.checks
