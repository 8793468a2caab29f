"""Position-sensitive pooling of regions (R-FCN): every bin is taken from a group of channels of its own.

A region is (image, x1, y1, x2, y2) in whole pixels, both ends included. Plain pooling takes the mean of a bin's pixels;
deformable pooling that of interpolated samples of bins that are moved in units of the region's size. There is no
gradient with respect to the regions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL
from graphkit.ops.detection.boxes import single
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, decimal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_SCALE = "its regions are scaled by {:g}, and MXNet takes 0 to 1 only"
_SMALLEST = 0.1
"""Size in pixels that regions have at least."""


def _common(node: MxNode) -> dict[str, Any]:
    """The attributes that both kinds share."""
    size = int(node.attrs["pooled_size"])
    return {
        "scale": single(node, "spatial_scale", "1"),
        "channels": int(node.attrs["output_dim"]),
        "size": size,
        "groups": int(node.attrs.get("group_size", "0")) or size,
    }


def _read_plain(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("PSRoiPool", *x, domain=DOMAIN, **_common(node))


def _read_deformable(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    options = _common(node)
    still = BOOL.parse(node.attrs.get("no_trans", "False"))
    if not still:
        pairs = b.shape(some(x[2]))[1]
        if isinstance(pairs, int) and (pairs % 2 or options["channels"] % (pairs // 2)):
            return Refusal(f"its {options['channels']} channels are not a multiple of the {pairs // 2} moves it reads")
    return b.op(
        "DeformablePSRoiPool",
        x[0],
        x[1],
        None if still else x[2],
        domain=DOMAIN,
        parts=int(node.attrs.get("part_size", "0")) or options["size"],
        samples=int(node.attrs.get("sample_per_part", "1")),
        factor=single(node, "trans_std", "0"),
        **options,
    )


def _written(node: ir.Node) -> dict[str, Any]:
    attrs = node.attributes
    return {
        "spatial_scale": np.float32(attrs.get_float("scale", 1.0)),
        "output_dim": attrs.get_int("channels", 1),
        "pooled_size": attrs.get_int("size", 1),
        "group_size": attrs.get_int("groups", 1),
    }


def _write_plain(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    scale = node.attributes.get_float("scale", 1.0)
    if not 0 <= scale <= 1:
        return Refusal(_SCALE.format(scale))
    return b.op("_contrib_PSROIPooling", some(x[0]), some(x[1]), **_written(node))


def _write_deformable(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    attrs = node.attributes
    scale = attrs.get_float("scale", 1.0)
    if not 0 <= scale <= 1:
        return Refusal(_SCALE.format(scale))
    operands = [ref for ref in x if ref is not None]
    return b.ops(
        "_contrib_DeformablePSROIPooling",
        2,
        *operands,
        part_size=attrs.get_int("parts", 1),
        sample_per_part=attrs.get_int("samples", 1),
        trans_std=np.float32(attrs.get_float("factor", 0.0)),
        no_trans=len(operands) == 2,
        **_written(node),
    )[0]


def _arguments(node: ir.Node) -> tuple[int, int, int]:
    attrs = node.attributes
    return attrs.get_int("channels", 1), attrs.get_int("size", 1), attrs.get_int("groups", 1)


def _torch_plain(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    scale = decimal(node.attributes.get_float("scale", 1.0))
    return b.call("ps_roi_pool", *x, *_arguments(node), scale=None if scale == 1 else scale)


def _torch_deformable(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    attrs = node.attributes
    scale, samples = decimal(attrs.get_float("scale", 1.0)), attrs.get_int("samples", 1)
    moves = x[2] if len(x) > 2 else None
    options: dict[str, Any] = {"scale": None if scale == 1 else scale, "samples": None if samples == 1 else samples}
    if moves is not None:
        options |= {"moves": moves, "factor": decimal(attrs.get_float("factor", 0.0))}
    return b.call("deform_ps_roi_pool", x[0], x[1], *_arguments(node), **options)


def _extents(
    b: BodyBuilder, node: ir.Node, regions: ir.Value, shift: float = 0.0
) -> tuple[ir.Value, list[tuple[ir.Value, ir.Value]]]:
    """Image numbers, and start and size of the regions along height and width; all (regions, 1)."""
    number, *corners = b.ops("Split", 5, regions, [1] * 5, axis=1)
    scale, half = b.scalar(node.attributes.get_float("scale", 1.0), regions), b.scalar(0.5, regions)
    whole = [b.op("Mul", b.op("Sign", at), b.op("Floor", b.op("Add", b.op("Abs", at), half))) for at in corners]
    found = []
    for first, last in ((whole[1], whole[3]), (whole[0], whole[2])):
        begin = b.op("Sub", b.op("Mul", first, scale), b.scalar(shift, regions))
        end = b.op("Mul", b.op("Add", last, b.scalar(1.0, regions)), scale)
        size = b.op("Sub", b.op("Sub", end, b.scalar(shift, regions)), begin)
        found.append((begin, b.op("Max", size, b.scalar(_SMALLEST, regions))))
    return number, found


def _of_images(b: BodyBuilder, data: ir.Value, number: ir.Value) -> ir.Value:
    """1 for the image of each region: (regions, images)."""
    count = b.op("Squeeze", b.op("Shape", data, start=0, end=1), [0])
    images = b.op("Unsqueeze", b.op("Range", np.asarray(0), count, np.asarray(1)), [0])
    return b.op("CastLike", b.op("Equal", b.op("Cast", number, to=ir.DataType.INT64), images), data)


def _parts(b: BodyBuilder, node: ir.Node, data: ir.Value, classes: int) -> ir.Value:
    """The channels that each bin is taken from: (images, classes, channels, bins, bins, height, width)."""
    channels, size, groups = _arguments(node)
    apart = b.op("Reshape", data, [0, classes, channels // classes, groups, groups, b.size(data, 2), b.size(data, 3)])
    if groups == size:
        return apart
    own = np.minimum(np.arange(size) * groups // size, groups - 1)
    return b.op("Gather", b.op("Gather", apart, own, axis=3), own, axis=4)


def _body_plain(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    data, regions = x
    dtype = b.dtype(data)
    size = node.attributes.get_int("size", 1)
    number, extents = _extents(b, node, regions)
    weights = []
    for axis, (start, extent) in enumerate(extents):
        step = b.op("Div", extent, b.scalar(size, data))
        edges = [b.op("Add", b.op("Mul", step, (np.arange(size) + k).astype(dtype)[None]), start) for k in (0, 1)]
        pixels = np.arange(b.size(data, 2 + axis)).astype(dtype)
        within = b.op(
            "And",
            b.op("GreaterOrEqual", pixels, b.op("Unsqueeze", b.op("Floor", edges[0]), [2])),
            b.op("Less", pixels, b.op("Unsqueeze", b.op("Ceil", edges[1]), [2])),
        )
        taken = b.op("CastLike", within, data)
        count = b.op("Max", b.op("ReduceSum", taken, [2], keepdims=1), b.scalar(1.0, data))
        weights.append(b.op("Div", taken, count))
    own = b.op("Unsqueeze", _of_images(b, data, number), [1, 3])
    rows = b.op("Mul", b.op("Unsqueeze", weights[0], [2]), own)
    parts = b.op("Squeeze", _parts(b, node, data, 1), [1])
    lines = b.op("Einsum", rows, parts, equation="rinh,ncijhw->rcijw")
    return b.op("Einsum", lines, weights[1], equation="rcijw,rjw->rcij")


def _body_deformable(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    data, regions, moves = x[0], x[1], x[2] if len(x) > 2 else None
    attrs, dtype = node.attributes, b.dtype(data)
    channels, size, _ = _arguments(node)
    samples = attrs.get_int("samples", 1)
    classes = 1 if moves is None else b.size(moves, 1) // 2
    number, extents = _extents(b, node, regions, 0.5)
    shifts: list[ir.Value | None] = [None, None]
    if moves is not None:
        parts = attrs.get_int("parts", 1)
        own = np.floor(np.arange(size).astype(dtype) / dtype.type(size) * dtype.type(parts)).astype(np.int64)
        apart = b.op("Reshape", moves, [0, classes, 2, parts, parts])
        chosen = b.op("Gather", b.op("Gather", apart, own, axis=3), own, axis=4)
        chosen = b.op("Mul", chosen, b.scalar(attrs.get_float("factor", 0.0), moves))
        shifts = [b.op("Squeeze", part, [2]) for part in reversed(b.ops("Split", 2, chosen, [1, 1], axis=2))]
    weights, counts = [], []
    zero, one, half = (b.scalar(number_, data) for number_ in (0.0, 1.0, 0.5))
    for axis, (start, extent) in enumerate(extents):
        first, whole = (b.op("Unsqueeze", value, [1, 2]) for value in (start, extent))
        step = b.op("Div", whole, b.scalar(size, data))
        bins = np.arange(size).astype(dtype).reshape((1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1))
        begin = b.op("Add", b.op("Mul", step, bins), first)
        shift = shifts[axis]
        if shift is not None:
            begin = b.op("Add", begin, b.op("Mul", shift, whole))
        else:
            begin = b.op("Expand", begin, [1, 1, size, size])
        inner = b.op("Div", b.op("Unsqueeze", step, [4]), b.scalar(samples, data))
        places = b.op("Add", b.op("Unsqueeze", begin, [4]), b.op("Mul", inner, np.arange(samples).astype(dtype)))
        length = b.size(data, 2 + axis)
        valid = b.op(
            "And",
            b.op("GreaterOrEqual", places, b.op("Neg", half)),
            b.op("LessOrEqual", places, b.scalar(length - 0.5, data)),
        )
        taken = b.op("CastLike", valid, data)
        inside = b.op("Clip", places, zero, b.scalar(length - 1, data))
        apart = b.op("Abs", b.op("Sub", b.op("Unsqueeze", inside, [5]), np.arange(length).astype(dtype)))
        near = b.op("Mul", b.op("Max", b.op("Sub", one, apart), zero), b.op("Unsqueeze", taken, [5]))
        weights.append(b.op("ReduceSum", near, [4], keepdims=0))
        counts.append(b.op("ReduceSum", taken, [4], keepdims=0))
    own_image = b.op("Unsqueeze", _of_images(b, data, number), [1, 2, 3, 5])
    rows = b.op("Mul", b.op("Unsqueeze", weights[0], [4]), own_image)
    lines = b.op("Einsum", rows, _parts(b, node, data, classes), equation="rkijnh,nkcijhw->rkcijw")
    total = b.op("Einsum", lines, weights[1], equation="rkcijw,rkijw->rkcij")
    count = b.op("Unsqueeze", b.op("Max", b.op("Mul", *counts), one), [2])
    return b.op("Reshape", b.op("Div", total, count), [0, channels, size, size])


_REGIONS = given(
    [[0.3, 0, 0, 6.2, 4.6], [1.3, 1.4, 0.7, 5.8, 4.4], [1.3, 4, 3, 4.2, 3.1], [0.3, -3, 2, 9, 12]], "float32"
)
"""Away from whole image numbers, which finite differences would step over."""
_DATA = arr(2, 18, 6, 8)
_MOVES = given(np.random.default_rng(4).uniform(-1, 1, (4, 4, 3, 3)).astype(np.float32), "float32")
_ONNX = {"channels": 2, "size": 3, "groups": 3}
_MX = {"output_dim": 2, "pooled_size": 3}


OPS = (
    Op(
        "PSRoiPool",
        domain=DOMAIN,
        body=_body_plain,
        mx=(
            MxForm(
                "_contrib_PSROIPooling",
                read=_read_plain,
                reads=("spatial_scale", "output_dim", "pooled_size", "group_size"),
                write=_write_plain,
                cases=(
                    Case("as many groups", (_DATA, _REGIONS), {**_MX, "spatial_scale": 1.0}),
                    Case(
                        "fewer groups",
                        (arr(2, 8, 6, 8), _REGIONS),
                        {**_MX, "spatial_scale": 0.625, "group_size": 2},
                        dynamic=(0,),
                    ),
                ),
            ),
        ),
        torch=_torch_plain,
        cases=(
            Case("plain", (_DATA, _REGIONS), _ONNX),
            Case("fewer groups", (arr(2, 8, 6, 8), _REGIONS), {**_ONNX, "groups": 2, "scale": 0.625}, dynamic=(0,)),
            Case("one bin", (arr(2, 3, 6, 8), _REGIONS), {"channels": 3}),
        ),
    ),
    Op(
        "DeformablePSRoiPool",
        domain=DOMAIN,
        body=_body_deformable,
        mx=(
            MxForm(
                "_contrib_DeformablePSROIPooling",
                read=_read_deformable,
                reads=(
                    "spatial_scale",
                    "output_dim",
                    "pooled_size",
                    "group_size",
                    "part_size",
                    "sample_per_part",
                    "trans_std",
                    "no_trans",
                ),
                write=_write_deformable,
                cases=(
                    Case(
                        "moved",
                        (_DATA, _REGIONS, _MOVES),
                        {**_MX, "spatial_scale": 0.875, "group_size": 3, "sample_per_part": 2, "trans_std": 0.125},
                    ),
                    Case(
                        "not moved",
                        (_DATA, _REGIONS),
                        {**_MX, "spatial_scale": 1.0, "group_size": 3, "no_trans": True, "sample_per_part": 3},
                        dynamic=(0,),
                    ),
                ),
            ),
        ),
        torch=_torch_deformable,
        cases=(
            Case(
                "moved", (_DATA, _REGIONS, _MOVES), {**_ONNX, "parts": 3, "samples": 2, "factor": 0.125, "scale": 0.875}
            ),
            Case("not moved", (_DATA, _REGIONS), {**_ONNX, "samples": 2}, dynamic=(0,)),
            Case("one channel", (arr(2, 9, 6, 8), _REGIONS), {"channels": 1, "size": 3, "groups": 3}),
            Case(
                "fewer parts",
                (arr(2, 8, 6, 8), _REGIONS, arr(4, 2, 2, 2)),
                {"channels": 2, "size": 3, "groups": 2, "parts": 2, "factor": 0.0625},
                dynamic=(0,),
            ),
        ),
    ),
)
