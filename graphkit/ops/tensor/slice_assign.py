"""Writing into a range of a copy of an array: an array of the range's shape, or a number.

Everything is taken from the array but for the range, for which every place knows where in the range it is. MXNet has no
gradient of these.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import positions, some
from graphkit.ops.tensor.slice import bounds, sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

Place: TypeAlias = "npt.NDArray[np.int64] | ir.Value"
"""Which place in the range each element along an axis has: numbers, or what computes them for a free axis."""


def _ranges(b: OnnxBuilder, node: MxNode, data: ir.Value) -> dict[int, Place] | Refusal:
    """For each axis that is cut, which place in the range every element has; -1 outside."""
    begins, ends = bounds(node.attrs["begin"]), bounds(node.attrs["end"])
    steps = bounds(node.attrs.get("step", "()")) or [None] * len(begins)
    if not len(begins) == len(ends) == len(steps) <= b.rank(data):
        return Refusal("its begin, end and step are not of equal length, or longer than the array has axes")
    return {
        axis: _places(b, data, axis, slice(begin, end, step or None))
        for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True))
        if begin not in (None, 0) or end is not None or step not in (None, 1)
    }


def _places(b: OnnxBuilder, data: ir.Value, axis: int, cut: slice) -> Place:
    size = b.shape(data)[axis]
    if isinstance(size, int):
        chosen = range(size)[cut]
        check_elements(size)
        place = np.full(size, -1)
        place[list(chosen)] = np.arange(len(chosen))
        return place
    line = positions(b, data, axis)
    taken = sliced(b, line, [(0, cut.start, cut.stop, cut.step or 1)])
    outside = b.op("Sub", b.op("Mul", line, np.asarray(0)), np.asarray(1))
    return b.op("ScatterElements", outside, taken, positions(b, taken, 0))


def _inside(b: OnnxBuilder, ranges: dict[int, Place], rank: int) -> npt.NDArray[np.bool_] | ir.Value:
    """Whether an element is in the range, along each axis; of size 1 along those that are not cut."""
    known = np.ones((1,) * rank, bool)
    computed: list[ir.Value] = []
    for axis, place in ranges.items():
        shape = [-1 if other == axis else 1 for other in range(rank)]
        if isinstance(place, np.ndarray):
            known = known & (place >= 0).reshape(shape)
        else:
            computed.append(b.op("Reshape", b.op("GreaterOrEqual", place, np.asarray(0)), shape))
    parts = computed if known.all() and computed else [b.const(known), *computed]
    return reduce(lambda one, other: b.op("And", one, other), parts) if computed else known


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, update = some(x[0]), some(x[1])
    ranges = _ranges(b, node, data)
    if isinstance(ranges, Refusal):
        return ranges
    inside = _inside(b, ranges, b.rank(data))
    if isinstance(inside, np.ndarray) and not inside.any():
        return b.op("Identity", data)
    for axis, place in ranges.items():
        index = np.maximum(place, 0) if isinstance(place, np.ndarray) else b.op("Max", place, np.asarray(0))
        update = b.op("Gather", update, index, axis=axis)
    if isinstance(inside, np.ndarray) and inside.all():
        return b.op("Identity", update)
    return b.op("Where", inside, update, data)


def _read_scalar(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    ranges = _ranges(b, node, data)
    if isinstance(ranges, Refusal):
        return ranges
    number = b.scalar(FLOAT.parse(node.attrs.get("scalar", "0")), data)
    return b.op("Where", _inside(b, ranges, b.rank(data)), number, data)


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
