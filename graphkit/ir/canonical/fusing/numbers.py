"""Constants of one element that patterns are told by."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.ir.params import exact, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

__all__ = ["factors_of", "in_decimal", "in_float32", "is_number", "number", "operands", "rounding"]

_ROUNDED: Final = 1e-14
"""Relative difference of two doubles that came from the same formula."""


def number(value: ir.Value | None) -> float | None:
    """The one element of a constant, as the double that its author wrote as far as that is known.

    One that is held in fewer bits is the shortest decimal that rounds to it. None for anything else, parameters
    included.
    """
    tensor = None if value is None else value.const_value
    if value is None or tensor is None or tensor.size != 1 or kind_of(value) != "constant":
        return None
    if tensor.dtype.is_integer():
        return float(tensor.numpy().item())
    if not tensor.dtype.is_floating_point() or tensor.dtype.bitwidth < 16:
        return None
    doubles = exact(value)
    if doubles is not None:
        return float(doubles.item())
    found = tensor.numpy().reshape(())
    return float(found) if found.dtype.itemsize > 4 else float(str(found[()]))


def rounding(value: ir.Value) -> float:
    """How far, relatively, a constant may be from the number that its author meant.

    Where its double is known, that is the number; otherwise it was rounded to its element type.
    """
    tensor = value.const_value
    if tensor is None or tensor.dtype.itemsize > 4 or tensor.dtype.is_integer():
        return _ROUNDED
    found, doubles = tensor.numpy().reshape(-1), exact(value)
    decimal = np.array([float(str(element)) for element in found], np.float64)
    if not np.array_equal(decimal if doubles is None else doubles.reshape(-1), decimal):
        return _ROUNDED
    if np.array_equal(found.astype(np.float64), decimal):
        return _ROUNDED  # as 1, or 0.125
    return 2.0 ** (-8 if found.dtype.name == "bfloat16" else -11 if tensor.dtype.itemsize == 2 else -24)


def is_number(value: ir.Value | None, target: float) -> bool:
    """Whether a value is a constant that is a number, to rounding: in double where its double is known."""
    found = number(value)
    return found is not None and value is not None and isclose(found, target, rel_tol=2 * rounding(value))


def in_float32(target: float) -> bool:
    """Whether a float attribute can hold a number, to rounding in double."""
    with np.errstate(over="ignore"):
        return isclose(float(np.float32(target)), target, rel_tol=_ROUNDED)


def in_decimal(target: float) -> bool:
    """Whether a number is the shortest decimal that rounds to the float attribute that holds it."""
    with np.errstate(over="ignore"):
        return isclose(float(str(np.float32(target))), target, rel_tol=_ROUNDED)


def operands(node: ir.Node | None) -> Iterator[tuple[ir.Value, ir.Value]]:
    """The two operands of a node in both orders; nothing where one is missing."""
    if node is not None and len(node.inputs) == 2:
        one, other = node.inputs
        if one is not None and other is not None:
            yield one, other
            yield other, one


def factors_of(node: ir.Node | None) -> tuple[ir.Value, float, float] | None:
    """What a Mul or Div by a number multiplies, by how much, and how far that may be rounded."""
    if node is None or node.op_type not in ("Mul", "Div"):
        return None
    for x, constant in operands(node):
        found = number(constant)
        if found is not None and found != 0 and number(x) is None:
            if node.op_type == "Mul":
                return x, found, rounding(constant)
            if constant is node.inputs[1]:
                return x, 1 / found, rounding(constant)
    return None
