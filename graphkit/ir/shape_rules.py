"""Output shapes over symbolic dimensions, for the operators where ONNX's own inference needs numbers.

Each rule takes a node of the canonical opset and gives the shapes of its outputs as sizes; None where it cannot tell.
Only outputs that ONNX's inference leaves open are looked at, so a rule need not repeat what that tells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import sympy

from graphkit.ir.shape_windows import WINDOWS
from graphkit.ir.symbols import (
    Size,
    broadcast,
    ceil_div,
    equal,
    floor_div,
    never_negative,
    numbers_of,
    product,
    quotient,
    shape_of,
    sizes_of,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

__all__ = ["RULES", "slice_length"]

Shape: TypeAlias = "tuple[Size, ...]"
Rule: TypeAlias = "Callable[[ir.Node], Sequence[Shape | None] | None]"


_HUGE = 2**31 - 1
"""Bounds from here on mean "to the end" to every exporter."""


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _shape(node: ir.Node, index: int) -> Shape | None:
    value = _input(node, index)
    return None if value is None else shape_of(value)


def _axis(node: ir.Node, rank: int, default: int) -> int:
    axis = node.attributes.get_int("axis", default)
    return axis + rank if axis < 0 else axis


def _broadcast(node: ir.Node) -> Sequence[Shape | None] | None:
    shapes = [shape_of(value) for value in node.inputs if value is not None]
    known = [shape for shape in shapes if shape is not None]
    return [broadcast(known)] if len(known) == len(shapes) else None


def _same(node: ir.Node) -> Sequence[Shape | None] | None:
    return [_shape(node, 0)]


def _matmul(node: ir.Node) -> Sequence[Shape | None] | None:
    left, right = _shape(node, 0), _shape(node, 1)
    if left is None or right is None or not left or not right:
        return None
    rows = left[-2:-1]
    columns = right[-1:] if len(right) > 1 else ()
    return [(*broadcast([left[:-2], right[:-2]]), *rows, *columns)]


def _concat(node: ir.Node) -> Sequence[Shape | None] | None:
    shapes = [shape_of(value) for value in node.inputs if value is not None]
    known = [shape for shape in shapes if shape is not None]
    if not known or len(known) != len(shapes):
        return None
    axis = _axis(node, len(known[0]), 0)
    found: list[Size] = []
    for index, sizes in enumerate(zip(*known, strict=True)):
        if index == axis:
            found.append(None if any(size is None for size in sizes) else tidy(sum(sizes)))
        else:
            numbers = [size for size in sizes if isinstance(size, int)]
            named = [size for size in sizes if size is not None]
            found.append(numbers[0] if numbers else (named[0] if named else None))
    return [tuple(found)]


def _reshape(node: ir.Node) -> Sequence[Shape | None] | None:
    source = _shape(node, 0)
    target = sizes_of(_input(node, 1))
    if target is None or target.ndim != 1:
        return None
    zero_copies = not node.attributes.get_int("allowzero", 0)
    found: list[Size] = []
    for index, size in enumerate(target.tolist()):
        if zero_copies and isinstance(size, int) and size == 0:
            found.append(None if source is None or index >= len(source) else source[index])
        else:
            found.append(size)
    open_axes = [index for index, size in enumerate(found) if size is None or (isinstance(size, int) and size == -1)]
    for index in open_axes:
        found[index] = None
    if len(open_axes) == 1 and source is not None:
        rest = product(size for index, size in enumerate(found) if index != open_axes[0])
        found[open_axes[0]] = quotient(product(source), rest)
    return [tuple(found)]


def _flatten(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None:
        return None
    axis = _axis(node, len(shape), 1)
    return [(product(shape[:axis]), product(shape[axis:]))]


def _expand(node: ir.Node) -> Sequence[Shape | None] | None:
    source = _shape(node, 0)
    target = sizes_of(_input(node, 1))
    if source is None or target is None or target.ndim != 1:
        return None
    return [broadcast([source, tuple(target.tolist())])]


def _tile(node: ir.Node) -> Sequence[Shape | None] | None:
    source = _shape(node, 0)
    repeats = sizes_of(_input(node, 1))
    if source is None or repeats is None:
        return None
    return [tuple(product(pair) for pair in zip(source, repeats.tolist(), strict=True))]


def _filled(node: ir.Node) -> Sequence[Shape | None] | None:
    target = sizes_of(_input(node, 0))
    return None if target is None else [tuple(target.tolist())]


def _range(node: ir.Node) -> Sequence[Shape | None] | None:
    bounds = [sizes_of(value) for value in node.inputs]
    if any(bound is None for bound in bounds):
        return None
    start, limit, delta = (_whole(bound.item()) for bound in bounds if bound is not None)
    if start is None or limit is None or not isinstance(delta, int) or delta == 0:
        return None
    length = ceil_div(tidy(limit - start), delta) if delta > 0 else ceil_div(tidy(start - limit), -delta)
    return [(_or_none(length),)]


def _whole(size: Size) -> Size:
    """A number without a fraction as an integer, None for others with one."""
    if not isinstance(size, float):
        return size
    return int(size) if size.is_integer() else None


def _or_none(length: Size) -> Size:
    """A length that is 0 where it would be negative."""
    if isinstance(length, int):
        return max(length, 0)
    return length if never_negative(length) else tidy(sympy.Max(0, length))


def slice_length(size: Size, start: Size, end: Size, step: int) -> Size:
    """Length of ``start:end:step`` along an axis, None where it depends on how the sizes compare.

    ``size`` is the axis' length; negative numbers count from its end and all are clamped to it, as ONNX says.
    """
    if size is None or start is None or end is None or step == 0:
        return None
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return len(range(size)[start:end:step])
    if step < 0:
        from_last = isinstance(start, int) and (start == -1 or start >= _HUGE)
        whole = step == -1 and from_last and isinstance(end, int) and end <= -_HUGE
        return size if whole else None
    low, high = _position(size, start), _position(size, end)
    if low is None or high is None:
        return None
    length = tidy(high - low)
    if isinstance(length, int):
        return max(0, ceil_div(length, step))
    return ceil_div(length, step) if never_negative(length) else None


def _position(size: Size, bound: Size) -> Size:
    """Where a bound lands in ``0..size``, None where that depends on numbers that are not known."""
    if isinstance(bound, int):
        if bound >= _HUGE:
            return size
        if bound < 0:
            place = tidy(size + bound)
            return place if isinstance(place, int) or never_negative(place) else None
        if bound == 0:
            return 0
    if not isinstance(bound, int) and never_negative(tidy(-bound - 1)):
        place = tidy(size + bound)
        return place if never_negative(place) else None
    if not never_negative(tidy(size - bound)):
        return size if never_negative(tidy(bound - size)) else None
    return bound if isinstance(bound, int) or never_negative(bound) else None


def _slice(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None:
        return None
    starts, ends = sizes_of(_input(node, 1)), sizes_of(_input(node, 2))
    axes = numbers_of(_input(node, 3)) if _input(node, 3) is not None else None
    steps = numbers_of(_input(node, 4)) if _input(node, 4) is not None else None
    count = None if starts is None else starts.size
    if (_input(node, 3) is not None and axes is None) or (axes is None and count is None):
        return [(None,) * len(shape)]
    axes = list(range(count or 0)) if axes is None else axes
    found = list(shape)
    for index, axis in enumerate(axes):
        step = 1 if _input(node, 4) is None else (None if steps is None else steps[index])
        known = starts is not None and ends is not None and step is not None
        found[axis] = (
            slice_length(shape[axis], starts.flat[index], ends.flat[index], step)
            if known and starts is not None and ends is not None and step is not None
            else None
        )
    return [tuple(found)]


def _split(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None:
        return None
    axis = _axis(node, len(shape), 0)
    count = len(node.outputs)
    parts: Sequence[Size]
    if _input(node, 1) is not None:
        sizes = sizes_of(_input(node, 1))
        parts = [None] * count if sizes is None else sizes.tolist()
    else:
        chunk = ceil_div(shape[axis], node.attributes.get_int("num_outputs", count))
        exact = shape[axis] is not None and equal(tidy(chunk * count), shape[axis])
        last = chunk if exact else (None if shape[axis] is None else tidy(shape[axis] - chunk * (count - 1)))
        parts = [*[chunk] * (count - 1), last]
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]


def _pad(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None:
        return None
    pads = sizes_of(_input(node, 1))
    axes = list(range(len(shape))) if _input(node, 3) is None else numbers_of(_input(node, 3))
    if pads is None or axes is None:
        return [(None,) * len(shape)]
    found = list(shape)
    for index, axis in enumerate(axes):
        before, after = pads.flat[index], pads.flat[index + len(axes)]
        known = found[axis] is not None and before is not None and after is not None
        found[axis] = tidy(found[axis] + before + after) if known else None
    return [tuple(found)]


def _resize(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None or node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        return None
    given = node.attributes.get_ints("axes", None)
    axes = [axis % len(shape) for axis in given] if given is not None else list(range(len(shape)))
    found = list(shape)
    sizes = sizes_of(_input(node, 3))
    scales = sizes_of(_input(node, 2))
    for index, axis in enumerate(axes):
        if sizes is not None and sizes.size:
            found[axis] = sizes.flat[index]
        elif scales is not None and scales.size:
            found[axis] = _scaled(shape[axis], scales.flat[index])
        else:
            found[axis] = None
    return [tuple(found)]


def _scaled(size: Size, scale: Size) -> Size:
    if size is None or not isinstance(scale, int | float):
        return None
    if isinstance(size, int):
        return math.floor(size * scale)
    if float(scale).is_integer():
        return tidy(size * int(scale))
    inverse = 1.0 / scale
    return floor_div(size, int(inverse)) if inverse.is_integer() and 1.0 / inverse == scale else None


def _blocks_to_space(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None or len(shape) != 4:
        return None
    block = node.attributes.get_int("blocksize", 1)
    return [(shape[0], quotient(shape[1], block * block), product([shape[2], block]), product([shape[3], block]))]


def _space_to_blocks(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None or len(shape) != 4:
        return None
    block = node.attributes.get_int("blocksize", 1)
    return [(shape[0], product([shape[1], block * block]), quotient(shape[2], block), quotient(shape[3], block))]


def _topk(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    count = sizes_of(_input(node, 1))
    if shape is None:
        return None
    axis = _axis(node, len(shape), -1)
    found = (*shape[:axis], None if count is None else count.flat[0], *shape[axis + 1 :])
    return [found, found]


def _squeeze(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    axes = numbers_of(_input(node, 1))
    if shape is None or axes is None:
        return None
    gone = {axis % len(shape) for axis in axes}
    return [tuple(size for index, size in enumerate(shape) if index not in gone)]


def _gather_nd(node: ir.Node) -> Sequence[Shape | None] | None:
    data, indices = _shape(node, 0), _shape(node, 1)
    if data is None or not indices or not isinstance(indices[-1], int):
        return None
    return [(*indices[:-1], *data[node.attributes.get_int("batch_dims", 0) + indices[-1] :])]


_BROADCASTING = """
Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod
Mul Or Pow Sub Sum Where Xor
"""


RULES: dict[str, Rule] = {
    **dict.fromkeys(_BROADCASTING.split(), _broadcast),
    **WINDOWS,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "DepthToSpace": _blocks_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "GatherND": _gather_nd,
    "GroupNormalization": _same,
    "MatMul": _matmul,
    "MeanVarianceNormalization": _same,
    "PRelu": _same,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_blocks,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _topk,
}
"""Rule of each operator type of ai.onnx."""
