"""What ATen operators are in ONNX where torch.onnx translates them, for reading without PyTorch.

Rows are like those of :mod:`graphkit.frameworks.torch.aten`, which come after these: functions by operator, called with
what emits nodes (:class:`~graphkit.frameworks.torch.program.recorder.Recorder`) and the operator's arguments, whose
names are those of ATen's schema (the tensor in front is ``x``). A key is the operator (``"max.dim"``) or its packet
(``"relu"``) for all overloads, with the namespace in front where that is not ATen's; an operator in place, or one that
copies, is read as the plain one. A row that does not fit raises
:class:`~graphkit.frameworks.torch.program.recorder.UnfitError`. They give what torch.onnx gives, operators and
attributes, so that a program looks as it does converted; where torch.onnx makes many nodes there is no row.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.aten import rows as conversion_rows

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["row_of"]


@cache
def _own() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for name, row in importlib.import_module(module.name).ROWS.items():
            if name in found:
                raise ValueError(f"two rows read {name}")
            found[name] = row
    return found


@cache
def row_of(namespace: str, packet: str, overload: str) -> Callable[..., Any] | None:
    """The row that reads an operator, None where there is none."""
    if namespace != "aten":
        return _own().get(f"{namespace}.{packet}")
    plain = packet.rstrip("_") or packet
    for name in dict.fromkeys((packet, plain, plain.removesuffix("_copy"))):
        for key in (f"{name}.{overload}", name):
            if (row := _own().get(key)) is not None:
                return row
        if (row := conversion_rows().get(f"aten.{name}.{overload}")) is not None:
            return row
    return None
