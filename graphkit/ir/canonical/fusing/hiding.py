"""Which masks may leave a position nothing to see.

What attention makes of such a position differs. Steps that add the least number of the element type to all scores give
the mean of all values; ONNX Runtime takes that number for -inf and gives zeros, and torch's own attention has gradients
that are no gradients there.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ir.canonical.fusing.numbers import number, operands
from graphkit.ir.canonical.fusing.places import compares
from graphkit.ir.canonical.truths import always
from graphkit.ir.symbols import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

__all__ = ["Hides", "hidden_by", "hidden_where", "together"]

_LEAST: Final = -1e30
"""Numbers below take whatever is added to them for nothing, in float64, too."""
_MOVING: Final = frozenset({"Cast", "Reshape", "Slice", "Squeeze", "Unsqueeze"})


class Hides(IntEnum):
    """How much a mask hides."""

    NOTHING = 0
    SOMETHING = 1
    """Every position sees something: future ones are hidden, or padding, which is the same for all positions."""
    ALL = 2
    """A position may see nothing."""


def together(masks: Iterable[Hides]) -> Hides:
    """What several masks hide, one of which may hide what the others show."""
    hiding = [mask for mask in masks if mask]
    return Hides.ALL if len(hiding) > 1 else max(hiding, default=Hides.NOTHING)


def hidden_by(mask: ir.Value | None) -> Hides:
    """What a mask that is added to scores hides for good; of what is not known how it is made, nothing."""
    return Hides.NOTHING if mask is None else _added(mask, _rows(mask))


def hidden_where(truths: ir.Value | None, *, visible: bool) -> Hides:
    """What truths hide, which say what is seen, or, where not ``visible``, what is not."""
    return Hides.NOTHING if truths is None else _told(truths, _rows(truths), visible=visible)


def _rows(value: ir.Value) -> bool:
    """Whether a mask has a row for each position."""
    shape = shape_of(value)
    return shape is None or (len(shape) > 1 and shape[-2] != 1)


def _added(mask: ir.Value, rows: bool) -> Hides:
    if mask.const_value is not None:
        array = mask.const_value.numpy()
        return _in_array(array > _LEAST) if array.dtype.kind == "f" else Hides.NOTHING
    node = mask.producer()
    if node is None or node.domain:
        return Hides.NOTHING
    if node.op_type == "Expand":
        return hidden_by(node.inputs[0])
    if node.op_type in _MOVING and node.inputs[0] is not None:
        return _added(node.inputs[0], rows)
    if node.op_type == "Add":
        return together(Hides.NOTHING if value is None else _added(value, _rows(value)) for value in node.inputs)
    if node.op_type == "Mul" and any((number(constant) or 0) < _LEAST for _, constant in operands(node)):
        return Hides.ALL if rows else Hides.SOMETHING
    if node.op_type == "Where" and node.inputs[0] is not None:
        shown, other = (number(value) for value in node.inputs[1:])
        if any(fill is not None and fill < _LEAST for fill in (shown, other)):
            return _told(node.inputs[0], rows, visible=other is not None and other < _LEAST)
        return together(hidden_by(value) for value in node.inputs[1:])
    return Hides.NOTHING


def _told(truths: ir.Value, rows: bool, *, visible: bool) -> Hides:
    if truths.const_value is not None:
        return _in_array(truths.const_value.numpy() == visible)
    if visible and always(truths):
        return Hides.NOTHING
    node = truths.producer()
    if node is not None and not node.domain:
        if node.op_type == "Expand":
            return hidden_where(node.inputs[0], visible=visible)
        if node.op_type == "Not":
            return hidden_where(node.inputs[0], visible=not visible)
        if node.op_type == "And" and visible:
            return together(hidden_where(value, visible=True) for value in node.inputs)
        if visible and compares(truths):
            return Hides.SOMETHING
    return Hides.ALL if rows else Hides.SOMETHING


def _in_array(seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Hides:
    if seen.all():
        return Hides.NOTHING
    return Hides.SOMETHING if np.atleast_1d(seen).any(-1).all() else Hides.ALL
