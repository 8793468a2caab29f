"""Writing into a range of a copy of an array: an array of the range's shape, or a number.

Everything is taken from the array but for the range, for which every place knows where in the range it is. MXNet has no
gradient of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some
from graphkit.ops.tensor.slice import bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _ranges(b: OnnxBuilder, node: MxNode, data: ir.Value) -> dict[int, npt.NDArray[np.int64]] | Refusal:
    """For each axis that is cut, which place in the range every element has; -1 outside."""
    begins, ends = bounds(node.attrs["begin"]), bounds(node.attrs["end"])
    steps = bounds(node.attrs.get("step", "()")) or [None] * len(begins)
    if not len(begins) == len(ends) == len(steps) <= b.rank(data):
        return Refusal("its begin, end and step are not of equal length, or longer than the array has axes")
    found = {}
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if begin in (None, 0) and end is None and step in (None, 1):
            continue
        size = b.shape(data)[axis]
        if not isinstance(size, int):
            size = b.static_shape(data)[axis]
        chosen = range(size)[begin : end : step or None]
        place = np.full(size, -1)
        place[list(chosen)] = np.arange(len(chosen))
        found[axis] = place
    return found


def _inside(ranges: dict[int, npt.NDArray[np.int64]], rank: int) -> npt.NDArray[np.bool_]:
    inside = np.ones((1,) * rank, bool)
    for axis, place in ranges.items():
        inside = inside & (place >= 0).reshape([-1 if other == axis else 1 for other in range(rank)])
    return inside


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, update = some(x[0]), some(x[1])
    ranges = _ranges(b, node, data)
    if isinstance(ranges, Refusal):
        return ranges
    inside = _inside(ranges, b.rank(data))
    if not inside.any():
        return b.op("Identity", data)
    for axis, place in ranges.items():
        update = b.op("Gather", update, np.maximum(place, 0), axis=axis)
    return b.op("Identity", update) if inside.all() else b.op("Where", inside, update, data)


def _read_scalar(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    ranges = _ranges(b, node, data)
    if isinstance(ranges, Refusal):
        return ranges
    number = b.scalar(FLOAT.parse(node.attrs.get("scalar", "0")), data)
    return b.op("Where", _inside(ranges, b.rank(data)), number, data)


_X = arr(3, 4, 5)

OP = Op(
    "",
    mx=(
        MxForm(
            "_slice_assign",
            read=_read,
            reads=("begin", "end", "step"),
            direction="read",
            cases=(
                Case("a block", (_X, arr(2, 2, 5)), {"begin": (0, 1), "end": (2, 3)}, grad=False),
                Case(
                    "backward, stepped",
                    (_X, arr(3, 2, 3)),
                    {"begin": "(None, 3, 0)", "end": "(None, 0, None)", "step": "(None, -2, 2)"},
                    dynamic=(0, 1),
                    grad=False,
                ),
                Case("everything", (arr(2, 3), arr(2, 3)), {"begin": "(None, 0)", "end": "(None, 3)"}, grad=False),
            ),
        ),
        MxForm(
            "_slice_assign_scalar",
            read=_read_scalar,
            reads=("scalar", "begin", "end", "step"),
            direction="read",
            cases=(
                Case("a block of a number", (_X,), {"begin": (0, 1), "end": (2, -1), "scalar": 2.5}, grad=False),
                Case("zeros", (_X,), {"begin": "(1,)", "end": "(100,)"}, grad=False),
                Case(
                    "integers",
                    (arr(3, 4, low=0, high=9, dtype="int32"),),
                    {"begin": (1, 1), "end": (3, 2), "scalar": 3},
                    grad=False,
                ),
            ),
        ),
    ),
)
