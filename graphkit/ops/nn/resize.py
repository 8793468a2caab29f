"""Writing ONNX's Resize.

MXNet has UpSampling, which repeats both axes of an image alike, and BilinearResize2D, which computes coordinates in
float32 whatever the data is and so is not written for float64. Everything else is exact, too, where the sizes are
known: ``nearest`` picks elements by constant indices; ``linear`` and ``cubic`` multiply each axis by a constant matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.interpolation import Axis, Method
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.spec import Arr

    Attrs = Mapping[str, Any]

_UNKNOWN = "the sizes of its input or output are not known; give the shapes of the model's inputs with --input"


@dataclass(frozen=True, slots=True)
class _Change:
    """One axis that is resized; ``axis`` is None where a size is not known, ``scale`` where sizes alone are given."""

    number: int
    axis: Axis | None
    scale: float | None


def _given(b: MxBuilder, node: ir.Node, position: int) -> npt.NDArray[Any] | Refusal | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None or (value.shape is not None and b.shape(value) == (0,)):
        return None
    array = b.value(value)
    if array is None:
        return Refusal(_UNKNOWN)
    return array if array.size else None


def _sizes(before: Sequence[Dim], wanted: Sequence[int], policy: str) -> tuple[list[int], list[float]] | Refusal:
    """Sizes after, and scales, under an aspect ratio policy."""
    known = [dim for dim in before if isinstance(dim, int)]
    if len(known) != len(before):
        return Refusal(_UNKNOWN)
    ratios = [after / dim for after, dim in zip(wanted, known, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [int(scale * dim + 0.5) for dim in known], [scale] * len(known)


def _changes(b: MxBuilder, node: ir.Node, method: Method) -> list[_Change] | Refusal:
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    shape = b.shape(source)
    rank = len(shape)
    numbers = [axis % rank for axis in node.attributes.get_ints("axes", list(range(rank)))]
    roi: npt.NDArray[Any] | Refusal | None = None
    if method.coordinates == "tf_crop_and_resize":
        roi = _given(b, node, 1)
    scales, sizes = _given(b, node, 2), _given(b, node, 3)
    if isinstance(roi, Refusal) or isinstance(scales, Refusal):
        return Refusal("its roi or scales are computed while it runs; MXNet needs them in the symbol")
    after: list[Dim] = [None] * rank if result.shape is None else list(b.shape(result))
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch" and scales is None:
        if not isinstance(sizes, np.ndarray):
            return Refusal(_UNKNOWN)
        fitted = _sizes([shape[number] for number in numbers], [int(size) for size in sizes], policy)
        if isinstance(fitted, Refusal):
            return fitted
        scales = np.asarray(fitted[1])
        for number, size in zip(numbers, fitted[0], strict=True):
            after[number] = size
    elif isinstance(sizes, np.ndarray):
        for number, size in zip(numbers, sizes.tolist(), strict=True):
            after[number] = size
    found = []
    for place, number in enumerate(numbers):
        scale = None if scales is None else float(str(scales[place]))
        start, end = (0.0, 1.0) if roi is None else (float(roi[place]), float(roi[place + len(numbers)]))
        old, new = shape[number], after[number]
        whole = (start, end) == (0.0, 1.0)
        if whole and (scale == 1.0 or (scale is None and old is not None and old == new)):
            continue
        if isinstance(old, int) and scale is not None and not isinstance(new, int):
            new = int(np.floor(np.float32(old) * np.float32(scale)))
        axis = None
        if isinstance(old, int) and isinstance(new, int):
            axis = Axis(old, new, new / old if scale is None else scale, start, end)
        found.append(_Change(number, axis, scale))
    return found


def _method(node: ir.Node) -> Method:
    return Method(
        node.attributes.get_string("mode", "nearest"),
        node.attributes.get_string("coordinate_transformation_mode", "half_pixel"),
        node.attributes.get_string("nearest_mode", "round_prefer_floor"),
        float(str(np.float32(node.attributes.get_float("cubic_coeff_a", -0.75)))),
        bool(node.attributes.get_int("exclude_outside", 0)),
        bool(node.attributes.get_int("antialias", 0)),
    )


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    method = _method(node)
    changes = _changes(b, node, method)
    if isinstance(changes, Refusal):
        return changes
    if not changes:
        return b.op("_copy", data)
    if method.mode == "nearest":
        return _nearest(b, data, source, method, changes)
    if b.dtype(source).kind != "f":
        return Refusal(f"mode={method.mode} on integers rounds in a way that MXNet has no operator for")
    bilinear = _bilinear(b, data, source, method, changes)
    if bilinear is not None:
        return bilinear
    extrapolation = float(str(np.float32(node.attributes.get_float("extrapolation_value", 0.0))))
    return _by_matrices(b, data, source, method, changes, extrapolation)


def _repeats(method: Method, change: _Change) -> int | None:
    """How often every element is repeated, where that is all that happens along the axis."""
    scale = change.scale
    if change.axis is not None:
        scale = change.axis.after / change.axis.before
    if scale is None or scale != int(scale) or method.coordinates == "tf_crop_and_resize":
        return None
    times = int(scale)
    if change.axis is None and method.coordinates == "align_corners":
        return None
    axis = change.axis or Axis(8, 8 * times, float(times))
    expected = np.repeat(np.arange(axis.before), times)
    return times if np.array_equal(method.indices(axis), expected) else None


def _nearest(
    b: MxBuilder, data: MxRef, source: ir.Value, method: Method, changes: Sequence[_Change]
) -> MxRef | Refusal:
    repeats = [_repeats(method, change) for change in changes]
    image = b.rank(source) == 4 and [change.number for change in changes] == [2, 3] and b.dtype(source).kind == "f"
    if image and repeats[0] is not None and repeats[0] == repeats[1]:
        return b.op("UpSampling", data, scale=repeats[0], sample_type="nearest", num_args=1)
    for change, times in zip(changes, repeats, strict=True):
        if times is not None:
            data = b.op("repeat", data, repeats=times, axis=change.number)
        elif change.axis is None:
            return Refusal(_UNKNOWN)
        else:
            indices = b.const(method.indices(change.axis).astype(np.int32), "indices")
            data = b.op("take", data, indices, axis=change.number, mode="clip")
            if method.outside(change.axis).any():
                return Refusal("mode=nearest with a roi beyond the input is not known to any runtime graphkit has")
    return data


def _bilinear(b: MxBuilder, data: MxRef, source: ir.Value, method: Method, changes: Sequence[_Change]) -> MxRef | None:
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
        b.warn("MXNet interpolates in float32, and the image's size, which would allow better, is not known")
    return b.op("_contrib_BilinearResize2D", data, scale_height=scales[0], scale_width=scales[1], align_corners=aligned)


def _by_matrices(
    b: MxBuilder,
    data: MxRef,
    source: ir.Value,
    method: Method,
    changes: Sequence[_Change],
    extrapolation: float,
) -> MxRef | Refusal:
    rank, dtype = b.rank(source), b.dtype(source)
    beyond: list[npt.NDArray[np.bool_]] = []
    for change in changes:
        if change.axis is None:
            return Refusal(_UNKNOWN)
        outside = method.outside(change.axis)
        beyond.append(outside.reshape([-1 if axis == change.number else 1 for axis in range(rank)]))
        matrix = np.where(outside[:, None], 0.0, method.matrix(change.axis)).astype(dtype)
        last = change.number == rank - 1
        if not last:
            data = b.op("SwapAxis", data, dim1=change.number, dim2=rank - 1)
        weight = b.const(matrix, "weights")
        data = b.op("FullyConnected", data, weight, num_hidden=change.axis.after, no_bias=True, flatten=False)
        if not last:
            data = b.op("SwapAxis", data, dim1=change.number, dim2=rank - 1)
    mask = reduce(np.logical_or, beyond)
    if mask.any() and extrapolation:
        data = b.op("broadcast_add", data, b.const((mask * extrapolation).astype(dtype), "beyond"))
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
_LAST_TWO: Attrs = {"axes": [2, 3]}

OP = Op(
    "Resize",
    mx=(MxForm("UpSampling", write=_write, direction="write"),),
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
        _scaled("linear, one axis", _IMAGE, [1, 1, 1, 2], _LINEAR),
        _scaled("linear, scale that is not the ratio", _IMAGE, [1, 1, 1.625, 0.6875], _LINEAR),
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
        _cropped("crop", [0, 0, 0.25, 0.125, 1, 1, 0.75, 0.875], [2, 2, 3, 4], _LINEAR),
        _cropped(
            "crop beyond the image",
            [0, 0, -0.25, 0.125, 1, 1, 0.75, 1.25],
            [2, 2, 3, 4],
            {**_LINEAR, "extrapolation_value": 10.0},
        ),
        _cropped("crop, nearest", [0, 0, 0.25, 0.125, 1, 1, 0.75, 0.875], [2, 2, 3, 4], {}),
    ),
)
