"""Scaled dot-product attention, which MXNet composes from matrix products and a softmax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import as_carrier
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, torch_float
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_WIDE = (None, int(ir.DataType.FLOAT), int(ir.DataType.DOUBLE))
"""Types of the softmax that are not narrower than the operands."""


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    query, key, value, *more = node.inputs
    assert query is not None
    assert key is not None
    assert value is not None
    refusal = _unusual(node, "MXNet")
    if refusal is not None:
        return refusal
    heads = [_heads(b, node, operand) for operand in (query, key)]
    if None in heads:
        return Refusal("its number of heads is not known; give the model's inputs fixed sizes")
    many, few = (count or 1 for count in heads)
    parts = [
        _split(b, operand, x[place], count)
        for place, (operand, count) in enumerate(((query, many), (key, few), (value, few)))
    ]
    if many != few:
        parts[1:] = [b.op("repeat", part, repeats=many // few, axis=1) for part in parts[1:]]
    scale = _scale(b, node, query, many)
    if scale is None:
        return Refusal("the size of its features is not known, which its scale is made of; give fixed sizes")
    scores = b.op("_linalg_gemm2", parts[0], parts[1], transpose_b=True, alpha=scale, name="scores")
    if more and more[0] is not None:
        scores = b.op("broadcast_add", scores, _bias(b, more[0], query), name="masked")
    if node.attributes.get_int("is_causal", 0):
        scores = b.op("broadcast_add", scores, _causal(b, scores, query, key), name="causal")
    mixed = b.op("_linalg_gemm2", b.op("softmax", scores, axis=-1), parts[2], name="mixed")
    if b.rank(query) == 4:
        return mixed
    return b.op("Reshape", b.op("transpose", mixed, axes=(0, 2, 1, 3)), shape=(0, 0, -3))


def _unusual(node: ir.Node, target: str) -> Refusal | None:
    """Why attention of a kind that only ONNX knows is not converted."""
    if any(operand is not None for operand in node.inputs[4:]):
        return Refusal("it takes keys and values of earlier calls; feed them as inputs of a model without a cache")
    if node.attributes.get_float("softcap", 0.0):
        return Refusal(f"{target} has no attention with a soft cap")
    precision = node.attributes.get("softmax_precision")
    if (None if precision is None else precision.as_int()) not in _WIDE:
        return Refusal("its softmax is computed in a narrower type than its operands")
    return None


def _heads(b: MxBuilder | TorchBuilder, node: ir.Node, operand: ir.Value) -> int | None:
    if b.rank(operand) == 3:
        name = "q_num_heads" if operand is node.inputs[0] else "kv_num_heads"
        return node.attributes.get_int(name, 1)
    heads = b.shape(operand)[1]
    return heads if isinstance(heads, int) else None


def _split(b: MxBuilder, operand: ir.Value, ref: MxRef | None, heads: int) -> MxRef:
    """An operand as (batch, heads, positions, features)."""
    assert ref is not None
    if b.rank(operand) == 4:
        return ref
    if heads == 1:
        return b.op("expand_dims", ref, axis=1)
    return b.op("transpose", b.op("Reshape", ref, shape=(0, 0, -4, heads, -1)), axes=(0, 2, 1, 3))


def _scale(b: MxBuilder, node: ir.Node, query: ir.Value, heads: int) -> float | None:
    if (given_scale := node.attributes.get_float("scale", 0.0)) != 0:
        return float(str(np.float32(given_scale)))
    features = b.shape(query)[-1]
    if not isinstance(features, int):
        return None
    return 1 / math.sqrt(features if b.rank(query) == 4 else features // heads)


def _bias(b: MxBuilder, mask: ir.Value, query: ir.Value) -> MxRef:
    """What is added to the scores: the mask, or 0 where it is true and -inf where not."""
    dtype = b.dtype(query)
    missing = 4 - b.rank(mask)
    if b.dtype(mask).kind != "b":
        bias = b.ref(mask)
    elif (array := b.value(mask)) is not None:
        return b.const(np.where(array, 0, -np.inf).astype(dtype).reshape((1,) * missing + array.shape), name="bias")
    else:
        bias = b.op("BlockGrad", b.op("log", as_carrier(b, mask, dtype)), name="bias")
    for _ in range(missing):
        bias = b.op("expand_dims", bias, axis=0)
    return bias


def _causal(b: MxBuilder, scores: MxRef, query: ir.Value, key: ir.Value) -> MxRef:
    """0 where a position may look, -inf beyond."""
    rows, columns = b.shape(query)[-2 if b.rank(query) == 4 else 1], b.shape(key)[-2 if b.rank(key) == 4 else 1]
    dtype = b.dtype(query)
    if isinstance(rows, int) and isinstance(columns, int):
        mask = np.where(np.tri(rows, columns, dtype=bool), 0, -np.inf)
        return b.const(mask.astype(dtype)[None, None], name="causal")
    row = b.op("Reshape", b.op("_contrib_arange_like", scores, axis=2), shape=(1, 1, -1, 1))
    column = b.op("Reshape", b.op("_contrib_arange_like", scores, axis=3), shape=(1, 1, 1, -1))
    return b.op("BlockGrad", b.op("log", b.op("broadcast_greater_equal", row, column)))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    query, key, value, *more = node.inputs
    assert query is not None
    assert key is not None
    assert value is not None
    refusal = _unusual(node, "torch")
    if refusal is not None:
        return refusal
    many, few = (_heads(b, node, operand) for operand in (query, key))
    options: dict[str, Any] = {}
    mask: Arg = x[3] if more and more[0] is not None else None
    if node.attributes.get_int("is_causal", 0):
        if mask is None:
            options["is_causal"] = True
        else:
            mask = _torch_causal(b, mask, node, x[0])
    options["attn_mask"] = mask
    if (scale := torch_float(node, "scale", 0.0)) != 0:
        options["scale"] = scale
    if many is None or many != few:
        options["enable_gqa"] = True
    if b.rank(query) == 4:
        return b.call("F.scaled_dot_product_attention", *x[:3], **options)
    parts = [
        b.method("transpose", b.method("unflatten", operand, 2, (count or 1, -1)), 1, 2)
        for operand, count in zip(x[:3], (many, few, few), strict=True)
    ]
    mixed = b.call("F.scaled_dot_product_attention", *parts, **options)
    return b.method("flatten", b.method("transpose", mixed, 1, 2), 2)


def _torch_causal(b: TorchBuilder, mask: Arg, node: ir.Node, query: Arg) -> Arg:
    """A mask that hides the positions after each one, too, which torch leaves to the mask where there is one."""
    operands = [operand for operand in node.inputs[:2] if operand is not None]
    rows, columns = (b.size(operand, -2 if b.rank(operand) == 4 else 1) for operand in operands)
    ones = b.method("new_ones", query, rows, columns, dtype=Code("torch.bool"))
    visible = b.method("tril", ones)
    given_mask = node.inputs[3]
    assert given_mask is not None
    if b.dtype(given_mask).kind == "b":
        return b.infix("&", mask, visible)
    return b.method("masked_fill", mask, b.prefix("~", visible), float("-inf"))


_QUERY, _KEY, _VALUE = arr(2, 3, 4, 5), arr(2, 3, 6, 5), arr(2, 3, 6, 2)
_TRUTHS = given(np.arange(48).reshape(2, 1, 4, 6) % 5 != 1, "bool")


def _case(name: str, *more: Any, **attrs: Any) -> Case:
    return Case(name, (_QUERY, _KEY, _VALUE, *more), attrs)


OP = Op(
    "Attention",
    mx=(MxForm("_linalg_gemm2", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        _case("plain"),
        _case("scale", scale=0.25),
        _case("mask", arr(4, 6)),
        _case("mask of all", arr(2, 3, 4, 6)),
        _case("truths", _TRUTHS),
        Case("constant truths", (_QUERY, _KEY, _VALUE, given(np.tri(4, 6) > 0, "bool")), const=(3,)),
        _case("causal", is_causal=1),
        _case("causal with a mask", arr(4, 6), is_causal=1),
        _case("causal with truths", _TRUTHS, is_causal=1),
        Case("free causal", (arr(2, 3, 4, 5), arr(2, 3, 4, 5), arr(2, 3, 4, 5)), {"is_causal": 1}, dynamic=(0, 1, 2)),
        Case("fewer keys", (arr(2, 4, 3, 5), arr(2, 2, 6, 5), arr(2, 2, 6, 3))),
        Case(
            "three axes",
            (arr(2, 4, 6), arr(2, 5, 6), arr(2, 5, 8)),
            {"q_num_heads": 2, "kv_num_heads": 2},
        ),
        Case("one head", (arr(2, 4, 6), arr(2, 5, 6), arr(2, 5, 8)), {"q_num_heads": 1, "kv_num_heads": 1}),
    ),
)
