"""Reading MXNet's Pooling, of all types and conventions.

Facts the operator's documentation does not tell, measured on MXNet 1.9.1:

- ``full`` rounds the number of windows up and keeps a last window that lies in the padding entirely; its maximum is the
  lowest finite number, its mean 0.
- A mean over a window that overhangs the padding is over the input and its padding only.
- ``lp`` sums powers of the numbers themselves, not of their magnitudes.
- Pooling_v1 takes the maximum over zeros in the padding, and always divides by the number of taps.
- ``global_pool`` ignores kernel, stride and pad.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.nn.windows import CHANNELS_FIRST, Window, mx_window
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, Tol, arr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def read_pooling(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """Pooling of any kind, channels first or last."""
    data = x[0]
    assert data is not None
    if node.attrs.get("layout", "None") in CHANNELS_FIRST:
        return _pooled(b, node, data)
    rank = b.rank(data)
    inner = _pooled(b, node, b.op("Transpose", data, perm=(0, rank - 1, *range(1, rank - 1))))
    if isinstance(inner, Refusal):
        return inner
    return b.op("Transpose", inner, perm=(0, *range(2, rank), 1))


def _pooled(b: OnnxBuilder, node: MxNode, data: ir.Value) -> ir.Value | Refusal:
    kind = node.attrs.get("pool_type", "max")
    power = 1
    if kind == "lp":
        power = int(node.attrs.get("p_value", "None"))
        if power not in (1, 2, 3):
            return Refusal(f"MXNet itself does not pool with p_value={power}")
        kind = "sum"
    if kind not in ("max", "avg", "sum"):
        return Refusal(f"pool_type={kind} is not one of MXNet's")
    if BOOL.parse(node.attrs.get("global_pool", "False")):
        return _global(b, data, kind, power)
    if "kernel" not in node.attrs:
        return Refusal("it has neither a kernel nor global_pool")
    convention = node.attrs.get("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        return Refusal(f"pooling_convention={convention} does not work in MXNet 1.9.1 itself")
    kernel = ints(node.attrs["kernel"])
    rank = len(kernel)
    pad = mx_window(node, "pad", rank, 0)
    window = Window(kernel, mx_window(node, "stride", rank, 1), (1,) * rank, pad, pad, convention == "full")
    if node.op == "Pooling_v1":
        return _version_one(b, data, kind, window)
    if kind == "max":
        return _largest(b, data, window)
    if kind == "avg":
        include = node.attrs.get("count_include_pad", "None")
        return _mean(b, data, window, include=include == "None" or bool(BOOL.parse(include)))
    return _by_powers(b, data, power, lambda powers: _sum(b, powers, window))


def _global(b: OnnxBuilder, data: ir.Value, kind: str, power: int) -> ir.Value:
    if kind == "max":
        return b.op("GlobalMaxPool", data)
    if kind == "avg":
        return b.op("GlobalAveragePool", data)
    axes = list(range(2, b.rank(data)))
    return _by_powers(b, data, power, lambda powers: b.op("ReduceSum", powers, axes, keepdims=1))


def _by_powers(b: OnnxBuilder, data: ir.Value, power: int, total: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """The root of Σxᵖ, of the sum's sign where p = 3."""
    if power == 1:
        return total(data)
    if power == 2:
        return b.op("Sqrt", total(b.op("Mul", data, data)))
    cubes = total(b.op("Mul", b.op("Mul", data, data), data))
    root = b.op("Pow", b.op("Abs", cubes), b.scalar(1 / 3, cubes))
    return b.op("Mul", b.op("Sign", cubes), root)


def _attrs(window: Window) -> dict[str, Any]:
    pads = (*window.begins, *window.ends)
    return {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "pads": pads if any(pads) else None,
        "ceil_mode": int(window.ceil) or None,
    }


def _same_in_onnx(b: OnnxBuilder, data: ir.Value, window: Window) -> bool:
    """Whether ONNX, which drops a last window in the padding, has the same windows."""
    if any(pad >= taps for pad, taps in zip(window.begins, window.kernel, strict=True)):
        return False
    spatial = (None,) * len(window.kernel) if data.shape is None else b.shape(data)[2:]
    return not window.ceil or window.convention(spatial) is not None


def _pad(b: OnnxBuilder, data: ir.Value, begins: Sequence[int], ends: Sequence[int], outside: float) -> ir.Value:
    """Padding that names its axes, which keeps ONNX Runtime from merging it into a pooling that pads with less."""
    if not any((*begins, *ends)):
        return data
    return b.op("Pad", data, [*begins, *ends], b.scalar(outside, data), list(range(2, 2 + len(begins))))


def _padded(b: OnnxBuilder, data: ir.Value, window: Window, outside: float) -> tuple[ir.Value, Window]:
    """The data with all of its padding in place, and the window without."""
    over = [stride - 1 if window.ceil else 0 for stride in window.strides]
    ends = [end + more for end, more in zip(window.ends, over, strict=True)]
    none = (0,) * len(window.kernel)
    bare = Window(window.kernel, window.strides, window.dilations, none, none)
    return _pad(b, data, window.begins, ends, outside), bare


def _largest(b: OnnxBuilder, data: ir.Value, window: Window) -> ir.Value:
    if not _same_in_onnx(b, data, window):
        data, window = _padded(b, data, window, float(np.finfo(b.dtype(data)).min))
    return b.op("MaxPool", data, **_attrs(window))


def _mean(b: OnnxBuilder, data: ir.Value, window: Window, *, include: bool) -> ir.Value:
    if _same_in_onnx(b, data, window):
        return b.op(
            "AveragePool", data, count_include_pad=int(include and any(window.begins)) or None, **_attrs(window)
        )
    known = [size for size in b.shape(data)[2:] if isinstance(size, int)]
    sizes = known if len(known) == len(window.kernel) else b.static_shape(data)[2:]
    covered = _covered(sizes, window, include=include)
    return b.op("Div", _sum(b, data, window), b.const(covered.astype(b.dtype(data))))


def _covered(sizes: Sequence[int], window: Window, *, include: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """By how much MXNet divides each window's sum, at least 1, as (output axes…)."""
    total = np.ones((), np.int64)
    check_elements(prod(size + 2 * pad for size, pad in zip(sizes, window.begins, strict=True)))
    for size, taps, stride, pad in zip(sizes, window.kernel, window.strides, window.begins, strict=True):
        over = stride - 1 if window.ceil else 0
        first = np.arange((size + 2 * pad + over - taps) // stride + 1) * stride - pad
        last = np.minimum(first + taps, size + pad)
        if not include:
            first, last = np.maximum(first, 0), np.minimum(last, size)
        total = total[..., None] * np.maximum(last - first, 0)
    return np.maximum(total, 1)


def _sum(b: OnnxBuilder, data: ir.Value, window: Window) -> ir.Value:
    data, window = _padded(b, data, window, 0.0)
    mean = b.op("AveragePool", data, **_attrs(window))
    taps = prod(window.kernel)
    return mean if taps == 1 else b.op("Mul", mean, b.scalar(float(taps), mean))


def _version_one(b: OnnxBuilder, data: ir.Value, kind: str, window: Window) -> ir.Value:
    if kind == "max":
        data = _pad(b, data, window.begins, window.ends, 0.0)
        none = (0,) * len(window.kernel)
        bare = Window(window.kernel, window.strides, window.dilations, none, none, window.ceil)
        if not _same_in_onnx(b, data, bare):
            data, bare = _padded(b, data, bare, float("-inf"))
        return b.op("MaxPool", data, **_attrs(bare))
    data, bare = _padded(b, data, window, 0.0)
    mean = b.op("AveragePool", data, **_attrs(bare))
    return mean if kind == "avg" else b.op("Mul", mean, b.scalar(float(prod(window.kernel)), mean))


_READS = ("kernel", "pool_type", "global_pool", "pooling_convention", "stride", "pad")
_ROW, _IMAGE, _VOLUME = arr(2, 2, 7), arr(2, 3, 7, 8), arr(1, 2, 5, 4, 6)
_IN_PADDING = {"kernel": (2,), "stride": (2,), "pad": (1,), "pooling_convention": "full"}
_WITH_GAPS = {"kernel": (1,), "stride": (5,), "pooling_convention": "full"}
_VERSION_ONE = Tol(float64=1e-6, reason="Pooling_v1 multiplies by a float32 reciprocal")
_OVERHANG = {"kernel": (3, 2), "stride": (2, 2), "pad": (1, 0), "pooling_convention": "full"}

OP = Op(
    "",
    mx=(
        MxForm(
            "Pooling",
            direction="read",
            read=read_pooling,
            reads=(*_READS, "p_value", "count_include_pad", "layout"),
            ignore=("cudnn_off",),
            cases=(
                Case("defaults", (_IMAGE,), {"kernel": (2, 3)}),
                Case("max", (_IMAGE,), {"kernel": "[3,3]", "stride": "(2L, 2L)", "pad": (1, 1), "pool_type": "max"}),
                Case("max, full", (_IMAGE,), {**_OVERHANG, "cudnn_off": "1"}),
                Case("max, last window in the padding", (_ROW,), _IN_PADDING, grad=False),
                Case("max, windows with gaps", (arr(1, 2, 8),), _WITH_GAPS, grad=False),
                Case("max, pad as wide as the kernel", (_ROW,), {"kernel": (2,), "pad": (2,)}, grad=False),
                Case("max, global", (_IMAGE,), {"global_pool": "1", "kernel": (2, 2), "stride": (2, 2), "pad": (1, 1)}),
                Case("max, channels last", (arr(2, 7, 8, 3),), {"kernel": (3, 2), "layout": "NHWC"}),
                Case("avg", (_IMAGE,), {"kernel": (3, 3), "pool_type": "avg", "pad": (1, 1)}),
                Case(
                    "avg, pads left out",
                    (_IMAGE,),
                    {"kernel": (3, 3), "pool_type": "avg", "pad": (1, 1), "count_include_pad": "False"},
                ),
                Case("avg, full", (_IMAGE,), {**_OVERHANG, "pool_type": "avg"}),
                Case("avg, full, pads left out", (_IMAGE,), {**_OVERHANG, "pool_type": "avg", "count_include_pad": 0}),
                Case("avg, last window in the padding", (_ROW,), {**_IN_PADDING, "pool_type": "avg"}),
                Case(
                    "avg, last window in the padding, pads left out",
                    (_ROW,),
                    {**_IN_PADDING, "pool_type": "avg", "count_include_pad": False},
                ),
                Case("avg, windows with gaps", (arr(1, 2, 8),), {**_WITH_GAPS, "pool_type": "avg"}),
                Case("avg, global", (_VOLUME,), {"global_pool": True, "pool_type": "avg"}),
                Case(
                    "avg, global, channels last",
                    (arr(2, 7, 3),),
                    {"global_pool": True, "pool_type": "avg", "layout": "NWC"},
                ),
                Case("avg, 3-D", (_VOLUME,), {"kernel": (2, 2, 3), "pool_type": "avg", "layout": "NCDHW"}),
                Case("sum", (_IMAGE,), {"kernel": (2, 3), "pool_type": "sum", "stride": (1, 2), "pad": (0, 1)}),
                Case("sum, full", (_IMAGE,), {**_OVERHANG, "pool_type": "sum"}),
                Case("sum, last window in the padding", (_ROW,), {**_IN_PADDING, "pool_type": "sum"}),
                Case("sum, global", (_ROW,), {"global_pool": True, "pool_type": "sum"}),
                Case("lp 1", (_IMAGE,), {"kernel": (2, 2), "pool_type": "lp", "p_value": 1}),
                Case("lp 2", (_IMAGE,), {"kernel": (2, 2), "pool_type": "lp", "p_value": 2, "pad": (1, 1)}),
                Case("lp 3", (arr(1, 2, 6, low=0.2),), {"kernel": (2,), "pool_type": "lp", "p_value": 3}),
                Case("lp 3, negative", (arr(1, 2, 6, high=-0.2),), {"kernel": (2,), "pool_type": "lp", "p_value": 3}),
                Case("lp 2, global", (_IMAGE,), {"global_pool": True, "pool_type": "lp", "p_value": 2}),
            ),
        ),
        MxForm(
            "Pooling_v1",
            direction="read",
            read=read_pooling,
            reads=_READS,
            cases=(
                Case("max", (_IMAGE,), {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 1)}),
                Case("max, full", (_IMAGE,), {"kernel": (3, 2), "stride": (2, 3), "pooling_convention": "full"}),
                Case("avg", (_IMAGE,), {**_OVERHANG, "pool_type": "avg"}, tol=_VERSION_ONE),
                Case("sum", (_IMAGE,), {**_OVERHANG, "pool_type": "sum"}),
                Case(
                    "avg, global",
                    (_IMAGE,),
                    {"global_pool": True, "pool_type": "avg", "kernel": (2, 2)},
                    tol=_VERSION_ONE,
                ),
            ),
        ),
    ),
    limits=tuple(
        Limit("read-float64", "the lowest float32, of an empty window, stays what it is in float64", case)
        for case in ("max, last window in the padding", "max, windows with gaps", "max, pad as wide as the kernel")
    ),
)
