"""The proposals of a Faster R-CNN: the best boxes that anchors are moved to, as regions of interest.

Boxes hold both of their outermost pixels, so that sizes are differences plus one. Every image gives
``rpn_post_nms_top_n`` regions (image, x1, y1, x2, y2); where fewer stay, they are repeated in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL
from graphkit.ops.detection.boxes import numbers, single
from graphkit.ops.detection.suppression import rows_of, suppress
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import positions, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

    Array = npt.NDArray[Any]

_F = np.float32


def _flag(node: MxNode, name: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, "False")))


def _anchors(ratios: Sequence[float], scales: Sequence[float], stride: int) -> Array:
    """Corners of one cell's anchors: all scales of the first ratio, then of the next, rounded as Caffe did."""
    middle, found = _F(0.5 * (stride - 1)), []
    for ratio in np.asarray(ratios, _F):
        width = np.floor(np.sqrt(np.floor(_F(stride * stride) / ratio)) + _F(0.5))
        height = np.floor(width * ratio + _F(0.5))
        for scale in np.asarray(scales, _F):
            reach = _F(0.5) * (np.asarray([width, height], _F) * scale - 1)
            found.append([*(middle - reach), *(middle + reach)])
    return np.asarray(found, _F)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Sequence[ir.Value] | Refusal:
    probabilities, info = some(x[0]), some(x[2])
    height, width = b.shape(probabilities)[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return Refusal("the height and width of its map are not known; give the shapes of the model's inputs")
    overlap = single(node, "threshold", "0.7")
    if not 0 <= overlap <= 1:
        return Refusal(f"threshold={overlap} is no share of an area that boxes have in common")
    stride = int(node.attrs.get("feature_stride", "16"))
    cell = _anchors(numbers(node, "ratios", "(0.5, 1, 2)"), numbers(node, "scales", "(4, 8, 16, 32)"), stride)
    check_elements(4 * height * width * len(cell))
    rows, columns = (grid.reshape(-1).repeat(len(cell)) for grid in np.indices((height, width)))
    shifts = np.stack([columns, rows, columns, rows], axis=-1).astype(_F) * stride
    anchors = np.tile(cell, (height * width, 1)) + shifts
    corners = _boxes(b, node, some(x[1]), info, anchors, (height, width, len(cell)))
    scores = b.op("Slice", probabilities, [len(cell)], [2 * len(cell)], [1])
    scores = b.op("Reshape", b.op("Transpose", scores, perm=[0, 2, 3, 1]), [0, -1])
    within = b.op("Floor", b.op("Div", info, b.scalar(stride, info)))
    real_height, real_width, _ = b.ops("Split", 3, within, [1, 1, 1], axis=1)
    padded = b.op(
        "Or",
        b.op("GreaterOrEqual", rows.astype(_F)[None], real_height),
        b.op("GreaterOrEqual", columns.astype(_F)[None], real_width),
    )
    return _ranked(b, node, corners, scores, padded, info)


def _boxes(
    b: OnnxBuilder, node: MxNode, offsets: ir.Value, info: ir.Value, anchors: Array, cells: tuple[int, int, int]
) -> tuple[ir.Value, ir.Value]:
    """Corners inside the image, (images, anchors, 2) each; boxes that are too small grow by that size."""
    height, width, count = cells
    apart = b.op("Transpose", b.op("Reshape", offsets, [0, count, 4, height, width]), perm=[0, 3, 4, 1, 2])
    move, stretch = b.ops("Split", 2, b.op("Reshape", apart, [0, -1, 4]), [2, 2], axis=2)
    one, half, zero = (b.scalar(value, offsets) for value in (1.0, 0.5, 0.0))
    if _flag(node, "iou_loss"):
        first, second = b.op("Add", move, anchors[None, :, :2]), b.op("Add", stretch, anchors[None, :, 2:])
    else:
        sizes = anchors[None, :, 2:] - anchors[None, :, :2] + _F(1)
        middle = b.op("Add", b.op("Mul", move, sizes), anchors[None, :, :2] + _F(0.5) * (sizes - _F(1)))
        reach = b.op("Mul", b.op("Sub", b.op("Mul", b.op("Exp", stretch), sizes), one), half)
        first, second = b.op("Sub", middle, reach), b.op("Add", middle, reach)
    last = b.op("Unsqueeze", b.op("Sub", b.op("Gather", info, [1, 0], axis=1), one), [1])
    inside = [b.op("Max", b.op("Min", corner, last), zero) for corner in (first, second)]
    return inside[0], inside[1]


def _ranked(
    b: OnnxBuilder,
    node: MxNode,
    corners: tuple[ir.Value, ir.Value],
    scores: ir.Value,
    padded: ir.Value,
    info: ir.Value,
) -> ir.Value | Sequence[ir.Value]:
    """Regions and, where asked for, scores."""
    first, second = corners
    one = b.scalar(1.0, first)
    smallest = b.op(
        "Mul",
        b.op("Gather", info, np.asarray([2]), axis=1),
        b.scalar(int(node.attrs.get("rpn_min_size", "16")), info),
    )
    smallest = b.op("Unsqueeze", smallest, [1])
    thin = b.op("Less", b.op("Add", b.op("Sub", second, first), one), smallest)
    small = b.op("Cast", b.op("ReduceMax", b.op("Cast", thin, to=ir.DataType.INT32), [2]), to=ir.DataType.BOOL)
    growth = b.op("Where", small, b.op("Div", smallest, b.scalar(2.0, smallest)), b.scalar(0.0, smallest))
    boxes = b.op("Concat", b.op("Sub", first, growth), b.op("Add", second, growth), axis=2)
    out = b.op("Or", padded, b.op("Squeeze", small, [2]))
    scores = b.op("Where", out, b.scalar(-1.0, scores), scores)
    everything = b.shape(boxes)[1]
    assert isinstance(everything, int)
    before = int(node.attrs.get("rpn_pre_nms_top_n", "6000"))
    taken = min(before, everything) if before > 0 else everything
    after = int(node.attrs.get("rpn_post_nms_top_n", "300"))
    ranked, order = b.ops("TopK", 2, scores, [taken], axis=1)
    boxes = rows_of(b, boxes, order)
    whole = b.op("Add", boxes, np.asarray([0, 0, 1, 1], b.dtype(boxes)))
    stays = suppress(b, whole, ranked, single(node, "threshold", "0.7"))
    kept = b.op("Where", stays, ranked, b.scalar(-np.inf, ranked))
    _, places = b.ops("TopK", 2, kept, [taken], axis=1)
    count = b.op("ReduceSum", b.op("Cast", stays, to=ir.DataType.INT64), [1])
    turns = b.op("Mod", np.arange(after)[None], b.op("Min", count, np.asarray(min(after, taken))))
    places = b.op("GatherElements", places, turns, axis=1)
    image = b.op("Cast", positions(b, scores, 0), to=ir.DataType.from_numpy(b.dtype(boxes)))
    number = b.op("Expand", b.op("Reshape", image, [-1, 1, 1]), [1, after, 1])
    regions = b.stopped(b.op("Reshape", b.op("Concat", number, rows_of(b, boxes, places), axis=2), [-1, 5]))
    if not _flag(node, "output_score"):
        return regions
    return regions, b.stopped(b.op("Reshape", b.op("GatherElements", ranked, places, axis=1), [-1, 1]))


_MAP = (arr(2, 12, 4, 5, low=0.0), arr(2, 24, 4, 5, low=-0.4, high=0.4))
_INFO = given([[64.0, 80.0, 1.0], [50.0, 70.0, 0.5]], "float32")
_PARAMS = {
    "feature_stride": 16,
    "scales": "(1, 2)",
    "ratios": "(0.5, 1, 2)",
    "rpn_min_size": 12,
    "rpn_post_nms_top_n": 20,
    "rpn_pre_nms_top_n": 60,
}
_READS = (
    "feature_stride",
    "scales",
    "ratios",
    "rpn_min_size",
    "rpn_post_nms_top_n",
    "rpn_pre_nms_top_n",
    "threshold",
    "iou_loss",
    "output_score",
)

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_MultiProposal",
            read=_read,
            reads=_READS,
            direction="read",
            cases=(
                Case("two images", (*_MAP, _INFO), _PARAMS, grad=False),
                Case("scores", (*_MAP, _INFO), {**_PARAMS, "output_score": True}, outputs=2, grad=False),
                Case("corners", (*_MAP, _INFO), {**_PARAMS, "iou_loss": True, "threshold": 0.5}, grad=False),
                Case("repeated", (*_MAP, _INFO), {**_PARAMS, "threshold": 0.05, "rpn_pre_nms_top_n": 0}, grad=False),
                Case("free batch", (*_MAP, _INFO), _PARAMS, dynamic=(0, 1, 2), grad=False),
            ),
        ),
        MxForm(
            "_contrib_Proposal",
            read=_read,
            reads=_READS,
            direction="read",
            cases=(
                Case(
                    "one image",
                    (
                        arr(1, 12, 4, 5, low=0.0),
                        arr(1, 24, 4, 5, low=-0.4, high=0.4),
                        given([[64.0, 80.0, 1.5]], "float32"),
                    ),
                    _PARAMS,
                    grad=False,
                ),
            ),
        ),
    ),
    limits=(
        Limit("read-float64", "MXNet's Proposal computes in float32 only"),
        Limit(
            "read-round-trip", "MXNet's topk takes equal scores, those of boxes left out, in another order", "repeated"
        ),
    ),
)
