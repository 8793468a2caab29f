"""Choosing rows of a table and elements by their rank, and distances."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.frameworks.torch.aten.emit import FREE, integers, known, origin, rank
from graphkit.frameworks.torch.aten.vector_norm import length
from graphkit.ir.training import set_padding_row

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_REDUCTIONS: Final = ("ReduceSum", "ReduceMean", "ReduceMax")
"""What torch's modes of EmbeddingBag mean."""


def _embedding(
    emit: Emit,
    weight: ir.Value,
    indices: ir.Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,  # noqa: ARG001 -- part of ATen's signature
    sparse: bool = False,  # noqa: ARG001 -- part of ATen's signature
) -> ir.Value:
    """Rows of a table, of which the one for padding gets no gradient."""
    found = emit.op("Gather", weight, indices, axis=0)
    node = found.producer()
    if padding_idx >= 0 and node is not None:
        set_padding_row(node, padding_idx)
    return found


def _embedding_bag(
    emit: Emit,
    weight: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    scale_grad_by_freq: bool = False,  # noqa: ARG001 -- part of ATen's signature
    mode: int = 0,
    sparse: bool = False,  # noqa: ARG001 -- part of ATen's signature
    per_sample_weights: ir.Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> list[ir.Value]:
    """Bags of one size, as torch makes them of indices in two dimensions, or from offsets on."""
    rest = emit.untranslated("sizes of embedding bags", 3, weight)
    size = None if include_last_offset else _bag_size(offsets)
    reduction, row = _REDUCTIONS[mode], -1 if padding_idx is None else padding_idx
    if size is None:
        rows = emit.op("Gather", weight, indices, axis=0)
        if per_sample_weights is not None:
            rows = emit.op("Mul", rows, emit.op("Unsqueeze", per_sample_weights, emit.ints(1)))
        return [_by_offsets(emit, rows, indices, offsets, row, weight, reduction, last=include_last_offset), *rest]
    places = emit.op("Reshape", indices, emit.ints(-1, size))
    rows = emit.op("Gather", weight, places, axis=0)
    if per_sample_weights is not None:
        factors = emit.op("Reshape", per_sample_weights, emit.ints(-1, size, 1))
        rows = emit.op("Mul", rows, factors)
    if reduction == "ReduceMax":
        return [_largest(emit, rows, places, row, weight), *rest]
    if row >= 0:
        return [_without_row(emit, rows, places, row, weight, mean=reduction == "ReduceMean"), *rest]
    return [emit.op(reduction, rows, emit.ints(1), keepdims=0), *rest]


def _by_offsets(
    emit: Emit,
    rows: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    row: int,
    weight: ir.Value,
    reduction: str,
    *,
    last: bool,
) -> ir.Value:
    """What bags hold that begin at offsets, by a matrix that says which of them each row is in.

    Args:
        emit: Emits nodes.
        rows: What all bags hold, one after the other.
        indices: Which rows of the table these are.
        offsets: Where each bag begins.
        row: A row of the table that counts nowhere; negative for none.
        weight: The table.
        reduction: What is made of a bag.
        last: Whether there is one offset more, the end of the last bag.
    """
    end, first = emit.ints(np.iinfo(np.int64).max), emit.ints(0)
    begins = emit.op("Cast", offsets, to=7)
    count = emit.op("Shape", indices)
    if last:
        starts = emit.op("Slice", begins, first, emit.ints(-1), first)
        stops = emit.op("Slice", begins, emit.ints(1), end, first)
    else:
        starts = begins
        stops = emit.op("Concat", emit.op("Slice", begins, emit.ints(1), end, first), count, axis=0)
    one, zero = emit.array(np.asarray(1)), emit.array(np.asarray(0))
    places = emit.op("Range", zero, emit.op("Squeeze", count, first), one)
    column = emit.ints(1)
    inside = emit.op(
        "And",
        emit.op("GreaterOrEqual", places, emit.op("Unsqueeze", starts, column)),
        emit.op("Less", places, emit.op("Unsqueeze", stops, column)),
    )
    if row >= 0:
        padding = emit.op("Equal", indices, emit.op("CastLike", emit.array(np.asarray(row)), indices))
        inside = emit.op("And", inside, emit.op("Not", padding))
    if reduction == "ReduceMax":
        return _largest_of(emit, emit.op("Unsqueeze", rows, first), emit.op("Unsqueeze", inside, emit.ints(2)), weight)
    members = emit.op("CastLike", inside, weight)
    total = emit.op("MatMul", members, rows)
    if reduction == "ReduceSum":
        return total
    sizes = emit.op("ReduceSum", members, emit.ints(1), keepdims=1)
    return emit.op("Div", total, emit.op("Max", sizes, emit.floats(1.0, weight)))


def _largest(emit: Emit, rows: ir.Value, places: ir.Value, row: int, weight: ir.Value) -> ir.Value:
    """Maxima of bags of one size."""
    if row >= 0:
        padding = emit.op("Equal", places, emit.op("CastLike", emit.array(np.asarray(row)), places))
        return _largest_of(emit, rows, emit.op("Not", emit.op("Unsqueeze", padding, emit.ints(-1))), weight)
    return _at_largest(emit, rows)


def _largest_of(emit: Emit, rows: ir.Value, members: ir.Value, weight: ir.Value) -> ir.Value:
    """Maxima of the rows that are members of bags; zero for a bag without any."""
    none = emit.floats(float(np.finfo(np.float32).min), weight)
    found = _at_largest(emit, emit.op("Where", members, rows, none))
    some = emit.op("ReduceMax", emit.op("Cast", members, to=7), emit.ints(1), keepdims=0)
    return emit.op("Where", emit.op("Greater", some, emit.ints(0)), found, emit.floats(0.0, weight))


def _at_largest(emit: Emit, rows: ir.Value) -> ir.Value:
    """The first of the largest along axis 1: a row may be in a bag twice, and gets its gradient once."""
    place = emit.op("ArgMax", rows, axis=1, keepdims=1)
    return emit.op("Squeeze", emit.op("GatherElements", rows, place, axis=1), emit.ints(1))


def _without_row(emit: Emit, rows: ir.Value, places: ir.Value, row: int, weight: ir.Value, *, mean: bool) -> ir.Value:
    """Sums or means of what bags hold besides one row; zero for a bag that holds nothing else."""
    left_out = emit.op("Equal", places, emit.op("CastLike", emit.array(np.asarray(row)), places))
    left_out = emit.op("Unsqueeze", left_out, emit.ints(-1))
    zero, one = emit.floats(0.0, weight), emit.floats(1.0, weight)
    total = emit.op("ReduceSum", emit.op("Where", left_out, zero, rows), emit.ints(1), keepdims=0)
    if not mean:
        return total
    count = emit.op("ReduceSum", emit.op("Where", left_out, zero, one), emit.ints(1), keepdims=0)
    return emit.op("Div", total, emit.op("Max", count, one))


def _bag_size(offsets: ir.Value) -> int | None:
    """The step of offsets 0, n, 2n, …; None where they are others."""
    numbers = integers(offsets)
    if numbers is not None:
        steps = set(np.diff(numbers).tolist())
        return steps.pop() if len(steps) == 1 and numbers[0] == 0 else None
    node = origin(offsets).producer()
    if node is None or node.op_type != "Range":
        return None
    start, step = integers(node.inputs[0]), integers(node.inputs[2])
    return step[0] if start == [0] and step is not None else None


def _kth(emit: Emit, x: ir.Value, k: int, axis: int, keepdim: bool) -> list[ir.Value]:
    """The k-th smallest element along an axis, k counted from 1, and where it is."""
    found = emit.ops("TopK", 2, x, emit.ints(k), axis=axis, largest=0, sorted=1)
    if keepdim:
        return [emit.op("Slice", part, emit.ints(k - 1), emit.ints(k), emit.ints(axis)) for part in found]
    return [emit.op("Gather", part, emit.array(np.asarray(k - 1)), axis=axis) for part in found]


def _kthvalue(emit: Emit, x: ir.Value, k: int, dim: int = -1, keepdim: bool = False) -> list[ir.Value]:
    return _kth(emit, x, k, dim % rank(x), keepdim)


def _sort(
    emit: Emit,
    x: ir.Value,
    *,
    stable: bool | None = None,  # noqa: ARG001 -- TopK keeps the order of what is equal
    dim: int = -1,
    descending: bool = False,
) -> list[ir.Value]:
    if rank(x) == 0:
        return [emit.op("Identity", x), emit.array(np.asarray(0))]
    axis = dim % rank(x)
    size = known(x)[axis]
    count = emit.ints(size) if size is not None else emit.op("Shape", x, start=axis, end=axis + 1)
    return emit.ops("TopK", 2, x, count, axis=axis, largest=int(descending), sorted=1)


def _order(emit: Emit, x: ir.Value, **how: Any) -> ir.Value:
    return _sort(emit, x, **how)[1]


def _median(emit: Emit, x: ir.Value, dim: int, keepdim: bool = False) -> list[ir.Value]:
    """The lower median."""
    size = known(x)[dim]
    if size is None:
        return emit.untranslated("median of a free dimension", 2, x, why=FREE)
    return _kth(emit, x, (size + 1) // 2, dim % rank(x), keepdim)


def _median_of_all(emit: Emit, x: ir.Value) -> ir.Value:
    sizes = known(x)
    if None in sizes:
        return emit.untranslated("median of a free size", 1, x, why=FREE)[0]
    flat = emit.op("Reshape", x, emit.ints(-1))
    return _kth(emit, flat, (prod(size or 0 for size in sizes) + 1) // 2, 0, False)[0]


def _distances(emit: Emit, x: ir.Value, y: ir.Value, p: float, compute_mode: int | None = None) -> ir.Value:  # noqa: ARG001 -- part of ATen's signature
    """Distances of the vectors of one set from those of another."""
    gaps = emit.op("Sub", emit.op("Unsqueeze", x, emit.ints(-2)), emit.op("Unsqueeze", y, emit.ints(-3)))
    if p == 0:
        return emit.untranslated("distance that counts what differs", 1, x, y)[0]
    gaps.type = x.type
    return length(emit, gaps, p, [-1])


ROWS: dict[str, Callable[..., Any]] = {
    "aten._cdist_forward.default": _distances,
    "aten.argsort.stable": _order,
    "aten.embedding.default": _embedding,
    "aten.embedding_bag.default": _embedding_bag,
    "aten.embedding_bag.padding_idx": _embedding_bag,
    "aten.kthvalue.default": _kthvalue,
    "aten.median.default": _median_of_all,
    "aten.median.dim": _median,
    "aten.sort.stable": _sort,
}
