"""MXNet symbols as models to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["look"]


def look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    """Read a model of which no node is refused; see :class:`graphkit.frameworks.base.Framework`."""
    from graphkit.frameworks.mxnet import FRAMEWORK

    del raw
    return FRAMEWORK.read(source, options)
