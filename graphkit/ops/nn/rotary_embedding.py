"""Rotary embeddings: pairs of features turned by angles that depend on the position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import END, some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_UNKNOWN = "the number of its features is not known; give the shapes of the model's inputs with --input"


def _sizes(b: MxBuilder | TorchBuilder, node: ir.Node) -> tuple[int, int, int] | Refusal:
    """The number of heads, of features of each and of those that are turned."""
    source = some(node.inputs[0])
    dims = b.shape(source)
    features = dims[-1]
    if not isinstance(features, int):
        return Refusal(_UNKNOWN)
    heads = 1
    if len(dims) == 3:
        heads = node.attributes.get_int("num_heads", 0)
        if heads < 1:
            return Refusal("num_heads is not given, which an input of three axes needs")
        if features % heads:
            return Refusal(f"num_heads={heads} does not divide its {features} features")
        features //= heads
    turned = node.attributes.get_int("rotary_embedding_dim", 0) or features
    if turned % 2 or turned > features:
        return Refusal(f"it turns {turned} of {features} features; an even number of them is allowed")
    return heads, features, turned


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    sizes = _sizes(b, node)
    if isinstance(sizes, Refusal):
        return sizes
    heads, features, turned = sizes
    flat = b.rank(some(node.inputs[0])) == 3
    data = b.op("Reshape", some(x[0]), shape=(0, 0, -4, heads, -1)) if flat else some(x[0])
    positions = x[3] if len(x) > 3 else None
    cosine, sine = (_angles(b, some(x[place]), positions, 2 if flat else 1) for place in (1, 2))
    part = data if turned == features else b.op("slice_axis", data, axis=3, begin=0, end=turned)
    interleaved = node.attributes.get_int("interleaved", 0)
    if interleaved:
        pairs = b.op("Reshape", part, shape=(0, 0, 0, -4, -1, 2))
        first, second = (
            b.op("Reshape", b.op("slice_axis", pairs, axis=4, begin=at, end=at + 1), shape=(0, 0, 0, -3))
            for at in (0, 1)
        )
    else:
        first, second = b.ops("SliceChannel", 2, part, num_outputs=2, axis=3)
    real = b.op("elemwise_sub", b.op("broadcast_mul", first, cosine), b.op("broadcast_mul", second, sine))
    imaginary = b.op("elemwise_add", b.op("broadcast_mul", first, sine), b.op("broadcast_mul", second, cosine))
    if interleaved:
        part = b.op("Reshape", b.op("stack", real, imaginary, axis=4, num_args=2), shape=(0, 0, 0, -3))
        parts = [part]
    else:
        parts = [real, imaginary]
    if turned < features:
        parts.append(b.op("slice_axis", data, axis=3, begin=turned, end="None"))
    found = parts[0] if len(parts) == 1 else b.op("Concat", *parts, num_args=len(parts), dim=3)
    return b.op("Reshape", found, shape=(0, 0, -3)) if flat else found


def _angles(b: MxBuilder, cache: MxRef, positions: MxRef | None, axis: int) -> MxRef:
    """Cosines or sines of each position, with an axis for the heads."""
    return b.op("expand_dims", cache if positions is None else b.op("take", cache, positions, axis=0), axis=axis)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    sizes = _sizes(b, node)
    if isinstance(sizes, Refusal):
        return sizes
    heads, features, turned = sizes
    flat = b.rank(some(node.inputs[0])) == 3
    data: Arg = b.method("unflatten", x[0], 2, (heads, -1)) if flat else x[0]
    positions = x[3] if len(x) > 3 else None
    cosine, sine = (
        b.method("unsqueeze", cache if positions is None else b.item(cache, positions), 2 if flat else 1)
        for cache in x[1:3]
    )
    part = data if turned == features else b.item(data, Code("..."), slice(None, turned))
    interleaved = node.attributes.get_int("interleaved", 0)
    if interleaved:
        first, second = (b.item(part, Code("..."), slice(at or None, None, 2)) for at in (0, 1))
    else:
        first, second = b.calls("torch.chunk", 2, part, 2, -1)
    real = b.infix("-", b.infix("*", first, cosine), b.infix("*", second, sine))
    imaginary = b.infix("+", b.infix("*", first, sine), b.infix("*", second, cosine))
    if interleaved:
        parts: list[Arg] = [b.method("flatten", b.call("torch.stack", [real, imaginary], -1), -2)]
    else:
        parts = [real, imaginary]
    if turned < features:
        parts.append(b.item(data, Code("..."), slice(turned, None)))
    found = parts[0] if len(parts) == 1 else b.call("torch.cat", parts, -1)
    return b.method("flatten", found, 2) if flat else found


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> list[ir.Value | None]:
    """Turned by the opposite angles; a cache is shared by heads, and by the tokens at a position."""
    data, cosine, sine = (some(value) for value in node.inputs[:3])
    positions = node.inputs[3] if len(node.inputs) > 3 else None
    found: list[ir.Value | None] = [None] * 3
    if b.wants(data):
        found[0] = _turned_back(b, node, dy[0], positions)
    if not b.wants(cosine) and not b.wants(sine):
        return found
    (first, second), (left, right) = (_pairs(b, node, value) for value in (data, dy[0]))
    axis = 2 if b.rank(data) == 3 else 1
    for place, cache, combine, one, other in (
        (1, cosine, "Add", (left, first), (right, second)),
        (2, sine, "Sub", (right, first), (left, second)),
    ):
        if b.wants(cache):
            each = b.op(combine, b.op("Mul", *one), b.op("Mul", *other))
            total = b.op("ReduceSum", each, [axis], keepdims=0)
            if positions is not None:
                rows = b.op("Unsqueeze", positions, [-1])
                total = b.op("ScatterND", b.full_like(cache), rows, total, reduction="add")
            found[place] = b.like(total, cache)
    return found


def _turned_back(b: GradientBuilder, node: ir.Node, cotangent: ir.Value, positions: ir.Value | None) -> ir.Value:
    cosine, sine = (some(value) for value in node.inputs[1:3])
    if b.dtype(cotangent) != np.float64:  # of which ONNX defines no RotaryEmbedding
        options: dict[str, Any] = {
            name: node.attributes.get_int(name, 0) or None
            for name in ("interleaved", "num_heads", "rotary_embedding_dim")
        }
        return b.op("RotaryEmbedding", cotangent, cosine, b.op("Neg", sine), positions, **options)
    left, right = _pairs(b, node, cotangent)
    turned = node.attributes.get_int("rotary_embedding_dim", 0)
    flat = b.rank(cotangent) == 3
    cosine, sine = (
        b.op("Unsqueeze", cache if positions is None else b.op("Gather", cache, positions), [2 if flat else 1])
        for cache in (cosine, sine)
    )
    first = b.op("Add", b.op("Mul", left, cosine), b.op("Mul", right, sine))
    second = b.op("Sub", b.op("Mul", right, cosine), b.op("Mul", left, sine))
    if node.attributes.get_int("interleaved", 0):
        both = b.op("Concat", b.op("Unsqueeze", first, [-1]), b.op("Unsqueeze", second, [-1]), axis=-1)
        parts = [b.op("Reshape", both, [0, 0, 0, -1])]
    else:
        parts = [first, second]
    if turned:
        parts.append(b.op("Slice", _apart(b, node, cotangent), [turned], [END], [-1]))
    return b.like(parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=-1), cotangent)


def _apart(b: GradientBuilder, node: ir.Node, value: ir.Value) -> ir.Value:
    """With an axis for the heads."""
    if b.rank(value) == 3:
        return b.op("Reshape", value, [0, 0, node.attributes.get_int("num_heads", 0), -1])
    return value


def _pairs(b: GradientBuilder, node: ir.Node, value: ir.Value) -> Sequence[ir.Value]:
    """The first and the second numbers of what is turned, with an axis for the heads."""
    value = _apart(b, node, value)
    if turned := node.attributes.get_int("rotary_embedding_dim", 0):
        value = b.op("Slice", value, [0], [turned], [-1])
    if not node.attributes.get_int("interleaved", 0):
        return b.ops("Split", 2, value, axis=-1, num_outputs=2)
    apart = b.op("Reshape", value, [0, 0, 0, -1, 2])
    return [b.op("Squeeze", each, [-1]) for each in b.ops("Split", 2, apart, axis=-1, num_outputs=2)]


_X, _FLAT = arr(2, 3, 4, 8), arr(2, 4, 24)
_CACHES = (arr(6, 4), arr(6, 4))
_BY_TOKEN = (arr(2, 4, 4), arr(2, 4, 4))
_POSITIONS = given([[0, 1, 2, 3], [2, 3, 5, 0]], "int64")

OP = Op(
    "RotaryEmbedding",
    mx=(MxForm("broadcast_mul", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("halves", (_X, *_CACHES, _POSITIONS), dynamic=(0, 3)),
        Case("interleaved", (_X, *_CACHES, _POSITIONS), {"interleaved": 1}, dynamic=(0, 3)),
        Case("angles of each token", (_X, *_BY_TOKEN)),
        Case("interleaved angles of each token", (_X, *_BY_TOKEN), {"interleaved": 1}),
        Case("three axes", (_FLAT, *_CACHES, _POSITIONS), {"num_heads": 3}, dynamic=(0, 3)),
        Case("interleaved, three axes", (_FLAT, *_BY_TOKEN), {"num_heads": 3, "interleaved": 1}),
        Case("some features", (_X, arr(6, 2), arr(6, 2), _POSITIONS), {"rotary_embedding_dim": 4}),
        Case(
            "some features, interleaved",
            (_X, arr(6, 2), arr(6, 2), _POSITIONS),
            {"rotary_embedding_dim": 4, "interleaved": 1},
        ),
        Case(
            "some features, three axes",
            (_FLAT, arr(2, 4, 2), arr(2, 4, 2)),
            {"rotary_embedding_dim": 4, "num_heads": 3},
        ),
        Case("stored angles", (_X, *_CACHES, _POSITIONS), const=(1, 2)),
    ),
)
