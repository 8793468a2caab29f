"""Norms of vectors and matrices in MXNet's NumPy interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.numpy.parameters import axes_in, cast, flag, moved
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read_norm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, keep = some(x[0]), flag(node, "keepdims")
    if not is_float(b.dtype(data)):
        return Refusal("MXNet rounds norms of integers to integers; cast its input to floats")
    sort, order = int(node.attrs.get("flag", "-1")), float(node.attrs.get("ord", "2"))
    axes = axes_in(node, b.rank(data))
    if sort == _FLATTENED:
        return b.op("ReduceL2", data, keepdims=keep)
    if axes is None:
        return Refusal("its axis is not given; MXNet's own functions write it")
    if len(axes) == 2 and sort != _FROBENIUS:
        return _of_matrices(b, data, axes, order if sort != _NUCLEAR else 0, keep=keep)
    if order in (1, 2) or sort == _FROBENIUS:
        return b.op("ReduceL1" if order == 1 and sort != _FROBENIUS else "ReduceL2", data, list(axes), keepdims=keep)
    size = b.op("Abs", data)
    if not np.isfinite(order):
        return Refusal(f"MXNet 1.9.1 does not run it with ord={order}")
    if order == 0:
        counted = cast(b, b.op("Not", b.op("Equal", data, b.scalar(0.0, data))), b.dtype(data))
        return b.op("ReduceSum", counted, list(axes), keepdims=keep)
    powers = b.op("Pow", size, b.scalar(order, data))
    if order < 0:  # MXNet passes over zeros
        powers = b.op("Where", b.op("Equal", data, b.scalar(0.0, data)), b.scalar(0.0, data), powers)
    total = b.op("ReduceSum", powers, list(axes), keepdims=keep)
    return b.op("Pow", total, b.scalar(1 / order, data))


def _of_matrices(
    b: OnnxBuilder, data: ir.Value, axes: tuple[int, ...], order: float, *, keep: bool
) -> ir.Value | Refusal:
    """Norms of the matrices that two axes span: of their singular values, 0 for the sum of these, or of column sums."""
    if order in (1, -1):
        sums = b.op("ReduceL1", data, [axes[0]], keepdims=1)
        found = b.op("ReduceMax" if order > 0 else "ReduceMin", sums, [axes[1]], keepdims=1)
        return found if keep else b.op("Squeeze", found, list(axes))
    if order not in (0, 2, -2):
        return Refusal(f"matrices have no norm of order {order:g}")
    rows, columns = (b.shape(data)[axis] for axis in axes)
    if not isinstance(rows, int) or not isinstance(columns, int) or not rows or not columns:
        return Refusal("the size of the matrix is not known; give the model's inputs fixed sizes")
    if rows > columns:
        return Refusal(f"MXNet takes singular values of no matrices with more rows than columns ({rows}, {columns})")
    free = [axis for axis in range(b.rank(data)) if axis not in axes]
    matrix = moved(b, data, [*free, *axes])
    _, values, _ = b.ops("Svd", 3, matrix, domain=DOMAIN)
    reduce = {0: "ReduceSum", 2: "ReduceMax", -2: "ReduceMin"}[int(order)]
    found = b.op(reduce, values, [-1], keepdims=0)
    return b.op("Unsqueeze", found, sorted(axes)) if keep else found


_FLATTENED, _FROBENIUS, _NUCLEAR = -2, 1, 2
"""Values of ``flag``, with which MXNet's functions say what they were asked for."""
_X = arr(2, 3, 4, low=0.2, high=2.0)
_NORMS = (
    Case("of all", (arr(2, 3),), {"flag": -2, "axis": "None"}),
    Case("of all, kept", (arr(2, 3),), {"flag": -2, "keepdims": True}),
    Case("of rows", (_X,), {"axis": "(-1,)"}),
    Case("of matrices", (_X,), {"axis": (0, 2), "flag": 1, "keepdims": 1}),
    Case("sum of sizes", (_X,), {"axis": "(1,)", "ord": "1.0"}),
    Case("third order", (_X,), {"axis": "(1,)", "ord": 3}),
    Case(
        "negative order",
        (given([[0.5, 2.0, 0.0], [1.0, 0.5, 3.0]], "float32"),),
        {"axis": "(1,)", "ord": -2},
        grad=False,
    ),
    Case("count", (given([[0.0, 2.0, 0.0], [1.0, 0.5, 0.0]], "float32"),), {"axis": "(1,)", "ord": 0}, grad=False),
    Case("largest singular value", (arr(3, 4),), {"axis": (0, 1), "flag": 0}),
    Case("smallest singular value", (_X,), {"axis": (0, 2), "ord": -2, "flag": 0, "keepdims": True}),
    Case("nuclear", (_X,), {"axis": (1, 2), "flag": 2}),
    Case("largest column", (_X,), {"axis": (1, 2), "ord": 1}),
    Case("smallest column", (_X,), {"axis": (2, 0), "ord": -1, "keepdims": 1}),
)
_SLOPES = "MXNet's backward pass gives something other than the derivative of its forward pass"
_EXTREMES = ("largest singular value", "smallest singular value", "largest column", "smallest column")

OP = Op(
    "",
    mx=(
        MxForm(
            "_npi_norm",
            read=_read_norm,
            reads=("ord", "axis", "keepdims", "flag"),
            direction="read",
            cases=_NORMS,
        ),
    ),
    limits=tuple(Limit("read-backward", _SLOPES, case) for case in _EXTREMES),
)
