"""What the expansions share: a node's operands and attributes, constants, and small compositions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphkit.ir.symbols import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ir.edit import Editor
    from graphkit.ir.symbols import Size

__all__ = [
    "Expansion",
    "UnsuitableError",
    "array_of",
    "dtype_of",
    "floats",
    "integer",
    "ints",
    "is_used",
    "needed",
    "number",
    "operand",
    "rank_of",
    "required",
    "reshaped",
    "scalar",
    "scaled",
    "shape_known",
    "sliced",
    "transposed",
]

Expansion: TypeAlias = "Callable[[Editor], None]"
"""(editor of the node) -> None; it replaces the node, or raises :class:`UnsuitableError`."""


class UnsuitableError(Exception):
    """Why a node is not expanded, as a clause without a full stop that says what to do where it can."""


def operand(edit: Editor, index: int) -> ir.Value | None:
    """An input of the node, None where it is absent."""
    return edit.node.inputs[index] if index < len(edit.node.inputs) else None


def needed(edit: Editor, index: int) -> ir.Value:
    """An input that the operator cannot do without."""
    value = operand(edit, index)
    if value is None:
        raise UnsuitableError(f"its input {index} is missing; the model is damaged")
    return value


def is_used(edit: Editor, index: int) -> bool:
    """Whether something reads an output of the node."""
    if index >= len(edit.node.outputs):
        return False
    value = edit.node.outputs[index]
    return bool(value.uses()) or value.is_graph_output()


def integer(edit: Editor, name: str, default: int = 0) -> int:
    """An integer attribute."""
    return edit.node.attributes.get_int(name, default)


def required(edit: Editor, name: str) -> int:
    """An integer attribute that the operator cannot do without, at least 1."""
    found = integer(edit, name)
    if found < 1:
        given = f"{name}={found}" if name in edit.node.attributes else f"no {name}"
        raise UnsuitableError(f"it has {given}, which must be at least 1; the model is damaged")
    return found


def number(edit: Editor, name: str, default: float) -> np.float32:
    """A float attribute."""
    return np.float32(edit.node.attributes.get_float(name, default))


def floats(edit: Editor, name: str) -> tuple[np.float32, ...]:
    """A list of floats, empty where it is absent."""
    return tuple(np.float32(item) for item in edit.node.attributes.get_floats(name, ()))


def ints(edit: Editor, name: str) -> tuple[int, ...]:
    """A list of integers, empty where it is absent."""
    return tuple(edit.node.attributes.get_ints(name, ()))


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """Element type of a value, float32 where it is not known."""
    kind = value.dtype if value.const_value is None else value.const_value.dtype
    return np.dtype(np.float32) if kind is None else np.dtype(kind.numpy())


def array_of(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    """The numbers of an initializer, None for anything else."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def shape_known(value: ir.Value) -> tuple[Size, ...]:
    """Shape of a value whose rank must be known."""
    shape = shape_of(value)
    if shape is None:
        raise UnsuitableError(
            f"the rank of {value.name!r} is not known; give the shapes of the model's inputs with --input"
        )
    return tuple(shape)


def rank_of(value: ir.Value) -> int:
    """Rank of a value, which must be known."""
    return len(shape_known(value))


def scalar(edit: Editor, role: str, given: float | np.float32, like: ir.Value) -> ir.Value:
    """A 0-d constant of a value's type; a float32 number stands for the decimal that its author wrote."""
    exact = float(str(given)) if isinstance(given, np.float32) else float(given)
    dtype = dtype_of(like)
    return edit.const(role, given, dtype, exact=exact if dtype.kind == "f" else None)


def scaled(edit: Editor, value: ir.Value, factor: float | np.float32, role: str = "scale") -> ir.Value:
    """A value times a number, itself where that is 1."""
    return value if factor == 1 else edit.op("Mul", value, scalar(edit, role, factor, value))


def transposed(edit: Editor, value: ir.Value, *order: int) -> ir.Value:
    """A value with its axes in another order."""
    return edit.op("Transpose", value, perm=list(order))


def reshaped(edit: Editor, value: ir.Value, shape: Sequence[int], role: str = "shape") -> ir.Value:
    """A value of another shape, in ONNX's codes."""
    return edit.op("Reshape", value, edit.const(role, list(shape)))


def sliced(edit: Editor, value: ir.Value, axis: int, start: int, stop: int) -> ir.Value:
    """A part of a value along one axis."""
    bounds = (edit.const(role, [place]) for role, place in (("start", start), ("stop", stop), ("axis", axis)))
    return edit.op("Slice", value, *bounds)
