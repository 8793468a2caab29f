"""Scaled dot-product attention, composed from MXNet's matrix products and softmax.

MXNet's ``linalg_gemm2`` has no float16 and no bfloat16, so attention of these is computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import equal, named
from graphkit.ops.nn.mx_attention_mask import mask_of
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["write_attention"]

_RAW, _CAPPED, _MASKED, _WEIGHTS = range(4)
"""What the operator's fourth output is."""


def write_attention(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    """Write an Attention node; its outputs are the result, the present keys and values, and scores."""
    operands = [*node.inputs, *[None] * (7 - len(node.inputs))]
    query, key, value, _, past_key, past_value, lengths = operands[:7]
    assert query is not None
    assert key is not None
    assert value is not None
    if lengths is not None:
        return Refusal("it takes the numbers of keys that are no padding; give them as a mask")
    dtype = b.dtype(query)
    wide = dtype if dtype.name in ("float32", "float64") else np.dtype(np.float32)
    precision = node.attributes.get_int("softmax_precision", 0)
    if precision and np.dtype(ir.DataType(precision).numpy()).itemsize < min(wide.itemsize, dtype.itemsize):
        return Refusal("its softmax is computed in a narrower type than its operands")
    heads = _heads(b, node, query, key)
    if heads is None:
        return Refusal("its number of heads is not known; give the model's inputs fixed sizes", sizes=(query, key))
    many, few = heads
    scale = _scale(b, node, query, many)
    if scale is None:
        return Refusal("the size of its features is not known, which its scale is made of; give fixed sizes")
    queries, keys, values = (
        _split(b, operand, x[place], count)
        for place, (operand, count) in enumerate(((query, many), (key, few), (value, few)))
    )
    news = keys
    if past_key is not None and past_value is not None:
        keys = b.op("Concat", b.ref(past_key), keys, num_args=2, dim=2, name="keys")
        values = b.op("Concat", b.ref(past_value), values, num_args=2, dim=2, name="values")
    present = [keys, values]
    if many != few:
        keys, values = (b.op("repeat", part, repeats=many // few, axis=1) for part in (keys, values))
    queries, keys, values = (
        part if wide == dtype else b.op("Cast", part, dtype=wide.name) for part in (queries, keys, values)
    )
    mode = node.attributes.get_int("qk_matmul_output_mode", 0)
    steps = [b.op("_linalg_gemm2", queries, keys, transpose_b=True, alpha=scale, name="scores")]
    steps.append(_capped(b, node, steps[_RAW]))
    hides = mask_of(b, node, queries, news, wide)
    rows = None if hides is None else hides.rows
    masked = steps[_CAPPED] if hides is None else b.op("broadcast_add", steps[_CAPPED], hides.bias, name="masked")
    steps += [masked, b.op("softmax", masked, axis=-1)]
    if rows is not None and mode == _MASKED:
        steps[_MASKED] = b.op("broadcast_add", masked, b.op("log", rows), name="hidden")
    if rows is not None and mode == _WEIGHTS:
        steps[_WEIGHTS] = b.op("broadcast_mul", steps[_WEIGHTS], rows, name="weights")
    mixed = b.op("_linalg_gemm2", steps[_WEIGHTS], values, name="mixed")
    if rows is not None and mode != _WEIGHTS:
        mixed = b.op("broadcast_mul", mixed, rows, name="seen")
    if b.rank(query) == 3:
        mixed = b.op("Reshape", b.op("transpose", mixed, axes=(0, 2, 1, 3)), shape=(0, 0, -3))
    shown = steps[mode]
    if wide != dtype:
        mixed = b.op("Cast", mixed, dtype=dtype.name)
        shown = b.op("Cast", shown, dtype=dtype.name, name="shown")
    return mixed, *present, shown


def _heads(b: MxBuilder, node: ir.Node, query: ir.Value, key: ir.Value) -> tuple[int, int] | None:
    """Numbers of heads of queries and of keys; 1 for each where they have an axis of the same free size."""
    if b.rank(query) == 3:
        return node.attributes.get_int("q_num_heads", 1), node.attributes.get_int("kv_num_heads", 1)
    many, few = b.shape(query)[1], b.shape(key)[1]
    if isinstance(many, int) and isinstance(few, int):
        return many, few
    return (1, 1) if equal(named(many), named(few)) else None


def _split(b: MxBuilder, operand: ir.Value, ref: MxRef | None, heads: int) -> MxRef:
    """An operand as (batch, heads, positions, features)."""
    assert ref is not None
    if b.rank(operand) == 4:
        return ref
    if heads == 1:
        return b.op("expand_dims", ref, axis=1)
    return b.op("transpose", b.op("Reshape", ref, shape=(0, 0, -4, heads, -1)), axes=(0, 2, 1, 3))


def _scale(b: MxBuilder, node: ir.Node, query: ir.Value, heads: int) -> float | None:
    given = node.attributes.get("scale")
    if given is not None:
        return float(str(np.float32(given.as_float())))
    features = b.shape(query)[-1]
    if not isinstance(features, int):
        return None
    return 1 / math.sqrt(features if b.rank(query) == 4 else features // heads)


def _capped(b: MxBuilder, node: ir.Node, scores: MxRef) -> MxRef:
    """The scores within ± softcap."""
    cap = float(str(np.float32(node.attributes.get_float("softcap", 0.0))))
    if not cap:
        return scores
    return b.op("_mul_scalar", b.op("tanh", b.op("_div_scalar", scores, scalar=cap)), scalar=cap, name="capped")
