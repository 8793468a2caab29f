"""Deformable convolution: every tap of every window is taken from where an offset moves it to.

Offsets are pairs (down, right) for each tap of each group of channels. ONNX's operator and MXNet's second version weigh
the taps and take pixels around the image for zeros, between which and the outermost pixels they interpolate. MXNet's
first version gives zero to taps above or left of the centres of the outermost pixels, while those below or right of
them, within one pixel, have the outermost pixel's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.gradients import through
from graphkit.ops.nn.windows import mx_window, onnx_ints, pad_spatial
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import positions, size_along, some
from graphkit.ops.work import deformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_PLANE = "{} deforms the windows of images of two axes only, and this has {}"


def _options(node: MxNode) -> dict[str, Any] | Refusal:
    """ONNX's attributes for those of an MXNet node."""
    kernel = ints(node.attrs["kernel"])
    if len(kernel) != 2:
        return Refusal(_PLANE.format("MXNet", len(kernel)))
    pad = mx_window(node, "pad", 2, 0)
    return {
        "kernel_shape": kernel,
        "strides": mx_window(node, "stride", 2, 1),
        "dilations": mx_window(node, "dilate", 2, 1),
        "pads": pad + pad,
        "group": int(node.attrs.get("num_group", "1")),
        "offset_group": int(node.attrs.get("num_deformable_group", "1")),
    }


def _bias(node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | None:
    return None if BOOL.parse(node.attrs.get("no_bias", "False")) else x[-1]


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, offset, mask, weight = x[:4]
    options = _options(node)
    if isinstance(options, Refusal):
        return options
    return b.op("DeformConv", data, weight, offset, _bias(node, x), mask, **options)


def _read_first(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, offset, weight = (some(operand) for operand in x[:3])
    options = _options(node)
    if isinstance(options, Refusal):
        return options
    moved, inside = _within(b, data, offset, options)
    return b.op("DeformConv", data, weight, moved, _bias(node, x), inside, **options)


def _within(b: OnnxBuilder, data: ir.Value, offset: ir.Value, options: dict[str, Any]) -> tuple[ir.Value, ir.Value]:
    """Offsets that end at the outermost pixels, and 1 for each tap that MXNet's first version takes for inside."""
    taps = options["kernel_shape"][0] * options["kernel_shape"][1] * options["offset_group"]
    kind = ir.DataType.from_numpy(b.dtype(offset))
    base = b.op("Concat", *_places(b, offset, options), axis=1)
    if options["offset_group"] > 1:
        base = b.op("Tile", base, [1, options["offset_group"], 1, 1])
    sizes = b.op("Reshape", b.op("Cast", b.op("Shape", data, start=2), to=kind), [1, 2, 1, 1])
    size = b.op("Tile", sizes, [1, taps, 1, 1])
    places = b.op("Add", offset, base)
    zero = b.scalar(0.0, offset)
    taken = b.op("And", b.op("GreaterOrEqual", places, zero), b.op("Less", places, size))
    pairs = b.op(
        "Cast", b.op("Reshape", taken, b.op("Concat", [0, taps, 2], b.op("Shape", taken, start=2), axis=0)), to=kind
    )
    inside = b.op("ReduceMin", pairs, [2], keepdims=0)
    last = b.op("Sub", size, b.scalar(1.0, offset))
    return b.op("Sub", b.op("Min", b.op("Max", places, zero), last), base), inside


def _places(b: OnnxBuilder | BodyBuilder, offset: ir.Value, options: dict[str, Any]) -> list[ir.Value]:
    """Where each tap looks when nothing moves it: (1, 2, rows, columns) for each."""
    kind = ir.DataType.from_numpy(b.dtype(offset))
    starts = []
    for axis, shape in enumerate(([1, 1, -1, 1], [1, 1, 1, -1])):
        stride, pad = options["strides"][axis], options["pads"][axis]
        steps = b.op("Mul", b.op("Cast", positions(b, offset, 2 + axis), to=kind), b.scalar(stride, offset))
        steps = b.op("Reshape", b.op("Sub", steps, b.scalar(pad, offset)), shape)
        sizes = b.op("Concat", [1, 1], size_along(b, offset, 2), size_along(b, offset, 3), axis=0)
        starts.append(b.op("Expand", steps, sizes))
    corner = b.op("Concat", *starts, axis=1)
    found = []
    for tap in np.ndindex(*options["kernel_shape"]):
        reach = np.multiply(tap, options["dilations"]).astype(b.dtype(offset)).reshape(1, 2, 1, 1)
        found.append(b.op("Add", corner, reach))
    return found


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, weight, offset, bias, mask = [*x, None, None][:5]
    attrs, source, filters = node.attributes, some(node.inputs[0]), some(node.inputs[1])
    shape = b.shape(filters)
    if len(shape) != 4:
        return Refusal(_PLANE.format("MXNet", len(shape) - 2))
    kernel = tuple(attrs.get_ints("kernel_shape", [k for k in shape[2:] if isinstance(k, int)]))
    if not isinstance(shape[0], int) or len(kernel) != 2:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs with --input")
    groups = attrs.get_int("offset_group", 1)
    repeats = 1 if shape[0] % groups == 0 else groups
    if repeats > 1:  # MXNet wants a multiple of the offset groups
        weight = b.op("repeat", some(weight), repeats=repeats, axis=0, name="weight")
        bias = None if bias is None else b.op("repeat", bias, repeats=repeats, axis=0, name="bias")
    if mask is None:
        mask = b.op("ones_like", b.op("slice_axis", some(offset), axis=1, begin=0, end=groups * kernel[0] * kernel[1]))
    pads = onnx_ints(node, "pads", 4, 0)
    data, pad = some(data), pads[:2]
    if pads[:2] != pads[2:] or min(pads) < 0:
        data, pad = pad_spatial(b, data, pads[:2], pads[2:]), (0, 0)
    batch = b.shape(source)[0]
    at_once = isinstance(batch, int) and (batch <= 64 or batch % 64 == 0)
    result = b.op(
        "_contrib_ModulatedDeformableConvolution",
        *(ref for ref in (data, some(offset), mask, some(weight), bias) if ref is not None),
        kernel=kernel,
        stride=onnx_ints(node, "strides", 2, 1),
        dilate=onnx_ints(node, "dilations", 2, 1),
        pad=pad,
        num_filter=shape[0] * repeats,
        num_group=attrs.get_int("group", 1),
        num_deformable_group=groups,
        no_bias=bias is None,
        im2col_step=None if at_once else 1,
    )
    if repeats == 1:
        return result
    return b.op("slice", result, begin=("None", 0), end=("None", "None"), step=("None", repeats))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    data, weight, offset, bias, mask = [*x, None, None][:5]
    if b.rank(some(node.inputs[1])) != 4:
        return Refusal(_PLANE.format("the function that torch source has for it", b.rank(some(node.inputs[1])) - 2))
    pads = onnx_ints(node, "pads", 4, 0)
    options: dict[str, Any] = {"bias": bias, "mask": mask}
    for name, numbers, default in (
        ("stride", onnx_ints(node, "strides", 2, 1), 1),
        ("padding", pads[:2], 0),
        ("dilation", onnx_ints(node, "dilations", 2, 1), 1),
    ):
        options[name] = None if set(numbers) == {default} else tuple(numbers)
    return b.call("deform_conv2d", data, offset, weight, **options)


def _by_sampling(b: BodyBuilder, node: ir.Node, x: Sequence[Any]) -> ir.Value | Refusal:
    """What the operator computes: the data sampled where each tap looks, as columns, times the filters."""
    data, weight, offset, bias, mask = [*x, None, None][:5]
    if b.rank(weight) != 4:
        return Refusal(_PLANE.format("the sampling that its gradient is made of", b.rank(weight) - 2))
    filters, inputs, *kernel = (b.size(weight, axis) for axis in range(4))
    channels, *lengths = (b.size(data, axis) for axis in (1, 2, 3))
    rows, columns = (b.size(offset, axis) for axis in (2, 3))
    taps, groups = kernel[0] * kernel[1], node.attributes.get_int("offset_group", 1)
    options = {name: onnx_ints(node, name, 2, 1) for name in ("strides", "dilations")}
    pads = onnx_ints(node, "pads", 4, 0)
    base = b.op("Concat", *_places(b, offset, {**options, "kernel_shape": kernel, "pads": pads}), axis=1)
    base = b.op("Reshape", base, [1, taps, 2, rows, columns])
    places = b.op("Add", b.op("Reshape", offset, [-1, taps, 2, rows, columns]), base)
    # GridSample counts from -1 to 1, between the outer edges of the outermost pixels, and right before down.
    size = np.asarray(lengths, b.dtype(offset)).reshape(1, 1, 2, 1, 1)
    spread = b.op("Add", b.op("Mul", places, b.const(2 / size)), b.const(1 / size - 1))
    grid = b.op("Transpose", b.op("Gather", spread, [1, 0], axis=2), perm=(0, 1, 3, 4, 2))
    seen = b.op(
        "GridSample",
        b.op("Reshape", data, [-1, channels // groups, *lengths]),
        b.op("Reshape", grid, [-1, taps * rows, columns, 2]),
        mode="linear",
        padding_mode="zeros",
        align_corners=0,
    )
    if mask is not None:
        seen = b.op("Reshape", seen, [-1, channels // groups, taps, rows, columns])
        seen = b.op("Mul", seen, b.op("Reshape", mask, [-1, 1, taps, rows, columns]))
    parts = channels // inputs
    seen = b.op("Reshape", seen, [-1, parts, inputs * taps, rows * columns])
    product = b.op("MatMul", b.op("Reshape", weight, [parts, filters // parts, inputs * taps]), seen)
    result = b.op("Reshape", product, [-1, filters, rows, columns])
    return result if bias is None else b.op("Add", result, b.op("Reshape", bias, [-1, 1, 1]))


def _offsets(taps: int, height: int, width: int, reach: int = 2) -> Any:
    """Offsets away from whole pixels, where interpolation has kinks."""
    rng = np.random.default_rng(taps)
    shape = (2, 2 * taps, height, width)
    return given((rng.integers(-reach, reach, shape) + rng.uniform(0.1, 0.9, shape)).astype(np.float32), "float32")


_IMAGE, _FILTERS, _BIAS = arr(2, 4, 5, 6), arr(6, 4, 3, 3), arr(6)
_SMALL = {"kernel": (3, 3), "num_filter": 6}
_GPU = "MXNet 1.9.1 has the gradient of modulated deformable convolution on GPUs only"
_CASES = ("plain", "weighed", "strided", "grouped", "odd filters", "uneven pads", "far offsets", "free batch")
_MX_CASES = ("modulated", "modulated without bias")

OPS = (
    Op(
        "DeformConv",
        mx=(
            MxForm(
                "_contrib_ModulatedDeformableConvolution",
                read=_read,
                reads=("kernel", "stride", "dilate", "pad", "num_group", "num_deformable_group", "no_bias"),
                ignore=("workspace", "im2col_step", "layout", "num_filter"),
                write=_write,
                cases=(
                    Case(
                        "modulated",
                        (_IMAGE, _offsets(9, 5, 6), arr(2, 9, 5, 6), _FILTERS, _BIAS),
                        {**_SMALL, "pad": (1, 1), "im2col_step": 1},
                    ),
                    Case(
                        "modulated without bias",
                        (_IMAGE, _offsets(8, 2, 3), arr(2, 8, 2, 3), arr(6, 2, 2, 2)),
                        {
                            "kernel": (2, 2),
                            "num_filter": 6,
                            "stride": (2, 1),
                            "dilate": (2, 3),
                            "num_group": 2,
                            "num_deformable_group": 2,
                            "no_bias": True,
                        },
                    ),
                ),
            ),
        ),
        torch=_torch,
        gradient=through(_by_sampling),
        macs=deformed,
        cases=(
            Case("plain", (_IMAGE, _FILTERS, _offsets(9, 3, 4)), const=(1,)),
            Case(
                "weighed",
                (_IMAGE, _FILTERS, _offsets(9, 5, 6), _BIAS, arr(2, 9, 5, 6)),
                {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]},
                const=(1, 3),
            ),
            Case(
                "strided", (_IMAGE, arr(6, 4, 2, 2), _offsets(4, 2, 3), _BIAS), {"strides": [2, 1], "dilations": [2, 3]}
            ),
            Case(
                "grouped",
                (_IMAGE, arr(6, 2, 2, 2), _offsets(8, 4, 5), None, arr(2, 8, 4, 5)),
                {"group": 2, "offset_group": 2},
                const=(1,),
            ),
            Case(
                "odd filters",
                (_IMAGE, arr(3, 4, 2, 2), _offsets(8, 4, 5), arr(3), arr(2, 8, 4, 5)),
                {"offset_group": 2},
                const=(1, 3),
            ),
            Case("uneven pads", (_IMAGE, arr(6, 4, 2, 2), _offsets(4, 5, 7)), {"pads": [0, 2, 1, 0]}, const=(1,)),
            Case("far offsets", (_IMAGE, arr(2, 4, 1, 1), _offsets(1, 5, 6, 7)), const=(1,)),
            Case("free batch", (_IMAGE, _FILTERS, _offsets(9, 3, 4)), const=(1,), dynamic=(0, 2)),
        ),
        limits=(
            *(Limit("mxnet-backward", _GPU, case) for case in _CASES),
            *(Limit("read-backward", _GPU, case) for case in _MX_CASES),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_contrib_DeformableConvolution",
                read=_read_first,
                reads=("kernel", "stride", "dilate", "pad", "num_group", "num_deformable_group", "no_bias"),
                ignore=("workspace", "layout", "num_filter"),
                direction="read",
                cases=(
                    Case("first version", (_IMAGE, _offsets(9, 5, 6), _FILTERS, _BIAS), {**_SMALL, "pad": (1, 1)}),
                    Case(
                        "first version, far",
                        (_IMAGE, _offsets(1, 5, 6, 7), arr(2, 4, 1, 1), arr(2)),
                        {"kernel": (1, 1), "num_filter": 2},
                        const=(2, 3),
                        dynamic=(0, 1),
                    ),
                    Case(
                        "first version, grouped",
                        (_IMAGE, _offsets(8, 2, 3), arr(6, 2, 2, 2)),
                        {
                            "kernel": (2, 2),
                            "num_filter": 6,
                            "stride": (2, 1),
                            "dilate": (2, 3),
                            "num_group": 2,
                            "num_deformable_group": 2,
                            "no_bias": True,
                        },
                        const=(2,),
                    ),
                ),
            ),
        ),
    ),
)
