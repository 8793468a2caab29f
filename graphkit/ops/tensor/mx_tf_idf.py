"""Counts of n-grams in rows of integers, composed from comparisons of windows with every n-gram."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.spec import Refusal, decimal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["write_tf_idf"]


def write_tf_idf(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """Write a TfIdfVectorizer node of integers."""
    if node.attributes.get("pool_strings") is not None:
        return Refusal("MXNet has no strings; number the tokens before the model")
    source = some(node.inputs[0])
    size = b.shape(source)[-1]
    if not isinstance(size, int):
        return Refusal("the length of its rows is not known; give the shapes of the model's inputs with --input")
    columns = node.attributes.get_ints("ngram_indexes", [])
    width = max(columns, default=-1) + 1
    if not width:
        return Refusal("its pool holds no n-gram, and MXNet has no arrays without elements")
    rows = some(x[0]) if b.rank(source) == 2 else b.op("expand_dims", some(x[0]), axis=0)
    total: MxRef | None = None
    for windows, grams, own in _searches(node, size):
        seen = b.op("take", rows, b.const(windows, name="windows"), axis=1)
        pool = b.const(grams.astype(b.dtype(source))[None, None], name="pool")
        alike = b.op("broadcast_equal", b.op("expand_dims", seen, axis=2), pool)
        found = b.op("sum", b.op("min", b.op("Cast", alike, dtype="float32"), axis=3), axis=1)
        spread = np.zeros((width, len(own)), np.float32)
        np.add.at(spread, (own, np.arange(len(own))), 1)
        matrix = b.const(spread, name="columns")
        counts = b.op("FullyConnected", found, matrix, num_hidden=width, no_bias=True, flatten=False)
        total = counts if total is None else b.op("elemwise_add", total, counts)
    if total is None:
        first = b.op("Cast", b.op("slice_axis", rows, axis=1, begin=0, end=1), dtype="float32")
        total = b.op("broadcast_axis", b.op("zeros_like", first), axis=1, size=width)
    mode = node.attributes.get_string("mode", "TF")
    if mode == "IDF":
        total = b.op("_minimum_scalar", total, scalar=1.0)
    given = node.attributes.get_floats("weights", [])
    if mode != "TF" and len(given):
        weights = np.ones(width)
        weights[list(columns)] = [decimal(number) for number in given]
        total = b.op("broadcast_mul", total, b.const(weights.astype(np.float32)[None], name="weights"))
    return total if b.rank(source) == 2 else b.op("Reshape", total, shape=(-1,))


def _searches(
    node: ir.Node, size: int
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """By length and number of skipped elements: the windows of a row, the n-grams, and the column of each."""
    shortest, longest, skips = (
        node.attributes.get_int(name, 0) or 0 for name in ("min_gram_length", "max_gram_length", "max_skip_count")
    )
    pool = np.array(node.attributes.get_ints("pool_int64s", []), np.int64)
    starts = [*node.attributes.get_ints("ngram_counts", []), len(pool)]
    columns = np.array(node.attributes.get_ints("ngram_indexes", []), np.int64)
    seen = 0
    for length, (start, stop) in enumerate(pairwise(starts), start=1):
        grams = pool[start:stop].reshape(-1, length)
        own = columns[seen : seen + len(grams)]
        seen += len(grams)
        if not shortest <= length <= longest or not len(grams):
            continue
        for step in range(1, (skips if length > 1 else 0) + 2):
            first = np.arange(size - step * (length - 1))
            if len(first):
                yield (first[:, None] + step * np.arange(length)).astype(np.int32), grams, own
