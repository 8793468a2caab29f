"""What opsets 24 and 25 added to Attention, said by a mask: lengths of padded keys, and windows.

Source: ONNX's text of Attention-25. A query at place i sees a key at place j of those that no mask hides, where
``j <= i + offset`` (causal), ``i + offset - left <= j`` and ``j <= i + offset + right`` (windows), and ``j < length``
(padded keys); offset is the length of the past, or of the padded keys less that of the queries, or 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import equal, shape_of

if TYPE_CHECKING:
    from graphkit.ir.edit import Editor

__all__ = ["say_by_mask"]

_MASK, _PAST, _LENGTHS = 3, 4, 6


def say_by_mask(edit: Editor) -> bool:
    """Put a mask in place of what is newer, in place; False, and nothing done, where sizes are not known enough."""
    node = edit.node
    query, key, mask, past, lengths = (_input(node, place) for place in (0, 1, _MASK, _PAST, _LENGTHS))
    shapes = [None if value is None else shape_of(value) for value in (query, key)]
    if query is None or key is None or shapes[0] is None or shapes[1] is None or not _reaches(mask, key, past):
        return False
    windows = [node.attributes.get_int(f"{side}_window_size", -1) for side in ("left", "right")]
    causal = node.attributes.get_int("is_causal", 0)
    one, row = edit.const("one", 1), edit.const("row", [-1, 1])
    rows, columns = _length(edit, query), _length(edit, key)
    if past is not None:
        columns = edit.op("Add", columns, _length(edit, past))
    place = edit.op("Reshape", edit.op("Range", edit.const("zero", 0), rows, one), row)
    column = edit.op("Range", edit.const("zero", 0), columns, one)
    own = None if lengths is None else edit.op("Reshape", lengths, edit.const("apart", [-1, 1, 1, 1]))
    if past is not None:
        place = edit.op("Add", place, _length(edit, past))
    elif own is not None:
        place = edit.op("Add", place, edit.op("Sub", own, rows))
    seen = [] if own is None else [edit.op("Less", column, own)]
    if causal:
        seen.append(edit.op("LessOrEqual", column, place))
    left, right = windows
    if left is not None and left >= 0:
        seen.append(edit.op("LessOrEqual", edit.op("Sub", place, edit.const("left", left)), column))
    if right is not None and right >= 0:
        seen.append(edit.op("LessOrEqual", column, edit.op("Add", place, edit.const("right", right))))
    allowed = seen[0]
    for more in seen[1:]:
        allowed = edit.op("And", allowed, more)
    if len(seen) == 1 and own is not None and mask is None:
        # ONNX Runtime takes masks with a row for each query only.
        rows = edit.op("Concat", edit.op("Unsqueeze", rows, edit.const("front", [0])), edit.const("wide", [1]), axis=0)
        allowed = edit.op("Expand", allowed, rows)
    if mask is not None and mask.dtype == ir.DataType.BOOL:
        allowed = edit.op("And", mask, allowed)
    elif mask is not None:
        dtype = np.float32 if mask.dtype is None else mask.dtype.numpy()
        allowed = edit.op("Where", allowed, mask, edit.const("hidden", -np.inf, dtype))
    inputs = list(node.inputs[:_LENGTHS]) + [None] * (_MASK + 1 - len(node.inputs))
    inputs[_MASK] = allowed
    edit.set_inputs(*inputs)
    for name in ("is_causal", "left_window_size", "right_window_size"):
        node.attributes.pop(name, None)
    return True


def _input(node: ir.Node, place: int) -> ir.Value | None:
    return node.inputs[place] if len(node.inputs) > place else None


def _reaches(mask: ir.Value | None, key: ir.Value, past: ir.Value | None) -> bool:
    """Whether a mask is known to be as long as the keys; it may end before them, which hides the rest."""
    if mask is None:
        return True
    shape, keys, earlier = shape_of(mask), shape_of(key), None if past is None else shape_of(past)
    if not shape or keys is None or (past is not None and earlier is None):
        return False
    total = keys[-2 if len(keys) == 4 else 1]
    if earlier is not None and (total is None or earlier[2] is None):
        return False
    length = total if earlier is None else total + earlier[2]
    return length is not None and shape[-1] is not None and bool(equal(shape[-1], length))


def _length(edit: Editor, value: ir.Value) -> ir.Value:
    """Number of positions, a scalar."""
    axis = 2 if len(shape_of(value) or ()) == 4 else 1
    return edit.op("Squeeze", edit.op("Shape", value, start=axis, end=axis + 1), edit.const("axis", [0]))
