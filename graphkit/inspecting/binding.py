"""Sizes for free dimensions of a model that is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.edit import graphs_of
from graphkit.ir.symbols import dim_of, names_in, set_sizes, size_of, sizes_of, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphkit.ir.symbols import Size

__all__ = ["bind_sizes", "free_names"]


def free_names(model: ir.Model) -> list[str]:
    """Names of the free dimensions of a model, sorted."""
    return sorted({name for value in _values(model) for dim in value.shape or () for name in names_in(size_of(dim))})


def bind_sizes(model: ir.Model, sizes: Mapping[str, int]) -> None:
    """Give free dimensions sizes, in all shapes of a model and of the graphs inside it, in place.

    Args:
        model: The model.
        sizes: Sizes by name of dimension.

    Raises:
        InputError: The model has no free dimension of such a name, or a size is not positive.
    """
    import sympy

    known = free_names(model)
    for name, number in sizes.items():
        if name not in known:
            has = f"they are {', '.join(map(repr, known))}" if known else "it has none"
            raise InputError(f"The model has no free dimension {name!r}; {has}.")
        if number < 1:
            raise InputError(f"Dimension {name!r} cannot have the size {number}; give 1 or more.")

    def bound(size: Size) -> Size:
        if not isinstance(size, sympy.Basic):
            return size
        names = {symbol: str(symbol) for symbol in size.free_symbols}
        return tidy(size.xreplace({s: sympy.Integer(sizes[name]) for s, name in names.items() if name in sizes}))

    for value in _values(model):
        if value.shape is not None and not value.shape.is_static():
            value.shape = ir.Shape(
                [dim if isinstance(dim, int) else dim_of(bound(size_of(dim))) for dim in value.shape]
            )
        if value.const_value is None and (noted := sizes_of(value)) is not None:
            found: Any = np.empty(noted.shape, object)
            found.flat = [bound(size) for size in noted.flat]
            set_sizes(value, found)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in graphs_of(model.graph):
        yield from graph.inputs
        for node in graph:
            yield from node.outputs
