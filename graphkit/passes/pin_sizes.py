"""Giving free sizes of a model's inputs numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import sympy

from graphkit.errors import InputError
from graphkit.ir.dims import dims_of, shown
from graphkit.ir.edit import nodes_of
from graphkit.ir.symbols import Size, dim_of, shape_of, size_of, tidy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["pin_sizes"]


def pin_sizes(model: ir.Model, shapes: Mapping[str, Sequence[int | None]], *, keep_batch: bool) -> bool:
    """Give free sizes of a model's inputs numbers, in place; shapes of what is computed from them are forgotten.

    Args:
        model: The model; bring it into canonical form again where it was changed.
        shapes: Sizes asked for, by the input's name; None for one that stays what it is.
        keep_batch: Whether the batch stays free: the first size of the first input, that size wherever it is, and first
            sizes of other inputs for which the same number is asked.

    Returns:
        Whether anything was changed.

    Raises:
        InputError: A size is not one that the input can have, beside what it shares sizes with.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer() and value.shape is not None]
    first = next(((shape[0], shapes.get(value.name or "")) for value in inputs if (shape := shape_of(value))), None)
    batch, number = (first[0], first[1][0] if first[1] else None) if keep_batch and first else (None, None)
    sizes: dict[sympy.Symbol, int] = {}
    for value in inputs:
        asked = shapes.get(value.name or "", ())
        for axis, (size, wanted) in enumerate(zip(shape_of(value) or (), asked, strict=False)):
            is_batch = keep_batch and (size == batch or (axis == 0 and wanted == number))
            if wanted is None or not isinstance(size, sympy.Basic) or is_batch:
                continue
            name, found = _solved(size, wanted)
            if name is None or sizes.setdefault(name, found) != found:
                raise InputError(
                    f"Axis {axis} of input {value.name!r}, whose shape is {shown(dims_of(value) or ())}, cannot be "
                    f"{wanted}"
                    + (f" where {name} is {sizes[name]}" if name in sizes else "")
                    + "; give sizes that fit it."
                )
    if not sizes:
        return False
    for value in inputs:
        value.shape = ir.Shape([dim_of(_put(size_of(dim), sizes)) for dim in value.shape or ()])
    for node in nodes_of(model):
        for value in node.outputs if node.domain in ("", "ai.onnx") else ():
            value.shape = None
    return True


def _put(size: Size, sizes: Mapping[sympy.Symbol, int]) -> Size:
    return tidy(size.xreplace(dict(sizes))) if isinstance(size, sympy.Basic) else size


def _solved(size: sympy.Basic, wanted: int) -> tuple[sympy.Symbol | None, int]:
    """The name in a size, and the number that it stands for where the size is ``wanted``; None where there is none."""
    names = list(size.free_symbols)
    if len(names) != 1 or not size.is_polynomial(names[0]) or sympy.degree(size, names[0]) != 1:
        return None, 0
    (number,) = sympy.solve(size - wanted, names[0]) or (sympy.Integer(0),)
    return (names[0], int(number)) if number.is_Integer and number > 0 else (None, 0)
