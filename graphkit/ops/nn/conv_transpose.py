"""Transposed convolution: ONNX's ConvTranspose and MXNet's Deconvolution.

MXNet crops both sides alike and adds fewer elements at the end than its stride. On CPUs without oneDNN, MXNet 1.9.1 is
wrong where an axis has both a stride and a dilation, and has no 3-D form at all; there the convolution that a
transposed one stands for is written: of the input with zeros between its elements, by the mirrored filters.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.nn.grad_conv import padded, weight_gradient
from graphkit.ops.nn.windows import CHANNELS_FIRST, Window, mx_window, onnx_ints, pad_spatial, torch_pad
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, per_axis
from graphkit.ops.tensor.sizes import some
from graphkit.ops.work import transposed_convolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("layout", "None") not in CHANNELS_FIRST:
        return Refusal(f"layout {node.attrs['layout']} is channels-last, which MXNet 1.9.1 itself runs on GPUs only")
    kernel = ints(node.attrs["kernel"])
    rank = len(kernel)
    pad, adj = mx_window(node, "pad", rank, 0), mx_window(node, "adj", rank, 0)
    target: tuple[int, ...] | None = mx_window(node, "target_shape", rank, 0)
    if not any(target or ()):
        target = None
    bias = None if BOOL.parse(node.attrs.get("no_bias", "True")) else x[2]
    strides, dilations = mx_window(node, "stride", rank, 1), mx_window(node, "dilate", rank, 1)
    if any(min(numbers) > 1 for numbers in zip(kernel, strides, dilations, strict=True)):
        b.warn("MXNet 1.9.1 without oneDNN is wrong where an axis has both a stride and a dilation; this is right")
    return b.op(
        "ConvTranspose",
        x[0],
        x[1],
        bias,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=None if target else pad + pad,
        output_padding=adj if any(adj) and not target else None,
        output_shape=target,
        group=int(node.attrs.get("num_group", "1")),
    )


def _crops(spatial: Sequence[Dim], node: ir.Node, window: Window) -> tuple[tuple[int, ...], tuple[int, ...]] | Refusal:
    """What is cut off before and after the full result; negative at the end where elements are added."""
    rank = len(window.kernel)
    added = onnx_ints(node, "output_padding", rank, 0)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    target = node.attributes.get_ints("output_shape", [])[-rank:]
    if not target and auto in ("NOTSET", "VALID"):
        pads = onnx_ints(node, "pads", 2 * rank, 0) if auto == "NOTSET" else (0,) * 2 * rank
        return pads[:rank], tuple(end - more for end, more in zip(pads[rank:], added, strict=True))
    totals = []
    for axis, (extent, stride, more) in enumerate(zip(window.extents, window.strides, added, strict=True)):
        size = spatial[axis]
        if not target:
            totals.append(extent - stride + more)
        elif isinstance(size, int):
            totals.append(stride * (size - 1) + extent + more - target[axis])
        else:
            return Refusal("its output_shape needs a known image size; give it with --input")
    halves = [(total // 2, total - total // 2) for total in totals]
    begins, ends = zip(*(half if auto == "SAME_UPPER" else half[::-1] for half in halves), strict=True)
    if min(begins) < 0:
        return Refusal("it is to give more than its input yields, which ONNX's runtimes place differently")
    return begins, tuple(end - more for end, more in zip(ends, added, strict=True))


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, weight, bias = x[0], x[1], x[2] if len(x) > 2 else None
    source, filters = node.inputs[0], node.inputs[1]
    assert data is not None
    assert weight is not None
    assert source is not None
    assert filters is not None
    shape = [dim for dim in b.shape(filters) if isinstance(dim, int)]
    rank = b.rank(filters) - 2
    if len(shape) != rank + 2:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs with --input")
    if not 1 <= rank <= 3:
        return Refusal(f"MXNet convolves 1 to 3 spatial axes, not {rank}")
    none = (0,) * rank
    window = Window(
        tuple(shape[2:]), onnx_ints(node, "strides", rank, 1), onnx_ints(node, "dilations", rank, 1), none, none
    )
    crops = _crops(b.shape(source)[2:], node, window)
    if isinstance(crops, Refusal):
        return crops
    begins, ends = crops
    group = node.attributes.get_int("group", 1)
    both = any(stride > 1 and dilation > 1 for stride, dilation in zip(window.strides, window.dilations, strict=True))
    if rank == 3 or both:
        return _as_convolution(b, data, _mirrored(b, weight, shape, group), bias, window, begins, ends, shape[1], group)
    adj = tuple(begin - end for begin, end in zip(begins, ends, strict=True))
    fits = all(0 <= more < stride for more, stride in zip(adj, window.strides, strict=True))
    late = bias if not fits and min(ends) < 0 else None
    pad = begins if fits else tuple(max(min(begin, end), 0) for begin, end in zip(begins, ends, strict=True))
    operands = [ref for ref in (data, weight, None if late else bias) if ref is not None]
    result = b.op(
        "Deconvolution",
        *operands,
        kernel=window.kernel,
        stride=window.strides,
        dilate=window.dilations,
        pad=pad,
        adj=adj if fits and any(adj) else None,
        num_filter=shape[1] * group,
        num_group=group,
        no_bias=len(operands) == 2,
    )
    if not fits:
        rest = [tuple(cut - done for cut, done in zip(cuts, pad, strict=True)) for cuts in crops]
        result = pad_spatial(b, result, tuple(-cut for cut in rest[0]), tuple(-cut for cut in rest[1]))
    if late is not None:
        result = b.op("broadcast_add", result, b.op("Reshape", late, shape=(1, -1, *(1,) * rank)))
    return result


def _mirrored(b: MxBuilder, weight: MxRef, shape: Sequence[int], group: int) -> MxRef:
    """(I, O/g, k…) filters as the (O, I/g, k…) filters of the convolution that the transposed one stands for."""
    inputs, outputs, *kernel = shape
    rank = len(kernel)
    if group == 1:
        swapped = b.op("transpose", weight, axes=(1, 0, *range(2, 2 + rank)))
    else:
        split = b.op("Reshape", weight, shape=(group, inputs // group, outputs, *kernel))
        swapped = b.op("transpose", split, axes=(0, 2, 1, *range(3, 3 + rank)))
        swapped = b.op("Reshape", swapped, shape=(group * outputs, inputs // group, *kernel))
    return b.op("reverse", swapped, axis=tuple(range(2, 2 + rank))) if prod(kernel) > 1 else swapped


def _as_convolution(
    b: MxBuilder,
    data: MxRef,
    filters: MxRef,
    bias: MxRef | None,
    window: Window,
    begins: tuple[int, ...],
    ends: tuple[int, ...],
    outputs: int,
    group: int,
) -> MxRef:
    for axis, stride in enumerate(window.strides, start=2):
        if stride > 1:
            apart = b.op("expand_dims", data, axis=axis + 1)
            zeros = [b.op("zeros_like", apart)] * (stride - 1)
            data = b.op("Concat", apart, *zeros, dim=axis + 1, num_args=stride)
            data = b.op("Reshape", data, shape=(*(0,) * axis, -3, -2))
            data = b.op("slice_axis", data, axis=axis, begin=0, end=1 - stride)
    before = tuple(extent - 1 - cut for extent, cut in zip(window.extents, begins, strict=True))
    after = tuple(extent - 1 - cut for extent, cut in zip(window.extents, ends, strict=True))
    even = before == after and min(before) >= 0
    if not even:
        data = pad_spatial(b, data, before, after)
    return b.op(
        "Convolution",
        *(ref for ref in (data, filters, bias) if ref is not None),
        kernel=window.kernel,
        dilate=window.dilations,
        pad=before if even else (0,) * len(before),
        num_filter=outputs * group,
        num_group=group,
        no_bias=bias is None,
    )


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Torch crops both sides alike and adds fewer elements at the end than its stride or dilation."""
    source, filters, bias = node.inputs[0], node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    assert source is not None
    assert filters is not None
    shape = [dim for dim in b.shape(filters) if isinstance(dim, int)]
    rank = b.rank(filters) - 2
    if len(shape) != rank + 2:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs with --input")
    if not 1 <= rank <= 3:
        return Refusal(f"torch convolves 1 to 3 spatial axes, not {rank}")
    none, kernel = (0,) * rank, tuple(shape[2:])
    window = Window(kernel, onnx_ints(node, "strides", rank, 1), onnx_ints(node, "dilations", rank, 1), none, none)
    crops = _crops(b.shape(source)[2:], node, window)
    if isinstance(crops, Refusal):
        return crops
    begins, ends = crops
    added = tuple(begin - end for begin, end in zip(begins, ends, strict=True))
    limits = [max(pair) for pair in zip(window.strides, window.dilations, strict=True)]
    fits = all(0 <= more < limit for more, limit in zip(added, limits, strict=True))
    pad = begins if fits else tuple(max(min(pair), 0) for pair in zip(begins, ends, strict=True))
    late = bias is not None and not fits and min(ends) < 0
    group = node.attributes.get_int("group", 1)
    options: dict[str, Any] = {}
    for name, numbers, default in (("stride", window.strides, 1), ("padding", pad, 0)):
        if set(numbers) != {default}:
            options[name] = per_axis(numbers)
    if fits and any(added):
        options["output_padding"] = per_axis(added)
    if group != 1:
        options["groups"] = group
    if set(window.dilations) != {1}:
        options["dilation"] = per_axis(window.dilations)
    tensors = {"weight": filters, "bias": None if late else bias}
    sizes = (shape[0], shape[1] * group, per_axis(kernel))
    use_bias = None if bias is not None and not late else False
    made: Var | None = b.layer(f"nn.ConvTranspose{rank}d", (x[0],), tensors, *sizes, **options, bias=use_bias)
    result: Arg = made
    if made is None:
        result = b.call(f"F.conv_transpose{rank}d", *x[: 2 if late else 3], **options)
    if not fits:
        before, after = (tuple(done - cut for cut, done in zip(cuts, pad, strict=True)) for cuts in crops)
        result = torch_pad(b, result, before, after)
    return b.infix("+", result, b.method("reshape", x[2], -1, *(1,) * rank)) if late else result


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The convolution by the same filters; for the filters, as of that convolution, of which the data is the result."""
    data, filters = some(node.inputs[0]), some(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    sizes = [size for size in b.shape(filters) if isinstance(size, int)]
    rank = b.rank(filters) - 2
    if len(sizes) != rank + 2:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs")
    strides, dilations = onnx_ints(node, "strides", rank, 1), onnx_ints(node, "dilations", rank, 1)
    none = (0,) * rank
    crops = _crops(b.shape(data)[2:], node, Window(tuple(sizes[2:]), strides, dilations, none, none))
    if isinstance(crops, Refusal):
        return crops
    begins, ends = (tuple(max(cut, 0) for cut in cuts) for cuts in crops)
    outside = [tuple(min(cut, 0) for cut in cuts) for cuts in crops]
    inside = padded(b, dy[0], outside[0], outside[1])
    window = Window(tuple(sizes[2:]), strides, dilations, begins, ends)
    group = node.attributes.get_int("group", 1)
    back = None
    if b.wants(data):
        back = b.op("Conv", inside, filters, strides=strides, dilations=dilations, pads=(*begins, *ends), group=group)
    return [
        back,
        weight_gradient(b, inside, data, sizes, window, group) if b.wants(filters) else None,
        b.op("ReduceSum", dy[0], [0, *range(2, rank + 2)], keepdims=0) if b.wants(bias) else None,
    ]


_READS = ("kernel", "stride", "dilate", "pad", "adj", "target_shape")
_ROW, _IMAGE, _FILTERS, _BIAS = arr(2, 4, 5), arr(2, 4, 4, 5), arr(4, 3, 3, 3), arr(3)
_VOLUME, _CUBES = arr(1, 2, 3, 4, 3), arr(2, 3, 2, 3, 2)

OP = Op(
    "ConvTranspose",
    mx=(
        MxForm(
            "Deconvolution",
            read=_read,
            reads=(*_READS, "num_filter", "num_group", "no_bias", "layout"),
            ignore=("workspace", "cudnn_tune", "cudnn_off"),
            write=_write,
            cases=(
                Case("defaults", (_IMAGE, _FILTERS), {"kernel": (3, 3), "num_filter": 3}, const=(1,)),
                Case(
                    "bias",
                    (_IMAGE, _FILTERS, _BIAS),
                    {"kernel": "[3,3]", "num_filter": 3, "no_bias": "0", "stride": (2, 1), "adj": (1, 0)},
                    const=(1, 2),
                ),
                Case(
                    "target shape",
                    (_IMAGE, _FILTERS, _BIAS),
                    {"kernel": (3, 3), "num_filter": 3, "no_bias": False, "stride": (2, 2), "target_shape": (8, 10)}
                    | {"pad": (5, 5), "adj": (1, 1)},
                    const=(1, 2),
                ),
                Case(
                    "target shape of the full size",
                    (_ROW, arr(4, 2, 3)),
                    {"kernel": (3,), "num_filter": 4, "stride": (3,), "target_shape": (15,), "num_group": 2},
                    const=(1,),
                ),
                Case(
                    "stride and dilation",
                    (_IMAGE, _FILTERS),
                    {"kernel": (3, 3), "num_filter": 3, "stride": (2, 2), "dilate": (2, 2)},
                    const=(1,),
                ),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    macs=transposed_convolution,
    cases=(
        Case("2-D", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, const=(1, 2), dynamic=(0,)),
        Case("no bias", (_IMAGE, _FILTERS), const=(1,)),
        Case("1-D", (_ROW, arr(4, 3, 3), _BIAS), {"strides": [2], "pads": [1, 1]}, const=(1, 2)),
        Case("output padding", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 3], "output_padding": [1, 2]}, const=(1, 2)),
        Case("dilated", (_IMAGE, _FILTERS), {"dilations": [2, 3], "pads": [2, 1, 2, 1]}, const=(1,)),
        Case(
            "grouped",
            (_IMAGE, arr(4, 3, 2, 3), arr(6)),
            {"group": 2, "strides": [1, 2], "pads": [0, 1, 0, 1]},
            const=(1, 2),
        ),
        Case("depthwise", (_IMAGE, arr(4, 1, 4, 4)), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}, const=(1,)),
        Case("more cut before", (_ROW, arr(4, 3, 3), _BIAS), {"strides": [2], "pads": [1, 0]}, const=(1, 2)),
        Case("more cut after", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "pads": [0, 1, 1, 2]}, const=(1, 2)),
        Case(
            "output padding beyond the result",
            (_ROW, arr(4, 3, 2), _BIAS),
            {"strides": [3], "output_padding": [2], "pads": [0, 0]},
            const=(1, 2),
        ),
        Case(
            "output padding after uneven cuts",
            (_ROW, arr(4, 3, 4), _BIAS),
            {"strides": [2], "output_padding": [1], "pads": [3, 0]},
            const=(1, 2),
        ),
        Case(
            "3-D",
            (_VOLUME, _CUBES, _BIAS),
            {"strides": [2, 1, 2], "pads": [0, 1, 1, 0, 1, 0]},
            const=(1, 2),
            dynamic=(0,),
        ),
        Case("3-D as is", (_VOLUME, _CUBES), const=(1,)),
        Case(
            "3-D, grouped, output padding",
            (_VOLUME, arr(2, 2, 2, 2, 2), arr(4)),
            {"strides": [2, 2, 2], "group": 2, "output_padding": [1, 0, 1], "pads": [1, 1, 1, 1, 1, 1]},
            const=(1, 2),
        ),
        Case("stride and dilation", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "dilations": [2, 1]}, const=(1, 2)),
        Case(
            "stride and dilation, cut, grouped",
            (_ROW, arr(4, 2, 3), arr(4)),
            {"strides": [3], "dilations": [2], "pads": [1, 2], "group": 2, "output_padding": [2]},
            const=(1, 2),
            dynamic=(0,),
        ),
        Case("same upper", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, const=(1, 2)),
        Case("same lower", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}, const=(1, 2)),
        Case("valid", (_IMAGE, _FILTERS), {"strides": [2, 2], "auto_pad": "VALID"}, const=(1,)),
        Case("output shape", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2], "output_shape": [8, 10]}, const=(1, 2)),
        Case(
            "output shape, same upper",
            (_IMAGE, _FILTERS),
            {"strides": [2, 2], "output_shape": [7, 9], "auto_pad": "SAME_UPPER"},
            const=(1,),
        ),
        Case("computed weight", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 2]}),
    ),
    limits=tuple(
        Limit(claim, "MXNet without oneDNN scatters the kernel to wrong places", "stride and dilation")
        for claim in ("read", "read-float64")
    ),
)
