"""Nodes that leave their input as it is, gone; chains of the same kind, one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.truths import always
from graphkit.ir.edit import Editor, nodes_of
from graphkit.ir.params import kind_of
from graphkit.ir.symbols import equal, numbers_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.ir.symbols import Size

__all__ = ["drop_neutral"]


def drop_neutral(model: ir.Model) -> bool:
    """Remove nodes that provably change nothing, in place; shapes must have been inferred.

    - A bias of zeros that is a constant (never a parameter) of Conv, ConvTranspose and Gemm.
    - Cast to the same dtype, and of truth values to numbers and back; Transpose that keeps the order; Reshape, Flatten,
      Expand, Squeeze, Unsqueeze and Slice to the same shape; Concat, Sum, Max, Min and Mean of one; Pad by nothing;
      Tile by ones.
    - Add of the whole number 0; And with what is always true.
    - Operands without elements of a Concat.
    - Two Transposes in a row are one; a Reshape, Flatten, Squeeze or Unsqueeze before a Reshape is skipped where the
      second says all sizes by itself.
    - The negation of a condition of Where that something else than Where reads, too; ONNX Runtime (1.31) loses it.

    Dropout stays: it follows the session's mode.

    Returns:
        Whether anything changed.
    """
    changed = False
    for node in nodes_of(model):
        if node.domain or node.graph is None:
            continue
        rule = _RULES.get(node.op_type)
        if rule is not None and rule(Editor(model, node)):
            changed = True
    return changed


def _same_shape(left: ir.Value, right: ir.Value) -> bool:
    a, b = shape_of(left), shape_of(right)
    return a is not None and b is not None and len(a) == len(b) and all(map(equal, a, b))


def _drop(edit: Editor) -> bool:
    edit.replace(edit.node.inputs[0])
    return True


def _cast(edit: Editor) -> bool:
    x, result = edit.node.inputs[0], edit.node.outputs[0]
    if x is None or x.dtype is None:
        return False
    if x.dtype == result.dtype:
        return _drop(edit)
    before = x.producer()
    source = before.inputs[0] if before is not None and before.op_type == "Cast" and not before.domain else None
    if source is None or source.dtype != ir.DataType.BOOL or result.dtype != ir.DataType.BOOL:
        return False
    edit.replace(source)
    return True


def _kept_shape(edit: Editor) -> bool:
    x = edit.node.inputs[0]
    return x is not None and _same_shape(x, edit.node.outputs[0]) and _drop(edit)


def _slice(edit: Editor) -> bool:
    steps = numbers_of(edit.node.inputs[4]) if len(edit.node.inputs) > 4 and edit.node.inputs[4] is not None else [1]
    return steps is not None and all(step > 0 for step in steps) and _kept_shape(edit)


def _only_one(edit: Editor) -> bool:
    return len(edit.node.inputs) == 1 and _drop(edit)


def _concat(edit: Editor) -> bool:
    """Operands without elements go, where others remain."""
    node = edit.node
    kept = [x for x in node.inputs if x is None or 0 not in (shape_of(x) or ())]
    if 0 < len(kept) < len(node.inputs):
        edit.set_inputs(*kept)
        return _only_one(edit) or True
    return _only_one(edit)


def _add(edit: Editor) -> bool:
    """A whole number 0 that is added."""
    one, other = edit.node.inputs
    for kept, zero in ((one, other), (other, one)):
        whole = kept is not None and kept.dtype is not None and kept.dtype.is_integer()
        if kept is not None and whole and numbers_of(zero) == [0] and _same_shape(kept, edit.node.outputs[0]):
            edit.replace(kept)
            return True
    return False


def _and(edit: Editor) -> bool:
    one, other = edit.node.inputs
    for kept, truth in ((one, other), (other, one)):
        if kept is not None and always(truth) and _same_shape(kept, edit.node.outputs[0]):
            edit.replace(kept)
            return True
    return False


def _pad(edit: Editor) -> bool:
    pads = numbers_of(edit.node.inputs[1])
    return pads is not None and not any(pads) and _drop(edit)


def _tile(edit: Editor) -> bool:
    repeats = numbers_of(edit.node.inputs[1])
    return repeats is not None and all(repeat == 1 for repeat in repeats) and _drop(edit)


def _zero_bias(edit: Editor) -> bool:
    node = edit.node
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None or bias.const_value is None or kind_of(bias) != "constant":
        return False
    if np.any(bias.const_value.numpy()):
        return False
    node.resize_inputs(2)
    return True


def _transpose(edit: Editor) -> bool:
    node = edit.node
    x = node.inputs[0]
    shape = None if x is None else shape_of(x)
    if x is None or shape is None:
        return False
    order = _order(node, len(shape))
    if order == list(range(len(order))):
        return _drop(edit)
    before = x.producer()
    if before is None or before.op_type != "Transpose" or before.domain or before.inputs[0] is None:
        return False
    first = _order(before, len(order))
    node.replace_input_with(0, before.inputs[0])
    node.attributes["perm"] = ir.AttrInt64s("perm", [first[axis] for axis in order])
    return True


def _order(node: ir.Node, rank: int) -> list[int]:
    given = node.attributes.get_ints("perm", None)
    return list(given) if given is not None else list(range(rank))[::-1]


_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def _reshape(edit: Editor) -> bool:
    if _kept_shape(edit):
        return True
    node = edit.node
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is None or before.op_type not in _RESHAPING or before.domain:
        return False
    source = before.inputs[0]
    codes = numbers_of(node.inputs[1])
    result = shape_of(node.outputs[0])
    shape = None if source is None else shape_of(source)
    if source is None or codes is None or result is None or shape is None or "allowzero" in node.attributes:
        return False
    found = _codes_from(shape, codes, result)
    if found is None:
        return False
    if found != codes:
        node.replace_input_with(1, edit.const("shape", found))
    node.replace_input_with(0, source)
    return True


def _codes_from(shape: tuple[Size, ...], codes: list[int], result: tuple[Size, ...]) -> list[int] | None:
    """The codes that give the same result from another source shape, None where there are none."""
    found: list[int] = []
    for axis, code in enumerate(codes):
        size = result[axis]
        if code > 0:
            found.append(code)
        elif isinstance(size, int):
            found.append(size or code)
        elif axis < len(shape) and equal(shape[axis], size):
            found.append(0)
        else:
            found.append(-1)
    return found if found.count(-1) <= 1 else None


def _squeeze(edit: Editor) -> bool:
    """A Squeeze after an Unsqueeze, or the reverse, that gives back what there was."""
    if _kept_shape(edit):
        return True
    node = edit.node
    x = node.inputs[0]
    before = None if x is None else x.producer()
    inverse = {"Squeeze": "Unsqueeze", "Unsqueeze": "Squeeze"}[node.op_type]
    if before is None or before.op_type != inverse or before.domain or before.inputs[0] is None:
        return False
    if not _same_shape(before.inputs[0], node.outputs[0]):
        return False
    edit.replace(before.inputs[0])
    return True


def _where(edit: Editor) -> bool:
    condition, yes, no = edit.node.inputs
    negation = None if condition is None else condition.producer()
    if condition is None or negation is None or negation.op_type != "Not" or negation.domain:
        return False
    if not condition.is_graph_output() and all(user.op_type == "Where" for user, _ in condition.uses()):
        return False
    for place, value in enumerate((negation.inputs[0], no, yes)):
        edit.node.replace_input_with(place, value)
    return True


_RULES: dict[str, Callable[[Editor], bool]] = {
    "Add": _add,
    "And": _and,
    "Cast": _cast,
    "Concat": _concat,
    "Conv": _zero_bias,
    "ConvTranspose": _zero_bias,
    "Expand": _kept_shape,
    "Flatten": _kept_shape,
    "Gemm": _zero_bias,
    "Max": _only_one,
    "Mean": _only_one,
    "Min": _only_one,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sum": _only_one,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _squeeze,
    "Where": _where,
}
