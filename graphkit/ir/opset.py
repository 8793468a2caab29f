"""The operator set that canonical models speak, and ONNX's schemas of it."""

from __future__ import annotations

from functools import cache
from typing import Final

import onnx

__all__ = ["OPSET", "schema_of"]

OPSET: Final = 23
"""ai.onnx version of every canonical model."""


@cache
def schema_of(op_type: str, domain: str = "") -> onnx.defs.OpSchema | None:
    """ONNX's schema of an operator in the canonical opset (the newest for other domains), None where it has none."""
    try:
        if domain in ("", "ai.onnx"):
            return onnx.defs.get_schema(op_type, OPSET, "")
        return onnx.defs.get_schema(op_type, domain)
    except onnx.defs.SchemaError:
        return None
