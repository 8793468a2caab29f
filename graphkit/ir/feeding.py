"""What graphs inside nodes without canonical form get their inputs from; for ONNX's own operators, position tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["fed_by", "set_fed_by"]

_FED_BY = "graphkit.fed_by"


def set_fed_by(value: ir.Value, position: int) -> None:
    """Note which input of a node an input of a graph inside it gets its value from."""
    value.metadata_props[_FED_BY] = str(position)


def fed_by(value: ir.Value) -> int | None:
    """What :func:`set_fed_by` noted; None for nothing."""
    found = value.metadata_props.get(_FED_BY, "")
    return int(found) if found.isdecimal() else None
