"""Fixing inputs of a model to values, so that a target that wants axes, shapes or sizes in its graph gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

__all__ = ["fix_inputs", "inputs_behind", "inputs_of_shape"]

_MEASURES = frozenset({"Shape", "Size"})
_SHAPING = {
    "AffineGrid": 1,
    "ConstantOfShape": 0,
    "Expand": 1,
    "Pad": 1,
    "Range": 0,
    "Reshape": 1,
    "Resize": 1,
    "Slice": 1,
    "Split": 1,
    "Squeeze": 1,
    "Tile": 1,
    "Unsqueeze": 1,
}
"""The first input, by operator, that says the shape of the result rather than having to do with its elements."""


def fix_inputs(model: ir.Model, fixed: Mapping[str, npt.ArrayLike]) -> None:
    """Make constants of inputs of a model, in place.

    Args:
        model: The model, in canonical form or on its way there; what depends on the constants only is folded when it
            is brought there.
        fixed: Value of each input to fix, by the input's name. Numbers are taken in the input's element type.

    Raises:
        InputError: There is no such input, or the value does not fit its element type or shape.
    """
    inputs = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    for name, given in fixed.items():
        if name not in inputs:
            known = ", ".join(map(repr, inputs)) or "none"
            raise InputError(f"The model has no input {name!r} to fix; its inputs are {known}.")
        value = inputs[name]
        array = _fitted(value, np.asarray(given))
        _bind(model, value, array.shape)
        value.const_value = ir.tensor(array, dtype=value.dtype, name=name)
        value.type, value.shape = ir.TensorType(value.const_value.dtype), ir.Shape(array.shape)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
        set_kind(value, "constant")


def inputs_behind(values: Iterable[ir.Value | None]) -> tuple[str, ...]:
    """The graph inputs, in no particular order, whose elements values are computed from; their sizes do not count."""
    found: dict[str, None] = {}
    seen: set[ir.Value] = set()
    stack = [value for value in values if value is not None]
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = value.producer()
        if producer is not None:
            stack += [] if producer.op_type in _MEASURES else [x for x in producer.inputs if x is not None]
        elif value.is_graph_input() and value.const_value is None:
            found[value.name or ""] = None
    return tuple(found)


def inputs_of_shape(value: ir.Value) -> tuple[str, ...]:
    """The graph inputs whose elements say a value's shape, behind the shapes, axes and bounds on the way to it."""
    deciding: list[ir.Value] = []
    seen: set[ir.Value] = set()
    stack = [value]
    while stack:
        value = stack.pop()
        producer = value.producer()
        if value in seen or producer is None:
            continue
        seen.add(value)
        first = _SHAPING.get(producer.op_type, len(producer.inputs))
        stack += [x for x in producer.inputs[:first] if x is not None]
        deciding += [x for x in producer.inputs[first:] if x is not None]
    return inputs_behind(deciding)


def _fitted(value: ir.Value, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array in the element type and of the shape of an input."""
    if value.dtype is not None and array.dtype != value.dtype.numpy():
        dtype = value.dtype.numpy()
        with np.errstate(all="ignore"):
            cast = array.astype(dtype)
        if array.size and (dtype.kind != "f" or array.dtype.kind not in "fiu") and not np.array_equal(cast, array):
            raise InputError(
                f"Input {value.name!r} is {dtype}, which does not hold {array.tolist()}; give numbers of its type."
            )
        array = cast
    dims = None if value.shape is None else tuple(value.shape)
    if dims is None:
        return array
    if array.ndim == 0 and len(dims) == 1:
        array = array.reshape(1)
    elif array.shape == (1,) and not dims:
        array = array.reshape(())
    fits = array.ndim == len(dims) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims, array.shape, strict=True)
    )
    if not fits:
        wanted = "×".join(str(dim) if isinstance(dim, int) else str(dim.value or "?") for dim in dims) or "scalar"
        given = "×".join(map(str, array.shape)) or "scalar"
        raise InputError(
            f"Input {value.name!r} has shape {wanted}, and the value that it is to be fixed to {given}; give one of "
            "its shape."
        )
    return array


def _bind(model: ir.Model, value: ir.Value, shape: tuple[int, ...]) -> None:
    """Give the dimensions that a fixed input shares with others their sizes."""
    known = {
        dim.value: size
        for dim, size in zip(value.shape or (), shape, strict=False)
        if isinstance(dim, ir.SymbolicDim) and dim.value is not None
    }
    for other in model.graph.inputs:
        if known and other.shape is not None:
            other.shape = ir.Shape(
                [known.get(dim.value or "", dim) if isinstance(dim, ir.SymbolicDim) else dim for dim in other.shape]
            )
