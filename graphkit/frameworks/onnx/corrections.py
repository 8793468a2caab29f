"""Operators that ``onnx.reference`` (onnx 1.23) gets wrong, lacks, or computes window by window in Python.

=================== ===================================================================================
LRN                 sums over as many channels as there are examples in the batch
GlobalMaxPool       takes the right axes for 4-D input only
GlobalLpPool        is missing
MaxRoiPool          is missing
GridSample, Affine… round to float32 whatever their input is
DeformConv          likewise
NonMaxSuppression   refuses absent thresholds and a number that is 0-d
MeanVarianceNormal… refuses float64
Resize              takes axes counted from behind for others, and rounds cubic weights to float32 with numpy 2
OneHot              refuses a depth of one axis with numpy 2.4
GroupNormalization  computes in float32 whatever its input is
ConvTranspose       reads the wrong rows of the weight when grouped
AveragePool, LpPool shift the windows when ``ceil_mode`` adds more than one element; LpPool scales the last ones
MaxPool             is right but thousands of times slower than this
LpNormalization     adds numbers rather than magnitudes when p is odd
Erf, Gelu           round to float32 whatever their input is
Softsign            refuses an array without axes
LogSoftmax          takes the logarithm of a softmax that may have underflowed
Pad                 refuses negative pads
GatherElements      refuses a negative axis and indices of fewer rows
Loop, Scan          join what they collect, and lack axes and directions
LSTM, GRU, RNN      ignore lengths, clipping and most activations
Attention           takes the root of a given scale in float32
NegativeLogLikeli…  counts ignored labels in the mean when the ignored one is -1
=================== ===================================================================================

What they compute follows the operator texts of opset 23.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_attention import Attention_23
from onnx.reference.ops.op_negative_log_likelihood_loss import NegativeLogLikelihoodLoss as ReferenceLikelihood
from onnx.reference.ops.op_one_hot import OneHot as ReferenceOneHot
from onnx.reference.ops.op_resize import Resize as ReferenceResize

from graphkit.frameworks.onnx.box_corrections import BOX_CORRECTIONS
from graphkit.frameworks.onnx.loops import LOOPS
from graphkit.frameworks.onnx.random_corrections import RANDOM_CORRECTIONS
from graphkit.frameworks.onnx.recurrent import GRU, LSTM, RNN

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Index = tuple[Any, ...]

__all__ = ["CORRECTIONS"]


def _pads(
    auto_pad: str | None, pads: Sequence[int] | None, sizes: Sequence[int], extents: Sequence[int], strides: list[int]
) -> tuple[list[int], list[int]]:
    rank = len(sizes)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, extents, strides, strict=True)]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    if pads is None or auto_pad == "VALID":
        return [0] * rank, [0] * rank
    return list(pads[:rank]), list(pads[rank:])


def _windows(
    x: Array,
    fill: float,
    extra: bool,
    auto_pad: str | None,
    ceil_mode: int | None,
    dilations: Sequence[int] | None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None,
    strides: Sequence[int] | None,
) -> Array:
    """Every window, as (N, C, output axes…, kernel axes…); NaN where ``extra`` and ``ceil_mode`` overhangs."""
    rank = len(kernel_shape)
    step = list(strides or [1] * rank)
    dilation = list(dilations or [1] * rank)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_shape, strict=True)]
    begins, ends = _pads(auto_pad, pads, x.shape[2:], extents, step)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(begins, ends, strict=True)], constant_values=fill)
    if ceil_mode:
        over = [max(min(e + s - 1, k - 1) - e, 0) for e, s, k in zip(ends, step, extents, strict=True)]
        padded = np.pad(padded, [(0, 0), (0, 0), *((0, n) for n in over)], constant_values=np.nan if extra else fill)
    view: Array = np.lib.stride_tricks.sliding_window_view(padded, (1, 1, *extents))
    starts, taps = (slice(None, None, s) for s in step), (slice(None, None, d) for d in dilation)
    chosen: Index = (slice(None), slice(None), *starts, 0, 0, *taps)
    found: Array = view[chosen]
    return found


class MaxPool(OpRun):
    """Largest of each window."""

    op_domain = ""

    def _run(self, x: Array, storage_order: int | None = None, **window: Any) -> tuple[Array, ...]:
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        found = _windows(x, lowest, False, **window)
        maxima = found.max(axis=tuple(range(-(x.ndim - 2), 0)))
        if len(self.onnx_node.output) == 1:
            return (maxima,)
        places = np.arange(x.size // x[0, 0].size)[:, None] * x[0, 0].size + np.arange(x[0, 0].size)
        planes = places.reshape(-1, *x.shape[2:][:: -1 if storage_order else 1])
        if storage_order:  # the axes of each plane are counted from the first on
            planes = planes.transpose(0, *range(planes.ndim - 1, 0, -1))
        seen = _windows(planes.reshape(x.shape), -1, False, **window)
        first = found.reshape(*maxima.shape, -1).argmax(-1)[..., None]
        return maxima, np.take_along_axis(seen.reshape(*maxima.shape, -1), first, -1)[..., 0]


class AveragePool(OpRun):
    """Mean of each window, over the input alone or with its padding."""

    op_domain = ""

    def _run(self, x: Array, count_include_pad: int | None = None, **window: Any) -> tuple[Array]:
        found = _windows(x, 0.0 if count_include_pad else np.nan, True, **window)
        return (np.nanmean(found, axis=tuple(range(-(x.ndim - 2), 0))).astype(x.dtype),)


class LpPool(OpRun):
    """p-norm of each window."""

    op_domain = ""

    def _run(self, x: Array, p: int = 2, **window: Any) -> tuple[Array]:
        found = _windows(x, 0.0, False, **window)
        total = (np.abs(found) ** p).sum(axis=tuple(range(-(x.ndim - 2), 0)))
        return ((total ** (1.0 / p)).astype(x.dtype),)


class GlobalMaxPool(OpRun):
    """Largest over all spatial axes."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(OpRun):
    """p-norm over all spatial axes."""

    op_domain = ""

    def _run(self, x: Array, p: int = 2) -> tuple[Array]:
        total = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return ((total ** (1.0 / p)).astype(x.dtype),)


class LRN(OpRun):
    """Division by a power of the squares' mean over neighbouring channels."""

    op_domain = ""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        before = (size - 1) // 2
        squares = np.pad(x * x, [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)])
        total = sum(squares[:, k : k + x.shape[1]] for k in range(size))
        return ((x / (bias + float(alpha) / size * total) ** beta).astype(x.dtype),)


class LpNormalization(OpRun):
    """Division by the p-norm along an axis; zero where that norm is zero."""

    op_domain = ""

    def _run(self, x: Array, axis: int = -1, p: int = 2) -> tuple[Array]:
        norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1.0 / p)
        return (np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)).astype(x.dtype),)


class Erf(OpRun):
    """The error function in its input's own precision."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class Gelu(OpRun):
    """x·Φ(x), Φ from the error function or from tanh."""

    op_domain = ""

    def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
        if approximate == "tanh":
            gate = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            gate = np.vectorize(math.erf, otypes=[np.float64])(x * math.sqrt(0.5))
        return ((0.5 * x * (1 + gate)).astype(x.dtype),)


class Softsign(OpRun):
    """x / (1 + |x|)."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.asarray(x / (1 + np.abs(x))).astype(x.dtype),)


class LogSoftmax(OpRun):
    """x − max − log Σ exp(x − max)."""

    op_domain = ""

    def _run(self, x: Array, axis: int = -1) -> tuple[Array]:
        shifted = x - x.max(axis=axis, keepdims=True)
        return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


class GatherElements(OpRun):
    """The elements of the data at the places of the indices, but for the index on one axis."""

    def _run(self, data: Array, indices: Array, axis: int | None = None) -> tuple[Array]:
        places = list(np.indices(indices.shape, sparse=True))
        places[axis or 0] = indices
        return (data[tuple(places)],)


class Pad(OpRun):
    """Pad, which removes elements where a number is negative."""

    def _run(
        self, x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, mode: str | None = None
    ) -> tuple[Array]:
        places = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
        width = [(0, 0)] * x.ndim
        where: list[slice] = [slice(None)] * x.ndim
        for axis, before, after in zip(places, pads[: len(places)], pads[len(places) :], strict=True):
            width[axis] = max(int(before), 0), max(int(after), 0)
            where[axis] = slice(max(-int(before), 0), x.shape[axis] - max(-int(after), 0))
        fill: dict[str, Any] = {"constant_values": 0 if value is None else value} if mode == "constant" else {}
        return (np.pad(x[tuple(where)], width, mode or "constant", **fill).astype(x.dtype),)  # type: ignore[call-overload]


class GroupNormalization(OpRun):
    """Mean 0 and variance 1 within each group of channels, then scale and shift by channel."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        scale: Array,
        bias: Array,
        epsilon: float,
        num_groups: int,
        stash_type: int | None = None,  # noqa: ARG002 -- computes in the input's own precision
    ) -> tuple[Array]:
        rows = x.reshape(x.shape[0], num_groups, -1)
        apart = rows - rows.mean(axis=2, keepdims=True)
        unit = apart / np.sqrt((apart * apart).mean(axis=2, keepdims=True) + epsilon)
        column = (-1, *[1] * (x.ndim - 2))
        return ((unit.reshape(x.shape) * scale.reshape(column) + bias.reshape(column)).astype(x.dtype),)


class MeanVarianceNormalization(OpRun):
    """Mean 0 and variance 1 over some axes."""

    op_domain = ""

    def _run(self, x: Array, axes: Sequence[int] = (0, 2, 3)) -> tuple[Array]:
        apart = x - x.mean(axis=tuple(axes), keepdims=True)
        deviation = np.sqrt((apart * apart).mean(axis=tuple(axes), keepdims=True))
        return ((apart / (deviation + 1e-9)).astype(x.dtype),)


class Resize(ReferenceResize):
    """As the original, with axes counted from the front, and coefficients of cubic interpolation in float64."""

    op_domain = ""

    def _run(self, x: Array, *inputs: Any, axes: Sequence[int] | None = None, **attrs: Any) -> tuple[Array]:  # type: ignore[override]
        found = None if axes is None else [axis % x.ndim for axis in axes]
        original: Any = super()._run
        attrs = {name: float(value) if isinstance(value, np.floating) else value for name, value in attrs.items()}
        result: tuple[Array] = original(x, *(*inputs, *[None] * (3 - len(inputs))), axes=found, **attrs)
        return result


class OneHot(ReferenceOneHot):
    """As the original, with a depth of one axis, of which numpy 2.4 makes no range."""

    op_domain = ""

    def _run(self, indices: Array, depth: Array, values: Array, axis: int = -1) -> tuple[Array]:
        original: Any = super()._run
        result: tuple[Array] = original(indices, depth.reshape(()), values, axis=axis)
        return result


class ConvTranspose(OpRun):
    """The adjoint of a convolution: every input element scatters its weighted kernel."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        w: Array,
        bias: Array | None = None,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        kernel = tuple(kernel_shape or w.shape[2:])
        rank = len(kernel)
        step, dilation = list(strides or [1] * rank), list(dilations or [1] * rank)
        extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        full = [s * (n - 1) + e for s, n, e in zip(step, x.shape[2:], extents, strict=True)]
        added = list(output_padding or [0] * rank)
        if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            target = list(output_shape or [n * s for n, s in zip(x.shape[2:], step, strict=True)])[-rank:]
            totals = [f + a - t for f, a, t in zip(full, added, target, strict=True)]
            small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
            begins, ends = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        else:
            begins, ends = _pads(auto_pad, pads, x.shape[2:], extents, step)
        batch, channels = x.shape[0], w.shape[1] * group
        grouped = x.reshape(batch, group, x.shape[1] // group, *x.shape[2:])
        filters = w.reshape(group, x.shape[1] // group, w.shape[1], *kernel)
        y = np.zeros((batch, channels, *(f + max(a, 0) for f, a in zip(full, added, strict=True))), x.dtype)
        for tap in np.ndindex(*kernel):
            one: Index = (..., *tap)
            part = np.einsum("ngi...,gio->ngo...", grouped, filters[one])
            where: Index = (
                ...,
                *(
                    slice(t * d, t * d + s * (n - 1) + 1, s)
                    for t, d, s, n in zip(tap, dilation, step, x.shape[2:], strict=True)
                ),
            )
            y[where] += part.reshape(batch, channels, *x.shape[2:])
        sizes = [f + a - b - e for f, a, b, e in zip(full, added, begins, ends, strict=True)]
        y = np.pad(y, [(0, 0), (0, 0), *((max(-b, 0), max(-e, 0)) for b, e in zip(begins, ends, strict=True))])
        kept: Index = (..., *(slice(max(b, 0), max(b, 0) + n) for b, n in zip(begins, sizes, strict=True)))
        y = y[kept]
        if bias is not None:
            y = y + bias.reshape(-1, *[1] * rank)
        return (y.astype(x.dtype),)


class Attention(Attention_23):
    """Attention in its operands' own precision."""

    op_domain = ""

    def _run(self, *inputs: Array | None, scale: float | None = None, **attrs: Any) -> tuple[Array, ...]:  # type: ignore[override]
        original: Any = super()._run
        found: tuple[Array, ...] = original(*inputs, scale=None if scale is None else float(scale), **attrs)
        return found


class NegativeLogLikelihoodLoss(ReferenceLikelihood):
    def _run(
        self,
        x: Array,
        target: Array,
        weight: Array | None = None,
        ignore_index: int | None = None,
        reduction: str | None = None,
    ) -> tuple[Array]:
        weights = np.ones(x.shape[1], x.dtype) if weight is None else weight
        original: Any = super()._run
        found: tuple[Array] = original(x, target, weights, ignore_index, reduction)
        return found


CORRECTIONS = [
    *BOX_CORRECTIONS,
    *LOOPS,
    *RANDOM_CORRECTIONS,
    Attention,
    AveragePool,
    ConvTranspose,
    Erf,
    GRU,
    GatherElements,
    Gelu,
    GlobalLpPool,
    GlobalMaxPool,
    GroupNormalization,
    LRN,
    LSTM,
    LogSoftmax,
    LpNormalization,
    LpPool,
    MaxPool,
    MeanVarianceNormalization,
    NegativeLogLikelihoodLoss,
    OneHot,
    Pad,
    RNN,
    Resize,
    Softsign,
]
"""What to hand to :class:`onnx.reference.ReferenceEvaluator` as ``new_ops``."""
