"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]


def _reduced(emit: Recorder, each: ir.Value, reduction: int) -> ir.Value:
    """The losses of all elements by torch's code of a reduction: none, mean or sum."""
    if reduction == 0:
        return each
    return emit.op("ReduceMean" if reduction == 1 else "ReduceSum", each, keepdims=0, noop_with_empty_axes=0)


def _mse(emit: Recorder, x: ir.Value, target: ir.Value, reduction: int = 1) -> ir.Value:
    gap = emit.op("Sub", x, target)
    return _reduced(emit, emit.op("Mul", gap, gap), reduction)


def _l1(emit: Recorder, x: ir.Value, target: ir.Value, reduction: int = 1) -> ir.Value:
    return _reduced(emit, emit.op("Abs", emit.op("Sub", x, target)), reduction)


ROWS: dict[str, Callable[..., Any]] = {"mse_loss": _mse, "l1_loss": _l1}
