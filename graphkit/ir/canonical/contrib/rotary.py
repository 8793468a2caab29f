"""ONNX Runtime's RotaryEmbedding: pairs of features turned by angles that grow with the position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.canonical.contrib.masks import length_of, range_of
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    integer,
    needed,
    number,
    rank_of,
    reshaped,
    shape_known,
    sliced,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS", "turned"]

_END = 2**62


def _by_half(edit: Editor, x: ir.Value, start: int, *, interleaved: bool, half: int) -> ir.Value:
    """The first (0) or second (1) features of the pairs."""
    if not interleaved:
        return sliced(edit, x, -1, start * half, (start + 1) * half)
    bounds = [
        edit.const(role, [place]) for role, place in (("start", start), ("stop", _END), ("axis", -1), ("step", 2))
    ]
    return edit.op("Slice", x, *bounds)


def turned(
    edit: Editor, x: ir.Value, cosines: ir.Value, sines: ir.Value, places: ir.Value, *, interleaved: bool
) -> ir.Value:
    """Features turned by position.

    Args:
        edit: Emits.
        x: (batch, heads, positions, features).
        cosines: Of each position and pair, (positions that there are, pairs); features behind the pairs stay.
        sines: As ``cosines``.
        places: The position of each, (batch, positions) or (positions).
        interleaved: Whether pairs are neighbours rather than one in each half.
    """
    half = shape_known(cosines)[-1]
    if not isinstance(half, int):
        raise UnsuitableError("the number of features that it turns is not known")
    size = shape_known(x)[-1]
    first, second = (_by_half(edit, x, side, interleaved=interleaved, half=half) for side in (0, 1))
    if interleaved and size != 2 * half:
        whole = sliced(edit, x, -1, 0, 2 * half)
        first, second = (_by_half(edit, whole, side, interleaved=True, half=half) for side in (0, 1))
    cosine, sine = (edit.op("Gather", table, places) for table in (cosines, sines))
    if rank_of(places) == 2:
        cosine, sine = (edit.op("Unsqueeze", table, edit.const("heads", [1])) for table in (cosine, sine))
    real = edit.op("Sub", edit.op("Mul", first, cosine), edit.op("Mul", second, sine))
    other = edit.op("Add", edit.op("Mul", first, sine), edit.op("Mul", second, cosine))
    if interleaved:
        pairs = [edit.op("Unsqueeze", part, edit.const("pairs", [-1])) for part in (real, other)]
        made = reshaped(edit, edit.op("Concat", *pairs, axis=-1), [0, 0, 0, -1], "pairs_shape")
    else:
        made = edit.op("Concat", real, other, axis=-1)
    return made if size == 2 * half else edit.op("Concat", made, sliced(edit, x, -1, 2 * half, _END), axis=-1)


def _rotary(edit: Editor) -> None:
    if integer(edit, "is_packed_batching"):
        raise UnsuitableError("is_packed_batching=1 holds sequences of different lengths one after the other")
    if number(edit, "scale", 1.0) != 1:
        raise UnsuitableError("scale is not 1, which ONNX Runtime itself does not heed on CPUs")
    x, places, cosines, sines = (needed(edit, place) for place in range(4))
    interleaved = bool(integer(edit, "interleaved"))
    flat = rank_of(x) == 3
    planes = x
    if flat:
        heads = integer(edit, "num_heads")
        half = shape_known(cosines)[-1]
        if not heads and not isinstance(half, int):
            raise UnsuitableError("the number of its heads is not known")
        apart = reshaped(edit, x, [0, 0, heads, -1] if heads else [0, 0, -1, 2 * int(half or 0)], "heads_shape")
        planes = transposed(edit, apart, 0, 2, 1, 3)
    if rank_of(places) == 1:
        places = edit.op("Add", range_of(edit, length_of(edit, planes, 2)), places)
    made = turned(edit, planes, cosines, sines, places, interleaved=interleaved)
    edit.replace(reshaped(edit, transposed(edit, made, 0, 2, 1, 3), [0, 0, -1], "joined_shape") if flat else made)


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {("com.microsoft", "RotaryEmbedding"): _rotary}
