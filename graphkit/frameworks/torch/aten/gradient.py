"""Tensors through which no gradient flows back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.training import stop_gradient

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _detach(emit: Emit, x: ir.Value) -> ir.Value:
    result = emit.op("Identity", x)
    node = result.producer()
    if node is not None:
        stop_gradient(node)
    return result


ROWS: dict[str, Callable[..., Any]] = {"aten.detach.default": _detach, "aten.detach_copy.default": _detach}
