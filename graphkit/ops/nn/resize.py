"""Writing ONNX's Resize.

Torch's ``F.interpolate`` is written where it reads the same elements with the same weights. MXNet has UpSampling, which
repeats both axes of an image alike, and BilinearResize2D, which computes coordinates in float32 whatever the data is
and so is not written for float64. Everything else is exact, too, where the sizes are known: ``nearest`` picks elements
by constant indices; ``linear`` and ``cubic`` multiply each axis by a constant matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from graphkit.ops.nn.interpolation import UNKNOWN, Change, Method, changed_axes, method_of, naming_sizes, repeats
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, decimal, given, is_float, torch_float

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.spec import Arr
    from graphkit.ops.torchprogram import Arg

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
        return naming_sizes(_nearest(b, data, source, method, changes), node)
    if b.dtype(source).kind != "f":
        return Refusal(f"mode={method.mode} on integers rounds in a way that MXNet has no operator for")
    bilinear = _bilinear(b, data, source, method, changes)
    if bilinear is not None:
        return bilinear
    extrapolation = decimal(node.attributes.get_float("extrapolation_value", 0.0))
    return naming_sizes(_by_matrices(b, data, source, method, changes, extrapolation), node)


def _nearest(b: MxBuilder, data: MxRef, source: ir.Value, method: Method, changes: Sequence[Change]) -> MxRef | Refusal:
    times_each = [repeats(method, change) for change in changes]
    image = b.rank(source) == 4 and [change.number for change in changes] == [2, 3] and b.dtype(source).kind == "f"
    if image and times_each[0] is not None and times_each[0] == times_each[1]:
        return b.op("UpSampling", data, scale=times_each[0], sample_type="nearest", num_args=1)
    for change, times in zip(changes, times_each, strict=True):
        if times is not None:
            data = b.op("repeat", data, repeats=times, axis=change.number)
        elif change.axis is None:
            return Refusal(UNKNOWN)
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
        b.warn("MXNet interpolates in float32, and the image's size, which would allow better, is not known")
    return b.op("_contrib_BilinearResize2D", data, scale_height=scales[0], scale_width=scales[1], align_corners=aligned)


def _by_matrices(
    b: MxBuilder,
    data: MxRef,
    source: ir.Value,
    method: Method,
    changes: Sequence[Change],
    extrapolation: float,
) -> MxRef | Refusal:
    rank, dtype = b.rank(source), b.dtype(source)
    matrices = _matrices(rank, method, changes)
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


_MODES = {"nearest": ("nearest",) * 3, "linear": ("linear", "bilinear", "trilinear"), "cubic": ("", "bicubic", "")}
"""What ``F.interpolate`` calls a mode on one, two and three spatial axes."""
_TORCH_CUBIC = {False: -0.75, True: -0.5}
"""Torch's parameter of the cubic, without and with antialiasing."""


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    method = method_of(node)
    changes = changed_axes(b, node, method)
    if isinstance(changes, Refusal):
        return naming_sizes(changes, node)
    if not changes:
        return cast("Arg", data)
    floats = is_float(b.dtype(source))
    options = _interpolation(b, node, x, method, changes, source) if floats else None
    if options is not None:
        return b.call("F.interpolate", data, **options)
    if method.mode == "nearest":
        return naming_sizes(_torch_nearest(b, data, method, changes), node)
    if not floats:
        return Refusal(f"mode={method.mode} on integers rounds in a way that torch has no function for")
    extrapolation = torch_float(node, "extrapolation_value", 0.0)
    return naming_sizes(_torch_by_matrices(b, data, source, method, changes, extrapolation), node)


def _interpolation(
    b: TorchBuilder, node: ir.Node, x: Sequence[Any], method: Method, changes: Sequence[Change], source: ir.Value
) -> dict[str, Any] | None:
    """The keyword arguments with which ``F.interpolate`` does the same, None where it does not."""
    rank = b.rank(source)
    if rank not in (3, 4, 5) or min(change.number for change in changes) < 2:
        return None
    target = _target(b, node, x, method, changes, source)
    if target is None:
        return None
    if method.mode == "nearest":
        for mode in ("nearest", "nearest-exact"):
            if all(_picks(mode, method, change, "scale_factor" in target) for change in changes):
                return target if mode == "nearest" else {**target, "mode": mode}
        return None
    mode = _MODES[method.mode][rank - 3]
    if not mode or not all(_weighs(method, change) for change in changes) or (method.antialias and rank != 4):
        return None
    aligned, smooth = method.coordinates == "align_corners" or None, method.antialias or None
    return {**target, "mode": mode, "align_corners": aligned, "antialias": smooth}


def _target(
    b: TorchBuilder, node: ir.Node, x: Sequence[Any], method: Method, changes: Sequence[Change], source: ir.Value
) -> dict[str, Any] | None:
    """``scale_factor`` or ``size``, whichever the node gives; None where torch would come to other sizes."""
    rank = b.rank(source)
    by_number = {change.number: change for change in changes}
    scales = [by_number[k].scale if k in by_number else 1.0 for k in range(2, rank)]
    axes = [by_number[k].axis if k in by_number else None for k in range(2, rank)]
    sized = len(node.inputs) > 3 and node.inputs[3] is not None
    free = method.mode == "nearest" or method.coordinates == "align_corners"
    by_size = all(change.axis is not None and (free or change.axis.exact) for change in changes)
    by_scale = None not in scales and all(
        axis is None or int(axis.before * scale) == axis.after
        for axis, scale in zip(axes, cast("list[float]", scales), strict=True)
    )
    if by_scale and not (sized and by_size):
        factors = [int(scale) if scale == int(scale) else scale for scale in cast("list[float]", scales)]
        return {"scale_factor": factors[0] if len(set(factors)) == 1 else tuple(factors)}
    if by_size:
        sizes = [b.size(source, k) if axis is None else axis.after for k, axis in enumerate(axes, start=2)]
        return {"size": tuple(sizes)}
    computed = sized and b.value(node.inputs[3]) is None
    if not computed or not (free or method.coordinates == "half_pixel"):
        return None
    numbers = [axis % rank for axis in node.attributes.get_ints("axes", list(range(rank)))]
    if numbers == list(range(2, rank)):
        return {"size": b.method("tolist", x[3])}
    return {"size": b.method("tolist", b.item(x[3], slice(2, None)))} if numbers == list(range(rank)) else None


def _picks(mode: str, method: Method, change: Change, by_scale: bool) -> bool:
    """Whether torch's ``nearest`` or ``nearest-exact`` reads the same elements along an axis, in any precision.

    Torch leaves an axis whose size stays as it is, whatever the scale.
    """
    centred = mode == "nearest-exact"
    if change.axis is None:
        if not centred and repeats(method, change) is not None:
            return True
        alike = ("half_pixel", "round_prefer_ceil") if centred else ("asymmetric", "floor")
        return (method.coordinates, method.rounding) == alike
    if method.coordinates == "tf_crop_and_resize":
        return False
    axis, wanted = change.axis, method.indices(change.axis)
    elements = np.arange(axis.after) + (0.5 if centred and axis.before != axis.after else 0.0)
    for kind in ("float32", "float64"):
        ratio = np.asarray(1 / axis.scale, kind) if by_scale else np.divide(axis.before, axis.after, dtype=kind)
        found = elements if axis.before == axis.after else np.floor(elements.astype(kind) * ratio)
        if not np.array_equal(np.minimum(found, axis.before - 1), wanted):
            return False
    return True


def _weighs(method: Method, change: Change) -> bool:
    """Whether torch's linear or cubic mode has the same weights along an axis."""
    if method.mode == "cubic" and method.cubic != _TORCH_CUBIC[method.antialias]:
        return False
    if method.exclude_outside != method.antialias and (method.mode == "cubic" or method.antialias):
        return False
    aligned = method.coordinates == "align_corners"
    if change.axis is not None and change.axis.before == change.axis.after and not (aligned or change.axis.exact):
        return False
    if method.coordinates == "pytorch_half_pixel":
        return change.axis is not None and change.axis.after > 1
    if method.coordinates == "half_pixel_symmetric":
        return change.axis is not None and change.axis.exact
    return method.coordinates == "half_pixel" or (aligned and not method.antialias)


def _torch_nearest(b: TorchBuilder, data: Arg, method: Method, changes: Sequence[Change]) -> Arg | Refusal:
    for change in changes:
        times = repeats(method, change)
        if times is not None:
            data = b.method("repeat_interleave", data, times, change.number)
        elif change.axis is None:
            return Refusal(UNKNOWN)
        elif method.outside(change.axis).any():
            return Refusal("mode=nearest with a roi beyond the input is not known to any runtime graphkit has")
        else:
            indices = b.const(method.indices(change.axis))
            data = b.method("index_select", data, change.number, indices)
    return data


def _torch_by_matrices(
    b: TorchBuilder,
    data: Arg,
    source: ir.Value,
    method: Method,
    changes: Sequence[Change],
    extrapolation: float,
) -> Arg | Refusal:
    rank, dtype = b.rank(source), b.dtype(source)
    matrices = _matrices(rank, method, changes)
    if isinstance(matrices, Refusal):
        return matrices
    weights, beyond = matrices
    for change, weight in zip(changes, weights, strict=True):
        matrix, last = b.const(weight.astype(dtype)), change.number == rank - 1
        if change.number == rank - 2:
            data = b.infix("@", matrix, data)
            continue
        swapped = data if last else b.method("transpose", data, change.number, -1)
        product = b.call("F.linear", swapped, matrix)
        data = product if last else b.method("transpose", product, change.number, -1)
    if beyond.any() and extrapolation:
        data = b.infix("+", data, b.const((beyond * extrapolation).astype(dtype)))
    return data


def _matrices(
    rank: int, method: Method, changes: Sequence[Change]
) -> tuple[list[npt.NDArray[Any]], npt.NDArray[np.bool_]] | Refusal:
    """Weights for each axis as (after, before), and a mask of what lies outside that broadcasts over the result."""
    weights, beyond = [], np.zeros((1,) * rank, bool)
    for change in changes:
        if change.axis is None:
            return Refusal(UNKNOWN)
        outside = method.outside(change.axis)
        beyond = beyond | outside.reshape([-1 if axis == change.number else 1 for axis in range(rank)])
        weights.append(np.where(outside[:, None], 0.0, method.matrix(change.axis)))
    return weights, beyond


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
    torch=_torch,
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
