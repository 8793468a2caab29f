"""What a model asks to be fed, so that a file and the model that was read from it can be told apart, and is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import onnx_ir as ir

from graphkit.ir.dims import dims_of
from graphkit.ir.edit import graphs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Signature", "has_halves", "of_model", "of_session"]

Signature: TypeAlias = dict[str, tuple[object, ...]]
"""Element type, as ONNX Runtime calls it, and dimensions of each input; None is a free one, whatever it is called."""


def of_model(model: ir.Model) -> Signature:
    """What a canonical model asks for."""
    return {
        value.name or "": _entry(dims_of(value), "" if value.dtype is None else _type_name(value.dtype))
        for value in model.graph.inputs
        if not value.is_initializer()
    }


def of_session(session: Any) -> Signature:
    """What a session of ONNX Runtime asks for."""
    return {value.name: _entry(value.shape, value.type) for value in session.get_inputs()}


def _entry(dims: Sequence[int | str | None] | None, kind: str) -> tuple[object, ...]:
    return (kind, *(dim if isinstance(dim, int) else None for dim in dims or ()))


def _type_name(dtype: ir.DataType) -> str:
    """ONNX Runtime's name of a tensor type, e.g. ``tensor(int64)``."""
    return f"tensor({dtype.name.lower()})"


def has_halves(model: ir.Model) -> bool:
    """Whether a model has tensors of float16."""
    return any(
        value.dtype == ir.DataType.FLOAT16
        for graph in graphs_of(model.graph)
        for value in (*graph.inputs, *graph.initializers.values(), *(made for node in graph for made in node.outputs))
    )
