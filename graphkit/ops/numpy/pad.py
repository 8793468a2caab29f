"""NumPy's padding. What is put along an axis may be made of what was put along the axes before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import FLOAT, literal
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_EXTREMES = {"maximum": "ReduceMax", "minimum": "ReduceMin"}


def _widths(text: str, rank: int) -> list[tuple[int, int]]:
    """Elements before and after each axis.

    Raises:
        ValueError: The text does not give two for each axis.
    """
    try:
        pairs = [tuple(pair) for pair in literal(text)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"pad_width={text} is not a pair of numbers for each axis") from error
    if len(pairs) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(f"pad_width={text} is not a pair of numbers for each of the {rank} axes")
    return [(int(before), int(after)) for before, after in pairs]


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, mode = some(x[0]), node.attrs.get("mode", "constant")
    if node.attrs.get("reflect_type", "even") != "even":
        return Refusal(f"MXNet reflects evenly only, not reflect_type={node.attrs['reflect_type']}")
    widths = _widths(node.attrs["pad_width"], b.rank(data))
    if mode != "constant" and any(size == 0 and max(pair) for size, pair in zip(b.shape(data), widths, strict=True)):
        return Refusal(f"mode {mode} has no elements to put along an axis that has none")
    pads = [before for before, _ in widths] + [after for _, after in widths]
    if mode == "constant":
        number = FLOAT.parse(node.attrs.get("constant_value", "0"))
        return b.op("Pad", data, pads, b.scalar(number, data) if number else None)
    if mode == "edge":
        return b.op("Pad", data, pads, mode=mode)
    result = data
    for axis, (before, after) in enumerate(widths):
        if before or after:
            made = _along(b, result, mode, axis, (before, after))
            if isinstance(made, Refusal):
                return made
            result = made
    return b.op("Identity", data) if result is data else result


def _along(b: OnnxBuilder, data: ir.Value, mode: str, axis: int, width: tuple[int, int]) -> ir.Value | Refusal:
    """The data padded along one axis, by what it has there."""
    if mode in _EXTREMES:
        numbers = cast(b, data, np.dtype(np.int32)) if b.dtype(data) == np.bool_ else data
        line = cast(b, b.op(_EXTREMES[mode], numbers, [axis], keepdims=1), b.dtype(data))
        parts = [_repeated(b, line, axis, count) if count else None for count in width]
        present = [part for part in (parts[0], data, parts[1]) if part is not None]
        return b.op("Concat", *present, axis=axis)
    size = b.shape(data)[axis]
    if not isinstance(size, int):
        return Refusal(f"what mode {mode} puts there depends on a size that is free; give it with --input")
    check_elements(size + sum(width))
    place = np.pad(np.arange(size), width, "reflect" if mode == "reflect" else "symmetric")
    return b.op("Gather", data, place.astype(np.int64), axis=axis)


def _repeated(b: OnnxBuilder, line: ir.Value, axis: int, count: int) -> ir.Value:
    shape = [1] * b.rank(line)
    shape[axis] = count
    return b.op("Expand", line, shape)


_X = arr(2, 3)
_WIDE = "((3, 4), (4, 5))"


def _case(mode: str, width: str = "((1, 2), (0, 1))") -> Case:
    name = mode if width != _WIDE else f"{mode}, wide"
    return Case(name, (_X,), {"mode": mode, "pad_width": width})


_BACKWARD = "MXNet 1.9.1 has no backward pass of modes other than constant"
_OTHERS = (
    *(_case(mode) for mode in ("edge", "reflect", "symmetric", "maximum", "minimum")),
    *(_case(mode, _WIDE) for mode in ("edge", "reflect", "symmetric", "maximum")),
    Case("nothing", (_X,), {"pad_width": "((0, 0), (0, 0))", "mode": "reflect"}),
)

OP = Op(
    "",
    mx=(
        MxForm(
            "_npi_pad",
            read=_read,
            reads=("pad_width", "mode", "constant_value", "reflect_type"),
            direction="read",
            cases=(
                _case("constant"),
                Case("value", (_X,), {"pad_width": "((1, 0), (0, 1))", "constant_value": 0.3}),
                Case(
                    "integers",
                    (arr(2, 3, low=-9, high=9, dtype="int32"),),
                    {"pad_width": "[[1, 1], [0, 2]]"},
                    grad=False,
                ),
                Case("truths", (arr(2, 3, dtype="bool"),), {"pad_width": "((1, 1), (0, 0))"}, grad=False),
                *_OTHERS,
            ),
        ),
    ),
    limits=tuple(Limit("read-backward", _BACKWARD, case.name) for case in _OTHERS),
)
