"""Values, parameters and attributes of a model as plain data, for people and programs that only look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.dims import dims_of
from graphkit.ir.dtypes import dtype_of
from graphkit.ir.opset import schema_of
from graphkit.ir.params import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Dims",
    "Parameter",
    "Tensor",
    "attributes_of",
    "constant_of",
    "element_name",
    "parameters_of",
    "role_of",
    "tensor_of",
]

Dims: TypeAlias = tuple[int | str | None, ...]
"""Sizes: known, symbolic by name, or None."""

_CONSTANT: Final = (("Constant", ""), ("Constant", "ai.onnx"))

_SMALL: Final = 16
"""Elements up to which a constant's numbers are shown."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of a value.

    Attributes:
        name: Its name.
        dtype: numpy's name of its element type, or e.g. ``"sequence(float32)"``; None where not known.
        shape: Its dimensions; None where not even the rank is known.
    """

    name: str
    dtype: str | None
    shape: Dims | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """An initializer or constant that a node reads.

    Attributes:
        name: Name of the value.
        kind: ``"parameter"``, ``"buffer"`` or ``"constant"``.
        dtype: numpy's name of its element type; None where not known.
        shape: Its dimensions; None where not known.
        bytes: Size of its data in bytes; None where there is no data.
        role: ONNX's name of the operator's input that it is, e.g. ``"W"`` or ``"inputs[2]"``; empty where not known.
        input: Which of the operator's inputs it is.
        values: Its elements in row-major order if it is a constant of at most 16 elements whose data is at hand.
    """

    name: str
    kind: Kind
    dtype: str | None
    shape: Dims | None
    bytes: int | None
    role: str
    input: int
    values: tuple[Any, ...] | None


def _dtype_name(value: ir.Value) -> str | None:
    kind: Any = value.type
    wrappers = []
    while isinstance(kind, ir.SequenceType | ir.OptionalType):
        wrappers.append("sequence" if isinstance(kind, ir.SequenceType) else "optional")
        kind = kind.elem_type
    dtype = getattr(kind, "dtype", kind)
    if dtype is None and value.const_value is not None:
        dtype = value.const_value.dtype
    if not isinstance(dtype, ir.DataType) or dtype == ir.DataType.UNDEFINED:
        return None
    name = element_name(dtype)
    for wrapper in reversed(wrappers):
        name = f"{wrapper}({name})"
    return name


def element_name(dtype: ir.DataType) -> str:
    """Numpy's name of an element type; ONNX's in lower case where numpy has none."""
    try:
        return dtype_of(dtype).name
    except FormatError:
        return str(dtype.name).lower()


def tensor_of(value: ir.Value) -> Tensor:
    """Name, element type and shape of a value."""
    return Tensor(value.name or "", _dtype_name(value), dims_of(value))


def _elements(tensor: ir.TensorProtocol) -> tuple[Any, ...] | None:
    """The elements of a small tensor; None for a large one, or when its external file is not there."""
    if any(not isinstance(dim, int) for dim in tensor.shape) or tensor.size > _SMALL:
        return None
    try:
        array = tensor.numpy()
    except (OSError, ValueError):
        return None
    if array.dtype.kind in "OSU":
        return tuple(_text(item) for item in array.ravel())
    if array.dtype.kind not in "biufc":
        array = array.astype(np.float32)
    return tuple(_shortest(item) for item in array.ravel())


def _shortest(number: np.generic) -> Any:
    """The number as a Python one; a narrow float as the shortest decimal that rounds to it, as its author wrote it."""
    return float(str(number)) if isinstance(number, np.float16 | np.float32) else number.item()


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def _attribute(attribute: ir.Attr) -> Any:
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    value: Any = attribute.value
    match attribute.type:
        case ir.AttributeType.FLOAT:
            return _shortest(np.float32(value))
        case ir.AttributeType.FLOATS:
            return tuple(_shortest(np.float32(item)) for item in value)
        case ir.AttributeType.TENSOR:
            elements = _elements(value)
            if elements is not None:
                return elements if value.shape.rank() else elements[0]
            return Tensor(value.name or "", element_name(value.dtype), _sizes(value))
        case ir.AttributeType.INT | ir.AttributeType.STRING:
            return value
        case ir.AttributeType.INTS | ir.AttributeType.STRINGS:
            return tuple(value)
    return str(value)


def role_of(op_type: str, domain: str, index: int) -> str:
    """ONNX's name of an operator's input, e.g. ``"W"`` or ``"inputs[2]"``; empty where it is not known."""
    schema = schema_of(op_type, domain)
    if schema is None or not schema.inputs:
        return ""
    last = len(schema.inputs) - 1
    formal = schema.inputs[min(index, last)]
    if formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
        return f"{formal.name}[{index - last}]"
    return formal.name if index <= last else ""


def constant_of(value: ir.Value) -> ir.TensorProtocol | None:
    """The data of an initializer, or of the output of a Constant node."""
    node = value.producer()
    if node is None:
        return None if value.is_graph_input() and not value.is_initializer() else value.const_value
    if (node.op_type, node.domain) not in _CONSTANT:
        return None
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        match attribute.type:
            case ir.AttributeType.TENSOR:
                return attribute.as_tensor()
            case ir.AttributeType.FLOAT | ir.AttributeType.FLOATS:
                return ir.tensor(np.asarray(attribute.value, np.float32))
            case ir.AttributeType.INT | ir.AttributeType.INTS:
                return ir.tensor(np.asarray(attribute.value, np.int64))
    return None


def parameters_of(values: Iterable[ir.Value | None], node: ir.Node | None = None) -> tuple[Parameter, ...]:
    """Those of some values whose numbers are part of the model.

    Args:
        values: Values, e.g. the inputs of a node; None is skipped.
        node: The node that reads them, if one does; it tells their roles.
    """
    found = []
    for index, value in enumerate(values):
        if value is None:
            continue
        tensor = constant_of(value)
        if tensor is None and not value.is_initializer():
            continue
        kind = kind_of(value)
        found.append(
            Parameter(
                name=value.name or "",
                kind=kind,
                dtype=_dtype_name(value) if tensor is None else element_name(tensor.dtype),
                shape=dims_of(value) if tensor is None else _sizes(tensor),
                bytes=None if tensor is None else int(tensor.nbytes),
                role="" if node is None else role_of(node.op_type, node.domain, index),
                input=index,
                values=None if tensor is None or kind != "constant" else _elements(tensor),
            )
        )
    return tuple(found)


def attributes_of(node: ir.Node) -> dict[str, Any]:
    """A node's attributes as Python values by name, a large tensor as a :class:`Tensor`; bodies are left out."""
    return {
        name: _attribute(attribute)
        for name, attribute in node.attributes.items()
        if attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    }


def _sizes(tensor: ir.TensorProtocol) -> Dims:
    return tuple(dim if isinstance(dim, int) else None for dim in tensor.shape)
