"""What ATen operators are in ONNX, where torch.onnx has no translation, a wrong one, or many nodes for one.

Each module of this package defines ``ROWS``: functions by operator name (``"aten.dropout.default"``,
``"higher_order.cond"``). A function is called with the :class:`~graphkit.frameworks.torch.aten.emit.Emit` that makes
ONNX nodes and the operator's arguments: ``onnx_ir.Value`` for tensors and symbolic sizes, ``onnx_ir.Function`` for
nested graphs, Python values for constants. It returns one value per output.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["rows", "table"]


@cache
def rows() -> dict[str, Callable[..., Any]]:
    """All rows by operator name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for name, row in getattr(importlib.import_module(module.name), "ROWS", {}).items():
            if name in found:
                raise ValueError(f"two rows translate {name}")
            found[name] = row
    return found


def table() -> dict[Any, Callable[..., Any]]:
    """The rows as torch.onnx's custom translation table; operators that this torch lacks are left out."""
    import torch

    from graphkit.frameworks.torch.aten.emit import Emit
    from graphkit.frameworks.torch.lasting import register

    register()
    emit = Emit()
    found: dict[Any, Callable[..., Any]] = {}
    for name, row in rows().items():
        target: Any = torch.ops
        try:
            for part in name.split("."):
                target = getattr(target, part)
        except AttributeError:
            continue
        found[target] = _bound(row, emit)
    return found


def _bound(row: Callable[..., Any], emit: Any) -> Callable[..., Any]:
    def translation(*args: Any, **kwargs: Any) -> Any:
        return row(emit, *args, **kwargs)

    translation.__name__ = row.__name__
    return translation
