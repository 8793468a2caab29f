"""Scaled dot-product attention as a single Attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _attention(
    emit: Emit,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 -- zero in evaluation mode
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,  # noqa: ARG001 -- Attention tells by the numbers of heads
) -> ir.Value:
    """Attention of 4-D operands (batch, heads, positions, features); three axes are one head.

    The scale, which Attention holds in float32, multiplies the query.
    """
    dims = rank(query)
    if dims not in (3, 4) or rank(key) != dims or rank(value) != dims:
        return emit.untranslated(f"attention of operands with {dims} axes", 1, query, key, value)[0]
    if scale is not None:
        query = _shaped(emit.op("Mul", query, emit.floats(scale, query)), query)
    if attn_mask is not None:
        attn_mask = _stretched(emit, attn_mask, query)
        while rank(attn_mask) < dims:
            attn_mask = _raised(emit, attn_mask, 0)
    one_head = {"q_num_heads": 1, "kv_num_heads": 1} if dims == 3 else {}
    if dims == 3 and attn_mask is not None:
        attn_mask = emit.op("Unsqueeze", attn_mask, emit.ints(1))
    attrs: dict[str, Any] = {"scale": None if scale is None else 1.0, "is_causal": int(is_causal) or None, **one_head}
    return emit.op("Attention", query, key, value, attn_mask, **attrs)


def _shaped(value: ir.Value, like: ir.Value) -> ir.Value:
    value.type, value.shape = like.type, like.shape
    return value


def _raised(emit: Emit, value: ir.Value, axis: int) -> ir.Value:
    raised = emit.op("Unsqueeze", value, emit.ints(axis))
    assert value.shape is not None
    raised.type, raised.shape = value.type, ir.Shape([1, *value.shape])
    return raised


def _stretched(emit: Emit, mask: ir.Value, query: ir.Value) -> ir.Value:
    """A mask with a row for every position, which ONNX Runtime does not add by itself."""
    if rank(mask) < 2 or known(mask)[-2] != 1 or known(query)[-2] == 1:
        return mask
    assert mask.shape is not None
    assert query.shape is not None
    size = known(query)[-2]
    rows = emit.op("Shape", query, start=-2, end=-1) if size is None else emit.ints(size)
    ones = [emit.ints(1)] * (rank(mask) - 2)
    stretched = emit.op("Expand", mask, emit.op("Concat", *ones, rows, emit.ints(1), axis=0))
    stretched.type = mask.type
    stretched.shape = ir.Shape([*mask.shape[:-2], query.shape[-2], mask.shape[-1]])
    return stretched


ROWS: dict[str, Callable[..., Any]] = {"aten.scaled_dot_product_attention.default": _attention}
