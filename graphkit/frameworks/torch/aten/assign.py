"""Writing to a part of a tensor, which leaves the rest as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import integers, known, origin, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_END: Final = 2**63 - 1
_POINTWISE: Final = frozenset({"Abs", "Add", "Div", "Exp", "Log", "Mul", "Neg", "Pow", "Relu", "Sqrt", "Sub"})
_VIEWS: Final = frozenset({"Gather", "Slice", "Squeeze", "Unsqueeze"})


def _slice_scatter(
    emit: Emit,
    x: ir.Value,
    src: ir.Value,
    dim: int = 0,
    start: int | ir.Value | None = None,
    end: int | ir.Value | None = None,
    step: int = 1,
) -> ir.Value:
    """What is before the slice, the slice, what is behind it; for other steps a choice from the old and the new."""
    axis = dim % rank(x)
    size = known(x)[axis]
    start = 0 if start is None else start
    end = _END if end is None else end
    if size is not None and isinstance(start, int) and isinstance(end, int):
        places = range(size)[start:end:step]
        if len(places) == size:
            return emit.op("Identity", src)
        if not places or _is_slice(src, x, axis, places):
            return emit.op("Identity", x)
        if step != 1:
            order = np.arange(size)
            order[places.start : places.stop : places.step] = size + np.arange(len(places))
            return emit.op("Gather", emit.op("Concat", x, src, axis=axis), emit.ints(*order.tolist()), axis=axis)
        start, end = places.start, places.stop if places.stop < size else _END
    elif step != 1 or not isinstance(start, int) or not isinstance(end, int):
        from onnxscript.function_libs.torch_lib.ops import core

        found: ir.Value = core.aten_slice_scatter(x, src, dim, start, end, step)
        return found
    before = emit.op("Slice", x, emit.ints(0), emit.ints(start), emit.ints(axis)) if start else None
    behind = emit.op("Slice", x, emit.ints(end), emit.ints(_END), emit.ints(axis)) if end < _END else None
    parts = [part for part in (before, src, behind) if part is not None]
    return emit.op("Concat", *parts, axis=axis) if len(parts) > 1 else emit.op("Identity", src)


def _is_slice(src: ir.Value, x: ir.Value, axis: int, places: range) -> bool:
    """Whether a value is the very slice of another that it would be written to, as after ``x[1:] += 1``."""
    node = origin(src).producer()
    if node is None or node.op_type != "Slice" or not _same(node.inputs[0], x):
        return False
    given = [integers(operand) for operand in node.inputs[1:]]
    start, end, axes, step = [*given, [1]][:4]
    return (
        start is not None
        and end is not None
        and axes == [axis]
        and (step is not None and range(known(x)[axis] or 0)[start[0] : end[0] : step[0]] == places)
    )


def _same(left: ir.Value | None, right: ir.Value | None) -> bool:
    """Whether two values are the same one, or the same view of the same one."""
    if left is None or right is None:
        return left is right
    one, other = origin(left), origin(right)
    if one is other:
        return True
    if (numbers := integers(one)) is not None:
        return numbers == integers(other)
    made, also = one.producer(), other.producer()
    return (
        made is not None
        and also is not None
        and made.op_type == also.op_type
        and made.op_type in _VIEWS
        and made.attributes.get_int("axis", 0) == also.attributes.get_int("axis", 0)
        and len(made.inputs) == len(also.inputs)
        and all(map(_same, made.inputs, also.inputs))
    )


def _select_scatter(emit: Emit, x: ir.Value, src: ir.Value, dim: int, index: int | ir.Value) -> ir.Value:
    axis = dim % rank(x)
    if not isinstance(index, int):
        return emit.untranslated("writing to a place that is computed", 1, x)[0]
    size = known(x)[axis]
    place = index + size if index < 0 and size is not None else index
    if _is_place(src, x, axis, {place, place - (size or 0)}):
        return emit.op("Identity", x)
    end = None if place == -1 else place + 1
    return _slice_scatter(emit, x, emit.op("Unsqueeze", src, emit.ints(axis)), axis, place, end)


def _is_place(src: ir.Value, x: ir.Value, axis: int, places: set[int]) -> bool:
    """Whether a value is what another holds at the very place that it would be written to, as after ``x[0] += 1``."""
    node = origin(src).producer()
    if node is None or node.op_type != "Gather" or not _same(node.inputs[0], x):
        return False
    index = integers(node.inputs[1])
    return (
        index is not None
        and len(index) == 1
        and index[0] in places
        and (node.attributes.get_int("axis", 0) % rank(x) == axis)
    )


def _index_put(
    emit: Emit, x: ir.Value, indices: Sequence[ir.Value | None], values: ir.Value, accumulate: bool = False
) -> ir.Value:
    """Where one mask says where, each element is the old or the new; otherwise as torch.onnx has it."""
    used = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(used) == 1 and used[0][1].dtype == ir.DataType.BOOL:
        axis, mask = used[0]
        behind = rank(x) - axis - rank(mask)
        everywhere = _everywhere(emit, values, mask) if axis == 0 else None
        if everywhere is not None and everywhere.shape == x.shape:
            values = everywhere
        elif any(size != 1 for size in known(values)[: max(rank(values) - behind, 0)]):
            return emit.untranslated("writing several values where a mask says", 1, x)[0]
        if behind:
            mask = emit.op("Unsqueeze", mask, emit.ints(*range(rank(mask), rank(mask) + behind)))
        return emit.op("Where", mask, emit.op("Add", x, values) if accumulate else values, x)
    from onnxscript.function_libs.torch_lib.ops import core

    found: ir.Value = core.aten_index_put(x, indices, values, accumulate)
    return found


def _everywhere(emit: Emit, values: ir.Value, mask: ir.Value) -> ir.Value | None:
    """What gives the values where a mask says so (``y`` in ``x[mask] = y[mask]``, ``y + 1`` for ``y[mask] + 1``).

    None where the values are computed from anything but elements that the same mask chose, and numbers.
    """
    chosen = _chosen_by(values, mask)
    if chosen is not None:
        return chosen
    node = origin(values).producer()
    if node is None or node.op_type not in _POINTWISE or None in node.inputs:
        return None
    operands = [operand for operand in node.inputs if operand is not None]
    parts = [operand if _is_number(operand) else _everywhere(emit, operand, mask) for operand in operands]
    arrays = [part for part, operand in zip(parts, operands, strict=True) if part is not operand]
    if not arrays or None in arrays:
        return None
    result = emit.op(node.op_type, *parts, **{name: a.value for name, a in node.attributes.items()})
    assert arrays[0] is not None
    result.type, result.shape = values.type, arrays[0].shape
    return result


def _is_number(value: ir.Value) -> bool:
    """Whether a value is a constant without dimensions."""
    node = origin(value).producer()
    while node is not None and node.op_type == "Cast" and node.inputs[0] is not None:
        node = origin(node.inputs[0]).producer()
    if node is None or node.op_type != "Constant":
        return False
    tensor = node.attributes.get("value")
    return (
        "value_int" in node.attributes
        or "value_float" in node.attributes
        or (tensor is not None and len(tensor.as_tensor().shape) == 0)
    )


def _chosen_by(values: ir.Value, mask: ir.Value) -> ir.Value | None:
    """What the values were chosen from by a mask alone, None where they were not."""
    source, current = None, origin(values)
    for op_type, position in (("GatherND", 1), ("Transpose", 0), ("NonZero", 0)):
        node = current.producer()
        if node is None or node.op_type != op_type or (following := node.inputs[position]) is None:
            return None
        source = source or node.inputs[0]
        current = origin(following)
    return source if current is origin(mask) else None


def _copy(emit: Emit, x: ir.Value, src: ir.Value, non_blocking: bool = False) -> ir.Value:  # noqa: ARG001 -- part of ATen's signature
    if src.dtype != x.dtype:
        assert x.dtype is not None
        src = emit.op("Cast", src, to=x.dtype)
    if src.shape is not None and x.shape is not None and src.shape == x.shape:
        return emit.op("Identity", src)
    return emit.op("Expand", src, emit.op("Shape", x))


ROWS: dict[str, Callable[..., Any]] = {
    "aten.copy.default": _copy,
    "aten.index_put.default": _index_put,
    "aten.select_scatter.default": _select_scatter,
    "aten.slice_scatter.default": _slice_scatter,
}
