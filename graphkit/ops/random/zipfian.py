"""Different classes drawn from a logarithmic distribution, and how many draws that took: ``_sample_unique_zipfian``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import ints
from graphkit.ops.random.drawing import Drawing
from graphkit.ops.spec import Case, MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _chances(classes: int) -> npt.NDArray[np.float64]:
    """Of class v - 1: that exp(u · log(classes)), u uniform on [0, 1), is rounded to v."""
    if classes == 1:
        return np.ones(1)
    check_elements(classes)
    values = np.arange(1, classes + 1)
    ends = np.log(np.minimum(values + 0.5, classes)), np.log(np.maximum(values - 0.5, 1))
    found: npt.NDArray[np.float64] = (ends[0] - ends[1]) / np.log(classes)
    return found


def _read(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> list[ir.Value] | Refusal:
    """Draws without replacement: the largest of Gumbel variates moved by the logarithms of the chances.

    A draw before the next new class repeats one of those drawn with their chances' sum, so that their number is
    geometric; it is drawn by the inverse of its distribution function.
    """
    classes, text = int(node.attrs["range_max"]), node.attrs.get("shape", "None")
    shape = () if text in ("None", "()", "[]") else ints(text)
    if len(shape) != 2 or min(shape) < 1:
        return Refusal(f"shape={text} is not that of a table, two positive sizes")
    rows, count = shape
    if count > classes:
        return Refusal(f"{count} different ones of range_max={classes} classes cannot be drawn")
    chances = _chances(classes)
    draw = Drawing(b, np.dtype(np.float64), (rows, classes))
    keys = draw.minus(b.const(np.log(chances)), b.op("Log", draw.exponential()))
    samples = b.ops("TopK", 2, keys, [count])[1]
    if count == 1:
        return [samples, b.const(np.ones(rows, np.int64))]
    before = b.op("Slice", b.op("CumSum", b.op("Gather", chances, samples), np.asarray(1)), [0], [count - 1], [1])
    waits = Drawing(b, np.dtype(np.float64), (rows, count - 1))
    repeats = b.op("Floor", b.op("Div", b.op("Log", waits.open()), b.op("Log", before)))
    total = b.op("Add", b.op("ReduceSum", repeats, [1], keepdims=0), draw.number(count))
    return [samples, b.op("Cast", total, to=int(ir.DataType.INT64))]


def _case(name: str, classes: int, count: int) -> Case:
    return Case(name, (), {"range_max": classes, "shape": (20_000, count)}, outputs=2, random=True)


OP = Op(
    "",
    mx=(
        MxForm(
            "_sample_unique_zipfian",
            read=_read,
            reads=("range_max", "shape"),
            direction="read",
            cases=(_case("one", 10, 1), _case("several", 6, 3), _case("most", 4, 3)),
        ),
    ),
)
