"""The elements of small integer tensors, followed through shape arithmetic over symbolic dimensions.

Each rule takes a node of the canonical opset and gives its first output's elements as sizes (see
:mod:`graphkit.ir.symbols`), None where it cannot tell; single elements may be None too.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir
import sympy

from graphkit.ir.symbols import Size, Sizes, equal, never_negative, numbers_of, shape_of, sizes_of, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["VALUES"]

Rule: TypeAlias = "Callable[[ir.Node], Sizes | None]"

_MANY = 1024
"""Elements beyond which a tensor is no shape arithmetic."""
_FACTOR = 256
"""Float factors with up to this many units give exact float32 products with sizes up to 65536, as whole numbers do."""


def _array(items: Iterable[Size], shape: tuple[int, ...] | None = None) -> Sizes:
    listed = list(items)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found if shape is None else found.reshape(shape)


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _sizes(node: ir.Node, index: int) -> Sizes | None:
    return sizes_of(_input(node, index))


def _elementwise(function: Callable[..., Size]) -> Rule:
    def rule(node: ir.Node) -> Sizes | None:
        operands = [sizes_of(value) for value in node.inputs]
        known = [operand for operand in operands if operand is not None]
        if not known or len(known) != len(operands):
            return None
        arrays = np.broadcast_arrays(*known) if len(known) > 1 else known
        flat = [
            None if any(item is None for item in items) else tidy(function(*items))
            for items in zip(*(array.flat for array in arrays), strict=True)
        ]
        return _array(flat, arrays[0].shape)

    return rule


def _folded(function: Callable[[Any, Any], Size]) -> Rule:
    def many(*items: Size) -> Size:
        found = items[0]
        for item in items[1:]:
            found = function(found, item)
        return found

    return _elementwise(many)


def _divide(left: Size, right: Size) -> Size:
    if isinstance(left, float) or isinstance(right, float):
        return left / right if right else None
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            return None
        whole = abs(left) // abs(right)
        return whole if (left < 0) == (right < 0) else -whole
    ratio = tidy(sympy.cancel(sympy.sympify(left) / right))
    if isinstance(ratio, int) or ratio.is_integer:
        return ratio
    positive = never_negative(tidy(left)) and sympy.sympify(right).is_positive
    return tidy(sympy.floor(ratio)) if positive else None


def _div(node: ir.Node) -> Sizes | None:
    dtype = node.outputs[0].dtype
    if dtype is not None and dtype.is_floating_point():
        return _elementwise(_true_divide)(node)
    return _elementwise(_divide)(node)


def _true_divide(left: Size, right: Size) -> Size:
    if not isinstance(right, int | float) or right == 0:
        ratio = tidy(sympy.cancel(sympy.sympify(left) / right)) if isinstance(right, sympy.Basic) else None
        return ratio if isinstance(ratio, int) else None
    fraction = sympy.Rational(1) / sympy.Rational(right)
    return _times(left, fraction) if _is_power_of_two(fraction) else None


def _is_power_of_two(fraction: Any) -> bool:
    return all(abs(int(part)).bit_count() == 1 for part in (fraction.p, fraction.q))


def _times(left: Size, right: Size) -> Size:
    return None if (factors := (_exactly(left), _exactly(right))).count(None) else factors[0] * factors[1]


def _add(left: Size, right: Size) -> Size:
    return None if (terms := (_exactly(left), _exactly(right))).count(None) else terms[0] + terms[1]


def _subtract(left: Size, right: Size) -> Size:
    return None if (terms := (_exactly(left), _exactly(right))).count(None) else terms[0] - terms[1]


def _exactly(size: Size) -> Size:
    """A float as a fraction, None where sums and products of it with sizes may round in float32."""
    if not isinstance(size, float):
        return size
    if not np.isfinite(size):
        return None
    fraction = sympy.Rational(size)
    return tidy(fraction) if abs(fraction.p) <= _FACTOR and _is_power_of_two(sympy.Rational(1, fraction.q)) else None


def _modulo(left: Size, right: Size) -> Size:
    if isinstance(left, int) and isinstance(right, int):
        return left % right if right else None
    right = sympy.sympify(right)
    return left - right * sympy.floor(left / right) if right.is_positive else None


def _remainder(left: Size, right: Size) -> Size:
    """C's, which is the modulus where nothing is negative."""
    return _modulo(left, right) if never_negative(left) and never_negative(right) else None


def _mod(node: ir.Node) -> Sizes | None:
    return _elementwise(_remainder if node.attributes.get_int("fmod", 0) else _modulo)(node)


def _floor(size: Size) -> Size:
    return sympy.floor(size) if isinstance(size, sympy.Basic) else float(np.floor(size))


def _ceil(size: Size) -> Size:
    return -sympy.floor(-size) if isinstance(size, sympy.Basic) else float(np.ceil(size))


def _least(left: Size, right: Size) -> Size:
    return min(left, right) if _plain(left) and _plain(right) else sympy.Min(left, right)


def _most(left: Size, right: Size) -> Size:
    return max(left, right) if _plain(left) and _plain(right) else sympy.Max(left, right)


def _plain(size: Size) -> bool:
    return not isinstance(size, sympy.Basic)


def _differs(size: Size, other: Size) -> Size:
    found = equal(size, other)
    return None if found is None else not found


def _less(left: Size, right: Size) -> Size:
    if _plain(left) and _plain(right):
        return bool(left < right)
    gap = tidy(right - left)
    return (
        None
        if not isinstance(gap, sympy.Basic)
        else (True if gap.is_positive else (False if gap.is_nonpositive else None))
    )


def _not(size: Size) -> Size:
    return not size


def _where(node: ir.Node) -> Sizes | None:
    operands = [sizes_of(value) for value in node.inputs]
    condition, yes, no = operands
    if condition is None or yes is None or no is None:
        return None
    arrays = np.broadcast_arrays(condition, yes, no)
    flat = []
    for choice, left, right in zip(*(array.flat for array in arrays), strict=True):
        if choice is None:
            flat.append(left if equal(left, right) else None)
        else:
            flat.append(left if choice else right)
    return _array(flat, arrays[0].shape)


def _shape(node: ir.Node) -> Sizes | None:
    value = _input(node, 0)
    shape = None if value is None else shape_of(value)
    if shape is None:
        return None
    end = node.attributes.get_int("end", None)
    return _array(shape[node.attributes.get_int("start", 0) : len(shape) if end is None else end])


def _size(node: ir.Node) -> Sizes | None:
    value = _input(node, 0)
    shape = None if value is None else shape_of(value)
    if shape is None or None in shape:
        return None
    found: Size = 1
    for size in shape:
        found = found * size
    return _array([tidy(found)], ())


def _gather(node: ir.Node) -> Sizes | None:
    data, indices = _sizes(node, 0), _sizes(node, 1)
    if data is None or indices is None or not all(isinstance(item, int) for item in indices.flat):
        return None
    axis = node.attributes.get_int("axis", 0)
    where = indices.astype(np.int64)
    if where.size and (where.min() < -data.shape[axis] or where.max() >= data.shape[axis]):
        return None
    found: Sizes = np.asarray(np.take(data, where, axis=axis), dtype=object)
    return found


def _slice(node: ir.Node) -> Sizes | None:
    data = _sizes(node, 0)
    starts, ends = numbers_of(_input(node, 1)), numbers_of(_input(node, 2))
    if data is None or starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if _input(node, 3) is None else numbers_of(_input(node, 3))
    steps = [1] * len(starts) if _input(node, 4) is None else numbers_of(_input(node, 4))
    if axes is None or steps is None:
        return None
    index = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    found: Sizes = data[tuple(index)]
    return found


def _concat(node: ir.Node) -> Sizes | None:
    parts: list[Sizes] = []
    for value in node.inputs:
        part = sizes_of(value)
        if part is None:
            shape = None if value is None else shape_of(value)
            if shape is None or not all(isinstance(size, int) for size in shape):
                return None
            if math.prod(int(size) for size in shape) > _MANY:
                return None
            part = np.full([int(size) for size in shape], None, dtype=object)
        parts.append(part)
    found: Sizes = np.concatenate(parts, axis=node.attributes.get_int("axis", 0))
    return found


def _reshaped(node: ir.Node) -> Sizes | None:
    """Any operator that only rearranges axes of length 1 or splits axes: the elements stay in order."""
    data = _sizes(node, 0)
    shape = shape_of(node.outputs[0])
    if data is None or shape is None or not all(isinstance(size, int) for size in shape):
        return None
    return data.reshape([int(size) for size in shape])


def _cast(node: ir.Node) -> Sizes | None:
    data = _sizes(node, 0)
    target = ir.DataType(node.attributes.get_int("to", 0))
    if data is None or target == ir.DataType.STRING:
        return None

    def cast(size: Size) -> Size:
        if size is None:
            return None
        if target == ir.DataType.BOOL:
            return _differs(size, 0)
        if target.is_floating_point():
            return size if isinstance(size, sympy.Basic) else float(size)
        if isinstance(size, sympy.Basic):
            return size if size.is_integer else (sympy.floor(size) if size.is_nonnegative else None)
        return int(size) if np.isfinite(size) else None

    return _array([cast(size) for size in data.flat], data.shape)


def _filled(node: ir.Node) -> Sizes | None:
    shape = shape_of(node.outputs[0])
    if shape is None or not all(isinstance(size, int) for size in shape):
        return None
    attribute = node.attributes.get("value")
    fill: Size = 0.0 if attribute is None else attribute.as_tensor().numpy().reshape(()).item()
    count = math.prod(int(size) for size in shape)
    return _array([fill] * count, tuple(shape)) if count <= _MANY else None


def _expand(node: ir.Node) -> Sizes | None:
    data = _sizes(node, 0)
    shape = shape_of(node.outputs[0])
    if data is None or shape is None or not all(isinstance(size, int) for size in shape):
        return None
    found: Sizes = np.broadcast_to(data, [int(size) for size in shape])
    return found


def _tile(node: ir.Node) -> Sizes | None:
    data, repeats = _sizes(node, 0), numbers_of(_input(node, 1))
    if data is None or repeats is None or data.size * math.prod(repeats) > _MANY:
        return None
    return np.tile(data, repeats)


def _range(node: ir.Node) -> Sizes | None:
    bounds = [numbers_of(value) for value in node.inputs]
    if None in bounds:
        return None
    start, limit, delta = (bound[0] for bound in bounds if bound)
    return _array(range(start, limit, delta)) if delta and abs(limit - start) <= _MANY else None


def _reduced(function: Callable[[Any, Any], Size], empty: int | None) -> Rule:
    def rule(node: ir.Node) -> Sizes | None:
        data = _sizes(node, 0)
        shape = shape_of(node.outputs[0])
        if data is None or shape is None or data.ndim > 1 or node.attributes.get_int("noop_with_empty_axes", 0) != 0:
            return None
        items = list(data.flat) if empty is None else [empty, *data.flat]
        if not items or any(item is None for item in items):
            return None
        return _array([tidy(reduce(function, items))], (1,) * len(shape))

    return rule


def _times_int(left: Size, right: Size) -> Size:
    return left * right


def _add_int(left: Size, right: Size) -> Size:
    return left + right


VALUES: dict[str, Rule] = {
    "Abs": _elementwise(lambda size: abs(size)),
    "Add": _folded(_add),
    "And": _elementwise(lambda left, right: left and right),
    "Cast": _cast,
    "Ceil": _elementwise(_ceil),
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _div,
    "Equal": _elementwise(equal),
    "Expand": _expand,
    "Flatten": _reshaped,
    "Floor": _elementwise(_floor),
    "Gather": _gather,
    "Greater": _elementwise(lambda left, right: _less(right, left)),
    "GreaterOrEqual": _elementwise(lambda left, right: None if (found := _less(left, right)) is None else not found),
    "Identity": _reshaped,
    "Less": _elementwise(_less),
    "LessOrEqual": _elementwise(lambda left, right: None if (found := _less(right, left)) is None else not found),
    "Max": _folded(_most),
    "Min": _folded(_least),
    "Mod": _mod,
    "Mul": _elementwise(_times),
    "Neg": _elementwise(lambda size: -size),
    "Not": _elementwise(_not),
    "Or": _elementwise(lambda left, right: left or right),
    "Range": _range,
    "ReduceMax": _reduced(_most, None),
    "ReduceMin": _reduced(_least, None),
    "ReduceProd": _reduced(_times_int, 1),
    "ReduceSum": _reduced(_add_int, 0),
    "Reshape": _reshaped,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Squeeze": _reshaped,
    "Sub": _elementwise(_subtract),
    "Tile": _tile,
    "Unsqueeze": _reshaped,
    "Where": _where,
}
"""Rule of each operator type of ai.onnx."""
