"""Special functions and the angle of points, as graphkit's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_NARROW = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _row(name: str) -> Callable[..., ir.Value]:
    """The row of an operator of floats, which of narrow ones is computed in float32."""

    def row(emit: Emit, *operands: ir.Value) -> ir.Value:
        dtype = operands[0].dtype
        if dtype not in _NARROW:
            return emit.own(name, 1, *operands)[0]
        wide = (emit.op("Cast", operand, to=ir.DataType.FLOAT) for operand in operands)
        return emit.op("Cast", emit.own(name, 1, *wide)[0], to=dtype)

    return row


ROWS: dict[str, Callable[..., Any]] = {
    "aten.atan2.default": _row("Atan2"),
    "aten.erfinv.default": _row("Erfinv"),
    "aten.expm1.default": _row("Expm1"),
    "aten.lgamma.default": _row("Lgamma"),
    "aten.log1p.default": _row("Log1p"),
}
