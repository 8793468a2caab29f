"""ONNX Runtime's layer and group normalizations, with the sums that its optimizers fuse into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.contrib.activations import activated
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    dtype_of,
    integer,
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
    from collections.abc import Callable, Mapping

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]


def _epsilon(edit: Editor, default: float) -> float:
    return float(number(edit, "epsilon", default))


def _summed(edit: Editor, bias: ir.Value | None) -> ir.Value:
    """Input + skip + bias."""
    total = edit.op("Add", needed(edit, 0), needed(edit, 1))
    return total if bias is None else edit.op("Add", total, bias)


def _refuse_statistics(edit: Editor) -> None:
    if is_used(edit, 1) or is_used(edit, 2):
        raise UnsuitableError("its mean and inverse deviation, which training uses, are read; export for inference")


def _skip_layer_norm(edit: Editor) -> None:
    gamma = needed(edit, 2)
    total = _summed(edit, operand(edit, 4))
    outputs = 3 if is_used(edit, 1) or is_used(edit, 2) else 1
    made = edit.ops(
        "LayerNormalization", outputs, total, gamma, operand(edit, 3), axis=-1, epsilon=_epsilon(edit, 1e-12)
    )
    edit.replace(made[0], *(made[1:] if outputs == 3 else (None, None)), total if is_used(edit, 3) else None)


def _skip_rms_norm(edit: Editor) -> None:
    _refuse_statistics(edit)
    total = _summed(edit, operand(edit, 3))
    made = edit.op("RMSNormalization", total, needed(edit, 2), axis=-1, epsilon=_epsilon(edit, 1e-12))
    edit.replace(made, None, None, total if is_used(edit, 3) else None)


def _rms_norm(edit: Editor) -> None:
    _refuse_statistics(edit)
    axis, epsilon = integer(edit, "axis", -1), _epsilon(edit, 1e-5)
    edit.replace(edit.op("RMSNormalization", needed(edit, 0), needed(edit, 1), axis=axis, epsilon=epsilon))


def _embed_layer_norm(edit: Editor) -> None:
    """Sums of rows of tables, by word, position and segment, normalized; and the number of words of each sequence."""
    _embed(edit, needed(edit, 5), needed(edit, 6), lambda _place, rows: rows, operand(edit, 8))


def _quantized_embed_layer_norm(edit: Editor) -> None:
    """The same from quantized tables, with a scale and a zero point for each behind the other inputs."""

    def floats(place: int, rows: ir.Value) -> ir.Value:
        return edit.op("DequantizeLinear", rows, needed(edit, place + 6), operand(edit, place + 11))

    gamma, beta = (floats(place, needed(edit, place)) for place in (5, 6))
    _embed(edit, gamma, beta, floats, None)


def _embed(
    edit: Editor,
    gamma: ir.Value,
    beta: ir.Value,
    floats: Callable[[int, ir.Value], ir.Value],
    places: ir.Value | None,
) -> None:
    """Add rows of the tables, made floats by their position among the inputs, and normalize the sum."""
    words, segments, mask = needed(edit, 0), operand(edit, 1), operand(edit, 7)
    total = floats(2, edit.op("Gather", needed(edit, 2), words))
    if places is None:
        length = edit.op("Shape", words, start=1, end=2)
        rows = edit.op("Slice", needed(edit, 3), edit.const("start", [0]), length, edit.const("axis", [0]))
    else:
        rows = edit.op("Gather", needed(edit, 3), places)
    total = edit.op("Add", total, floats(3, rows))
    table = operand(edit, 4)
    if segments is not None and table is not None:
        total = edit.op("Add", total, floats(4, edit.op("Gather", table, segments)))
    made = edit.op("LayerNormalization", total, gamma, beta, axis=-1, epsilon=_epsilon(edit, 1e-12))
    counts = _counts(edit, words, mask) if is_used(edit, 1) else None
    edit.replace(made, counts, total if is_used(edit, 2) else None)


def _counts(edit: Editor, words: ir.Value, mask: ir.Value | None) -> ir.Value:
    """The words of each sequence, as int32; zeros without a mask."""
    if mask is None:
        size = edit.op("Shape", words, start=0, end=1)
        return edit.op("Expand", edit.const("zero", [0], np.int32), size)
    ones = edit.op("Cast", edit.op("Equal", mask, edit.const("one", 1, dtype_of(mask))), to=ir.DataType.INT32)
    return edit.op("ReduceSum", ones, edit.const("axes", [1]), keepdims=0)


def _group_norm(edit: Editor) -> None:
    """(X, gamma, beta) and, of SkipGroupNorm, a summand and a bias."""
    x, skip, bias = needed(edit, 0), operand(edit, 3), operand(edit, 4)
    last = integer(edit, "channels_last", 1)
    rank = rank_of(x)
    if skip is not None:
        if rank_of(skip) == 2:
            channels = shape_known(skip)[1]
            if not isinstance(channels, int):
                raise UnsuitableError("the number of channels of its skip input is not known")
            skip = reshaped(edit, skip, [0, 1, 1, channels] if last else [0, channels, 1, 1], "skip_shape")
        x = edit.op("Add", x, skip)
        if bias is not None:
            x = edit.op("Add", x, bias if last else reshaped(edit, bias, [-1, *[1] * (rank - 2)], "bias_shape"))
    total = x
    planes = transposed(edit, x, 0, rank - 1, *range(1, rank - 1)) if last else x
    dtype = dtype_of(planes)
    gamma, beta = (
        value if dtype_of(value) == dtype else edit.op("Cast", value, to=ir.DataType.from_numpy(dtype))
        for value in (needed(edit, 1), needed(edit, 2))
    )
    made = edit.op(
        "GroupNormalization", planes, gamma, beta, num_groups=required(edit, "groups"), epsilon=_epsilon(edit, 1e-5)
    )
    if integer(edit, "activation"):
        made = edit.op("Mul", made, activated(edit, made, "Sigmoid"))
    result = transposed(edit, made, 0, *range(2, rank), 1) if last else made
    edit.replace(result, total if is_used(edit, 1) else None)


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    **{
        ("com.microsoft", name): expansion
        for name, expansion in {
            "EmbedLayerNormalization": _embed_layer_norm,
            "GroupNorm": _group_norm,
            "QEmbedLayerNormalization": _quantized_embed_layer_norm,
            "SimplifiedLayerNormalization": _rms_norm,
            "SkipGroupNorm": _group_norm,
            "SkipLayerNormalization": _skip_layer_norm,
            "SkipSimplifiedLayerNormalization": _skip_rms_norm,
        }.items()
    },
    ("", "SimplifiedLayerNormalization"): _rms_norm,
}
