"""Attention in float64 of queries that see no key, as ONNX Runtime takes it.

ONNX's text of Attention-23 has zeros for such a query, and so have ONNX Runtime's kernels (1.31), of float32 and
float16. For float64 it has none and takes the function body of an older ONNX, in which the softmax of scores that are
all -inf is NaN; a layer later every query has looked at that. Decoders have such queries where padding comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.dims import dims_of

if TYPE_CHECKING:
    from graphkit.ir.edit import Editor

__all__ = ["may_hide_all", "show_something"]

_MASK: Final = 3
_MASKED, _WEIGHTS = 2, 3
"""What the operator's fourth output is, of what depends on the mask."""


def may_hide_all(node: ir.Node) -> bool:
    """Whether an Attention is of float64, and its mask may hide all keys from a query."""
    mask = _input(node, _MASK)
    if mask is None or node.outputs[0].dtype != ir.DataType.DOUBLE:
        return False
    causal = node.attributes.get_int("is_causal", 0)
    if mask.const_value is None or causal:
        return True
    array = mask.const_value.numpy()
    return not (array if array.dtype.kind == "b" else array > -np.inf).any(-1).all()


def show_something(edit: Editor) -> None:
    """Replace an Attention by one in which queries that see no key see all, and what these get by zeros.

    What is causal is said by the mask: the function body that ONNX Runtime takes adds float32 and float64 otherwise.
    """
    node = edit.node
    mask = node.inputs[_MASK]
    assert mask is not None
    truths = mask.dtype == ir.DataType.BOOL
    seen = mask if truths else edit.op("Greater", mask, _number(edit, "nothing", -np.inf, mask))
    attributes: dict[str, Any] = dict(node.attributes)
    if node.attributes.get_int("is_causal", 0):
        del attributes["is_causal"]
        seen = edit.op("And", seen, _before(edit, mask))
    sees = _any(edit, seen)
    if truths:
        shown = edit.op("Or", seen, edit.op("Not", sees))
    else:
        other = edit.op("Where", sees, _number(edit, "away", -np.inf, mask), _number(edit, "zero", 0.0, mask))
        shown = edit.op("Where", seen, mask, other)
    inputs = [*node.inputs[:_MASK], shown, *node.inputs[_MASK + 1 :]]
    results = list(edit.ops("Attention", len(node.outputs), *inputs, **attributes))
    for old, new in zip(node.outputs, results, strict=True):
        if not old.name:
            new.name = old.name
    results[0] = _zeroed(edit, sees, results[0])
    mode = node.attributes.get_int("qk_matmul_output_mode", 0)
    if len(results) > _MASK and results[_MASK].name and mode in (_MASKED, _WEIGHTS):
        fill = _number(edit, "hidden", 0.0 if mode == _WEIGHTS else -np.inf, results[_MASK])
        results[_MASK] = edit.op("Where", sees, results[_MASK], fill)
    edit.replace(*results)


def _any(edit: Editor, truths: ir.Value) -> ir.Value:
    """Whether any along the last axis is true, which stays, of size 1."""
    numbers = edit.op("Cast", truths, to=int(ir.DataType.INT32))
    most = edit.op("ReduceMax", numbers, edit.const("last", [-1]), keepdims=1)
    return edit.op("Cast", most, to=int(ir.DataType.BOOL))


def _before(edit: Editor, mask: ir.Value) -> ir.Value:
    """Which of a mask's keys are not after each query, (queries, keys)."""
    query, past = edit.node.inputs[0], _input(edit.node, _MASK + 1)
    assert query is not None
    zero, one = edit.const("first", 0), edit.const("step", 1)
    place = edit.op("Range", zero, _size(edit, query, -2 if _rank(query) == 4 else 1), one)
    if past is not None:
        place = edit.op("Add", place, _size(edit, past, 2))
    key = edit.op("Range", zero, _size(edit, mask, -1), one)
    return edit.op("LessOrEqual", key, edit.op("Unsqueeze", place, edit.const("column", [1])))


def _zeroed(edit: Editor, sees: ir.Value, result: ir.Value) -> ir.Value:
    """Zeros in place of the results of queries that see nothing."""
    zero = _number(edit, "unseen", 0.0, result)
    if _rank(edit.node.inputs[0]) == 4:
        return edit.op("Where", sees, result, zero)
    heads = edit.const("heads", [0, 0, edit.node.attributes.get_int("q_num_heads", 1) or 1, -1])
    apart = edit.op("Transpose", edit.op("Reshape", result, heads), perm=[0, 2, 1, 3])
    kept = edit.op("Transpose", edit.op("Where", sees, apart, zero), perm=[0, 2, 1, 3])
    return edit.op("Reshape", kept, edit.const("together", [0, 0, -1]))


def _input(node: ir.Node, place: int) -> ir.Value | None:
    return node.inputs[place] if len(node.inputs) > place else None


def _rank(value: ir.Value | None) -> int:
    return len((None if value is None else dims_of(value)) or ())


def _size(edit: Editor, value: ir.Value, axis: int) -> ir.Value:
    """The length of an axis, without axes."""
    place = axis % _rank(value)
    return edit.op("Squeeze", edit.op("Shape", value, start=place, end=place + 1), edit.const("axis", [0]))


def _number(edit: Editor, role: str, number: float, like: ir.Value) -> ir.Value:
    return edit.const(role, number, np.float64 if like.dtype is None else like.dtype.numpy())
