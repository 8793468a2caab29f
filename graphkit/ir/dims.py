"""Asking values for their shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

__all__ = ["bounds_of", "dims_of", "how_to_give", "set_bounds", "shown", "unknown_inputs"]

_BOUNDS: Final = "graphkit.bounds"
_SHOWN: Final = 16
"""Sizes of a shape that people are shown."""


def set_bounds(value: ir.Value, bounds: Mapping[int, tuple[int, int | None]]) -> None:
    """Note which sizes an input takes along free axes: the least and the largest, None where there is no largest."""
    value.metadata_props[_BOUNDS] = json.dumps(list(bounds.items()))


def bounds_of(value: ir.Value) -> dict[int, tuple[int, int | None]]:
    """The least and the largest size that an input is known to take, by axis; None for no largest."""
    return {axis: (least, most) for axis, (least, most) in json.loads(value.metadata_props.get(_BOUNDS, "[]"))}


def dims_of(value: ir.Value) -> tuple[int | str | None, ...] | None:
    """Dimensions of a value: known, symbolic by name (equal names are equal sizes) or None; None for no known rank."""
    shape = value.const_value.shape if value.shape is None and value.const_value is not None else value.shape
    if shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else (None if dim.value is None else str(dim.value)) for dim in shape)


def shown(dims: Sequence[int | str | None]) -> str:
    """A shape for people, e.g. ``batch×3×?×?``."""
    told = ["?" if dim is None else str(dim) for dim in dims]
    if len(told) > _SHOWN:
        told[_SHOWN // 2 : -_SHOWN // 2] = ["…"]
    return "×".join(told) or "a scalar"


def unknown_inputs(value: ir.Value) -> list[str]:
    """Names of the graph inputs that a value depends on and whose shape is not fully known, in order of discovery."""
    found: dict[str, None] = {}
    seen: set[ir.Value] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        producer = current.producer()
        if producer is not None:
            stack.extend(operand for operand in reversed(producer.inputs) if operand is not None)
        elif current.const_value is None:
            dims = dims_of(current)
            if dims is None or None in dims:
                found[current.name or ""] = None
    return list(found)


def how_to_give(*values: ir.Value) -> str:
    """What to tell who has to give the shapes that those of values depend on: the options of the command line."""
    names = sorted({name for value in values for name in unknown_inputs(value)}) or ["NAME"]
    options = " ".join(f"--input {name}:SHAPE" for name in names)
    return f"{options}, SHAPE being sizes such as 1x3x224x224, the batch first"
