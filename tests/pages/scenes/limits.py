"""Three models of strangers: one node reads very much, one counts for ever, one is as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

_WIDE = """
<ir_version: 10, opset_import: ["": 23]>
wide (float[batch, 1] x) => (float[batch, n] y) { y = Concat <axis = 1> (OPERANDS) }
"""
_ENDLESS = """
<ir_version: 10, opset_import: ["": 23]>
endless (float[batch] x) => (float[batch] y)
<int64 often = {9223372036854775807}, bool yes = {1}>
{
    y = Loop (often, yes, x) <body = turn (int64 turn, bool go, float[batch] a) => (bool on, float[batch] b)
        { on = Identity(go) b = Sin(a) }>
}
"""
_USUAL = """
<ir_version: 10, opset_import: ["": 23]>
usual (float[batch, 4] x) => (float[batch, 2] y)
<float[4, 2] w = {1, 2, 3, 4, -1, -2, -3, -4}>
{ h = MatMul(x, w) y = Tanh(h) }
"""


def prepare(folder: Path) -> None:
    wide = _WIDE.replace("OPERANDS", ", ".join(["x"] * 30_000))
    for name, text in {"huge": wide, "endless": _ENDLESS, "stranger": _USUAL}.items():
        ir.save(ir.from_onnx_text(text), folder / f"{name}.onnx")
