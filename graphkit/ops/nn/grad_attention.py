"""How gradients pass scaled dot-product attention.

With P = softmax(S), S = scale · Q Kᵀ + mask and Y = P V, and cotangents dX of X: dV = Pᵀ dY, dP = dY Vᵀ,
dS = P ∘ (dP - rowsum(dY ∘ Y)), dQ = scale · dS K, dK = scale · dSᵀ Q. Source: Dao, Fu, Ermon, Rudra and Ré,
FlashAttention, 2022, appendix B.2. P is computed anew from Q and K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.gradients import shaped
from graphkit.ops.spec import decimal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Operand
    from graphkit.ops.gradients import GradientBuilder

__all__ = ["attention_gradient"]

_RAW, _CAPPED, _MASKED, _WEIGHTS = range(4)
"""What the operator's fourth output is."""


@dataclass(frozen=True, slots=True)
class _Heads:
    """How one of the operands is arranged.

    Attributes:
        count: Its number of heads, None where that is not known.
        flat: Whether its heads lie beside each other, (batch, positions, heads * features).
    """

    count: int | None
    flat: bool

    def apart(self, b: GradientBuilder, value: ir.Value, *, turned: bool = False) -> ir.Value:
        """As (batch, heads, positions, features), or with the last two swapped."""
        if self.flat:
            split = b.op("Reshape", value, [0, 0, self.count or 1, -1])
            return b.op("Transpose", split, perm=[0, 2, 3, 1] if turned else [0, 2, 1, 3])
        return _turned(b, value) if turned else value

    def together(self, b: GradientBuilder, value: ir.Value, *, turned: bool = False) -> ir.Value:
        """What :meth:`apart` undoes."""
        if self.flat:
            split = b.op("Transpose", value, perm=[0, 3, 1, 2] if turned else [0, 2, 1, 3])
            return b.op("Reshape", split, [0, 0, -1])
        return _turned(b, value) if turned else value


def _turned(b: GradientBuilder, value: ir.Value) -> ir.Value:
    return b.op("Transpose", value, perm=[0, 1, 3, 2])


def _heads(b: GradientBuilder, node: ir.Node, place: int) -> _Heads:
    value = some(node.inputs[place])
    if b.rank(value) == 3:
        return _Heads(node.attributes.get_int("kv_num_heads" if place else "q_num_heads", 1) or 1, flat=True)
    count = b.shape(value)[1]
    return _Heads(count if isinstance(count, int) else None, flat=False)


class _Groups:
    """Heads of queries that share one of keys: as rows of that one, or each by itself."""

    def __init__(self, b: GradientBuilder, node: ir.Node, many: _Heads, few: _Heads) -> None:
        self._b = b
        dims = [b.shape(some(node.inputs[place]))[1] for place in (0, 1)]
        self.alike = many.count == few.count if many.count is not None else dims[0] is not None and dims[0] == dims[1]
        self._many = self._sizes(node, 0, many)
        self._few = self._sizes(node, 1, few)

    def _sizes(self, node: ir.Node, place: int, heads: _Heads) -> Operand:
        if heads.count is not None or self.alike:
            return [0, heads.count or 0, -1, 0]
        return self._b.op("Concat", [0], _size(self._b, some(node.inputs[place]), 1), [-1, 0], axis=0)

    def rows(self, value: ir.Value) -> ir.Value:
        """(batch, heads, positions, any) as (batch, heads of keys, heads of each * positions, any)."""
        return value if self.alike else self._b.op("Reshape", value, self._few)

    def each(self, value: ir.Value) -> ir.Value:
        """What :meth:`rows` undoes."""
        return value if self.alike else self._b.op("Reshape", value, self._many)


def attention_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """The gradients in queries, keys, values, a mask of floats and the keys and values of earlier calls."""
    cotangents = [*dy, *[None] * (4 - len(dy))]
    inputs = [*node.inputs, *[None] * (6 - len(node.inputs))]
    query = some(inputs[0])
    heads = [_heads(b, node, place) for place in range(3)]
    groups = _Groups(b, node, heads[0], heads[1])
    gradients: list[ir.Value | None] = [None] * 6
    if cotangents[0] is None and cotangents[3] is None:
        for place in (1, 2):
            _share(b, inputs, gradients, place, heads[place], None, cotangents[place])
        return gradients
    scale = _scale(b, node, query, heads[0])
    scaled = b.op("Mul", heads[0].apart(b, query), scale)
    keys, values = (_all(b, node, inputs, place, heads[place]) for place in (1, 2))
    capped, masked, weights, hidden, bias = _forward(b, node, inputs, groups, scaled, keys)
    mode = node.attributes.get_int("qk_matmul_output_mode", 0) or 0
    shown: list[ir.Value | None] = [None] * 4
    shown[mode] = cotangents[3]
    mixed = None if cotangents[0] is None else _shown(b, hidden, heads[0].apart(b, cotangents[0]))
    scores = _scores(b, node, groups, heads, mixed, values, weights, _shown(b, hidden, shown[_WEIGHTS]))
    if shown[_MASKED] is not None and bias is not None:
        away = b.op("IsInf", bias, detect_positive=0)
        shown[_MASKED] = b.op("Where", away, b.scalar(0.0, masked), shown[_MASKED])
    scores = b.total([scores, shown[_MASKED]])
    if scores is not None and b.wants(inputs[3]):
        gradients[3] = _of_mask(b, some(inputs[3]), scores)
    scores = b.total([scores, shown[_CAPPED]])
    if scores is not None and (cap := decimal(node.attributes.get_float("softcap", 0.0))):
        share = b.op("Div", capped, b.scalar(cap, capped))
        scores = b.op("Mul", scores, b.op("Sub", b.scalar(1.0, share), b.op("Mul", share, share)))
    scores = b.total([scores, shown[_RAW]])
    rows = None if scores is None else groups.rows(scores)
    if rows is not None and b.wants(query):
        gradients[0] = heads[0].together(b, b.op("Mul", groups.each(b.op("MatMul", rows, keys)), scale))
    of_keys = of_values = None
    if rows is not None and _wanted(b, inputs, 1):
        of_keys = b.op("MatMul", _turned(b, groups.rows(scaled)), rows)
    if mixed is not None and _wanted(b, inputs, 2):
        of_values = b.op("MatMul", _turned(b, groups.rows(mixed)), groups.rows(weights))
    _share(b, inputs, gradients, 1, heads[1], of_keys, cotangents[1])
    _share(b, inputs, gradients, 2, heads[2], of_values, cotangents[2])
    return [
        None if given is None or each is None else shaped(given, each)
        for given, each in zip(gradients, inputs, strict=False)
    ]


def _wanted(b: GradientBuilder, inputs: Sequence[ir.Value | None], place: int) -> bool:
    return b.wants(inputs[place]) or b.wants(inputs[place + 3])


def _size(b: GradientBuilder, value: ir.Value, axis: int) -> ir.Value:
    """The size of an axis as a tensor of one number."""
    size = b.shape(value)[axis]
    return b.const(np.array([size], np.int64)) if isinstance(size, int) else _along(b, value, axis)


def _along(b: GradientBuilder, value: ir.Value, axis: int) -> ir.Value:
    place = axis % b.rank(value)
    return b.op("Shape", value, start=place, end=place + 1)


def _scale(b: GradientBuilder, node: ir.Node, query: ir.Value, heads: _Heads) -> ir.Value:
    given = decimal(node.attributes.get_float("scale", 0.0))
    if given:
        return b.scalar(given, query)
    features = b.shape(query)[-1]
    if isinstance(features, int):
        return b.scalar((features / (heads.count or 1) if heads.flat else features) ** -0.5, query)
    count = b.op("CastLike", b.op("Squeeze", _along(b, query, -1), [0]), query)
    if heads.flat:
        count = b.op("Div", count, b.scalar(heads.count or 1, query))
    return b.op("Reciprocal", b.op("Sqrt", count))


def _all(b: GradientBuilder, node: ir.Node, inputs: Sequence[ir.Value | None], place: int, heads: _Heads) -> ir.Value:
    """All keys (1) or values (2), those of earlier calls included."""
    past = inputs[place + 3]
    if past is None:
        return heads.apart(b, some(inputs[place]))
    if len(node.outputs) > place and node.outputs[place].name:
        return node.outputs[place]
    return b.op("Concat", past, heads.apart(b, some(inputs[place])), axis=2)


def _forward(
    b: GradientBuilder,
    node: ir.Node,
    inputs: Sequence[ir.Value | None],
    groups: _Groups,
    scaled: ir.Value,
    keys: ir.Value,
) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value | None, ir.Value | None]:
    """The capped scores, those with the mask, the weights, which rows see nothing, and what the mask added."""
    capped = groups.each(b.op("MatMul", groups.rows(scaled), _turned(b, keys)))
    if cap := decimal(node.attributes.get_float("softcap", 0.0)):
        number = b.scalar(cap, capped)
        capped = b.op("Mul", b.op("Tanh", b.op("Div", capped, number)), number)
    bias, hidden = _bias(b, node, inputs, keys)
    masked = added = capped
    if bias is not None:
        lit = bias if hidden is None else b.op("Where", hidden, b.scalar(0.0, bias), bias)
        masked = added = b.op("Add", capped, lit)
    precision = node.attributes.get_int("softmax_precision", 0)
    if precision and ir.DataType(precision).itemsize > b.dtype(masked).itemsize:
        weights = b.op("CastLike", b.op("Softmax", b.op("Cast", added, to=precision), axis=-1), masked)
    else:
        weights = b.op("Softmax", added, axis=-1)
    return capped, masked, weights, hidden, bias


def _bias(
    b: GradientBuilder, node: ir.Node, inputs: Sequence[ir.Value | None], keys: ir.Value
) -> tuple[ir.Value | None, ir.Value | None]:
    """What is added to the scores, and which of its rows hide everything where there may be such."""
    query, mask = some(inputs[0]), inputs[3]
    bias = hidden = None
    infinite = b.scalar(-np.inf, query)
    if mask is not None:
        if b.dtype(mask).kind == "b":
            bias = b.op("Where", mask, b.scalar(0.0, query), infinite)
        else:
            bias = mask if b.dtype(mask) == b.dtype(query) else b.op("CastLike", mask, query)
        bias = _widened(b, bias, keys, infinite)
    if node.attributes.get_int("is_causal", 0):
        past = inputs[4]
        sizes = b.op("Concat", _size(b, query, -2), _size(b, keys, 2), axis=0)
        full = b.op("Expand", infinite, sizes)
        if past is None:
            first = b.const(np.asarray(1))
        else:
            first = b.op("Add", b.op("Squeeze", _size(b, past, 2), [0]), np.asarray(1))
        later = b.op("Trilu", full, first, upper=1)
        bias = later if bias is None else b.op("Add", bias, later)
    if mask is not None and bias is not None:
        hidden = b.op("Equal", b.op("ReduceMax", bias, [-1], keepdims=1), infinite)
    return bias, hidden


def _widened(b: GradientBuilder, bias: ir.Value, keys: ir.Value, infinite: ir.Value) -> ir.Value:
    """A mask that ends before the keys hides the rest."""
    width, length = b.shape(bias)[-1], b.shape(keys)[2]
    if width is not None and width == length:
        return bias
    missing = b.op("Sub", _size(b, keys, 2), _size(b, bias, -1))
    pads = b.op("Concat", [0] * (2 * b.rank(bias) - 1), missing, axis=0)
    return b.op("Pad", bias, pads, infinite)


def _shown(b: GradientBuilder, hidden: ir.Value | None, cotangent: ir.Value | None) -> ir.Value | None:
    """A cotangent of rows, zero for those that see nothing, whose weights are 0 whatever the scores."""
    if cotangent is None or hidden is None:
        return cotangent
    return b.op("Where", hidden, b.scalar(0.0, cotangent), cotangent)


def _scores(
    b: GradientBuilder,
    node: ir.Node,
    groups: _Groups,
    heads: Sequence[_Heads],
    mixed: ir.Value | None,
    values: ir.Value,
    weights: ir.Value,
    shown: ir.Value | None,
) -> ir.Value | None:
    """The gradient in the scores that the softmax is taken of."""
    if mixed is None and shown is None:
        return None
    slopes: ir.Value | None = None
    if mixed is not None:
        slopes = groups.each(b.op("MatMul", groups.rows(mixed), _turned(b, values)))
    slopes = some(b.total([slopes, shown]))
    if mixed is not None and shown is None:
        mean = b.op("ReduceSum", b.op("Mul", mixed, heads[0].apart(b, node.outputs[0])), [-1], keepdims=1)
    else:
        mean = b.op("ReduceSum", b.op("Mul", slopes, weights), [-1], keepdims=1)
    return b.op("Mul", weights, b.op("Sub", slopes, mean))


def _of_mask(b: GradientBuilder, mask: ir.Value, scores: ir.Value) -> ir.Value:
    width, length = b.shape(mask)[-1], b.shape(scores)[-1]
    if width is None or width != length:
        scores = b.op("Slice", scores, [0], _size(b, mask, -1), [3])
    summed = b.sum_to(scores, mask)
    return summed if b.dtype(mask) == b.dtype(scores) else b.op("CastLike", summed, mask)


def _share(
    b: GradientBuilder,
    inputs: Sequence[ir.Value | None],
    gradients: list[ir.Value | None],
    place: int,
    heads: _Heads,
    turned: ir.Value | None,
    present: ir.Value | None,
) -> None:
    """Share the gradient in all keys (1) or values (2) among the given ones and those of earlier calls.

    It comes through the scores or the result, as (batch, heads, features, positions), and from the output that gives
    them all.
    """
    past, own = inputs[place + 3], some(inputs[place])
    if past is None and present is None:
        gradients[place] = None if turned is None else heads.together(b, turned, turned=True)
        return
    total = b.total([None if turned is None else _turned(b, turned), present])
    if total is None:
        return
    if past is None:
        gradients[place] = heads.together(b, total)
        return
    axis = 1 if heads.flat else 2
    sizes = b.op("Concat", _size(b, past, 2), _size(b, own, axis), axis=0)
    gradients[place + 3], latest = b.ops("Split", 2, total, sizes, axis=2)
    gradients[place] = heads.together(b, latest)
