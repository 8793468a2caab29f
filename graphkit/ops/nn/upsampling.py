"""Reading MXNet's UpSampling and BilinearResize2D.

MXNet 1.9.1 crashes in the backward pass of BilinearResize2D with ``mode=like``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _image_size(b: OnnxBuilder, value: ir.Value) -> tuple[int, int]:
    """Height and width; raises ShapeNeededError where they are not known."""
    height, width = b.shape(value)[2:4]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return b.static_shape(value)[2], b.static_shape(value)[3]


def _repeated(b: OnnxBuilder, data: ir.Value, times: int) -> ir.Value:
    if times == 1:
        return data
    scales = b.const(np.asarray([1, 1, times, times], np.float32))
    return b.op(
        "Resize",
        data,
        None,
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _read_upsampling(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    values = [value for value in x if value is not None]
    scale, kind = int(node.attrs["scale"]), node.attrs.get("sample_type", "")
    if kind == "bilinear":
        return _learned(b, values, scale)
    if kind != "nearest":
        return Refusal(f"sample_type={kind} is not one of MXNet's")
    results = [_repeated(b, values[0], scale)]
    if len(values) > 1:
        height = _image_size(b, values[0])[0] * scale
        results += [_repeated(b, value, height // _image_size(b, value)[0]) for value in values[1:]]
    if len(results) == 1:
        return b.op("Identity", results[0]) if scale == 1 else results[0]
    if node.attrs.get("multi_input_mode", "concat") == "sum":
        return b.op("Sum", *results)
    return b.op("Concat", *results, axis=1)


def _learned(b: OnnxBuilder, values: Sequence[ir.Value], scale: int) -> ir.Value | Refusal:
    """Bilinear UpSampling is a transposed convolution of each channel with a filter that is a parameter."""
    if len(values) != 2:
        return Refusal("bilinear UpSampling takes the data and its filters")
    data, filters = values
    channels = b.static_shape(filters)[0]
    kernel, pad = 2 * scale - scale % 2, -(-(scale - 1) // 2)
    return b.op(
        "ConvTranspose",
        data,
        filters,
        kernel_shape=[kernel, kernel],
        strides=[scale, scale],
        pads=[pad] * 4,
        group=channels,
    )


def _resized(b: OnnxBuilder, node: MxNode, values: Sequence[ir.Value]) -> tuple[int, int] | Refusal:
    """Height and width that BilinearResize2D gives."""
    mode = node.attrs.get("mode", "size")
    scales = [node.attrs.get(name, "None") for name in ("scale_height", "scale_width")]
    if mode == "size" and "None" in scales:
        return int(node.attrs.get("height", "1")), int(node.attrs.get("width", "1"))
    if mode == "like":
        return _image_size(b, values[1])
    sizes = _image_size(b, values[0])
    if mode in ("size", "odd_scale"):
        if "None" in scales:
            return Refusal(f"mode={mode} needs both of scale_height and scale_width")
        factors = [np.float32(scale) for scale in scales]
        odd = mode == "odd_scale"
        height, width = (
            int((size - 1) * factor) + 1 if odd and size % 2 else int(size * factor)
            for size, factor in zip(sizes, factors, strict=True)
        )
        return height, width
    if mode not in ("to_even_up", "to_even_down", "to_odd_up", "to_odd_down"):
        return Refusal(f"mode={mode} is not one of MXNet's")
    step = 1 if mode.endswith("up") else -1
    wanted = int(mode.startswith("to_odd"))
    height, width = (size if size % 2 == wanted else size + step for size in sizes)
    return height, width


def _read_bilinear(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    values = [value for value in x if value is not None]
    sizes = _resized(b, node, values)
    if isinstance(sizes, Refusal):
        return sizes
    if min(sizes) < 1:
        return Refusal(f"it leaves {sizes[0]}×{sizes[1]} pixels of the image")
    aligned = BOOL.parse(node.attrs.get("align_corners", "True"))
    coordinates = "align_corners" if aligned else "half_pixel" if min(sizes) > 1 else "pytorch_half_pixel"
    return b.op(
        "Resize",
        values[0],
        None,
        None,
        list(sizes),
        mode="linear",
        coordinate_transformation_mode=coordinates,
        axes=[2, 3],
    )


_IMAGE = arr(2, 2, 4, 5)
_FLOAT32 = Tol(float64=1e-6, reason="MXNet computes the coordinates in float32")
_NEAREST: dict[str, Any] = {"sample_type": "nearest", "num_args": 1}

OP = Op(
    "",
    mx=(
        MxForm(
            "UpSampling",
            direction="read",
            read=_read_upsampling,
            reads=("scale", "sample_type", "multi_input_mode", "num_args", "num_filter"),
            ignore=("workspace",),
            cases=(
                Case("nearest", (_IMAGE,), {**_NEAREST, "scale": 2}),
                Case("nearest, as is", (_IMAGE,), {**_NEAREST, "scale": 1}),
                Case(
                    "nearest, side by side",
                    (arr(2, 2, 2, 3), arr(2, 3, 4, 6)),
                    {**_NEAREST, "scale": 4, "num_args": 2},
                ),
                Case(
                    "nearest, added up",
                    (arr(2, 2, 2, 2), arr(2, 2, 4, 4), arr(2, 2, 1, 1)),
                    {**_NEAREST, "scale": 2, "num_args": 3, "multi_input_mode": "sum"},
                ),
                *(
                    Case(
                        f"bilinear, {scale}",
                        (_IMAGE, arr(2, 1, 2 * scale - scale % 2, 2 * scale - scale % 2)),
                        {"sample_type": "bilinear", "scale": scale, "num_args": 2, "num_filter": 2},
                        const=(1,),
                    )
                    for scale in (2, 3)
                ),
            ),
        ),
        MxForm(
            "_contrib_BilinearResize2D",
            direction="read",
            read=_read_bilinear,
            reads=("height", "width", "scale_height", "scale_width", "mode", "align_corners"),
            cases=(
                Case("size", (_IMAGE,), {"height": 7, "width": 3}, tol=_FLOAT32),
                Case("half pixel", (_IMAGE,), {"height": 8, "width": 3, "align_corners": "0"}, tol=_FLOAT32),
                Case("to one element", (_IMAGE,), {"height": 1, "width": 3, "align_corners": False}, tol=_FLOAT32),
                Case("one size alone", (_IMAGE,), {"width": 3}, tol=_FLOAT32),
                Case("scales", (_IMAGE,), {"scale_height": 1.5, "scale_width": 0.7}, tol=_FLOAT32),
                Case("odd scales", (_IMAGE,), {"scale_height": 2, "scale_width": 2, "mode": "odd_scale"}, tol=_FLOAT32),
                Case("like", (_IMAGE, arr(1, 1, 3, 6)), {"mode": "like"}, tol=_FLOAT32, grad=False),
                *(
                    Case(mode.replace("_", " "), (_IMAGE,), {"mode": mode}, tol=_FLOAT32)
                    for mode in ("to_even_up", "to_even_down", "to_odd_up", "to_odd_down")
                ),
            ),
        ),
    ),
)
