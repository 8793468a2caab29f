"""ONNX's NonMaxSuppression: which boxes stay, as (image, class, box) numbers.

MXNet's box_nms ranks the boxes of each image and class, which here carry their numbers with them; those that stay are
then picked by a mask. Their number depends on values, so the symbol runs in Gluon's SymbolBlock but not in Module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64, whole
from graphkit.ops.tensor.sizes import sizes_in, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_DEVIATION = "the size of its result depends on values, so the symbol runs in Gluon's SymbolBlock but not in Module"
_LOWEST = -3.4e38
"""Stands for no threshold: MXNet reads no numbers nearer to the end of float32."""


def _threshold(b: MxBuilder, node: ir.Node, position: int, default: float) -> np.float32 | None:
    """A threshold; None where it is computed."""
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None:
        return np.float32(default)
    number = b.number(value)
    return None if number is None else np.float32(number)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    boxes, scores = some(x[0]), some(x[1])
    classes, boxes_each = b.shape(some(node.inputs[1]))[1:]
    overlap = _threshold(b, node, 3, 0.0)
    lowest = _threshold(b, node, 4, _LOWEST)
    limit = (sizes_in(node, 2) or [0])[0]
    if overlap is None or lowest is None:
        return Refusal(
            "its thresholds are computed while it runs; MXNet needs them in the symbol", needs=node.inputs[1:]
        )
    if not isinstance(classes, int):
        return Refusal("the number of classes is not known; give the shapes of the model's inputs with --input")
    if limit == 0:
        return Refusal("it keeps no boxes at all, and MXNet has no arrays without elements")
    if limit != boxes_each and not isinstance(limit, int):
        return Refusal(
            "how many boxes it keeps is computed while it runs; MXNet needs it in the symbol", needs=node.inputs[1:]
        )
    center = bool(node.attributes.get_int("center_point_box", 0))
    ranked = b.op(
        "_contrib_box_nms",
        _numbered(b, _sorted_corners(b, boxes, center=center), scores, classes),
        overlap_thresh=overlap,
        valid_thresh=max(lowest, np.float32(_LOWEST)),
        coord_start=4,
        score_index=3,
        in_format="center" if center else None,
        out_format="center" if center else None,
    )
    if isinstance(limit, int) and not (isinstance(boxes_each, int) and limit >= boxes_each):
        ranked = b.op("slice_axis", ranked, axis=2, begin=0, end=limit)
    rows = b.op("Reshape", ranked, shape=(-1, 8))
    numbers = b.op("slice_axis", rows, axis=1, begin=0, end=3, name="numbers")
    image = b.op("Reshape", b.op("slice_axis", rows, axis=1, begin=0, end=1), shape=(-1,))
    b.warn(_DEVIATION)
    chosen = b.op("_contrib_boolean_mask", numbers, b.op("_greater_equal_scalar", image, scalar=0.0))
    return b.op("Cast", chosen, dtype="int64")


def _sorted_corners(b: MxBuilder, boxes: MxRef, *, center: bool) -> MxRef:
    """Boxes whose second corner is not before the first, as ONNX takes any two opposite corners."""
    if center:
        return boxes
    first, second = b.ops("SliceChannel", 2, boxes, axis=2, num_outputs=2)
    return b.op("Concat", b.op("_minimum", first, second), b.op("_maximum", first, second), dim=2, num_args=2)


def _numbered(b: MxBuilder, boxes: MxRef, scores: MxRef, classes: int) -> MxRef:
    """(image, class, box, score, four coordinates) of every box of every class: (images, classes, boxes, 8)."""
    column = b.op("expand_dims", scores, axis=3, name="column")
    numbers = []
    for axis in range(3):
        count = b.op("_contrib_arange_like", scores, axis=axis)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        numbers.append(b.op("broadcast_like", b.op("Reshape", count, shape=tuple(shape)), column))
    each = b.op("broadcast_axis", b.op("expand_dims", boxes, axis=1), axis=1, size=classes)
    return b.op("Concat", *numbers, column, each, dim=3, num_args=5)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    values = [*node.inputs[2:], None, None, None][:3]
    held = [*x[2:], None, None, None][:3]
    numbers = [b.number(value) for value in values]
    most, overlap, lowest = (
        ref if number is None else whole(number) for ref, number in zip(held, numbers, strict=True)
    )
    center = bool(node.attributes.get_int("center_point_box", 0))
    options = {"overlap": overlap, "lowest": lowest, "center": center or None}
    return b.call("non_max_suppression", x[0], x[1], 0 if most is None else most, **options)


_BOXES = given(
    [
        [[0.0, 0.0, 1.0, 1.0], [0.0, 0.1, 1.0, 1.1], [1.0, 0.9, 0.0, -0.1], [0.0, 5.0, 1.0, 6.0], [0.0, 5.1, 1.0, 6.1]],
        [[0.0, 0.2, 1.0, 1.0], [0.0, 0.3, 1.0, 1.1], [0.4, 0.4, 0.4, 0.7], [0.0, 0.0, 0.1, 6.0], [0.0, 0.0, 0.1, 5.1]],
    ],
    "float32",
)
_SCORES = given(
    [
        [[0.9, 0.75, 0.6, 0.95, 0.5], [0.1, 0.2, 0.3, 0.15, 0.5], [0.5, 0.1, 0.3, 0.35, 0.01]],
        [[0.3, 0.35, 0.6, 0.35, 0.5], [0.8, 0.2, 0.3, 0.15, 0.4], [0.5, 0.1, 0.3, 0.45, 0.01]],
    ],
    "float32",
)
_ALL, _HALF, _TENTH = int64([5]), given([0.5], "float32"), given([0.12], "float32")

OP = Op(
    "NonMaxSuppression",
    mx=(MxForm("_contrib_box_nms", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        Case("every overlap", (_BOXES, _SCORES, _ALL), const=(2,), grad=False),
        Case("thresholds", (_BOXES, _SCORES, _ALL, _HALF, _TENTH), const=(2, 3, 4), grad=False, dynamic=(0, 1)),
        Case("two of each", (_BOXES, _SCORES, int64(2), _HALF), const=(2, 3), grad=False),
        Case(
            "centres",
            (arr(2, 9, 4, low=0.1), arr(2, 1, 9, low=0), int64([9]), given([0.2], "float32")),
            {"center_point_box": 1},
            const=(2, 3),
            grad=False,
        ),
    ),
)
