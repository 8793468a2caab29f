"""Conditions of branches and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from graphkit.ops.builders import OnnxBuilder

__all__ = ["truth"]


def truth(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    """An MXNet array of one number as the condition that it is: true unless it is 0."""
    if b.rank(value) > 1:
        value = b.op("Reshape", value, [1])
    return value if b.dtype(value) == np.bool_ else b.op("Cast", value, to=ir.DataType.BOOL)
