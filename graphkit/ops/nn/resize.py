"""Writing ONNX's Resize.

Torch's ``F.interpolate`` is written where it reads the same elements with the same weights. MXNet has UpSampling, which
repeats both axes of an image alike, and BilinearResize2D, which computes coordinates in float32 whatever the data is
and so is not written for float64. Everything else is exact, too, where the sizes are known: ``nearest`` picks elements
by constant indices; ``linear`` and ``cubic`` multiply each axis by a constant matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.free_resize import resized_freely
from graphkit.ops.nn.grad_resize import resize_gradient
from graphkit.ops.nn.interpolation import (
    UNKNOWN,
    Change,
    Method,
    changed_axes,
    matrices_of,
    method_of,
    naming_sizes,
    repeats,
)
from graphkit.ops.nn.torch_resize import torch_resize
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, decimal, given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.spec import Arr

    Attrs = Mapping[str, Any]


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    method = method_of(node)
    changes = changed_axes(b, node, method)
    if isinstance(changes, Refusal):
        return naming_sizes(changes, node)
    if not changes:
        return b.op("_copy", data)
    if method.mode == "nearest":
        return naming_sizes(_nearest(b, node, data, method, changes), node)
    if b.dtype(source).kind != "f":
        return Refusal(f"mode={method.mode} on integers rounds in a way that MXNet has no operator for")
    bilinear = _bilinear(b, data, source, method, changes)
    if bilinear is not None:
        return bilinear
    if any(change.axis is None for change in changes):
        return naming_sizes(_freely(b, node, data, method, changes), node)
    extrapolation = decimal(node.attributes.get_float("extrapolation_value", 0.0))
    return naming_sizes(_bymatrices_of(b, data, source, method, changes, extrapolation), node)


def _freely(b: MxBuilder, node: ir.Node, data: MxRef, method: Method, changes: Sequence[Change]) -> MxRef | Refusal:
    """Axes of free sizes, and others alike."""
    for change in changes:
        made = resized_freely(b, node, data, method, change)
        if made is None:
            return Refusal(UNKNOWN)
        data = made
    return data


def _nearest(b: MxBuilder, node: ir.Node, data: MxRef, method: Method, changes: Sequence[Change]) -> MxRef | Refusal:
    source = node.inputs[0]
    assert source is not None
    times_each = [repeats(method, change) for change in changes]
    image = b.rank(source) == 4 and [change.number for change in changes] == [2, 3] and b.dtype(source).kind == "f"
    if image and times_each[0] is not None and times_each[0] == times_each[1]:
        return b.op("UpSampling", data, scale=times_each[0], sample_type="nearest", num_args=1)
    for change, times in zip(changes, times_each, strict=True):
        if times is not None:
            data = b.op("repeat", data, repeats=times, axis=change.number)
        elif change.axis is None:
            made = resized_freely(b, node, data, method, change)
            if made is None:
                return Refusal(UNKNOWN)
            data = made
        else:
            indices = b.const(method.indices(change.axis).astype(np.int32), "indices")
            data = b.op("take", data, indices, axis=change.number, mode="clip")
            if method.outside(change.axis).any():
                return Refusal("mode=nearest with a roi beyond the input is not known to any runtime graphkit has")
    return data


def _bilinear(b: MxBuilder, data: MxRef, source: ir.Value, method: Method, changes: Sequence[Change]) -> MxRef | None:
    """BilinearResize2D where it says the same, as far as float32 does; None elsewhere.

    With one element after, it takes the first before, as ``align_corners`` and ``pytorch_half_pixel`` do.
    """
    aligned = method.coordinates == "align_corners"
    if method.mode != "linear" or method.antialias or b.rank(source) != 4:
        return None
    if not (aligned or method.coordinates in ("half_pixel", "pytorch_half_pixel")):
        return None
    by_number = {change.number: change for change in changes}
    if not by_number.keys() <= {2, 3}:
        return None
    axes = [change.axis for change in changes]
    sizes = [*b.shape(source)[2:]]
    for change in changes:
        if change.axis is not None:
            sizes[change.number - 2] = change.axis.after
    if None not in axes and all(isinstance(size, int) for size in sizes):
        exact = all(aligned or axis.exact for axis in axes if axis is not None)
        centred = method.coordinates == "half_pixel" and 1 in sizes
        if b.dtype(source) == np.float64 or not exact or centred:
            return None
        return b.op("_contrib_BilinearResize2D", data, height=sizes[0], width=sizes[1], align_corners=aligned)
    scales = [by_number[k].scale if k in by_number else 1.0 for k in (2, 3)]
    if any(scale is None or not (aligned or scale == int(scale)) for scale in scales):
        return None
    if b.dtype(source) == np.float64:
        return None
    return b.op("_contrib_BilinearResize2D", data, scale_height=scales[0], scale_width=scales[1], align_corners=aligned)


def _bymatrices_of(
    b: MxBuilder,
    data: MxRef,
    source: ir.Value,
    method: Method,
    changes: Sequence[Change],
    extrapolation: float,
) -> MxRef | Refusal:
    rank, dtype = b.rank(source), b.dtype(source)
    matrices = matrices_of(rank, method, changes)
    if isinstance(matrices, Refusal):
        return matrices
    weights, beyond = matrices
    for change, weight in zip(changes, weights, strict=True):
        last = change.number == rank - 1
        if not last:
            data = b.op("SwapAxis", data, dim1=change.number, dim2=rank - 1)
        matrix = b.const(weight.astype(dtype), "weights")
        data = b.op("FullyConnected", data, matrix, num_hidden=len(weight), no_bias=True, flatten=False)
        if not last:
            data = b.op("SwapAxis", data, dim1=change.number, dim2=rank - 1)
    if beyond.any() and extrapolation:
        data = b.op("broadcast_add", data, b.const((beyond * extrapolation).astype(dtype), "beyond"))
    return data


_ROW, _IMAGE, _VOLUME = arr(2, 3, 5), arr(2, 2, 4, 5), arr(1, 2, 3, 2, 4)


def _scaled(name: str, data: Arr, scales: list[float], attrs: Attrs, dynamic: tuple[int, ...] = ()) -> Case:
    return Case(name, (data, None, given(scales, "float32")), attrs, const=(2,), dynamic=dynamic)


def _sized(name: str, data: Arr, sizes: list[int], attrs: Attrs, dynamic: tuple[int, ...] = ()) -> Case:
    return Case(name, (data, None, None, given(sizes, "int64")), attrs, const=(3,), dynamic=dynamic)


def _cropped(name: str, roi: list[float], sizes: list[int], attrs: Attrs) -> Case:
    inputs = (_IMAGE, given(roi, "float32"), None, given(sizes, "int64"))
    return Case(name, inputs, {**attrs, "coordinate_transformation_mode": "tf_crop_and_resize"}, const=(1, 3))


_LINEAR, _CUBIC = {"mode": "linear"}, {"mode": "cubic"}
_REPEAT = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_ALIGNED = {"coordinate_transformation_mode": "align_corners"}
_SYMMETRIC = {"coordinate_transformation_mode": "half_pixel_symmetric"}
_TORCH = {"coordinate_transformation_mode": "pytorch_half_pixel"}
_TORCH_SMOOTH = {"antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5}
_LAST_TWO: Attrs = {"axes": [2, 3]}

OP = Op(
    "Resize",
    mx=(MxForm("UpSampling", write=_write, direction="write"),),
    torch=torch_resize,
    gradient=resize_gradient,
    cases=(
        _scaled("nearest, twice", _IMAGE, [1, 1, 2, 2], _REPEAT, dynamic=(0,)),
        _scaled("nearest, half pixel, thrice", _IMAGE, [1, 1, 3, 3], {}),
        _scaled("nearest, unequal factors", _IMAGE, [1, 1, 2, 3], _REPEAT, dynamic=(0,)),
        _scaled("nearest, 1-D", _ROW, [1, 1, 2], _REPEAT, dynamic=(0,)),
        _scaled("nearest, 3-D", _VOLUME, [1, 1, 2, 2, 2], _REPEAT),
        _scaled("nearest, fractional", _IMAGE, [1, 1, 1.5, 0.75], _REPEAT, dynamic=(0,)),
        _scaled("nearest, rounded up", _IMAGE, [1, 1, 2, 2], {**_REPEAT, "nearest_mode": "ceil"}),
        _scaled("nearest, ties up", _IMAGE, [1, 1, 2, 2], {**_REPEAT, "nearest_mode": "round_prefer_ceil"}),
        _scaled("nearest, aligned", _IMAGE, [1, 1, 2, 2], _ALIGNED),
        _scaled("nearest, free size", arr(4, 3), [2, 1], _REPEAT, dynamic=(0,)),
        _sized("nearest, to a size", _IMAGE, [2, 2, 7, 3], _REPEAT),
        _sized("nearest, to a size of some axes", _IMAGE, [8, 10], {**_REPEAT, **_LAST_TWO}, dynamic=(0,)),
        _sized("nearest, from behind", _IMAGE, [10, 8], {**_REPEAT, "axes": [-1, -2]}),
        _sized("nothing to do", _IMAGE, [4, 5], {**_LINEAR, **_LAST_TWO}),
        Case(
            "nearest, integers",
            (arr(1, 2, 3, 2, low=0, high=9, dtype="int32"), None, given([1, 1, 2, 2], "float32")),
            _REPEAT,
            const=(2,),
            dtype="int32",
            grad=False,
        ),
        _scaled("linear, twice", _IMAGE, [1, 1, 2, 2], _LINEAR, dynamic=(0,)),
        _scaled("linear, aligned", _IMAGE, [1, 1, 2, 3], {**_LINEAR, **_ALIGNED}, dynamic=(0,)),
        _scaled("linear, aligned, of one pixel", arr(2, 3, 1, 1), [1, 1, 2, 2], {**_LINEAR, **_ALIGNED}),
        _scaled("linear, one axis", _IMAGE, [1, 1, 1, 2], _LINEAR),
        _scaled("linear, scale that is not the ratio", _IMAGE, [1, 1, 1.625, 0.6875], _LINEAR),
        _scaled("linear, scales that are no binary fractions", _IMAGE, [1, 1, 0.7, 1.3], _LINEAR),
        _scaled("linear, scale without effect on the size", arr(2, 2, 2), [1, 1, 1.25], _LINEAR),
        _scaled("nearest, scale without effect on the size", arr(2, 2, 3), [1, 1, 1.25], {}),
        _scaled("linear, asymmetric", _IMAGE, [1, 1, 2, 2], {**_LINEAR, **_REPEAT}),
        _scaled("linear, 1-D", _ROW, [1, 1, 2], _LINEAR, dynamic=(0,)),
        _scaled("linear, 3-D", _VOLUME, [1, 1, 2, 1.5, 2], _LINEAR),
        _scaled("linear, free size", arr(4, 3), [1, 2], _LINEAR, dynamic=(0,)),
        _sized("linear, to a size", _IMAGE, [7, 3], {**_LINEAR, **_LAST_TWO}, dynamic=(0,)),
        _sized("linear, to one element", _IMAGE, [1, 2], {**_LINEAR, **_LAST_TWO}),
        _sized("linear, to one element as torch does", _IMAGE, [1, 2], {**_LINEAR, **_LAST_TWO, **_TORCH}),
        _scaled("linear, symmetric", _IMAGE, [1, 1, 1.625, 2.5], {**_LINEAR, **_SYMMETRIC}),
        _scaled("linear, antialiased", _IMAGE, [1, 1, 0.5, 0.625], {**_LINEAR, "antialias": 1}),
        _sized("not larger", _IMAGE, [7, 6], {**_LINEAR, **_LAST_TWO, "keep_aspect_ratio_policy": "not_larger"}),
        _sized("not smaller", _IMAGE, [7, 6], {**_REPEAT, **_LAST_TWO, "keep_aspect_ratio_policy": "not_smaller"}),
        _scaled("cubic", _IMAGE, [1, 1, 2, 1.5], _CUBIC, dynamic=(0,)),
        _scaled("cubic, aligned", _IMAGE, [1, 1, 2, 2], {**_CUBIC, **_ALIGNED, "cubic_coeff_a": -0.5}),
        _scaled("cubic, edges left out", _IMAGE, [1, 1, 2, 2], {**_CUBIC, "exclude_outside": 1}),
        _scaled("cubic, antialiased", _IMAGE, [1, 1, 0.5, 0.625], {**_CUBIC, "antialias": 1}),
        _scaled("cubic, aligned as torch does", _IMAGE, [1, 1, 2, 2], {**_CUBIC, **_ALIGNED}),
        _scaled("linear, antialiased as torch does", _IMAGE, [1, 1, 0.5, 0.625], {**_LINEAR, **_TORCH_SMOOTH}),
        _scaled("cubic, antialiased as torch does", _IMAGE, [1, 1, 0.5, 0.625], {**_CUBIC, **_TORCH_SMOOTH}),
        Case("to a computed size", (_IMAGE, None, None, given([7, 3], "int64")), {**_LINEAR, **_LAST_TWO}),
        _cropped("crop", [0, 0, 0.25, 0.125, 1, 1, 0.75, 0.875], [2, 2, 3, 4], _LINEAR),
        _cropped(
            "crop beyond the image",
            [0, 0, -0.25, 0.125, 1, 1, 0.75, 1.25],
            [2, 2, 3, 4],
            {**_LINEAR, "extrapolation_value": 10.0},
        ),
        _cropped("crop, nearest", [0, 0, 0.25, 0.125, 1, 1, 0.75, 0.875], [2, 2, 3, 4], {}),
    ),
    limits=(
        *(
            Limit(claim, "MXNet needs the size in the symbol", "to a computed size")
            for claim in ("schema", "mxnet", "mxnet-float64", "mxnet-backward", "round-trip")
        ),
        *(
            Limit("onnxruntime", "it copies what keeps its shape", f"{mode}, scale without effect on the size")
            for mode in ("nearest", "linear")
        ),
    ),
)
