"""Scaled dot-product attention in torch: its own function, or its steps where a step has to be seen or changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import torch_float
from graphkit.ops.torchprogram import Code, Size, Stored, Var

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_attention"]

_HIDDEN = float("-inf")


@dataclass(frozen=True, slots=True)
class _Operands:
    """Queries, keys and values as (batch, heads, positions, features), keys and values of earlier calls included.

    Attributes:
        query: Queries.
        key: Keys.
        value: Values.
        groups: Whether several heads of queries share one of keys and values.
    """

    query: Arg
    key: Arg
    value: Arg
    groups: bool


def torch_attention(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg]:
    """Attention with its optional outputs: the keys and values to keep, and the scores at a chosen step."""
    query = node.inputs[0]
    assert query is not None
    if (single := _one_head(b, node, x)) is not None:
        return single
    found = _operands(b, node, x)
    wanted = [value.uses() or value.is_graph_output() for value in node.outputs]
    shown = len(wanted) > 3 and bool(wanted[3])
    if shown or _is_stepwise(b, node):
        mixed, scores = _by_steps(b, node, x, found, shown=shown)
    else:
        mixed, scores = _at_once(b, node, x, found), None
    if b.rank(query) == 3:
        mixed = b.method("flatten", b.method("transpose", mixed, 1, 2), 2)
    return [mixed, found.key, found.value, scores][: len(node.outputs)]


def _one_head(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | None:
    """Attention of three axes that are one head, which torch takes as they are; None where it is another."""
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    heads = [node.attributes.get_int(f"{part}_num_heads", 0) for part in ("q", "kv")]
    if heads != [1, 1] or len(node.outputs) > 1 or any(value is not None for value in node.inputs[4:]):
        return None
    if any(value is None or b.rank(value) != 3 for value in node.inputs[:3]) or _is_stepwise(b, node):
        return None
    if mask is not None and b.rank(mask) != 2:
        return None
    return _at_once(b, node, x, _Operands(x[0], x[1], x[2], groups=False))


def _is_stepwise(b: TorchBuilder, node: ir.Node) -> bool:
    """Whether torch's own function lacks something."""
    return torch_float(node, "softcap", 0.0) != 0 or _precision(b, node) is not None


def _operands(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> _Operands:
    parts: list[Any] = list(x[:3])
    counts: list[int | None] = []
    for place, value in enumerate(node.inputs[:3]):
        assert value is not None
        if b.rank(value) == 3:
            count = node.attributes.get_int("q_num_heads" if place == 0 else "kv_num_heads", 1) or 1
            parts[place] = b.method("transpose", b.method("unflatten", parts[place], 2, (count, -1)), 1, 2)
            counts.append(count)
        else:
            heads = b.shape(value)[1]
            counts.append(heads if isinstance(heads, int) else None)
    for place in (1, 2):
        if (past := _past(x, place)) is not None:
            parts[place] = b.call("torch.cat", (past, parts[place]), 2)
    return _Operands(parts[0], parts[1], parts[2], counts[0] is None or counts[0] != counts[1])


def _past(x: Sequence[Any], place: int) -> Any:
    """Keys (1) or values (2) of earlier calls."""
    return x[place + 3] if len(x) > place + 3 else None


def _at_once(b: TorchBuilder, node: ir.Node, x: Sequence[Any], found: _Operands) -> Arg:
    options: dict[str, Any] = {}
    mask = _mask(b, node, x)
    if node.attributes.get_int("is_causal", 0):
        if mask is None and _past(x, 1) is None:
            options["is_causal"] = True
        else:
            mask = _causal(b, node, x, found, mask)
    options["attn_mask"] = mask
    if (scale := torch_float(node, "scale", 0.0)) != 0:
        options["scale"] = scale
    if found.groups:
        options["enable_gqa"] = True
    return b.call("F.scaled_dot_product_attention", found.query, found.key, found.value, **options)


def _by_steps(
    b: TorchBuilder, node: ir.Node, x: Sequence[Any], found: _Operands, *, shown: bool
) -> tuple[Arg, Arg | None]:
    key, value = found.key, found.value
    if found.groups:
        times = _times(b, node, found)
        key, value = (b.method("repeat_interleave", part, times, 1) for part in (key, value))
    turned = b.method("transpose", key, -2, -1)
    steps: list[Arg] = [b.infix("*", b.infix("@", found.query, turned), _scale(b, node, found))]
    capped: Arg = steps[0]
    if cap := torch_float(node, "softcap", 0.0):
        capped = b.infix("*", b.method("tanh", b.infix("/", capped, cap)), cap)
    steps.append(capped)
    mask = _mask(b, node, x)
    if node.attributes.get_int("is_causal", 0):
        mask = _causal(b, node, x, found, mask)
    masked = capped
    if mask is not None:
        truths = _is_truth(b, node, x)
        masked = b.method("masked_fill", capped, b.prefix("~", mask), _HIDDEN) if truths else b.infix("+", capped, mask)
    steps.append(masked)
    weights = _softmax(b, node, masked)
    if mask is not None:
        hidden = b.prefix("~", mask) if truths else b.infix("==", mask, _HIDDEN)
        # Who may look nowhere sees nothing, where a softmax of nothing is not a number.
        weights = b.method("masked_fill", weights, b.method("all", hidden, -1, keepdim=True), 0)
    steps.append(weights)
    mode = node.attributes.get_int("qk_matmul_output_mode", 0) or 0
    return b.infix("@", weights, value), steps[mode] if shown else None


def _softmax(b: TorchBuilder, node: ir.Node, scores: Arg) -> Arg:
    narrow = _precision(b, node)
    if narrow is None:
        return b.method("softmax", scores, -1)
    query = node.inputs[0]
    assert query is not None
    return b.method("to", b.method("softmax", scores, -1, dtype=narrow), b.torch_dtype(b.dtype(query)))


def _precision(b: TorchBuilder, node: ir.Node) -> Code | None:
    """Type of the softmax where it is narrower than that of the operands."""
    given = node.attributes.get_int("softmax_precision", 0)
    query = node.inputs[0]
    assert query is not None
    if not given or ir.DataType(given).itemsize >= b.dtype(query).itemsize:
        return None
    return b.torch_dtype(ir.DataType(given))


def _scale(b: TorchBuilder, node: ir.Node, found: _Operands) -> Arg:
    if given := torch_float(node, "scale", 0.0):
        return given
    query = node.inputs[0]
    assert query is not None
    features = b.shape(query)[-1]
    if isinstance(features, int):
        heads = 1 if b.rank(query) == 4 else node.attributes.get_int("q_num_heads", 1) or 1
        return 1 / math.sqrt(features // heads)
    return b.infix("**", _size(found.query, 3), -0.5)


def _times(b: TorchBuilder, node: ir.Node, found: _Operands) -> Arg:
    """How many heads of queries share one of keys."""
    query, key = node.inputs[:2]
    assert query is not None
    assert key is not None
    if b.rank(query) == 3:
        return (node.attributes.get_int("q_num_heads", 1) or 1) // (node.attributes.get_int("kv_num_heads", 1) or 1)
    many, few = b.shape(query)[1], b.shape(key)[1]
    if isinstance(many, int) and isinstance(few, int):
        return many // few
    return b.infix("//", _size(found.query, 1), _size(found.key, 1))


def _is_truth(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> bool:
    """Whether the mask, the causal one included, says what may be looked at rather than what is added."""
    mask = node.inputs[3] if len(x) > 3 else None
    return mask is None or b.dtype(mask).kind == "b"


def _mask(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | None:
    """The given mask; one that ends before the keys hides the rest."""
    mask = node.inputs[3] if len(x) > 3 else None
    if mask is None:
        return None
    given: Arg = x[3]
    key = node.inputs[1]
    assert key is not None
    width, length = b.shape(mask)[-1], b.shape(key)[-2 if b.rank(key) == 4 else 1]
    past = node.inputs[4] if len(node.inputs) > 4 else None
    earlier = 0 if past is None else b.shape(past)[2]
    if isinstance(width, int) and isinstance(length, int) and isinstance(earlier, int):
        missing = length + earlier - width
        if missing > 0:
            given = b.call("F.pad", given, (0, missing), value=False if _is_truth(b, node, x) else _HIDDEN)
    return given


def _causal(b: TorchBuilder, node: ir.Node, x: Sequence[Any], found: _Operands, mask: Arg | None) -> Arg:
    """A mask that hides the positions after each one, too, which torch leaves to the mask where there is one."""
    query, key = node.inputs[:2]
    assert query is not None
    assert key is not None
    rows = b.size(query, -2 if b.rank(query) == 4 else 1)
    columns: Arg = b.size(key, -2 if b.rank(key) == 4 else 1)
    offset: tuple[Arg, ...] = ()
    if (past := _past(x, 1)) is not None:
        columns = _size(found.key, 2)
        offset = (_size(past, 2),)
    ones = b.method("new_ones", x[0], rows, columns, dtype=Code("torch.bool"))
    visible = b.method("tril", ones, *offset)
    if mask is None:
        return visible
    if _is_truth(b, node, x):
        return b.infix("&", mask, visible)
    return b.method("masked_fill", mask, b.prefix("~", visible), _HIDDEN)


def _size(of: Arg, axis: int) -> Size:
    assert isinstance(of, Var | Stored)
    return Size(of, axis)
