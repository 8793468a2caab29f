"""MXNet's non-maximum suppression, whose result has as many rows as its input.

The rows that stay come first, best first; all others are -1. Compared as MXNet does: a score must be greater than
``valid_thresh``; ids are compared without their fraction; the background's id is -1 unless given, and is left out
wherever ids are. Converting between corners and centres leaves rows whose first coordinate is negative as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.detection.boxes import single
from graphkit.ops.detection.suppression import rows_of, suppress
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_OTHER = {"corner": "center", "center": "corner"}


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, attrs = some(x[0]), node.attrs
    topk, threshold = int(attrs.get("topk", "-1")), FLOAT.parse(attrs.get("overlap_thresh", "0.5"))
    if topk == 0:
        return b.op("Identity", data)
    if threshold < 0:
        return Refusal("overlap_thresh is negative, and ONNX's NonMaxSuppression takes ratios from 0 on")
    rank = b.rank(data)
    rows = data
    if rank != 3:
        rows = b.op("Unsqueeze", data, [0]) if rank == 2 else b.op("Reshape", data, _flat(b, data))
    scores, classes = _scores(b, node, rows)
    if topk > 0:
        rows, scores, classes = _best(b, rows, scores, classes, topk)
    coordinate = int(attrs.get("coord_start", "2"))
    boxes = b.op("Slice", rows, [coordinate], [coordinate + 4], [-1])
    center = attrs.get("in_format", "corner") == "center"
    if BOOL.parse(attrs.get("force_suppress", "False")):
        classes = None
    stays = suppress(b, boxes, scores, threshold, classes=classes, center=center)
    lowest = b.scalar(-np.inf, scores)
    ranked, order = b.ops("TopK", 2, b.op("Where", stays, scores, lowest), size_along(b, scores, 1), axis=1)
    filled = b.op("Unsqueeze", b.op("Greater", ranked, lowest), [-1])
    result = b.op("Where", filled, rows_of(b, rows, order), b.scalar(-1.0, data))
    if attrs.get("out_format", "corner") == _OTHER[attrs.get("in_format", "corner")]:
        result = _converted(b, result, coordinate, to_center=not center)
    if topk > 0:
        result = _padded(b, result, data, topk)
    if rank == 3:
        return result
    return b.op("Squeeze", result, [0]) if rank == 2 else b.op("Reshape", result, b.op("Shape", data))


def _flat(b: OnnxBuilder, data: ir.Value) -> ir.Value:
    return b.op("Concat", [-1], b.op("Shape", data, start=-2), axis=0)


def _scores(b: OnnxBuilder, node: MxNode, rows: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    """Scores, minus infinity for boxes that take no part, and classes where there are any; both (batch, boxes)."""
    attrs = node.attrs
    scores = b.op("Gather", rows, np.asarray(int(attrs.get("score_index", "1"))), axis=-1)
    valid = b.op("Greater", scores, b.scalar(single(node, "valid_thresh", "0"), scores))
    classes = None
    number = int(attrs.get("id_index", "-1"))
    if number >= 0:
        ids = b.op("Gather", rows, np.asarray(number), axis=-1)
        background = b.op("Equal", ids, b.scalar(float(attrs.get("background_id", "-1")), ids))
        valid = b.op("And", valid, b.op("Not", background))
        classes = b.op("Cast", ids, to=ir.DataType.INT64)
    return b.op("Where", valid, scores, b.scalar(-np.inf, scores)), classes


def _best(
    b: OnnxBuilder, rows: ir.Value, scores: ir.Value, classes: ir.Value | None, topk: int
) -> tuple[ir.Value, ir.Value, ir.Value | None]:
    size = b.shape(rows)[1]
    taken = b.const([min(size, topk)]) if isinstance(size, int) else b.op("Min", size_along(b, rows, 1), [topk])
    scores, order = b.ops("TopK", 2, scores, taken, axis=1)
    if classes is not None:
        classes = b.op("GatherElements", classes, order, axis=1)
    return rows_of(b, rows, order), scores, classes


def _padded(b: OnnxBuilder, result: ir.Value, data: ir.Value, topk: int) -> ir.Value:
    size = b.shape(data)[-2]
    if isinstance(size, int) and size <= topk:
        return result
    missing = b.op("Sub", size_along(b, data, -2) if size is None else _rows(b, data), size_along(b, result, 1))
    return b.op("Pad", result, b.op("Concat", [0], missing, axis=0), b.scalar(-1.0, result), [1])


def _rows(b: OnnxBuilder, data: ir.Value) -> ir.Value:
    return size_along(b, data, b.rank(data) - 2)


def _converted(b: OnnxBuilder, rows: ir.Value, coordinate: int, *, to_center: bool) -> ir.Value:
    width = b.shape(rows)[-1]
    assert isinstance(width, int)
    lengths = [coordinate, 2, 2, width - coordinate - 4]
    parts = iter(b.ops("Split", sum(n > 0 for n in lengths), rows, [n for n in lengths if n > 0], axis=-1))
    before, first, second, after = (next(parts) if n > 0 else None for n in lengths)
    assert first is not None
    assert second is not None
    two = b.scalar(2.0, rows)
    if to_center:
        new = b.op("Div", b.op("Add", first, second), two), b.op("Sub", second, first)
    else:
        half = b.op("Div", second, two)
        new = b.op("Sub", first, half), b.op("Add", first, half)
    outside = b.op("Less", b.op("Gather", first, [0], axis=-1), b.scalar(0.0, rows))
    boxes = b.op("Where", outside, b.op("Concat", first, second, axis=-1), b.op("Concat", *new, axis=-1))
    whole = [part for part in (before, boxes, after) if part is not None]
    return boxes if len(whole) == 1 else b.op("Concat", *whole, axis=-1)


_ROWS = given(
    [
        [
            [0, 0.5, 0.1, 0.1, 0.2, 0.2],
            [1, 0.4, 0.1, 0.1, 0.2, 0.2],
            [0, 0.3, 0.1, 0.1, 0.18, 0.19],
            [2, 0.6, 0.5, 0.5, 0.7, 0.8],
            [2, 0.6, 0.5, 0.5, 0.7, 0.9],
            [-1, 0.9, 0.2, 0.1, 0.5, 0.8],
            [1, -0.2, 0.6, 0.1, 0.5, 0.8],
            [1.5, 0.2, 0.1, 0.1, 0.21, 0.2],
        ],
        [
            [0, 0.05, 0.7, 0.1, 0.2, 0.2],
            [1, 0.4, -0.1, 0.1, 0.2, 0.2],
            [1, 0.3, -0.1, 0.1, 0.18, 0.19],
            [0, 0.6, 0.5, 0.5, 0.5, 0.8],
            [0, 0.6, 0.5, 0.5, 0.5, 0.8],
            [2, 0.9, 0.2, 0.1, 0.5, 0.8],
            [2, 0.8, 0.3, 0.1, 0.5, 0.8],
            [1, 0.2, 0.2, 0.1, 0.51, 0.8],
        ],
    ],
    "float32",
)
_BOXES = (
    (0.1, 0.1, 0.5, 0.5),
    (0.15, 0.1, 0.55, 0.5),
    (0.6, 0.6, 0.9, 0.9),
    (0.1, 0.6, 0.4, 0.9),
    (0.62, 0.65, 0.9, 0.95),
)
_APART = given(
    [
        [[(0.9 - 0.2 * ((row + turn) % 5), turn, row, *box) for row, box in enumerate(_BOXES)] for turn in turns]
        for turns in ((0, 4), (3, 2))
    ],
    "float32",
)
"""Scores and overlaps that small steps do not put in another order, the best two overlapping in the first example."""
_CLASSES = {"id_index": 0, "coord_start": 2, "score_index": 1}

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_box_nms",
            read=_read,
            reads=(
                "overlap_thresh",
                "valid_thresh",
                "topk",
                "coord_start",
                "score_index",
                "id_index",
                "background_id",
                "force_suppress",
                "in_format",
                "out_format",
            ),
            direction="read",
            cases=(
                Case("defaults", (_ROWS,), grad=False),
                Case("random", (arr(4, 12, 6, low=0),), {"overlap_thresh": 0.1}),
                Case("random, by class", (arr(2, 12, 6, low=0, high=3),), {**_CLASSES, "overlap_thresh": 0.1}),
                Case("random, best five", (arr(3, 9, 7, low=0),), {"overlap_thresh": 0.2, "topk": 5}),
                Case(
                    "random centres",
                    (arr(4, 12, 6, low=0),),
                    {"overlap_thresh": 0.1, "in_format": "center"},
                    grad=False,
                ),
                Case("by class", (_ROWS,), _CLASSES, grad=False),
                Case("by class, forced", (_ROWS,), {**_CLASSES, "force_suppress": True}, grad=False),
                Case("background", (_ROWS,), {**_CLASSES, "background_id": 2}, grad=False),
                Case("best three", (_ROWS,), {**_CLASSES, "topk": 3}, grad=False),
                Case("more than there are", (_ROWS,), {"topk": 30}, grad=False),
                Case("nothing asked for", (_ROWS,), {"topk": 0}),
                Case("nothing stays", (_ROWS,), {"valid_thresh": 2.0}, grad=False),
                Case("threshold", (_ROWS,), {"overlap_thresh": 0.9, "valid_thresh": 0.25}, grad=False),
                Case("never overlapping", (_ROWS,), {"overlap_thresh": 1.5}, grad=False),
                Case("one example", (arr(5, 5, low=0),), {"coord_start": 0, "score_index": 4}),
                Case("more axes", (_APART,), {"coord_start": 3, "score_index": 0, "topk": 2}),
                Case("to centres", (_ROWS,), {"out_format": "center"}, grad=False),
                Case("to corners", (_ROWS,), {"in_format": "center"}, grad=False),
                Case(
                    "boxes alone",
                    (arr(6, 5, low=0),),
                    {"coord_start": 1, "score_index": 0, "out_format": "center"},
                    grad=False,
                ),
                Case("free batch", (_ROWS,), {"topk": 4, **_CLASSES}, dynamic=(0,), grad=False),
            ),
        ),
    ),
)
