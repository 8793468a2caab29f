"""Pooling of rotated regions of interest by interpolated samples, as for text that is not level.

A region is (image, x, y, width, height, angle): its centre and size, and degrees. MXNet has no gradient of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import ints
from graphkit.ops.detection.boxes import scaled, single
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, decimal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    size = ints(node.attrs["pooled_size"])
    if len(size) != 2:
        return Refusal(f"pooled_size={node.attrs['pooled_size']} is not the height and width that MXNet needs")
    return b.op(
        "RotatedRoiAlign",
        *x,
        domain=DOMAIN,
        height=size[0],
        width=size[1],
        scale=single(node, "spatial_scale", "1"),
        samples=max(int(node.attrs.get("sampling_ratio", "-1")), 0),
    )


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    attrs = node.attributes
    regions, scale = scaled(
        b, some(node.inputs[1]), some(x[1]), attrs.get_float("scale", 1.0), (False, True, True, True, True, False)
    )
    return b.op(
        "_contrib_RROIAlign",
        some(x[0]),
        regions,
        pooled_size=(attrs.get_int("height", 1), attrs.get_int("width", 1)),
        spatial_scale=scale,
        sampling_ratio=attrs.get_int("samples", 0) or -1,
    )


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    attrs = node.attributes
    scale = decimal(attrs.get_float("scale", 1.0))
    return b.call(
        "rotated_roi_align",
        *x,
        (attrs.get_int("height", 1), attrs.get_int("width", 1)),
        scale=None if scale == 1 else scale,
        samples=attrs.get_int("samples", 0) or None,
    )


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    data, regions = x
    attrs, dtype = node.attributes, b.dtype(data)
    one, half = b.scalar(1.0, data), b.scalar(0.5, data)
    image, right, down, wide, high, angle = b.ops("Split", 6, regions, [1] * 6, axis=1)
    turn = b.op("Mul", angle, b.scalar(np.pi / 180, data))
    cosine, sine = (_last(b, b.op(name, turn), 3) for name in ("Cos", "Sin"))
    scale = b.scalar(attrs.get_float("scale", 1.0), data)
    points, taken, total = [], [], []
    for number, (extent, bins) in enumerate(((high, attrs.get_int("height", 1)), (wide, attrs.get_int("width", 1)))):
        length = b.op("Max", b.op("Mul", extent, scale), one)
        step = b.op("Div", length, b.scalar(bins, data))
        samples = attrs.get_int("samples", 0)
        count = b.op("Ceil", step) if not samples else b.op("Mul", b.op("Sign", step), b.scalar(samples, data))
        most = b.op("Cast", b.op("ReduceMax", count, keepdims=0), to=ir.DataType.INT64)
        index = b.op("CastLike", b.op("Range", np.asarray(0), most, np.asarray(1)), data)
        within = b.op("Div", b.op("Add", index, half), count)
        place = b.op("Add", np.arange(bins).astype(dtype)[None, :, None], b.op("Unsqueeze", within, [1]))
        start = b.op("Neg", b.op("Mul", length, half))
        point = b.op("Add", _last(b, start, 1), b.op("Mul", place, _last(b, step, 1)))
        axes = [2, 4] if number == 0 else [1, 3]
        points.append(b.op("Unsqueeze", point, axes))
        used = b.op("CastLike", b.op("Less", index, count), data)
        taken.append(b.op("Unsqueeze", used, [1, 2, 4] if number == 0 else [1, 2, 3]))
        total.append(count)
    ys, xs = points
    across = b.op(
        "Add", b.op("Add", b.op("Mul", xs, cosine), b.op("Mul", ys, sine)), _last(b, b.op("Mul", right, scale), 3)
    )
    along = b.op(
        "Add", b.op("Sub", b.op("Mul", ys, cosine), b.op("Mul", xs, sine)), _last(b, b.op("Mul", down, scale), 3)
    )
    weight = b.op("Mul", *taken)
    sides = []
    for place, size in ((along, b.size(data, 2)), (across, b.size(data, 3))):
        seen = b.op(
            "And",
            b.op("GreaterOrEqual", place, b.op("Neg", one)),
            b.op("LessOrEqual", place, b.scalar(size, data)),
        )
        weight = b.op("Mul", weight, b.op("CastLike", seen, data))
        inside = b.op("Clip", place, b.scalar(0.0, data), b.scalar(size - 1, data))
        low = b.op("Floor", inside)
        sides.append((low, b.op("Min", b.op("Add", low, one), b.scalar(size - 1, data)), b.op("Sub", inside, low)))
    pixels = b.op("Transpose", data, perm=[0, 2, 3, 1])
    numbers = b.op("Add", b.op("Mul", along, b.scalar(0.0, data)), _last(b, image, 3))
    pooled = None
    for lower in (True, False):
        for left in (True, False):
            (y0, y1, dy), (x0, x1, dx) = sides
            index = b.op(
                "Concat",
                *(b.op("Unsqueeze", value, [5]) for value in (numbers, y1 if lower else y0, x0 if left else x1)),
                axis=5,
            )
            value = b.op("GatherND", pixels, b.op("Cast", index, to=ir.DataType.INT64))
            part = b.op("Mul", dy if lower else b.op("Sub", one, dy), b.op("Sub", one, dx) if left else dx)
            share = b.op("Mul", value, b.op("Unsqueeze", b.op("Mul", part, weight), [5]))
            pooled = share if pooled is None else b.op("Add", pooled, share)
    summed = b.op("ReduceSum", pooled, [3, 4], keepdims=0)
    mean = b.op("Div", summed, _last(b, b.op("Mul", *total), 2))
    return b.op("Transpose", mean, perm=[0, 3, 1, 2])


def _last(b: BodyBuilder, column: ir.Value, more: int) -> ir.Value:
    """A column (regions, 1) with more axes of one element."""
    return b.op("Unsqueeze", column, list(range(2, 2 + more))) if more else column


_DATA = arr(2, 3, 6, 8)
_REGIONS = given(
    [[0, 3, 3, 4, 2.6, 30], [1, 4, 2.5, 5, 3.2, -20], [1, 1, 1, 0.2, 0.3, 0], [0, 7, 5, 6, 9, 100]], "float32"
)

OP = Op(
    "RotatedRoiAlign",
    domain=DOMAIN,
    body=_body,
    mx=(
        MxForm(
            "_contrib_RROIAlign",
            read=_read,
            reads=("pooled_size", "spatial_scale", "sampling_ratio"),
            write=_write,
            cases=(
                Case(
                    "two samples",
                    (_DATA, _REGIONS),
                    {"pooled_size": (2, 3), "spatial_scale": 0.875, "sampling_ratio": 2},
                    grad=False,
                ),
                Case(
                    "a sample per pixel",
                    (_DATA, _REGIONS),
                    {"pooled_size": (3, 2), "spatial_scale": 1},
                    grad=False,
                    dynamic=(0,),
                ),
            ),
        ),
    ),
    torch=_torch,
    cases=(
        Case(
            "samples",
            (_DATA, _REGIONS),
            {"height": 2, "width": 3, "samples": 2, "scale": 0.875},
            dynamic=(0,),
            grad=False,
        ),
        Case("a sample per pixel", (_DATA, _REGIONS), {"height": 3, "width": 2, "scale": 1.25}, grad=False),
    ),
)
