"""ONNX Runtime's Attention and MultiHeadAttention: projections, cached keys and values, and masks around ONNX's own.

Scores are scale · QKᵀ plus what hides keys: ``mask_filter_value`` (−10000 unless given), so that a position from which
all is hidden sees all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit.ir.canonical.contrib.masks import hidden_future, hidden_padding, length_of, plus
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    integer,
    ints,
    is_used,
    needed,
    number,
    operand,
    rank_of,
    required,
    reshaped,
    shape_known,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS", "attend_projected"]


@dataclass(frozen=True, slots=True)
class _Operands:
    """What is attended to.

    Attributes:
        query: (batch, positions, features).
        key: (batch, keys, features) or (batch, heads, keys, features).
        value: As ``key``.
        past_key: (batch, heads, earlier keys, features).
        past_value: As ``past_key``.
    """

    query: ir.Value
    key: ir.Value
    value: ir.Value
    past_key: ir.Value | None = None
    past_value: ir.Value | None = None


def _heads(edit: Editor, value: ir.Value) -> ir.Value:
    """(batch, positions, features) as (batch, heads, positions, features of a head)."""
    if rank_of(value) == 4:
        return value
    apart = reshaped(edit, value, [0, 0, required(edit, "num_heads"), -1], "heads_shape")
    return transposed(edit, apart, 0, 2, 1, 3)


def _joined(edit: Editor, value: ir.Value) -> ir.Value:
    """(batch, heads, positions, features of a head) as (batch, positions, features)."""
    return reshaped(edit, transposed(edit, value, 0, 2, 1, 3), [0, 0, -1], "joined_shape")


def _attend(
    edit: Editor, given: _Operands, mask: ir.Value | None, extra: ir.Value | None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The result (batch, positions, features), and all keys and values by head."""
    hidden = number(edit, "mask_filter_value", -10000.0)
    heads = required(edit, "num_heads")
    scale = number(edit, "scale", 0.0)
    causal = bool(integer(edit, "unidirectional"))
    key, value = given.key, given.value
    cached = given.past_key is not None
    by_head = cached or rank_of(key) == 4 or is_used(edit, 1)
    if by_head:
        key, value = _heads(edit, key), _heads(edit, value)
    if given.past_key is not None and given.past_value is not None:
        key = edit.op("Concat", given.past_key, key, axis=2)
        value = edit.op("Concat", given.past_value, value, axis=2)
    total = length_of(edit, key, 2 if by_head else 1)
    bias = plus(edit, hidden_padding(edit, mask, total, length_of(edit, given.query, 0), given.query, hidden), extra)
    if causal and cached:
        bias = plus(edit, bias, hidden_future(edit, length_of(edit, given.query, 1), total, given.query, hidden))
    attrs: dict[str, Any] = {
        "scale": float(scale) if scale else None,
        "is_causal": 1 if causal and not cached else None,
        "q_num_heads": None if by_head else heads,
        "kv_num_heads": None if by_head else heads,
    }
    if bias is not None:
        bias = _of_rank(edit, bias)
        if rank_of(bias) == 4 and shape_known(bias)[2] == 1:  # ONNX Runtime does not repeat it by itself
            ones = edit.const("ones", [1, 1]), edit.const("one_key", [1])
            rows = edit.op("Concat", ones[0], length_of(edit, given.query, 1), ones[1], axis=0)
            bias = edit.op("Expand", bias, rows)
    query = _heads(edit, given.query) if by_head else given.query
    made = edit.op("Attention", query, key, value, bias, **attrs)
    return _joined(edit, made) if by_head else made, key, value


def _of_rank(edit: Editor, bias: ir.Value) -> ir.Value:
    """A summand of the scores with two or four dimensions, as Attention takes it."""
    rank = rank_of(bias)
    return edit.op("Unsqueeze", bias, edit.const("bias_axes", [0])) if rank == 3 else bias


def _split(edit: Editor, value: ir.Value, sizes: Sequence[int], axis: int = -1) -> Sequence[ir.Value]:
    return edit.ops("Split", len(sizes), value, edit.const("sizes", list(sizes)), axis=axis)


def _refuse(edit: Editor, *flags: str) -> None:
    for flag in flags:
        if integer(edit, flag):
            raise UnsuitableError(f"{flag}=1 is not expressed in ONNX's own operators; export the model without it")


def attend_projected(
    edit: Editor, projected: ir.Value, mask: ir.Value | None, past: ir.Value | None, extra: ir.Value | None
) -> None:
    """Replace a node by the attention of queries, keys and values that lie side by side in one value.

    Args:
        edit: Emits; the node's outputs are the result and all keys and values, (2, batch, heads, keys, features).
        projected: (batch, positions, features of all three).
        mask: What hides keys.
        past: Keys and values of earlier calls, (2, batch, heads, earlier keys, features).
        extra: Added to the scores.
    """
    width = shape_known(projected)[-1]
    sizes = ints(edit, "qkv_hidden_sizes")
    if not sizes:
        if not isinstance(width, int) or width % 3:
            raise UnsuitableError("the width of its merged projection is not known to be that of three equal parts")
        sizes = (width // 3,) * 3
    query, key, value = _split(edit, projected, sizes)
    past_key = past_value = None
    if past is not None:
        halves = edit.ops("Split", 2, past, axis=0, num_outputs=2)
        past_key, past_value = (edit.op("Squeeze", half, edit.const("axes", [0])) for half in halves)
    made, keys, values = _attend(edit, _Operands(query, key, value, past_key, past_value), mask, extra)
    present = None
    if is_used(edit, 1):
        apart = (edit.op("Unsqueeze", part, edit.const("axes", [0])) for part in (keys, values))
        present = edit.op("Concat", *apart, axis=0)
    edit.replace(made, present)


def _attention(edit: Editor) -> None:
    _refuse(edit, "do_rotary", "past_present_share_buffer")
    projected, bias = edit.op("MatMul", needed(edit, 0), needed(edit, 1)), operand(edit, 2)
    if bias is not None:
        projected = edit.op("Add", projected, bias)
    attend_projected(edit, projected, operand(edit, 3), operand(edit, 4), operand(edit, 5))


def _multi_head(edit: Editor) -> None:
    """Queries, keys and values apart, or packed by head."""
    if operand(edit, 8) is not None or operand(edit, 9) is not None:
        raise UnsuitableError("its cache is a buffer shared between calls; export the model without buffer sharing")
    if is_used(edit, 3):
        raise UnsuitableError("its scores are read; take them from the operators around it")
    query, key, value = needed(edit, 0), operand(edit, 1), operand(edit, 2)
    if key is None:
        query, key, value = _unpacked(edit, query, 3)
    elif value is None:
        key, value = _unpacked(edit, key, 2)
    if key is None or value is None:
        raise UnsuitableError("its keys or values are missing; the model is damaged")
    bias = operand(edit, 3)
    if bias is not None:
        query, key, value = _biased(edit, bias, query, key, value)
    given = _Operands(query, key, value, operand(edit, 6), operand(edit, 7))
    made, keys, values = _attend(edit, given, operand(edit, 4), operand(edit, 5))
    if is_used(edit, 1) or is_used(edit, 2):
        keys, values = _heads(edit, keys), _heads(edit, values)
    edit.replace(made, keys if is_used(edit, 1) else None, values if is_used(edit, 2) else None)


def _unpacked(edit: Editor, packed: ir.Value, parts: int) -> list[ir.Value]:
    """The parts of (batch, positions, heads, parts, features of a head), each (batch, positions, features)."""
    if rank_of(packed) != 5:
        raise UnsuitableError("its keys or values are missing, and what is there is not packed by head")
    apart = edit.ops("Split", parts, packed, axis=3, num_outputs=parts)
    return [reshaped(edit, part, [0, 0, -1], "part_shape") for part in apart]


def _biased(
    edit: Editor, bias: ir.Value, query: ir.Value, key: ir.Value, value: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Add the parts of a bias; keys and values that come by head are those of another call and have theirs."""
    own, total = shape_known(query)[-1], shape_known(bias)[0]
    if not isinstance(own, int) or not isinstance(total, int):
        raise UnsuitableError("the width of its queries or of its bias is not known")
    if rank_of(key) == 4:
        first = edit.op("Slice", bias, edit.const("start", [0]), edit.const("stop", [own]))
        return edit.op("Add", query, first), key, value
    parts = _split(edit, bias, (own, own, total - 2 * own))
    return (
        edit.op("Add", query, parts[0]),
        edit.op("Add", key, parts[1]),
        edit.op("Add", value, parts[2]),
    )


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("com.microsoft", "Attention"): _attention,
    ("com.microsoft", "MultiHeadAttention"): _multi_head,
}
