"""MXNet's AdaptiveAvgPooling2D, which averages over as many bins as it is to give elements, as torch's does.

Bin ``i`` of ``n`` over ``size`` elements is from ``⌊i·size/n⌋`` to ``⌈(i+1)·size/n⌉``. Bins of one size are a pooling;
others overlap or differ, and are in ONNX a product with a constant matrix along each axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.producers import made_by
from graphkit.limits import check_elements
from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, Tol, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.torchprogram import Var

__all__ = ["torch_adaptive_pool"]


def _bins(size: int, count: int) -> npt.NDArray[np.float64]:
    """Weights of the elements in each bin, as (count, size)."""
    check_elements(count * size)
    bins = np.arange(count)[:, None]
    first, last = bins * size // count, -(-(bins + 1) * size // count)
    elements = np.arange(size)
    result: npt.NDArray[Any] = ((elements >= first) & (elements < last)) / (last - first)
    return result


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = x[0]
    assert data is not None
    wanted = ints(node.attrs.get("output_size", "()")) or (1,)
    height, width = wanted * 2 if len(wanted) == 1 else wanted
    if (height, width) == (1, 1):
        return b.op("GlobalAveragePool", data)
    rows, columns = b.shape(data)[2:4]
    if not (isinstance(rows, int) and isinstance(columns, int)):
        rows, columns = b.static_shape(data)[2:4]
    if rows % height == 0 and columns % width == 0:
        kernel = (rows // height, columns // width)
        return b.op("AveragePool", data, kernel_shape=kernel, strides=kernel)
    dtype = b.dtype(data)
    if height != rows:
        data = b.op("MatMul", b.const(_bins(rows, height), dtype), data)
    if width != columns:
        data = b.op("MatMul", data, b.const(_bins(columns, width).T, dtype))
    return data


def torch_adaptive_pool(b: TorchBuilder, node: ir.Node) -> Var | None:
    """Torch's adaptive pooling of images where a MatMul averages over bins of a spatial axis; None elsewhere.

    The second of two MatMuls that average over both axes is one pooling over both.
    """
    axis, data, count = _averaged(b, node)
    if data is None:
        return None
    counts = {axis: count}
    before = made_by(data, "MatMul")
    if before is not None:
        other, inner, size = _averaged(b, before)
        if inner is not None and other != axis:
            counts[other], data = size, inner
    shape = b.shape(data)
    sizes = (counts.get(k) or (dim if isinstance(dim := shape[k], int) else None) for k in (2, 3))
    return b.call("F.adaptive_avg_pool2d", b.arg(data), tuple(sizes))


def _averaged(b: TorchBuilder, node: ir.Node) -> tuple[int, ir.Value | None, int]:
    """The spatial axis that a MatMul averages over bins, of what, and how many bins; what is None elsewhere."""
    for axis, (matrix, data) in ((2, node.inputs), (3, node.inputs[::-1])):
        weights = b.value(matrix)
        if data is None or weights is None or weights.ndim != 2 or data.shape is None or b.rank(data) != 4:
            continue
        count, size = weights.shape if axis == 2 else weights.shape[::-1]
        bins = _bins(size, count).astype(weights.dtype)
        if count != size and np.array_equal(weights, bins if axis == 2 else bins.T):
            return axis, data, count
    return 0, None, 0


_FLOAT32 = Tol(float64=1e-6, reason="MXNet divides by the size of a bin in float32")
_IMAGE = arr(2, 3, 6, 8)

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_AdaptiveAvgPooling2D",
            direction="read",
            read=_read,
            reads=("output_size",),
            cases=(
                Case("defaults", (_IMAGE,)),
                Case("one number", (_IMAGE,), {"output_size": "2"}),
                Case("bins of one size", (_IMAGE,), {"output_size": (3, 2)}),
                Case("bins that differ", (_IMAGE,), {"output_size": (4, 5)}, tol=_FLOAT32),
                Case("more bins than elements", (_IMAGE,), {"output_size": (6, 11)}, tol=_FLOAT32),
            ),
        ),
    ),
)
