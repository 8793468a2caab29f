"""Windows of an image as columns, and back: MXNet's im2col and col2im, ONNX's Col2Im.

MXNet knows images of two axes, padded alike on both sides. ONNX has no operator for im2col; a convolution of each
channel with filters that pick one tap each is the same.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import ints
from graphkit.ops.nn.grad_conv import padded, seen
from graphkit.ops.nn.windows import Window, mx_window, onnx_ints, torch_pad
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, per_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _read_im2col(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = x[0]
    assert data is not None
    kernel = ints(node.attrs["kernel"])
    channels = b.shape(data)[1]
    if not isinstance(channels, int):
        channels = b.static_shape(data)[1]
    taps = prod(kernel)
    check_elements(channels * taps * taps)
    filters = np.tile(np.eye(taps), (channels, 1)).reshape(channels * taps, 1, *kernel)
    pad = mx_window(node, "pad", len(kernel), 0)
    columns = b.op(
        "Conv",
        data,
        b.const(filters, b.dtype(data)),
        kernel_shape=kernel,
        strides=mx_window(node, "stride", len(kernel), 1),
        dilations=mx_window(node, "dilate", len(kernel), 1),
        pads=pad + pad,
        group=channels,
    )
    return b.op("Reshape", columns, [0, 0, -1])


def _read_col2im(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    kernel = ints(node.attrs["kernel"])
    pad = mx_window(node, "pad", len(kernel), 0)
    return b.op(
        "Col2Im",
        x[0],
        list(ints(node.attrs["output_size"])),
        list(kernel),
        strides=mx_window(node, "stride", len(kernel), 1),
        dilations=mx_window(node, "dilate", len(kernel), 1),
        pads=pad + pad,
    )


def _write_col2im(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, image, block = x[0], b.value(node.inputs[1]), b.value(node.inputs[2])
    assert data is not None
    if image is None or block is None:
        return Refusal(
            "the size of its image or block is computed while it runs; MXNet needs it in the symbol",
            needs=node.inputs[1:],
        )
    size, kernel = tuple(image.reshape(-1).tolist()), tuple(block.reshape(-1).tolist())
    rank = len(kernel)
    if rank > 2:
        return Refusal(f"MXNet's col2im gives images of two axes, not {rank}")
    strides, dilations = onnx_ints(node, "strides", rank, 1), onnx_ints(node, "dilations", rank, 1)
    pads = onnx_ints(node, "pads", 2 * rank, 0)
    begins, ends = pads[:rank], pads[rank:]
    if rank == 1:
        size, kernel, strides, dilations = (1, *size), (1, *kernel), (1, *strides), (1, *dilations)
        begins, ends = (0, *begins), (0, *ends)
    even = begins == ends
    if not even:
        size = tuple(length + begin + end for length, begin, end in zip(size, begins, ends, strict=True))
    result = b.op(
        "col2im",
        data,
        output_size=size,
        kernel=kernel,
        stride=strides,
        dilate=dilations,
        pad=begins if even else (0, 0),
    )
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True), start=2):
        if not even and (begin or end):
            result = b.op("slice_axis", result, axis=axis, begin=begin, end=size[axis - 2] - end)
    return b.op("squeeze", result, axis=2) if rank == 1 else result


def _torch_col2im(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    image, block = b.value(node.inputs[1]), b.value(node.inputs[2])
    rank = b.shape(node.inputs[1])[0] if node.inputs[1] is not None else None
    if not isinstance(rank, int):
        return Refusal("the number of its image's axes is not known", needs=node.inputs[1:])
    if image is None or block is None or rank > 2:
        sizes = [
            b.method("tolist", operand) if array is None else tuple(array.reshape(-1).tolist())
            for operand, array in zip(x[1:], (image, block), strict=True)
        ]
        windows = [onnx_ints(node, name, rank, 1) for name in ("dilations", "strides")]
        return b.call("col2im", x[0], *sizes, windows[0], onnx_ints(node, "pads", 2 * rank, 0), windows[1])
    size, kernel = tuple(image.reshape(-1).tolist()), tuple(block.reshape(-1).tolist())
    pads = onnx_ints(node, "pads", 2 * rank, 0)
    begins, ends = pads[:rank], pads[rank:]
    missing = 2 - rank
    even = begins == ends
    if not even:
        size = tuple(length + begin + end for length, begin, end in zip(size, begins, ends, strict=True))
    options: dict[str, Any] = {}
    for name, attribute, default in (("dilation", "dilations", 1), ("stride", "strides", 1)):
        numbers = (default,) * missing + onnx_ints(node, attribute, rank, default)
        if set(numbers) != {default}:
            options[name] = per_axis(numbers)
    if even and any(begins):
        options["padding"] = per_axis((0,) * missing + begins)
    ones = (1,) * missing
    result: Arg = b.call("F.fold", x[0], (*ones, *size), per_axis((*ones, *kernel)), **options)
    if rank == 1:
        result = b.method("squeeze", result, 2)
    return result if even else torch_pad(b, result, tuple(-pad for pad in begins), tuple(-pad for pad in ends))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """What each window sees of the cotangent, as columns."""
    image, block = b.value(node.inputs[1]), b.value(node.inputs[2])
    if image is None or block is None:
        return Refusal("the size of its image or block is computed while it runs; it has to be constant")
    kernel, rank = tuple(int(taps) for taps in block.reshape(-1)), block.size
    pads = onnx_ints(node, "pads", 2 * rank, 0)
    window = Window(
        kernel,
        onnx_ints(node, "strides", rank, 1),
        onnx_ints(node, "dilations", rank, 1),
        pads[:rank],
        pads[rank:],
    )
    counts = [
        (int(size) + window.begins[axis] + window.ends[axis] - window.extents[axis]) // window.strides[axis] + 1
        for axis, size in enumerate(image.reshape(-1))
    ]
    whole = padded(b, dy[0], window.begins, window.ends)
    taps = [
        b.op("Reshape", seen(b, whole, window, tap, counts), [0, 0, 1, prod(counts)]) for tap in np.ndindex(*kernel)
    ]
    return [b.op("Reshape", b.op("Concat", *taps, axis=2), [0, -1, prod(counts)])]


def _columns(taps: int, count: int) -> Sequence[int]:
    return (2, 3 * taps, count)


_MX = {"kernel": (2, 3), "stride": (2, 1), "pad": (1, 0), "dilate": (1, 2)}

OPS = (
    Op(
        "Col2Im",
        mx=(
            MxForm(
                "col2im",
                read=_read_col2im,
                reads=("output_size", "kernel", "stride", "dilate", "pad"),
                write=_write_col2im,
                cases=(
                    Case("defaults", (arr(*_columns(4, 20)),), {"output_size": (5, 6), "kernel": (2, 2)}),
                    Case("given", (arr(*_columns(6, 9)),), {"output_size": (5, 7), **_MX}),
                ),
            ),
        ),
        torch=_torch_col2im,
        gradient=_gradient,
        cases=(
            Case(
                "defaults",
                (arr(*_columns(4, 20)), given([5, 6], "int64"), given([2, 2], "int64")),
                const=(1, 2),
                dynamic=(0,),
            ),
            Case(
                "given",
                (arr(*_columns(6, 9)), given([5, 7], "int64"), given([2, 3], "int64")),
                {"strides": [2, 1], "pads": [1, 0, 1, 0], "dilations": [1, 2]},
                const=(1, 2),
            ),
            Case(
                "uneven pads",
                (arr(*_columns(4, 25)), given([5, 4], "int64"), given([2, 2], "int64")),
                {"pads": [0, 1, 1, 1]},
                const=(1, 2),
            ),
            Case(
                "1-D",
                (arr(*_columns(3, 3)), given([7], "int64"), given([3], "int64")),
                {"strides": [2], "pads": [0, 0]},
                const=(1, 2),
            ),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "im2col",
                direction="read",
                read=_read_im2col,
                reads=("kernel", "stride", "dilate", "pad"),
                cases=(
                    Case("defaults", (arr(2, 3, 4, 5),), {"kernel": (2, 3)}),
                    Case("given", (arr(2, 3, 5, 7),), _MX),
                ),
            ),
        ),
    ),
)
