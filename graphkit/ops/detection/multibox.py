"""The last layer of MXNet's SSD: from class probabilities, offsets and anchors to ranked detections.

A row is (class, score, corners). The best rows come first; one that a better one overlaps keeps its numbers with class
-1; rows beyond ``nms_topk`` are such, too, in the order of the anchors; what is left is -1 throughout. The background
is class 0 whatever ``background_id`` says. No gradient flows back, as in MXNet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL
from graphkit.ops.detection.boxes import decoded, numbers, single
from graphkit.ops.detection.suppression import rows_of, suppress
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import END, positions, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _flag(node: MxNode, name: str, default: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, default)))


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    found = _detected(b, node, x)
    return found if isinstance(found, Refusal) else b.stopped(found)


def _detected(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    probabilities = some(x[0])
    variances = numbers(node, "variances", "(0.1, 0.1, 0.2, 0.2)")
    if len(variances) != 4:
        return Refusal("variances are not the four numbers that MXNet needs")
    foreground = b.op("Slice", probabilities, [1], [END], [1])
    scores = b.op("ReduceMax", foreground, [1], keepdims=0)
    best = b.op("ArgMax", foreground, axis=1, keepdims=0)
    least = max(single(node, "threshold", "0.01"), float(np.nextafter(np.float32(-1), np.float32(0))))
    valid = b.op("GreaterOrEqual", scores, b.scalar(least, scores))
    corners = decoded(b, b.op("Reshape", some(x[1]), [0, -1, 4]), some(x[2]), variances)
    boxes = b.op("Concat", *corners, axis=-1)
    if _flag(node, "clip", "True"):
        boxes = b.op("Clip", boxes, b.scalar(0.0, boxes), b.scalar(1.0, boxes))
    classes = b.op("Cast", best, to=ir.DataType.from_numpy(b.dtype(scores)))
    rows = b.op("Concat", b.op("Unsqueeze", classes, [2]), b.op("Unsqueeze", scores, [2]), boxes, axis=2)
    overlap = single(node, "nms_threshold", "0.5")
    if not 0 < overlap <= 1:
        return _by_anchor(b, rows, valid)
    lowest = b.scalar(-np.inf, scores)
    ranked, order = b.ops("TopK", 2, b.op("Where", valid, scores, lowest), size_along(b, scores, 1), axis=1)
    best_rows = rows_of(b, rows, order)
    most = int(node.attrs.get("nms_topk", "-1"))
    if most <= 0:
        return _suppressed(b, node, best_rows, ranked, overlap)
    taken = b.op("Slice", best_rows, [0], [most], [1]), b.op("Slice", ranked, [0], [most], [1])
    rest = b.op("Slice", _by_anchor(b, rows, valid, keep_class=False), [most], [END], [1])
    return b.op("Concat", _suppressed(b, node, *taken, overlap), rest, axis=1)


def _suppressed(b: OnnxBuilder, node: MxNode, rows: ir.Value, scores: ir.Value, overlap: float) -> ir.Value:
    """Ranked rows, those that better ones overlap without their class."""
    label, score, boxes = b.ops("Split", 3, rows, [1, 1, 4], axis=2)
    classes = None
    if not _flag(node, "force_suppress", "False"):
        classes = b.op("Cast", b.op("Squeeze", label, [2]), to=ir.DataType.INT64)
    reached = float(np.nextafter(np.float32(overlap), np.float32(0)))
    stays = b.op("Unsqueeze", suppress(b, boxes, scores, reached, classes=classes), [2])
    none = b.scalar(-1.0, rows)
    marked = b.op("Concat", b.op("Where", stays, label, none), score, boxes, axis=2)
    there = b.op("Unsqueeze", b.op("Greater", scores, b.scalar(-np.inf, scores)), [2])
    return b.op("Where", there, marked, none)


def _by_anchor(b: OnnxBuilder, rows: ir.Value, valid: ir.Value, *, keep_class: bool = True) -> ir.Value:
    """Valid rows first, in the order of their anchors."""
    number = b.op("Cast", positions(b, valid, 1), to=ir.DataType.FLOAT)
    first = b.op("Sub", b.op("Cast", size_along(b, valid, 1), to=ir.DataType.FLOAT), number)
    key = b.op("Where", valid, first, b.op("Neg", number))  # no two are equal, which not all sorts keep in order
    kept, order = b.ops("TopK", 2, key, size_along(b, key, 1), axis=1)
    moved, none = rows_of(b, rows, order), b.scalar(-1.0, rows)
    if not keep_class:
        label, others = b.ops("Split", 2, moved, [1, 5], axis=2)
        moved = b.op(
            "Concat", b.op("Sub", b.op("Mul", label, b.scalar(0.0, label)), b.scalar(1.0, label)), others, axis=2
        )
    there = b.op("Unsqueeze", b.op("Greater", kept, b.scalar(0.0, kept)), [2])
    return b.op("Where", there, moved, none)


_INPUTS = (arr(2, 4, 9, low=0.0), arr(2, 36), arr(1, 9, 4, low=0.1, high=0.9))

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_MultiBoxDetection",
            read=_read,
            reads=("clip", "threshold", "nms_threshold", "force_suppress", "variances", "nms_topk"),
            ignore=("background_id",),
            direction="read",
            cases=(
                Case("default", _INPUTS, grad=False),
                Case("forced", _INPUTS, {"force_suppress": True, "nms_threshold": 0.2}, grad=False),
                Case("best three", _INPUTS, {"nms_topk": 3, "nms_threshold": 0.1}, grad=False),
                Case("forced, best three", _INPUTS, {"nms_topk": 3, "force_suppress": True}, grad=False),
                Case("threshold", _INPUTS, {"threshold": 0.7, "background_id": 2}, grad=False),
                Case("nothing suppressed", _INPUTS, {"threshold": 0.6, "nms_threshold": 0}, grad=False),
                Case("unclipped", _INPUTS, {"clip": False, "variances": "(0.2, 0.3, 0.4, 0.5)"}, grad=False),
                Case("free batch", _INPUTS, {"threshold": 0.6}, dynamic=(0, 1), grad=False),
            ),
        ),
    ),
    limits=(Limit("read-float64", "MXNet's MultiBoxDetection computes in float32 only"),),
)
