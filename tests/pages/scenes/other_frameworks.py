"""A small model, to be converted to what nobody writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

_NET = '<ir_version: 10, opset_import: ["": 21]> net (float[batch, 3] x) => (float[batch, 3] y) { y = Relu(x) }'


def prepare(folder: Path) -> None:
    """Write it."""
    ir.save(ir.from_onnx_text(_NET), folder / "net.onnx")
