"""ONNX Runtime's GroupQueryAttention: several heads of queries share one of keys and values, which are kept for later.

Each sequence has its own number of keys (``seqlens_k`` + 1). Those of earlier calls stand at the start of the buffer
that is given, those of this call follow where they end; what stands behind them is hidden and has no meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ir.canonical.contrib.masks import length_of, range_of
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    integer,
    is_used,
    needed,
    number,
    operand,
    required,
    reshaped,
    scalar,
    shape_known,
    transposed,
)
from graphkit.ir.canonical.contrib.rotary import turned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]


def _refuse(edit: Editor) -> None:
    if any(operand(edit, place) is not None for place in range(11, len(edit.node.inputs))):
        raise UnsuitableError("it has sinks, scales of a quantized cache or norms of heads; export it without them")
    for name in ("smooth_softmax", "qk_output", "sliding_window_cache", "kv_cache_bit_width"):
        if integer(edit, name):
            raise UnsuitableError(f"{name} is not expressed in ONNX's own operators; export the model without it")
    for name in ("k_quant_type", "v_quant_type"):
        if edit.node.attributes.get_string(name, "NONE") != "NONE":
            raise UnsuitableError("its cache is quantized; export the model with a cache of floats")


def _by_head(edit: Editor, value: ir.Value, heads: int) -> ir.Value:
    return transposed(edit, reshaped(edit, value, [0, 0, heads, -1], "heads_shape"), 0, 2, 1, 3)


def _operands(edit: Editor) -> list[ir.Value]:
    """Queries, keys and values by head."""
    heads, shared = required(edit, "num_heads"), required(edit, "kv_num_heads")
    query, key, value = needed(edit, 0), operand(edit, 1), operand(edit, 2)
    if key is None or value is None:
        width = shape_known(query)[-1]
        if not isinstance(width, int):
            raise UnsuitableError("the width of its packed queries, keys and values is not known")
        size = width // (heads + 2 * shared)
        sizes = edit.const("sizes", [heads * size, shared * size, shared * size])
        query, key, value = edit.ops("Split", 3, query, sizes, axis=-1)
    return [_by_head(edit, part, count) for part, count in ((query, heads), (key, shared), (value, shared))]


def _kept(edit: Editor, past: ir.Value | None, new: ir.Value, places: ir.Value | None) -> ir.Value:
    """All keys or values: element ``places`` of the earlier ones and the new ones behind them."""
    if past is None or places is None:
        return new
    both = edit.op("Concat", past, new, axis=2)
    sizes = [length_of(edit, value, axis) for value, axis in ((new, 0), (new, 1), (places, 1), (new, 3))]
    index = edit.op("Unsqueeze", places, edit.const("index_axes", [1, 3]))
    return edit.op("GatherElements", both, edit.op("Expand", index, edit.op("Concat", *sizes, axis=0)), axis=2)


def _group_query(edit: Editor) -> None:
    _refuse(edit)
    query, key, value = _operands(edit)
    column, row = edit.const("columns", [1]), edit.const("rows", [0])
    count = length_of(edit, query, 2)
    totals = edit.op("Add", edit.op("Cast", needed(edit, 5), to=ir.DataType.INT64), edit.const("one", 1))
    totals = reshaped(edit, totals, [-1, 1], "totals_shape")
    before = edit.op("Max", edit.op("Sub", totals, count), edit.const("none", 0))
    places = edit.op("Add", before, edit.op("Unsqueeze", range_of(edit, count), row))
    if integer(edit, "do_rotary"):
        given = operand(edit, 9)
        tables = needed(edit, 7), needed(edit, 8)
        style = bool(integer(edit, "rotary_interleaved"))
        query, key = (
            turned(edit, part, *tables, places if given is None else given, interleaved=style) for part in (query, key)
        )
    past, index = operand(edit, 3), None
    if past is not None:
        length = length_of(edit, past, 2)
        total = reshaped(edit, edit.op("Cast", needed(edit, 6), to=ir.DataType.INT64), [1], "total_shape")
        keys = edit.op("Unsqueeze", range_of(edit, edit.op("Max", length, total)), row)
        behind = edit.op("Sub", keys, before)
        last = edit.op("Sub", count, edit.const("last", [1]))
        behind = edit.op("Max", edit.op("Min", behind, last), edit.const("none", 0))
        index = edit.op("Where", edit.op("Less", keys, before), keys, edit.op("Add", length, behind))
    else:
        keys = edit.op("Unsqueeze", range_of(edit, length_of(edit, key, 2)), row)
    key, value = _kept(edit, past, key, index), _kept(edit, operand(edit, 4), value, index)
    seen = _seen(edit, places, keys, totals, column)
    extra = operand(edit, 10)
    mask = edit.op("Unsqueeze", seen, column)
    if extra is not None:
        mask = edit.op("Where", mask, extra, scalar(edit, "hidden", float("-inf"), extra))
    scale, cap = float(number(edit, "scale", 0.0)), float(number(edit, "softcap", 0.0))
    settings: dict[str, Any] = {"scale": scale or None, "softcap": cap or None}
    made = edit.op("Attention", query, key, value, mask, **settings)
    result = reshaped(edit, transposed(edit, made, 0, 2, 1, 3), [0, 0, -1], "joined_shape")
    edit.replace(result, key if is_used(edit, 1) else None, value if is_used(edit, 2) else None)


def _seen(edit: Editor, places: ir.Value, keys: ir.Value, totals: ir.Value, column: ir.Value) -> ir.Value:
    """Which keys each position sees, (batch, positions, keys)."""
    rows, all_keys = (
        edit.op("Unsqueeze", value, axis) for value, axis in ((places, edit.const("behind", [2])), (keys, column))
    )
    if not integer(edit, "causal", 1):
        inside = edit.op("Unsqueeze", edit.op("Less", keys, totals), column)
        return edit.op("And", inside, edit.op("GreaterOrEqual", rows, edit.const("none", 0)))
    seen = edit.op("LessOrEqual", all_keys, rows)
    window = integer(edit, "local_window_size", -1)
    if window >= 0:
        seen = edit.op("And", seen, edit.op("Greater", all_keys, edit.op("Sub", rows, edit.const("window", window))))
    return seen


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {("com.microsoft", "GroupQueryAttention"): _group_query}
