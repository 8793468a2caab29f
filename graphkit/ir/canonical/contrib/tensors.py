"""ONNX Runtime's older spellings of operators that ONNX took up, and small ones that it did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir import own
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    array_of,
    dtype_of,
    integer,
    ints,
    needed,
    number,
    operand,
    rank_of,
    reshaped,
    scalar,
    sliced,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]


def _trilu(edit: Editor) -> None:
    edit.replace(edit.op("Trilu", needed(edit, 0), operand(edit, 1), upper=integer(edit, "upper", 1)))


def _gather_nd(edit: Editor) -> None:
    indices = needed(edit, 1)
    if dtype_of(indices) != np.int64:
        indices = edit.op("Cast", indices, to=ir.DataType.INT64)
    edit.replace(edit.op("GatherND", needed(edit, 0), indices))


def _inverse(edit: Editor) -> None:
    edit.replace(edit.op("Inverse", needed(edit, 0), domain=own.DOMAIN))


def _pad(edit: Editor) -> None:
    pads, value = reshaped(edit, needed(edit, 1), [-1], "flat"), operand(edit, 2)
    if value is not None:
        value = edit.op("Reshape", value, edit.const("scalar", np.zeros(0, np.int64)))
    mode = edit.node.attributes.get_string("mode", "constant")
    edit.replace(edit.op("Pad", needed(edit, 0), pads, value, mode=mode))


def _unique(edit: Editor) -> None:
    """Values in the order in which they first occur, the place of each element among them, and counts."""
    found = edit.ops("Unique", 4, needed(edit, 0), sorted=0)
    edit.replace(found[0], found[2], found[3])


def _range(edit: Editor) -> None:
    start, limit, step = needed(edit, 0), needed(edit, 1), operand(edit, 2)
    flat = [
        edit.op("Reshape", value, edit.const("scalar", np.zeros(0, np.int64))) if rank_of(value) else value
        for value in (start, limit, *(() if step is None else (step,)))
    ]
    edit.replace(edit.op("Range", *flat, *(() if step is not None else (scalar(edit, "step", 1, start),))))


def _expand_dims(edit: Editor) -> None:
    axis = array_of(operand(edit, 1))
    if axis is None:
        raise UnsuitableError("its axis is computed or fed; graphkit needs to know it")
    edit.replace(edit.op("Unsqueeze", needed(edit, 0), edit.const("axes", [int(axis.reshape(-1)[0])])))


def _grid_sample(edit: Editor) -> None:
    attrs = edit.node.attributes
    mode = attrs.get_string("mode", "bilinear") or "bilinear"
    made = edit.op(
        "GridSample",
        needed(edit, 0),
        needed(edit, 1),
        mode={"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode),
        padding_mode=attrs.get_string("padding_mode", "zeros"),
        align_corners=integer(edit, "align_corners"),
    )
    edit.replace(made)


def _crop_and_resize(edit: Editor) -> None:
    """Boxes (y1, x1, y2, x2) of images, corners on corners; what lies outside has one value."""
    x, boxes, images, size = (needed(edit, place) for place in range(4))
    sizes = array_of(size)
    if edit.node.attributes.get_string("mode", "bilinear") != "bilinear" or sizes is None:
        raise UnsuitableError("graphkit crops bilinearly and to a known size only")
    grids, insides = [], []
    for axis, count in ((1, int(sizes[1])), (0, int(sizes[0]))):
        low, high = sliced(edit, boxes, 1, axis, axis + 1), sliced(edit, boxes, 1, axis + 2, axis + 3)
        part = np.linspace(0, 1, count) if count > 1 else np.array([0.5])
        steps = edit.const("steps", part, dtype_of(boxes))
        place = edit.op("Add", low, edit.op("Mul", edit.op("Sub", high, low), steps))
        inside = edit.op(
            "And",
            edit.op("GreaterOrEqual", place, scalar(edit, "zero", 0.0, place)),
            edit.op("LessOrEqual", place, scalar(edit, "one", 1.0, place)),
        )
        doubled = edit.op("Mul", place, scalar(edit, "two", 2.0, place))
        grid = edit.op("Sub", doubled, scalar(edit, "shift", 1.0, place))
        shape = [0, 1, count] if axis else [0, count, 1]
        grids.append(reshaped(edit, grid, shape, "grid_shape"))
        insides.append(reshaped(edit, inside, shape, "inside_shape"))
    wide = edit.const("wide", [1, int(sizes[0]), int(sizes[1])])
    pairs = [edit.op("Unsqueeze", edit.op("Expand", grid, wide), edit.const("pair", [-1])) for grid in grids]
    crops = edit.op(
        "GridSample",
        edit.op("Gather", x, images, axis=0),
        edit.op("Concat", *pairs, axis=-1),
        mode="linear",
        padding_mode="border",
        align_corners=1,
    )
    seen = edit.op("Unsqueeze", edit.op("And", *insides), edit.const("channels", [1]))
    outside = scalar(edit, "outside", number(edit, "extrapolation_value", 0.0), x)
    edit.replace(edit.op("Where", seen, crops, outside))


def _distances(edit: Editor) -> None:
    """The distance of each row of A to each row of B."""
    metric = edit.node.attributes.get_string("metric", "sqeuclidean")
    if metric not in ("euclidean", "sqeuclidean"):
        raise UnsuitableError(f"its metric is {metric!r}; ONNX Runtime itself has euclidean and sqeuclidean only")
    left = edit.op("Unsqueeze", needed(edit, 0), edit.const("rows", [1]))
    apart = edit.op("Sub", left, edit.op("Unsqueeze", needed(edit, 1), edit.const("columns", [0])))
    squares = edit.op("ReduceSum", edit.op("Mul", apart, apart), edit.const("axes", [2]), keepdims=0)
    edit.replace(edit.op("Sqrt", squares) if metric == "euclidean" else squares)


def _embedding(edit: Editor) -> None:
    edit.replace(edit.op("Gather", needed(edit, 0), needed(edit, 1), axis=0))


def _complex_product(edit: Editor) -> None:
    """Products of numbers whose real and imaginary parts lie along the last axis; with the conjugate for Conj."""
    conjugate = edit.node.op_type == "ComplexMulConj"
    (a, b), (c, d) = (edit.ops("Split", 2, needed(edit, side), axis=-1, num_outputs=2) for side in (0, 1))
    real, other = ("Add", "Sub") if conjugate else ("Sub", "Add")
    first = edit.op(real, edit.op("Mul", a, c), edit.op("Mul", b, d))
    second = edit.op(other, edit.op("Mul", b, c), edit.op("Mul", a, d))
    edit.replace(edit.op("Concat", first, second, axis=-1))


def _integer_sum(edit: Editor) -> None:
    whole = edit.op("Cast", needed(edit, 0), to=ir.DataType.INT32)
    axes = edit.const("axes", list(ints(edit, "axes")))
    edit.replace(edit.op("ReduceSum", whole, axes, keepdims=integer(edit, "keepdims", 1)))


def _integer_product(edit: Editor) -> None:
    """Products of integers of 16 bits, as int32."""
    sides = (edit.op("Cast", needed(edit, side), to=ir.DataType.INT32) for side in (0, 1))
    edit.replace(edit.op("MatMul", *sides))


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("com.microsoft", name): expansion
    for name, expansion in {
        "CDist": _distances,
        "ComplexMul": _complex_product,
        "ComplexMulConj": _complex_product,
        "CropAndResize": _crop_and_resize,
        "ExpandDims": _expand_dims,
        "GatherND": _gather_nd,
        "GridSample": _grid_sample,
        "Inverse": _inverse,
        "MatMulInteger16": _integer_product,
        "Pad": _pad,
        "Range": _range,
        "ReduceSumInteger": _integer_sum,
        "TorchEmbedding": _embedding,
        "Trilu": _trilu,
        "Unique": _unique,
    }.items()
}
