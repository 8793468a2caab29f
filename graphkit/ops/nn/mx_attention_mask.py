"""What hides keys from the queries of an attention, as MXNet's softmax can take it.

A query that sees no key has weights of zero, where the softmax of its scores, all of them -inf, would be of no numbers.
Such scores are left as they are, and the query's result is multiplied by zero. Both follow from the mask, which has an
axis of heads of 1 as a rule and is the same in all layers, so that MXNet computes this once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.booleans import as_carrier

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["Mask", "mask_of"]


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of four axes, each as long as that of the scores or 1.

    Attributes:
        bias: What is added to the scores: -inf hides a key. In rows that hide all keys it is 0.
        rows: 1 for queries that see a key, 0 for the others, with a last axis of 1; None where each sees one.
    """

    bias: MxRef
    rows: MxRef | None = None


def mask_of(b: MxBuilder, node: ir.Node, queries: MxRef, news: MxRef, wide: np.dtype[Any]) -> Mask | None:
    """What an Attention hides, by its mask and by being causal; None where it hides nothing.

    Args:
        b: Where to emit.
        node: The Attention.
        queries: Its queries, of four axes.
        news: Its keys without past ones, of four axes.
        wide: Element type of the scores.
    """
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    causal = _causal(b, node, queries, news, wide) if node.attributes.get_int("is_causal", 0) else None
    if mask is None:
        return None if causal is None else Mask(_hiding(b, causal, wide))
    array = b.value(mask)
    if b.dtype(mask).kind == "b":
        if array is not None and (causal is None or isinstance(causal, np.ndarray)):
            return _constant(b, np.asarray(array if causal is None else np.logical_and(array, causal), bool), wide)
        seen = _four_axes(b, mask, as_carrier(b, mask, wide))
        if causal is not None:
            seen = b.op("broadcast_mul", seen, _numbers(b, causal, wide))
        rows = b.op("BlockGrad", b.op("max", seen, axis=-1, keepdims=True), name="rows")
        return Mask(_hiding(b, b.op("broadcast_add", seen, b.op("_rminus_scalar", rows, scalar=1.0)), wide), rows)
    bias = _four_axes(b, mask, b.ref(mask) if b.dtype(mask) == wide else b.op("Cast", b.ref(mask), dtype=wide.name))
    if causal is not None:
        bias = b.op("broadcast_add", bias, _hiding(b, causal, wide))
    if array is not None and _shows_each(array, causal):
        return Mask(bias)
    top = b.op("max", bias, axis=-1, keepdims=True)
    rows = b.op("BlockGrad", b.op("_greater_equal_scalar", top, scalar=float(np.finfo(wide).min)), name="rows")
    return Mask(b.op("where", b.op("broadcast_like", rows, bias), bias, b.op("zeros_like", bias), name="bias"), rows)


def _constant(b: MxBuilder, seen: npt.NDArray[np.bool_], wide: np.dtype[Any]) -> Mask:
    seen = seen.reshape((1,) * (4 - seen.ndim) + seen.shape)
    rows = seen.any(-1, keepdims=True)
    if rows.all():
        return Mask(_hiding(b, seen, wide))
    return Mask(_hiding(b, seen | ~rows, wide), b.const(rows.astype(wide), name="rows"))


def _shows_each(bias: npt.NDArray[np.generic], causal: MxRef | npt.NDArray[np.bool_] | None) -> bool:
    """Whether numbers that are added let every position look at something, if only at the first."""
    seen = np.asarray(bias, np.float64) > -np.inf
    return bool((seen.any(-1) if causal is None else seen[..., 0]).all())


def _hiding(b: MxBuilder, seen: MxRef | npt.NDArray[np.bool_], wide: np.dtype[Any]) -> MxRef:
    """0 for keys that are seen, -inf for others."""
    if isinstance(seen, np.ndarray):
        return b.const(np.where(seen, 0, -np.inf).astype(wide), name="bias")
    return b.op("BlockGrad", b.op("log", seen), name="bias")


def _numbers(b: MxBuilder, seen: MxRef | npt.NDArray[np.bool_], wide: np.dtype[Any]) -> MxRef:
    return b.const(seen.astype(wide), name="causal") if isinstance(seen, np.ndarray) else seen


def _four_axes(b: MxBuilder, mask: ir.Value, ref: MxRef) -> MxRef:
    for _ in range(4 - b.rank(mask)):
        ref = b.op("expand_dims", ref, axis=0)
    return ref


def _causal(
    b: MxBuilder, node: ir.Node, queries: MxRef, news: MxRef, wide: np.dtype[Any]
) -> MxRef | npt.NDArray[np.bool_]:
    """True where a position may look: at everything past, and at what is new up to itself."""
    query, key = node.inputs[:2]
    assert query is not None
    assert key is not None
    past = node.inputs[4] if len(node.inputs) > 4 else None
    rows, columns = _positions(b, query), _positions(b, key)
    before = 0 if past is None else b.shape(past)[2]
    if isinstance(rows, int) and isinstance(columns, int) and isinstance(before, int):
        return np.tri(rows, before + columns, before, dtype=bool)[None, None]
    row = b.op("Reshape", b.op("_contrib_arange_like", queries, axis=2), shape=(1, 1, -1, 1))
    column = b.op("_contrib_arange_like", news, axis=2)
    if past is not None:
        zeros = b.op("zeros_like", b.op("_contrib_arange_like", b.ref(past), axis=2))
        column = b.op("Concat", zeros, column, num_args=2, dim=0)
    column = b.op("Reshape", column, shape=(1, 1, 1, -1))
    row, column = (b.op("Cast", part, dtype=wide.name) for part in (row, column))
    return b.op("broadcast_greater_equal", row, column)


def _positions(b: MxBuilder, operand: ir.Value) -> Dim:
    return b.shape(operand)[-2 if b.rank(operand) == 4 else 1]
