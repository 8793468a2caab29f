"""Attention spelled out in matrix products, as one Attention.

The formula is that of ONNX's text of Attention-23: softmax(softcap(Q·Kᵀ·scale) + mask)·V. It is recognised

- with operands of four axes (batch, heads, positions, features), or of three, which are one head;
- with a scale, multiplied or divided by, at the scores, the queries or the keys, also before their heads are split;
- with a soft cap, ``cap · tanh(scores / cap)``;
- with masks added to the scores, and truths that put -inf, or the least number of the element type, in place of
  scores (``Where``).

A Dropout between Softmax and MatMul keeps the steps, as it acts while training; so do scores and weights that anything
else reads, outputs of the model included. So do masks of least numbers that may hide everything from a position, as
those of causal models do where padding comes first (:mod:`graphkit.ir.canonical.fusing.hiding`). A position that -inf
hides everything from has NaN in steps and zeros in Attention.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.ir.canonical.fusing.hiding import Hides, hidden_by, hidden_where, together
from graphkit.ir.canonical.fusing.numbers import factors_of, in_float32, number, operands
from graphkit.ir.canonical.fusing.scales import attributed, factor_of
from graphkit.ir.producers import made_by
from graphkit.ir.symbols import equal, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor
    from graphkit.ir.symbols import Size

__all__ = ["fuse_attention"]

_ROUNDED: Final = 1e-6


@dataclass(slots=True)
class _Scores:
    """How scores are made.

    Attributes:
        product: The matrix product of queries and turned keys.
        scale: What it is multiplied by.
        within: How far, relatively, the scale may be rounded.
        softcap: Bound of the scores; 0 for none.
        masks: What is added to them, and truths: which of them are seen, or, where False stands beside, which are not.
        hides: What each mask hides.
        least: Whether one of them hides by the least number rather than -inf.
    """

    product: ir.Node
    scale: float = 1.0
    within: float = 0.0
    softcap: float = 0.0
    masks: list[tuple[ir.Value, bool]] = field(default_factory=list)
    hides: list[Hides] = field(default_factory=list)
    least: bool = False


def fuse_attention(edit: Editor) -> bool:
    """Put an Attention in place of the product of weights and values, where it is one; shapes must be known."""
    node = edit.node
    softmax, value = made_by(node.inputs[0], "Softmax"), node.inputs[1]
    shape = None if softmax is None else shape_of(softmax.outputs[0])
    if softmax is None or value is None or shape is None or len(shape) not in (3, 4):
        return False
    rank = len(shape)
    if softmax.attributes.get_int("axis", -1) not in (-1, rank - 1):
        return False
    scores = None if softmax.inputs[0] is None else _scores(softmax.inputs[0], shape)
    query, turned = (None, None) if scores is None else scores.product.inputs
    if scores is None or query is None or turned is None or not _fit(shape, query, turned, value):
        return False
    if scores.least and together(scores.hides) == Hides.ALL:
        return False
    queries, keys = factor_of(query), factor_of(turned)
    before = keys.bare.producer()
    scale = scores.scale * queries.number * keys.number
    if before is None or before.op_type != "Transpose" or before.domain or not isfinite(scale) or scale == 0:
        return False
    mask = _mask(edit, scores, rank)
    key = edit.op("Transpose", keys.take_out(), perm=[*range(rank - 2), rank - 1, rank - 2])
    within = scores.within + queries.within + keys.within
    query, attribute = attributed(edit, queries.take_out(), scale, within)
    heads = 1 if rank == 3 else None
    parts = [query, key, value] if mask is None else [query, key, value, mask]
    softcap = scores.softcap or None
    given: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": heads, "scale": attribute, "softcap": softcap}
    edit.replace(edit.op("Attention", *parts, **given))
    return True


def _fit(shape: tuple[Size, ...], query: ir.Value, turned: ir.Value, value: ir.Value) -> bool:
    """Whether the operands of the products have the batch and heads of the weights, as Attention asks."""
    shapes = [shape_of(operand) for operand in (query, turned, value)]
    return (
        all(
            sizes is not None and len(sizes) == len(shape) and all(map(equal, sizes[:-2], shape[:-2]))
            for sizes in shapes
        )
        and query.dtype == value.dtype == turned.dtype
    )


def _scores(value: ir.Value, shape: tuple[Size, ...]) -> _Scores | None:
    """How a value is made of a matrix product; None where it is not made as scores are."""
    sizes = shape_of(value)
    if sizes is None or len(sizes) != len(shape) or not all(map(equal, sizes, shape)):
        return None
    product = made_by(value, "MatMul")
    if product is not None:
        return _Scores(product)
    return _scaled(value, shape) or _capped(value, shape) or _added(value, shape) or _hidden(value, shape)


def _scaled(value: ir.Value, shape: tuple[Size, ...]) -> _Scores | None:
    multiplied = factors_of(made_by(value, "Mul", "Div"))
    if multiplied is None:
        return None
    source, scale, within = multiplied
    found = _scores(source, shape)
    if found is None or found.masks or found.softcap:
        return None
    found.scale *= scale
    found.within += within
    return found


def _capped(value: ir.Value, shape: tuple[Size, ...]) -> _Scores | None:
    """Scores within ± cap: cap · tanh(scores / cap)."""
    multiplied = factors_of(made_by(value, "Mul"))
    tanh = None if multiplied is None else made_by(multiplied[0], "Tanh")
    if multiplied is None or tanh is None or tanh.inputs[0] is None or multiplied[1] <= 0:
        return None
    found = _scaled(tanh.inputs[0], shape)
    if found is None or not in_float32(multiplied[1]):
        return None
    found.scale *= multiplied[1]
    found.within += multiplied[2]
    found.softcap = multiplied[1]
    return found


def _added(value: ir.Value, shape: tuple[Size, ...]) -> _Scores | None:
    """Scores and a mask; the scores are what has their shape and is a product."""
    for one, mask in operands(made_by(value, "Add")):
        if _spreads(mask, shape) and (found := _scores(one, shape)) is not None:
            found.masks.append((mask, True))
            found.hides.append(hidden_by(mask))
            found.least |= found.hides[-1] > Hides.NOTHING
            return found
    return None


def _hidden(value: ir.Value, shape: tuple[Size, ...]) -> _Scores | None:
    """Scores in place of some of which nothing is seen."""
    where = made_by(value, "Where")
    if where is None:
        return None
    truths, *choices = where.inputs
    for place, other in ((0, 1), (1, 0)):
        fill, source = number(choices[other]), choices[place]
        if fill is None or truths is None or source is None or not _spreads(truths, shape):
            continue
        least = source.dtype is not None and fill <= float(np.finfo(source.dtype.numpy()).min) * (1 - _ROUNDED)
        found = _scores(source, shape) if least else None
        if found is not None:
            found.masks.append((truths, place == 0))
            found.hides.append(hidden_where(truths, visible=place == 0))
            found.least |= fill > -np.inf
            return found
    return None


def _spreads(mask: ir.Value, shape: tuple[Size, ...]) -> bool:
    """Whether a mask broadcasts to scores, with a column for each key."""
    sizes = shape_of(mask)
    if not sizes or len(sizes) > len(shape):
        return False
    pairs = list(zip(sizes, shape[len(shape) - len(sizes) :], strict=True))
    return bool(equal(*pairs[-1])) and all(one == 1 or equal(one, other) for one, other in pairs)


def _mask(edit: Editor, scores: _Scores, rank: int) -> ir.Value | None:
    """The one mask that several are: truths, or what is added."""
    truths: ir.Value | None = None
    added: ir.Value | None = None
    for mask, visible in scores.masks:
        if mask.dtype is not None and not mask.dtype.is_floating_point():
            seen = mask if visible else edit.op("Not", mask)
            truths = seen if truths is None else edit.op("And", truths, seen)
        else:
            added = mask if added is None else edit.op("Add", added, mask)
    found = truths
    if added is not None:
        found = added
        if truths is not None and added.dtype is not None:
            hidden = edit.const("hidden", -np.inf, added.dtype.numpy())
            found = edit.op("Where", truths, added, hidden)
    if found is None:
        return None
    own = len(shape_of(found) or ())
    if rank == 3 and own == 3:
        return edit.op("Unsqueeze", found, edit.const("heads", [1]))
    return edit.op("Unsqueeze", found, edit.const("rows", [0])) if own == 1 else found
