"""Changing the colours of images.

MXNet computes in float32 whatever the image holds, and keeps bytes between 0 and 255. Its backward passes hand on the
gradient as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.image.arrange import floats
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_BASIS = np.asarray(
    [
        [55.46 * -0.5675, 4.794 * 0.7192, 1.148 * 0.4009],
        [55.46 * -0.5808, 4.794 * -0.0045, 1.148 * -0.8140],
        [55.46 * -0.5836, 4.794 * -0.6948, 1.148 * 0.4203],
    ],
    np.float32,
)
"""Principal components of the colours of photographs, times their standard deviations: AlexNet's."""


def _opened(b: OnnxBuilder, image: ir.Value) -> ir.Value | Refusal:
    """The image's numbers as floats, or why MXNet changes no such image's colours."""
    if b.rank(image) != 3:
        return Refusal(f"it reads images of 3 axes, not of {b.rank(image)}")
    if b.shape(image)[-1] not in (1, 3):
        return Refusal("it reads images of 1 or 3 channels; give the size of the inputs with --input")
    return image if is_float(b.dtype(image)) else b.op("Cast", image, to=ir.DataType.FLOAT)


def _closed(b: OnnxBuilder, result: ir.Value, image: ir.Value) -> ir.Value:
    """The result in the dtype of the image: bytes are kept in range, and lose their fraction."""
    dtype = b.dtype(image)
    if is_float(dtype):
        return result
    if dtype == np.uint8:
        result = b.op("Clip", result, b.scalar(0.0, result), b.scalar(255.0, result))
    return b.op("Cast", result, to=ir.DataType.from_numpy(dtype))


def _read_lighting(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    alpha = floats(node.attrs["alpha"])
    if len(alpha) != 3:
        return Refusal(f"alpha has {len(alpha)} elements; MXNet takes one for each of the channels red, green and blue")
    pixels = _opened(b, image)
    if isinstance(pixels, Refusal):
        return pixels
    if b.shape(image)[-1] == 1:
        return Refusal("MXNet leaves its result unset where the image has one channel; leave it out")
    red, green, blue = (_BASIS[:, channel] * alpha[channel] for channel in range(3))
    shift = ((red + green) + blue).astype(b.dtype(pixels))
    return _closed(b, b.op("Add", pixels, shift), image)


_BYTES = arr(4, 6, 3, low=0, high=256, dtype="uint8")
_SINGLE = Tol(float64=1e-6, reason="MXNet computes with pixels in float32")

OP = Op(
    "",
    mx=(
        MxForm(
            "_image_adjust_lighting",
            read=_read_lighting,
            reads=("alpha",),
            direction="read",
            cases=(
                Case("bytes", (_BYTES,), {"alpha": (0.5, -0.25, 0.1)}, grad=False),
                Case("floats", (arr(4, 5, 3, low=0.0, high=255.0),), {"alpha": "(0.05, 0.1, -0.2)"}, tol=_SINGLE),
            ),
        ),
    ),
)
