"""Greedy suppression of boxes that overlap a better one, as a mask of those that stay.

Boxes of no extent overlap nothing, as in MXNet, where ONNX would turn a box that is given inside out. In ONNX, classes
are told apart in NonMaxSuppression, which chooses in float32. MXNet's box_nms ranks the boxes, which carry their
numbers with them, so that what stays is put in its place again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.spec import Case, MxForm, Op, arr, decimal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_LOWEST = float(np.finfo(np.float32).min)
_VALID = -3.4e38
"""Stands for the lowest score: MXNet reads no numbers nearer to the end of float32."""
_NO_CLASS = -(2**24)
"""A class that no box has; MXNet leaves out boxes of one class, -1 where it is not told."""


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    boxes, scores, classes = x[0], x[1], x[2] if len(x) > 2 else None
    center = node.attributes.get_int("center", 0)
    first, second = b.ops("Split", 2, boxes, [2, 2], axis=-1)
    extent = b.op("Max", second, b.scalar(0.0, second) if center else first)
    boxes = _as_float32(b, b.op("Concat", first, extent, axis=-1))
    by_class = b.op("Unsqueeze", _as_float32(b, scores), [1])
    if classes is not None:
        different = b.op("Unsqueeze", b.op("Unique", classes), [0, 2])
        own = b.op("Equal", b.op("Unsqueeze", classes, [1]), different)
        by_class = b.op("Where", own, by_class, b.scalar(-np.inf, by_class))
    chosen = b.op(
        "NonMaxSuppression",
        boxes,
        by_class,
        b.op("Shape", scores, start=1),
        np.asarray([node.attributes.get_float("threshold", 0.0)], np.float32),
        np.asarray([_LOWEST], np.float32),
        center_point_box=center or None,
    )
    places = b.op("Gather", chosen, [0, 2], axis=1)
    none = b.op("ConstantOfShape", b.op("Shape", scores), value=ir.tensor(np.zeros(1, bool)))
    each = b.op("GreaterOrEqual", b.op("Gather", places, np.asarray(0), axis=1), np.asarray(0))
    return b.op("ScatterND", none, places, each)


def _as_float32(b: BodyBuilder, value: ir.Value) -> ir.Value:
    return value if b.dtype(value) == np.float32 else b.op("Cast", value, to=ir.DataType.FLOAT)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    boxes, scores = some(x[0]), some(x[1])
    classes = x[2] if len(x) > 2 else None
    dtype = b.dtype(some(node.inputs[1])).name
    center = bool(node.attributes.get_int("center", 0))
    places = b.op("_contrib_arange_like", scores)
    columns = [b.op("expand_dims", b.op("Cast", places, dtype=dtype), axis=2), b.op("expand_dims", scores, axis=2)]
    if classes is not None:
        columns.append(b.op("expand_dims", b.op("Cast", classes, dtype=dtype), axis=2))
    rows = b.op("Concat", *columns, boxes, dim=2, num_args=len(columns) + 1)
    ranked = b.ops(
        "_contrib_box_nms",
        2,
        rows,
        overlap_thresh=np.float32(node.attributes.get_float("threshold", 0.0)),
        valid_thresh=_VALID,
        score_index=1,
        coord_start=len(columns),
        id_index=None if classes is None else 2,
        background_id=None if classes is None else _NO_CLASS,
        in_format="center" if center else None,
        out_format="center" if center else None,
    )[0]
    numbers = b.op("Reshape", b.op("slice_axis", ranked, axis=2, begin=0, end=1), shape=(-1,))
    slots = b.op("BlockGrad", b.op("_plus_scalar", numbers, scalar=1.0))
    zeros = b.op("zeros_like", slots)
    first = b.op("slice_axis", zeros, axis=0, begin=0, end=1)
    table = b.op("Concat", first, zeros, dim=0, num_args=2)
    kept = b.op("_contrib_index_copy", table, slots, b.op("ones_like", slots))
    flat = b.op("slice_axis", kept, axis=0, begin=1, end="None")
    return b.op("Cast", b.op("reshape_like", flat, scores), dtype="float32")


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    attrs = node.attributes
    return b.call(
        "nms_mask",
        x[0],
        x[1],
        decimal(attrs.get_float("threshold", 0.0)),
        classes=x[2] if len(x) > 2 else None,
        center=bool(attrs.get_int("center", 0)) or None,
    )


_CORNERS = given(np.sort(np.random.default_rng(2).random((2, 9, 2, 2)), axis=2).reshape(2, 9, 4).astype("f"), "float32")
_SCORES = arr(2, 9, low=0.1)
_SOME = given([[0.5, 0.4, -np.inf, 0.3, -np.inf], [-np.inf, 0.2, 0.1, 0.6, 0.2]], "float32")
_CLASSES = given(np.random.default_rng(5).integers(-1, 2, (2, 9)), "int64")


def _case(name: str, *inputs: Any, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    return Case(name, inputs, attrs, grad=False, dynamic=dynamic)


OP = Op(
    "NmsMask",
    domain=DOMAIN,
    body=_body,
    mx=(MxForm("_contrib_box_nms", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        _case("all", _CORNERS, _SCORES, threshold=0.2),
        _case("by class", _CORNERS, _SCORES, _CLASSES, threshold=0.1, dynamic=(0, 1, 2)),
        _case("centres", arr(2, 9, 4, low=0.1), _SCORES, threshold=0.3, center=1, dynamic=(0, 1)),
        _case("some take part", arr(2, 5, 4, low=0.0), _SOME, threshold=0.1),
        _case("none takes part", arr(1, 2, 4), given([[-np.inf, -np.inf]], "float32")),
    ),
)
