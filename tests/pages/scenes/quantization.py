"""The ONNX file of docs/quantization.md: a layer between two quantized tensors, as quantizers write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort")
_NET = """
<ir_version: 10, opset_import: ["": 21]>
net (float[batch, 3] x) => (float[batch, 2] y)
<float step = {0.03}, uint8 zero = {128}, int8[3, 2] weight = {5, -3, 127, 40, -128, 7}, float wide = {0.01}>
{
    [quantize] q = QuantizeLinear (x, step, zero)
    [numbers] d = DequantizeLinear (q, step, zero)
    [weights] w = DequantizeLinear (weight, wide)
    [dense] y = MatMul (d, w)
}
"""


def prepare(folder: Path) -> None:
    """Write the model."""
    ir.save(ir.from_onnx_text(_NET), folder / "int8.onnx")
