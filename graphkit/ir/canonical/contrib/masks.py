"""What ONNX Runtime's attentions hide, as numbers added to the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.ir.canonical.contrib.parts import UnsuitableError, dtype_of, scaled, shape_known

if TYPE_CHECKING:
    import numpy as np

    from graphkit.ir.edit import Editor

__all__ = ["hidden_future", "hidden_padding", "length_of", "plus", "range_of"]


def length_of(edit: Editor, value: ir.Value, axis: int) -> ir.Value:
    """Size of an axis, counted from the front, as an int64 list of one."""
    return edit.op("Shape", value, start=axis, end=axis + 1)


def range_of(edit: Editor, length: ir.Value) -> ir.Value:
    """The int64 numbers 0, 1, … up to a length, a list of one."""
    stop = edit.op("Squeeze", length, edit.const("first", [0]))
    return edit.op("Range", edit.const("zero", 0), stop, edit.const("one", 1))


def plus(edit: Editor, *terms: ir.Value | None) -> ir.Value | None:
    """The sum of the terms that are there, None of none."""
    present = [term for term in terms if term is not None]
    if not present:
        return None
    total = present[0]
    for term in present[1:]:
        total = edit.op("Add", total, term)
    return total


def _where(edit: Editor, truths: ir.Value, like: ir.Value, hidden: np.float32) -> ir.Value:
    """0 where something is true, a number where it is not."""
    kind = ir.DataType.from_numpy(dtype_of(like))
    return scaled(edit, edit.op("Cast", edit.op("Not", truths), to=kind), hidden, "hidden")


def hidden_padding(
    edit: Editor, mask: ir.Value | None, total: ir.Value, batch: ir.Value, like: ir.Value, hidden: np.float32
) -> ir.Value | None:
    """What a mask adds to scores (batch, heads, positions, keys).

    Args:
        edit: Emits.
        mask: Truths (batch, keys) or (batch, positions, keys), 0 for what is hidden; or the number of keys of each
            sequence (batch), with those that are hidden at its start behind them (2 × batch).
        total: Number of keys, a list of one.
        batch: Number of sequences, a list of one.
        like: A value of the type of the scores.
        hidden: What is added where something is hidden.
    """
    if mask is None:
        return None
    rank = len(shape_known(mask))
    if rank in (2, 3):
        truths = edit.op("Greater", mask, edit.const("masked", 0, dtype_of(mask)))
        axes = [1, 2] if rank == 2 else [1]
        return _where(edit, edit.op("Unsqueeze", truths, edit.const("heads", axes)), like, hidden)
    if rank != 1:
        raise UnsuitableError(f"its mask has {rank} dimensions; ONNX Runtime itself takes at most 3 on CPUs")
    numbers = edit.op("Cast", mask, to=ir.DataType.INT64)
    count, own = shape_known(mask)[0], shape_known(like)[0]
    doubled = isinstance(count, int) and isinstance(own, int) and count == 2 * own
    if not doubled and isinstance(count, int) and isinstance(own, int) and count != own:
        raise UnsuitableError("its mask holds offsets of packed sequences; export without packing")
    keys = range_of(edit, total)
    column = edit.const("columns", [1])
    first = edit.op("Slice", numbers, edit.const("start", [0]), batch, edit.const("axis", [0]))
    ends = edit.op("Unsqueeze", first if doubled else numbers, column)
    seen = edit.op("Less", keys, ends)
    if doubled:
        rest = edit.op("Slice", numbers, batch, edit.const("end", [2**62]), edit.const("axis", [0]))
        seen = edit.op("And", seen, edit.op("GreaterOrEqual", keys, edit.op("Unsqueeze", rest, column)))
    return _where(edit, edit.op("Unsqueeze", seen, edit.const("heads", [1, 2])), like, hidden)


def hidden_future(edit: Editor, positions: ir.Value, total: ir.Value, like: ir.Value, hidden: np.float32) -> ir.Value:
    """What hides keys after each position from it, (positions, keys); the last position sees all keys.

    Args:
        edit: Emits.
        positions: Number of positions, a list of one.
        total: Number of keys, a list of one.
        like: A value of the type of the scores.
        hidden: What is added where something is hidden.
    """
    offset = edit.op("Sub", total, positions)
    rows = edit.op("Unsqueeze", edit.op("Add", range_of(edit, positions), offset), edit.const("columns", [1]))
    return _where(edit, edit.op("LessOrEqual", range_of(edit, total), rows), like, hidden)
