"""Resizing in torch: by its own function, by constant indices or matrices, else by a function that computes these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from graphkit.ops.nn.interpolation import UNKNOWN, Change, Method, changed_axes, matrices_of, method_of, repeats
from graphkit.ops.spec import Refusal, is_float, torch_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_resize"]

_MODES = {"nearest": ("nearest",) * 3, "linear": ("linear", "bilinear", "trilinear"), "cubic": ("", "bicubic", "")}
"""What ``F.interpolate`` calls a mode on one, two and three spatial axes."""
_TORCH_CUBIC = {False: -0.75, True: -0.5}
"""Torch's parameter of the cubic, without and with antialiasing."""


def torch_resize(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Resize; where its sizes are known and torch reads the same elements, by torch's own function."""
    source, data = node.inputs[0], x[0]
    assert source is not None
    method = method_of(node)
    changes = changed_axes(b, node, method)
    if isinstance(changes, Refusal):
        return _torch_computed(b, node, x, method)
    if not changes:
        return cast("Arg", data)
    floats = is_float(b.dtype(source))
    options = _interpolation(b, node, x, method, changes, source) if floats else None
    if options is not None:
        return b.call("F.interpolate", data, **options)
    if method.mode == "nearest":
        return _or_computed(b, node, x, method, _torch_nearest(b, data, method, changes))
    if not floats:
        return Refusal(f"mode={method.mode} on integers rounds in a way that torch has no function for")
    extrapolation = torch_float(node, "extrapolation_value", 0.0)
    return _or_computed(b, node, x, method, _torch_by_matrices(b, data, source, method, changes, extrapolation))


def _or_computed(
    b: TorchBuilder, node: ir.Node, x: Sequence[Any], method: Method, found: Arg | Refusal
) -> Arg | Refusal:
    """What was found; where it is refused for want of sizes, a call that computes with them."""
    return _torch_computed(b, node, x, method) if isinstance(found, Refusal) and found.reason == UNKNOWN else found


def _torch_computed(b: TorchBuilder, node: ir.Node, x: Sequence[Any], method: Method) -> Arg | Refusal:
    """Resize by scales or to sizes that are computed."""
    source = node.inputs[0]
    assert source is not None
    rank = b.rank(source)
    if method.mode != "nearest" and not is_float(b.dtype(source)):
        return Refusal(f"mode={method.mode} on integers rounds in a way that torch has no function for")
    region, scales, sizes = (
        x[place] if len(x) > place and node.inputs[place] is not None else None for place in (1, 2, 3)
    )
    crops = method.coordinates == "tf_crop_and_resize"
    defaults = Method()
    options: dict[str, Any] = {
        "scales": None if sizes is not None else scales,
        "sizes": sizes,
        "region": region if crops else None,
        "mode": method.mode,
        "coordinates": method.coordinates,
        "rounding": method.rounding,
        "cubic": method.cubic,
        "exclude_outside": method.exclude_outside,
        "antialias": method.antialias,
    }
    for name in ("mode", "coordinates", "rounding", "cubic", "exclude_outside", "antialias"):
        if options[name] == getattr(defaults, name):
            options[name] = None
    policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
    options["policy"] = None if policy == "stretch" else policy
    options["beyond"] = torch_float(node, "extrapolation_value", 0.0) or None if crops else None
    axes = tuple(axis % rank for axis in node.attributes.get_ints("axes", list(range(rank))))
    return b.call("resize", x[0], axes, **options)


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
    matrices = matrices_of(rank, method, changes)
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
