"""Attributes of two nodes compared by what they mean: one at its default is as good as absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.inspecting.difference.arrays import distance, equal
from graphkit.inspecting.difference.difference import Change
from graphkit.ir.describe import element_name
from graphkit.ir.dims import dims_of
from graphkit.ir.opset import schema_of
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["attribute_changes", "shown_array"]

_LISTED: Final = 16
"""Elements of a list or an array that are shown."""
_WINDOWED: Final = {"strides": 1, "dilations": 1, "pads": 0, "output_padding": 0}
"""Attributes of windows that are the same number along all axes if absent."""
_TYPES: Final = frozenset(("to", "dtype", "output_dtype", "stash_type", "saturate_dtype"))
"""Attributes that are element types."""
_BODIES: Final = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def attribute_changes(left: ir.Node, right: ir.Node, *, shared: bool = False) -> list[Change]:
    """The attributes that two nodes differ in; bodies are left to others.

    Args:
        left: Node of the first model.
        right: Node of the second.
        shared: Whether only those count that both have, as for different operators.
    """
    if _equal_as_spelled(left, right):
        return []
    ours, theirs = _meaning(left), _meaning(right)
    names = list(ours | theirs)
    if shared:
        names = [name for name in names if name in left.attributes and name in right.attributes]
    changes = []
    for name in names:
        old, new = ours.get(name), theirs.get(name)
        if not _same(old, new):
            old, new = _spelled(name, old, new), _spelled(name, new, old)
            changes.append(Change("attribute", name, _shown(name, old), _shown(name, new)))
            if isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and max(old.size, new.size) > _LISTED:
                numbers = distance(old, new)
                if numbers is not None:
                    told = f"max|d| {numbers.max_abs:.2g}, {numbers.differing:,} of {numbers.elements:,} elements"
                    changes[-1] = Change("attribute", name, changes[-1].old, f"{changes[-1].new} ({told})")
    return changes


def _equal_as_spelled(left: ir.Node, right: ir.Node) -> bool:
    """Whether two nodes have the same attributes in so many words, which is the usual case."""
    if len(left.attributes) != len(right.attributes) or left.op_type != right.op_type:
        return False
    for name, one in left.attributes.items():
        two = right.attributes.get(name)
        if two is None or one.type != two.type or one.type in (*_BODIES, ir.AttributeType.TENSOR) or one.is_ref():
            return False
        if two.is_ref() or one.value != two.value:
            return False
    return True


def _meaning(node: ir.Node) -> dict[str, Any]:
    """Attributes with what absent ones stand for."""
    found: dict[str, Any] = {}
    schema = schema_of(node.op_type, node.domain)
    if schema is not None:
        for name, formal in schema.attributes.items():
            if formal.default_value.name:
                found[name] = _value(ir.serde.deserialize_attribute(formal.default_value))
    for name, attribute in node.attributes.items():
        if attribute.type not in _BODIES or attribute.is_ref():
            found[name] = _value(attribute)
    if not node.domain:
        _resolve(node, found)
    return found


def _resolve(node: ir.Node, found: dict[str, Any]) -> None:
    """Put one of several ways of saying the same in place."""
    rank = _rank(node)
    for name, number in _WINDOWED.items():
        value = found.get(name)
        if isinstance(value, tuple) and set(value) <= {number}:
            del found[name]
    if node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) > 1 and node.inputs[1] is not None:
        dims = dims_of(node.inputs[1])
        if dims is not None and all(isinstance(dim, int) for dim in dims):
            found.setdefault("kernel_shape", tuple(dims[2:]))
    if node.op_type == "Transpose" and "perm" not in found and rank is not None:
        found["perm"] = tuple(reversed(range(rank)))
    padded = "pads" in found or found.get("ceil_mode") or found.get("auto_pad") != "NOTSET"
    if node.op_type == "AveragePool" and not padded:
        found.pop("count_include_pad", None)
    axis = found.get("axis")
    if isinstance(axis, int) and axis < 0 and rank is not None:
        grown = node.op_type in ("Unsqueeze", "ConcatFromSequence", "OneHot")
        found["axis"] = axis + rank + grown


def _spelled(name: str, value: Any, other: Any) -> Any:
    """What an absent attribute of a window stands for, as long as the other one is."""
    if value is None and name in _WINDOWED and isinstance(other, tuple):
        return (_WINDOWED[name],) * len(other)
    return value


def _rank(node: ir.Node) -> int | None:
    first = next((value for value in node.inputs if value is not None), None)
    dims = None if first is None else dims_of(first)
    return None if dims is None else len(dims)


def _value(attribute: ir.Attr) -> Any:
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    value: Any = attribute.value
    match attribute.type:
        case ir.AttributeType.TENSOR:
            try:
                return np.asarray(value.numpy())
            except (OSError, ValueError):
                return None
        case ir.AttributeType.FLOAT:
            return np.float32(value)
        case ir.AttributeType.FLOATS:
            return tuple(np.float32(each) for each in value)
        case ir.AttributeType.INTS | ir.AttributeType.STRINGS:
            return tuple(value)
        case ir.AttributeType.INT | ir.AttributeType.STRING:
            return value
    return str(value)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        return equal(old, new)
    if isinstance(old, np.ndarray) or isinstance(new, np.ndarray):
        return False
    if isinstance(old, np.float32) and isinstance(new, np.float32) and np.isnan(old) and np.isnan(new):
        return True
    return type(old) is type(new) and bool(old == new)


def _shown(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return shown_array(value)
    if name in _TYPES and isinstance(value, int):
        try:
            return element_name(ir.DataType(value))
        except ValueError:
            return str(value)
    if isinstance(value, tuple):
        return _listed(value)
    return _one(value)


def shown_array(array: npt.NDArray[Any]) -> str:
    """A small array by its elements, a large one by its type and shape."""
    if array.size > _LISTED:
        return f"{array.dtype.name} {'×'.join(map(str, array.shape))}"
    elements = list(array.ravel())
    return _listed(elements) if array.ndim else _one(elements[0])


def _listed(items: Sequence[Any]) -> str:
    more = f", … ({len(items)})" if len(items) > _LISTED else ""
    return f"[{', '.join(_one(item) for item in items[:_LISTED])}{more}]"


def _one(item: Any) -> str:
    if isinstance(item, bytes):
        item = item.decode("utf-8", "replace")
    if isinstance(item, np.floating):
        return str(item).removesuffix(".0")
    return short(str(item), 60)
