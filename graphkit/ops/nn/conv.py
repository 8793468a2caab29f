"""Convolution.

ONNX pads each side on its own and knows ``auto_pad``; MXNet pads both sides alike, so uneven pads become a Pad of their
own. MXNet convolves 1 to 3 spatial axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.nn.grad_conv import conv_gradient
from graphkit.ops.nn.windows import CHANNELS_FIRST, mx_window, onnx_window, pad_spatial, torch_window
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, per_axis
from graphkit.ops.work import convolved

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var

__all__ = ["mx_convolved", "torch_convolved"]


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if node.attrs.get("layout", "None") not in CHANNELS_FIRST:
        return Refusal(f"layout {node.attrs['layout']} is channels-last, which MXNet 1.9.1 itself runs on GPUs only")
    kernel = ints(node.attrs["kernel"])
    rank = len(kernel)
    pad = mx_window(node, "pad", rank, 0)
    bias = None if BOOL.parse(node.attrs.get("no_bias", "False")) else x[2]
    return b.op(
        "Conv",
        x[0],
        x[1],
        bias,
        kernel_shape=kernel,
        strides=mx_window(node, "stride", rank, 1),
        dilations=mx_window(node, "dilate", rank, 1),
        pads=pad + pad,
        group=int(node.attrs.get("num_group", "1")),
    )


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, weight, bias = x[0], x[1], x[2] if len(x) > 2 else None
    filters = node.inputs[1]
    assert data is not None
    assert weight is not None
    assert filters is not None
    return mx_convolved(b, node, filters, data, weight, bias)


def mx_convolved(
    b: MxBuilder, node: ir.Node, filters: ir.Value, data: MxRef, weight: MxRef, bias: MxRef | None
) -> MxRef | Refusal:
    """The convolution that a node's attributes describe, of the shape of ``filters``, on given arrays."""
    shape = b.shape(filters)
    kernel = tuple(node.attributes.get_ints("kernel_shape", [k for k in shape[2:] if isinstance(k, int)]))
    rank = len(shape) - 2
    if not isinstance(shape[0], int) or len(kernel) != rank:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs with --input")
    if not 1 <= rank <= 3:
        return Refusal(f"MXNet convolves 1 to 3 spatial axes, not {rank}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    pad = window.begins
    if window.begins != window.ends:
        data, pad = pad_spatial(b, data, window.begins, window.ends), (0,) * rank
    return b.op(
        "Convolution",
        *(ref for ref in (data, weight, bias) if ref is not None),
        kernel=kernel,
        stride=window.strides,
        dilate=window.dilations,
        pad=pad,
        num_filter=shape[0],
        num_group=node.attributes.get_int("group", 1),
        no_bias=bias is None,
    )


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    filters = node.inputs[1]
    assert filters is not None
    bias = x[2] if len(x) > 2 else None
    layer = {"weight": filters, "bias": None if bias is None else node.inputs[2]}
    return torch_convolved(b, node, filters, x[0], x[1], bias, layer)


def torch_convolved(
    b: TorchBuilder,
    node: ir.Node,
    filters: ir.Value,
    data: Arg,
    weight: Arg,
    bias: Arg | None = None,
    layer: dict[str, ir.Value | None] | None = None,
) -> Arg | Refusal:
    """The convolution that a node's attributes describe, of the shape of ``filters``, on given tensors.

    Where ``layer`` says which initializers the tensors are, it is a layer that owns them, if one can.
    """
    shape = b.shape(filters)
    kernel = tuple(node.attributes.get_ints("kernel_shape", [k for k in shape[2:] if isinstance(k, int)]))
    rank = len(shape) - 2
    if len(kernel) != rank:
        return Refusal("the shape of its weight is not known; give the shapes of the model's inputs with --input")
    if not 1 <= rank <= 3:
        return Refusal(f"torch convolves 1 to 3 spatial axes, not {rank}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    data, options = torch_window(b, data, window)
    group = node.attributes.get_int("group", 1)
    if group != 1:
        options["groups"] = group
    if layer is not None and isinstance(shape[0], int) and isinstance(shape[1], int):
        sizes = (shape[1] * group, shape[0], per_axis(kernel))
        use_bias = None if bias is not None else False
        made: Var | None = b.layer(f"nn.Conv{rank}d", (data,), layer, *sizes, **options, bias=use_bias)
        if made is not None:
            return made
    return b.call(f"F.conv{rank}d", data, weight, *(() if bias is None else (bias,)), **options)


_IMAGE, _FILTERS, _BIAS = arr(2, 4, 6, 7), arr(6, 4, 3, 3), arr(6)

OP = Op(
    "Conv",
    mx=(
        MxForm(
            "Convolution",
            also=("Convolution_v1",),
            read=_read,
            reads=("kernel", "stride", "dilate", "pad", "num_filter", "num_group", "no_bias", "layout"),
            ignore=("workspace", "cudnn_tune", "cudnn_off"),
            write=_write,
            cases=(
                Case(
                    "defaults",
                    (_IMAGE, _FILTERS, _BIAS),
                    {"kernel": (3, 3), "num_filter": 6},
                    const=(1, 2),
                ),
                Case(
                    "no bias",
                    (_IMAGE, arr(6, 2, 3, 3)),
                    {"kernel": "[3,3]", "num_filter": 6, "no_bias": "1", "num_group": 2, "workspace": 512},
                    const=(1,),
                ),
            ),
        ),
    ),
    torch=_torch,
    gradient=conv_gradient,
    macs=convolved(),
    cases=(
        Case("2-D", (_IMAGE, _FILTERS, _BIAS), {"pads": [1, 1, 1, 1]}, const=(1, 2), dynamic=(0,)),
        Case("no bias", (_IMAGE, _FILTERS), const=(1,)),
        Case("1-D", (arr(2, 3, 9), arr(4, 3, 3), arr(4)), {"strides": [2], "pads": [1, 1]}, const=(1, 2)),
        Case("3-D", (arr(1, 2, 4, 5, 4), arr(3, 2, 2, 3, 2), arr(3)), {"pads": [0, 1, 0, 0, 1, 0]}, const=(1, 2)),
        Case("strided", (_IMAGE, _FILTERS, _BIAS), {"strides": [2, 1], "dilations": [1, 2]}, const=(1, 2)),
        Case("grouped", (_IMAGE, arr(6, 2, 3, 3), _BIAS), {"group": 2}, const=(1, 2)),
        Case("depthwise", (_IMAGE, arr(4, 1, 3, 3)), {"group": 4, "pads": [1, 1, 1, 1]}, const=(1,)),
        Case("uneven pads", (_IMAGE, _FILTERS, _BIAS), {"pads": [0, 1, 2, 0]}, const=(1, 2)),
        Case("uneven pads 1-D", (arr(2, 3, 9), arr(4, 3, 3)), {"pads": [2, 0]}, const=(1,)),
        Case("same upper", (_IMAGE, _FILTERS), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, const=(1,)),
        Case("same lower", (_IMAGE, arr(6, 4, 2, 2)), {"auto_pad": "SAME_LOWER"}, const=(1,)),
        Case("valid", (_IMAGE, _FILTERS), {"auto_pad": "VALID", "kernel_shape": [3, 3]}, const=(1,)),
        Case(
            "same upper, free size", (arr(6, 4, 5, 5), _FILTERS), {"auto_pad": "SAME_UPPER"}, const=(1,), dynamic=(0,)
        ),
        Case("grouped 3-D", (arr(1, 4, 4, 5, 4), arr(2, 2, 2, 2, 2)), {"group": 2, "dilations": [2, 1, 2]}, const=(1,)),
        Case("computed weight", (_IMAGE, _FILTERS, _BIAS)),
    ),
)
