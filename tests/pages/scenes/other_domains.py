"""What docs/other-domains.md converts: operators of ONNX Runtime's domain, and a rule for one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort")
_FUSED = """
<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]>
fused (float[batch, 4] x) => (float[batch, 3] y)
<float[4, 3] weight = {0.5, -1, 0.25, 2, 0.125, -0.5, 1, -2, 0.75, -0.25, 1.5, -1.5}, float[3] bias = {0.5, 0, -0.5}>
{
    [dense] h = com.microsoft.FusedMatMul <alpha = 0.5> (x, weight)
    [gate] g = com.microsoft.BiasGelu (h, bias)
    [swish] y = com.microsoft.QuickGelu (g)
}
"""


def prepare(folder: Path) -> None:
    """Write the model, and the rule as the code has it."""
    from graphkit.ir.canonical.contrib import activations

    ir.save(ir.from_onnx_text(_FUSED), folder / "fused.onnx")
    (folder / "quick_gelu.py").write_text(inspect.getsource(activations._quick_gelu), encoding="utf-8")
