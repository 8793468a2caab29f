"""Counts of n-grams in rows of integers, perhaps weighted by how rare they are."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.spec import Arr, Case, MxForm, Op, Refusal, decimal, int64
from graphkit.ops.tensor.mx_tf_idf import write_tf_idf
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg


def _grams(node: ir.Node) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """By length, from 1 on: the n-grams as rows, and the column of the result that each is counted in."""
    pool = np.array(node.attributes.get_ints("pool_int64s", []), np.int64)
    starts = [*node.attributes.get_ints("ngram_counts", []), len(pool)]
    columns = np.array(node.attributes.get_ints("ngram_indexes", []), np.int64)
    seen = 0
    for length, (start, stop) in enumerate(itertools.pairwise(starts), start=1):
        rows = pool[start:stop].reshape(-1, length)
        yield rows, columns[seen : seen + len(rows)]
        seen += len(rows)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if node.attributes.get("pool_strings") is not None:
        return Refusal("torch has no strings; number the tokens before the model")
    columns = node.attributes.get_ints("ngram_indexes", [])
    shortest, longest, skips = (
        node.attributes.get_int(name, 0) or 0 for name in ("min_gram_length", "max_gram_length", "max_skip_count")
    )
    data = x[0] if b.rank(some(node.inputs[0])) == 2 else b.method("unsqueeze", x[0], 0)
    width = max(columns, default=-1) + 1
    total: Arg = None
    for length, (rows, own) in enumerate(_grams(node), start=1):
        if not shortest <= length <= longest or not len(rows):
            continue
        times = skips if length > 1 else 0
        counts = b.call("count_ngrams", data, b.const(rows), b.const(own), width, *((times,) if times else ()))
        total = counts if total is None else b.infix("+", total, counts)
    if total is None:
        total = b.call("count_ngrams", data, b.const(np.zeros((0, 1), np.int64)), b.const(np.zeros(0, np.int64)), width)
    mode = node.attributes.get_string("mode", "TF")
    if mode == "IDF":
        total = b.method("clamp", total, max=1)
    given = node.attributes.get_floats("weights", [])
    if mode != "TF" and len(given):
        weights = np.ones(width, np.float32)
        weights[list(columns)] = [decimal(number) for number in given]
        total = b.infix("*", total, b.const(weights))
    return total if data is x[0] else b.method("squeeze", total, 0)


_ROWS = int64([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]])
_POOL = {
    "ngram_counts": [0, 4],
    "ngram_indexes": [0, 1, 2, 3, 4, 5, 6],
    "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
    "mode": "TF",
    "min_gram_length": 2,
    "max_gram_length": 2,
    "max_skip_count": 0,
}


def _case(name: str, rows: Arr = _ROWS, **attrs: Any) -> Case:
    return Case(name, (rows,), {**_POOL, **attrs}, grad=False)


OP = Op(
    "TfIdfVectorizer",
    mx=(MxForm("broadcast_equal", write=write_tf_idf, direction="write"),),
    torch=_torch,
    cases=(
        _case("pairs"),
        _case("pairs apart", max_skip_count=5),
        _case("one and two", max_skip_count=5, min_gram_length=1),
        _case("one row", int64([1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8]), max_skip_count=5, min_gram_length=1),
        _case("other columns", min_gram_length=1, ngram_indexes=[6, 4, 2, 0, 1, 3, 5]),
        _case("presence", min_gram_length=1, mode="IDF", weights=[0.5, 2.0, 1.0, 3.0, 0.25, 1.5, 4.0]),
        _case("weighed", min_gram_length=1, mode="TFIDF", weights=[0.5, 2.0, 1.0, 3.0, 0.25, 1.5, 4.0]),
    ),
)
