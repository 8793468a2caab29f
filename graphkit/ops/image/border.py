"""Borders around images, as OpenCV makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_MODES = {0: "constant", 1: "edge", 3: "wrap", 4: "reflect"}
"""ONNX's names of OpenCV's numbers. Number 2 repeats the edge when it reflects, which ONNX does not."""


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image, mode = some(x[0]), int(node.attrs.get("type", "0"))
    if b.rank(image) != 3:
        return Refusal(f"it reads images of 3 axes, not of {b.rank(image)}")
    widths = [int(node.attrs[name]) for name in ("top", "left", "bot", "right")]
    if min(widths) < 0:
        return Refusal("one of its widths is negative")
    if mode not in _MODES or node.attrs.get("values", "()") not in ("()", "[]"):
        return Refusal(f"borders of type {mode}, or of another value in each channel, are not converted; use pad")
    pads = [*widths[:2], 0, *widths[2:], 0]
    if mode:
        return b.op("Pad", image, pads, mode=_MODES[mode])
    return b.op("Pad", image, pads, b.scalar(FLOAT.parse(node.attrs.get("value", "0")), image))


_BYTES = arr(4, 5, 3, low=0, high=256, dtype="uint8")
_WIDTHS = {"top": 1, "bot": 2, "left": 0, "right": 3}

OP = Op(
    "",
    mx=(
        MxForm(
            "_cvcopyMakeBorder",
            read=_read,
            reads=("top", "bot", "left", "right", "type", "value", "values"),
            direction="read",
            cases=(
                Case("nothing in it", (_BYTES,), _WIDTHS, grad=False),
                Case("a number", (_BYTES,), {**_WIDTHS, "value": 7}, grad=False),
                *(
                    Case(name, (_BYTES,), {**_WIDTHS, "type": number}, grad=False)
                    for number, name in _MODES.items()
                    if number
                ),
            ),
        ),
    ),
)
