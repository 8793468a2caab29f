"""Borders around images, as OpenCV makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.image.arrange import SIZE
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_TYPES = {0: "constant", 1: "edge", 2: "symmetric", 3: "wrap", 4: "reflect"}
"""What OpenCV's numbers mean, by NumPy's names."""


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image, mode = some(x[0]), _TYPES.get(int(node.attrs.get("type", "0")))
    if b.rank(image) != 3:
        return Refusal(f"it reads images of 3 axes, not of {b.rank(image)}")
    widths = [int(node.attrs[name]) for name in ("top", "left", "bot", "right")]
    if min(widths) < 0:
        return Refusal("one of its widths is negative")
    if mode is None or node.attrs.get("values", "()") not in ("()", "[]"):
        return Refusal("its type is none of 0 to 4, or it has a value for each channel; use pad")
    pads = [*widths[:2], 0, *widths[2:], 0]
    if mode == "constant":
        return b.op("Pad", image, pads, b.scalar(FLOAT.parse(node.attrs.get("value", "0")), image))
    if mode == "edge":
        return b.op("Pad", image, pads, mode="edge")
    for axis in (0, 1):
        size = b.shape(image)[axis]
        if not isinstance(size, int) or not size:
            return Refusal(f"which pixels it repeats depends on the image's size; {SIZE}")
        image = b.op("Gather", image, _taken(mode, size, widths[axis], widths[axis + 2]), axis=axis)
    return image


def _taken(mode: str, size: int, before: int, after: int) -> npt.NDArray[np.int64]:
    """The pixel along an axis that stands at each place, which may be repeated and reflected any number of times."""
    place = np.arange(-before, size + after)
    if mode == "wrap":
        return place % size
    period = 2 * size if mode == "symmetric" else max(2 * size - 2, 1)
    place = place % period
    return np.minimum(place, (period - 1 if mode == "symmetric" else period) - place)


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
                Case("wrapped far", (_BYTES,), {**_WIDTHS, "type": 3, "left": 12}, grad=False),
                Case("reflected far", (_BYTES,), {**_WIDTHS, "type": 4, "left": 12}, grad=False),
                *(
                    Case(name, (_BYTES,), {**_WIDTHS, "type": number}, grad=False)
                    for number, name in _TYPES.items()
                    if number
                ),
            ),
        ),
    ),
)
