"""Average pooling, over windows and over everything.

Where MXNet's Pooling cannot place the windows itself (uneven pads, dilations, a last window in the padding), their sums
are divided by the number of elements that each of them covers.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.nn.grad_conv import data_gradient, padded
from graphkit.ops.nn.windows import (
    Window,
    counts,
    global_pool,
    onnx_window,
    pad_spatial,
    pool,
    torch_pad,
    torch_pool,
    torch_windows,
)
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, per_axis
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_BLIND = (
    "one of its windows sees nothing but padding, and what the average of nothing is differs from runtime to runtime"
)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    if not 1 <= len(kernel) <= 3:
        return Refusal(f"MXNet pools 1 to 3 spatial axes, not {len(kernel)}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    spatial = b.shape(source)[2:]
    include = bool(node.attributes.get_int("count_include_pad", 0))
    if not include and window.is_blind(spatial):
        return Refusal(_BLIND)
    convention = window.convention(spatial)
    if convention is not None:
        return b.op(
            "Pooling",
            data,
            pool_type="avg",
            kernel=kernel,
            stride=window.strides,
            pad=window.begins,
            pooling_convention=convention,
            count_include_pad=include,
        )
    even = window.whole_ends == window.ends and (include or not any((*window.begins, *window.ends)))
    if even and set(window.dilations) == {1}:
        data = pad_spatial(b, data, window.begins, window.ends)
        return b.op("Pooling", data, pool_type="avg", kernel=kernel, stride=window.strides)
    total = pool(b, data, spatial, window, "sum")
    if even:
        return b.op("_div_scalar", total, scalar=float(prod(kernel)))
    return b.op("broadcast_div", total, counts(b, data, spatial, window, padding=include))


def _write_global(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    return global_pool(b, data, b.rank(source), "avg")


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source = node.inputs[0]
    assert source is not None
    kernel = tuple(node.attributes.get_ints("kernel_shape", []))
    rank = len(kernel)
    if not 1 <= rank <= 3:
        return Refusal(f"torch pools 1 to 3 spatial axes, not {rank}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    include = bool(node.attributes.get_int("count_include_pad", 0))
    if not include and window.is_blind(b.shape(source)[2:]):
        return Refusal(_BLIND)
    even = window.begins == window.ends and all(2 * pad <= k for pad, k in zip(window.begins, kernel, strict=True))
    spatial = b.shape(source)[2:]
    if rank == 3 and any(isinstance(size, int) and size < k for size, k in zip(spatial, kernel, strict=True)):
        even = False  # torch does not heed the padding when it compares these
    if even and set(window.dilations) == {1}:
        _, options = torch_pool(b, x[0], window)
        if any(window.begins) and not include:
            options["count_include_pad"] = False
        return b.call(f"F.avg_pool{rank}d", x[0], per_axis(kernel), **options)
    total, divisor = torch_windows(b, x[0], window, b.size(source, 1))
    if window.whole_ends == window.ends and (include or not any((*window.begins, *window.ends))):
        return total if divisor == 1 else b.infix("/", total, divisor)
    covered: Arg = b.call("torch.ones_like", b.item(x[0], slice(1), slice(1)))
    if include:
        covered = torch_pad(b, covered, window.begins, window.ends, 1)
        overhang = tuple(whole - end for whole, end in zip(window.whole_ends, window.ends, strict=True))
        window = Window(kernel, window.strides, window.dilations, (0,) * rank, overhang)
    return b.infix("/", total, torch_windows(b, covered, window, 1)[0])


def _torch_global(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source = node.inputs[0]
    assert source is not None
    rank = b.rank(source)
    if rank in (3, 4, 5):
        return b.call(f"F.adaptive_avg_pool{rank - 2}d", x[0], 1)
    return b.method("mean", x[0], tuple(range(2, rank)), keepdim=True)


def spread(b: GradientBuilder, data: ir.Value, dy: ir.Value, window: Window) -> ir.Value:
    """What each element of data (N, C, …) gets where every element of ``dy`` goes to all that its window sees."""
    whole = Window(window.kernel, window.strides, window.dilations, window.begins, window.whole_ends)
    plane, planes = (b.op("Reshape", value, _planes(b, value, -1, 1)) for value in (data, dy))
    ones = b.const(np.ones((1, 1, *window.kernel)), b.dtype(dy))
    return b.like(data_gradient(b, plane, ones, planes, whole, 1), data)


def _planes(b: GradientBuilder, value: ir.Value, *lead: int) -> ir.Value:
    """The shape of (N, C, …) with other numbers in the place of N and C."""
    spatial = [size for size in b.shape(value)[2:] if isinstance(size, int)]
    if len(spatial) == b.rank(value) - 2:
        return b.const([*lead, *spatial])
    return b.op("Concat", list(lead), b.op("Slice", b.shape_of(value), [2], [b.rank(value)], [0]), axis=0)


def _covered(b: GradientBuilder, data: ir.Value, window: Window, *, padding: bool) -> ir.Value:
    """Over how many elements each window extends, those of the padding included or not, as (1, 1, …)."""
    ones = b.op("Expand", b.const(np.ones(1), b.dtype(data)), _planes(b, data, 1, 1))
    begins, ends = window.begins, window.whole_ends
    if padding:
        ones = padded(b, ones, begins, window.ends, 1.0)
        begins, ends = (0,) * len(begins), tuple(w - e for w, e in zip(ends, window.ends, strict=True))
    return b.op(
        "Conv",
        ones,
        b.const(np.ones((1, 1, *window.kernel)), b.dtype(data)),
        strides=window.strides,
        dilations=window.dilations,
        pads=(*begins, *ends),
    )


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    data = some(node.inputs[0])
    window = onnx_window(b, node, tuple(node.attributes.get_ints("kernel_shape", [])))
    if isinstance(window, Refusal):
        return window
    include = bool(node.attributes.get_int("count_include_pad", 0))
    if window.whole_ends == window.ends and (include or not any((*window.begins, *window.ends))):
        covered = b.scalar(prod(window.kernel), data)
    else:
        covered = _covered(b, data, window, padding=include)
    return [spread(b, data, b.op("Div", dy[0], covered), window)]


def _gradient_global(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    data = some(node.inputs[0])
    spatial = [size for size in b.shape(data)[2:] if isinstance(size, int)]
    if len(spatial) == b.rank(data) - 2:
        count = b.scalar(prod(spatial), data)
    else:
        sizes = b.op("Slice", b.shape_of(data), [2], [b.rank(data)], [0])
        count = b.op("CastLike", b.op("ReduceProd", sizes, keepdims=0), data)
    return [b.op("Expand", b.op("Div", dy[0], count), b.shape_of(data))]


_ROW, _IMAGE, _VOLUME = arr(2, 2, 9), arr(2, 3, 7, 8), arr(1, 2, 5, 6, 4)
_OVERHANG = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0], "ceil_mode": 1}
_DROPPED = {"kernel_shape": [2], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
_DILATED = {"kernel_shape": [3], "dilations": [2], "strides": [2], "pads": [1, 2], "ceil_mode": 1}

OPS = (
    Op(
        "AveragePool",
        mx=(MxForm("Pooling", write=_write, direction="write"),),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("2-D", (_IMAGE,), {"kernel_shape": [2, 2], "strides": [2, 2]}, dynamic=(0,)),
            Case("1-D", (_ROW,), {"kernel_shape": [3], "strides": [2]}),
            Case("3-D", (_VOLUME,), {"kernel_shape": [2, 3, 2], "pads": [0, 1, 1, 0, 1, 1]}),
            Case(
                "3-D, padded beyond the size", (arr(1, 2, 2, 2, 6),), {"kernel_shape": [2, 3, 2], "pads": [0, 1, 1] * 2}
            ),
            Case("pads left out", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
            Case("pads counted", (_IMAGE,), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
            Case("uneven pads left out", (_IMAGE,), {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0]}, dynamic=(0,)),
            Case(
                "uneven pads counted",
                (_IMAGE,),
                {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0], "count_include_pad": 1},
                dynamic=(0,),
            ),
            Case("ceil", (_IMAGE,), _OVERHANG),
            Case("ceil, pads counted", (_IMAGE,), {**_OVERHANG, "count_include_pad": 1}),
            Case("ceil that drops a window in the padding", (_ROW,), _DROPPED),
            Case("ceil that drops a window, pads counted", (_ROW,), {**_DROPPED, "count_include_pad": 1}),
            Case("ceil with gaps", (_ROW,), {"kernel_shape": [1], "strides": [3], "ceil_mode": 1}),
            Case("dilated", (_IMAGE,), {"kernel_shape": [2, 3], "dilations": [3, 2], "strides": [1, 2]}, dynamic=(0,)),
            Case("dilated, padded, ceil", (_ROW,), _DILATED),
            Case("dilated, padded, ceil, pads counted", (_ROW,), {**_DILATED, "count_include_pad": 1}),
            Case("same upper", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
            Case(
                "same lower, pads counted",
                (_IMAGE,),
                {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "count_include_pad": 1},
            ),
            Case("valid", (_IMAGE,), {"kernel_shape": [3, 3], "auto_pad": "VALID"}),
        ),
    ),
    Op(
        "GlobalAveragePool",
        mx=(MxForm("Pooling", write=_write_global, direction="write"),),
        torch=_torch_global,
        gradient=_gradient_global,
        cases=(
            Case("1-D", (_ROW,), dynamic=(0,)),
            Case("2-D", (_IMAGE,)),
            Case("3-D", (_VOLUME,)),
            Case("4-D", (arr(1, 2, 2, 3, 2, 2),)),
        ),
        limits=(Limit("onnxruntime", "it pools at most 3 spatial axes", "4-D"),),
    ),
)
