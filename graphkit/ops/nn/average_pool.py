"""Average pooling, over windows and over everything.

Where MXNet's Pooling cannot place the windows itself (uneven pads, dilations, a last window in the padding), their sums
are divided by the number of elements that each of them covers.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
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


_ROW, _IMAGE, _VOLUME = arr(2, 2, 9), arr(2, 3, 7, 8), arr(1, 2, 5, 6, 4)
_OVERHANG = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0], "ceil_mode": 1}
_DROPPED = {"kernel_shape": [2], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
_DILATED = {"kernel_shape": [3], "dilations": [2], "strides": [2], "pads": [1, 2], "ceil_mode": 1}

OPS = (
    Op(
        "AveragePool",
        mx=(MxForm("Pooling", write=_write, direction="write"),),
        torch=_torch,
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
        cases=(
            Case("1-D", (_ROW,), dynamic=(0,)),
            Case("2-D", (_IMAGE,)),
            Case("3-D", (_VOLUME,)),
            Case("4-D", (arr(1, 2, 2, 3, 2, 2),)),
        ),
        limits=tuple(
            Limit(claim, "it pools at most 3 spatial axes", "4-D") for claim in ("onnxruntime", "gradient-onnxruntime")
        ),
    ),
)
