"""Samples of volumes at the places of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_MODES: Final = ("linear", "nearest", "cubic")
_PADDINGS: Final = ("zeros", "border", "reflection")
"""By ATen's numbers."""


def _sample(emit: Emit, x: ir.Value, grid: ir.Value, mode: int, padding: int, align_corners: bool) -> ir.Value:
    how = {"mode": _MODES[mode], "padding_mode": _PADDINGS[padding], "align_corners": int(align_corners)}
    return emit.op("GridSample", x, grid, **how)


ROWS: dict[str, Callable[..., Any]] = {"aten.grid_sampler_3d.default": _sample}
