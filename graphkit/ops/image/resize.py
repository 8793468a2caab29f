"""Resizing images as OpenCV does, which MXNet calls for it.

Floats are interpolated linearly between pixels' centres, which is ONNX's ``half_pixel``; the nearest pixel is the one
at ⌊x·scale⌋. Bytes are interpolated in fixed-point arithmetic, with weights of 11 bits, and a byte image that is halved
both ways is averaged in blocks of four. All of this was compared with MXNet 1.9.1 bit by bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.image.arrange import SIZE
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, Tol, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import Dim, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_NEAREST, _LINEAR = 0, 1
_METHODS = {2: "cubic", 3: "area", 4: "Lanczos", 9: "automatic", 10: "automatic"}
_BITS = 11
"""Bits of the weights with which bytes are interpolated."""


class _Line(NamedTuple):
    """Which two elements of an axis each element after lies between, and the weights of both."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    of_first: npt.NDArray[np.int32]
    of_second: npt.NDArray[np.int32]


def _line(before: int, after: int, *, clamped: bool) -> _Line:
    """Args: sizes of the axis, and whether what lies outside of it gets the edge with its full weight."""
    place = ((np.arange(after) + 0.5) * (1.0 / (after / before)) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    part = place - first.astype(np.float32)
    if clamped:
        part[(first < 0) | (first >= before - 1)] = 0
    scale = np.float32(1 << _BITS)
    weights = [np.rint(weight * scale).astype(np.int32) for weight in (np.float32(1) - part, part)]
    return _Line(np.clip(first, 0, before - 1), np.clip(first + 1, 0, before - 1), *weights)


def _nearest(before: int, after: int) -> npt.NDArray[np.int64]:
    check_elements(after)
    place = np.floor(np.arange(after) * (1.0 / (after / before)))
    taken: npt.NDArray[np.int64] = np.clip(place, 0, before - 1).astype(np.int64)
    return taken


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    if b.rank(image) not in (3, 4):
        return Refusal(f"it reads images of 3 axes or batches of 4, not {b.rank(image)} axes")
    rows, columns, channels = b.shape(image)[-3:]
    plain = node.op == "_cvimresize"
    sizes = (int(node.attrs["h"]), int(node.attrs["w"])) if plain else _sizes(node, rows, columns)
    if isinstance(sizes, Refusal):
        return sizes
    if min(sizes) <= 0:
        return Refusal(f"the size after, {sizes[1]}x{sizes[0]}, is not positive")
    if 0 in (rows, columns, channels):
        return Refusal("the image has no pixels")
    method = int(node.attrs.get("interp", "1"))
    dtype = b.dtype(image)
    if method not in (_NEAREST, _LINEAR):
        name = _METHODS.get(method, "unknown")
        return Refusal(f"its interp={method} ({name}) is not converted; 0 (nearest) and 1 (bilinear) are")
    if dtype.name not in ("uint8", "float32", "float64"):
        return Refusal(f"MXNet resizes images of uint8, float32 and float64 only, not of {dtype.name}")
    if (rows, columns) == sizes:
        return b.op("Identity", image)
    if method == _LINEAR and dtype.kind == "f":
        return _of_floats(b, image, sizes)
    if not isinstance(rows, int) or not isinstance(columns, int):
        return Refusal(f"which pixels it takes depends on the image's size; {SIZE}")
    if method == _NEAREST:
        taken = b.op("Gather", image, _nearest(rows, sizes[0]), axis=b.rank(image) - 3)
        return b.op("Gather", taken, _nearest(columns, sizes[1]), axis=b.rank(image) - 2)
    if (rows, columns) == (2 * sizes[0], 2 * sizes[1]):
        return _halved(b, image, channels)
    return _of_bytes(b, image, (rows, columns), sizes)


def _sizes(node: MxNode, rows: Dim, columns: Dim) -> tuple[int, int] | Refusal:
    """Height and width after."""
    size = ints(node.attrs.get("size", "()"))
    if len(size) not in (1, 2) or min(size) <= 0:
        return Refusal(f"size={size} is neither one positive number nor (width, height)")
    if len(size) == 2:
        return size[1], size[0]
    if not BOOL.parse(node.attrs.get("keep_ratio", "False")):
        return size[0], size[0]
    if not isinstance(rows, int) or not isinstance(columns, int) or not rows or not columns:
        return Refusal(f"with keep_ratio its size depends on that of the image; {SIZE}")
    if rows > columns:
        return rows * size[0] // columns, size[0]
    return size[0], columns * size[0] // rows


def _of_floats(b: OnnxBuilder, image: ir.Value, sizes: tuple[int, int]) -> ir.Value:
    single = b.rank(image) == 3
    batch = b.op("Unsqueeze", image, [0]) if single else image
    planes = b.op("Transpose", batch, perm=(0, 3, 1, 2))
    resized = b.op("Resize", planes, None, None, list(sizes), axes=(2, 3), mode="linear")
    result = b.op("Transpose", resized, perm=(0, 2, 3, 1))
    return b.op("Squeeze", result, [0]) if single else result


def _of_bytes(b: OnnxBuilder, image: ir.Value, before: tuple[int, int], after: tuple[int, int]) -> ir.Value:
    """Columns first, exactly; then rows, whose terms lose 4 and 16 bits and their sum the last 2, rounded."""
    axis = b.rank(image) - 3
    down, across = _line(before[0], after[0], clamped=False), _line(before[1], after[1], clamped=True)
    pixels = b.op("Cast", image, to=ir.DataType.INT32)
    wide = b.op("Add", *_weighted(b, pixels, across, axis + 1))
    coarse = b.op("Div", wide, np.asarray(1 << 4, np.int32))
    terms = [b.op("Div", term, np.asarray(1 << 16, np.int32)) for term in _weighted(b, coarse, down, axis)]
    rounded = b.op("Add", b.op("Add", *terms), np.asarray(2, np.int32))
    return b.op("Cast", b.op("Div", rounded, np.asarray(4, np.int32)), to=ir.DataType.UINT8)


def _weighted(b: OnnxBuilder, pixels: ir.Value, line: _Line, axis: int) -> tuple[ir.Value, ir.Value]:
    shape = (-1,) + (1,) * (b.rank(pixels) - axis - 1)
    first = b.op("Mul", b.op("Gather", pixels, line.first, axis=axis), line.of_first.reshape(shape))
    second = b.op("Mul", b.op("Gather", pixels, line.second, axis=axis), line.of_second.reshape(shape))
    return first, second


def _halved(b: OnnxBuilder, image: ir.Value, channels: Dim) -> ir.Value:
    """The mean of each block of four; halves are rounded up, or to even where OpenCV has no fast path."""
    axis = b.rank(image) - 3
    pixels = b.op("Cast", image, to=ir.DataType.INT32)
    for along in (axis, axis + 1):
        first, second = (b.op("Slice", pixels, [start], [2**31 - 1], [along], [2]) for start in (0, 1))
        pixels = b.op("Add", first, second)
    if channels in (1, 3, 4):
        rounded = b.op("Div", b.op("Add", pixels, np.asarray(2, np.int32)), np.asarray(4, np.int32))
    else:
        mean = b.op("Mul", b.op("Cast", pixels, to=ir.DataType.FLOAT), np.asarray(0.25, np.float32))
        rounded = b.op("Round", mean)
    return b.op("Cast", rounded, to=ir.DataType.UINT8)


_PHOTO = arr(5, 7, 3, high=256, low=0, dtype="uint8")
_FLOATS = arr(5, 7, 3)
_FEW = arr(6, 8, 3, low=0, high=256, dtype="uint8")
_HELD = Tol(float64=1e-6, reason="OpenCV holds the weights in float32")
_COPIED = "MXNet's backward pass hands on the gradient as it is, which has the size after"

OP = Op(
    "",
    mx=(
        MxForm(
            "_image_resize",
            read=_read,
            reads=("size", "keep_ratio", "interp"),
            direction="read",
            cases=(
                Case("bytes", (_PHOTO,), {"size": (11, 9)}, grad=False),
                Case("bytes, smaller", (arr(9, 11, 1, low=0, high=256, dtype="uint8"),), {"size": (4, 5)}, grad=False),
                Case("bytes, a batch", (arr(2, 5, 7, 3, low=0, high=256, dtype="uint8"),), {"size": 6}, grad=False),
                Case("bytes, halved", (arr(6, 8, 3, low=0, high=256, dtype="uint8"),), {"size": (4, 3)}, grad=False),
                Case(
                    "bytes, two halved", (arr(6, 8, 2, low=0, high=256, dtype="uint8"),), {"size": (4, 3)}, grad=False
                ),
                Case("bytes, nearest", (_PHOTO,), {"size": (11, 3), "interp": 0}, grad=False),
                Case("bytes, short edge", (_PHOTO,), {"size": 8, "keep_ratio": True}, grad=False),
                Case("bytes, as they are", (_PHOTO,), {"size": (7, 5)}, grad=False),
                Case("floats", (_FLOATS,), {"size": (11, 9)}, tol=_HELD),
                Case("floats, smaller", (arr(2, 9, 11, 3),), {"size": (4, 5)}, tol=_HELD),
                Case("floats, short edge", (arr(7, 5, 3),), {"size": "(9,)", "keep_ratio": 1}, tol=_HELD),
                Case("floats, halved", (arr(6, 8, 3),), {"size": "[4, 3]", "interp": 1}, tol=_HELD),
                Case("floats, nearest", (_FLOATS,), {"size": (11, 3), "interp": 0}),
            ),
        ),
        MxForm(
            "_cvimresize",
            read=_read,
            reads=("w", "h", "interp"),
            direction="read",
            cases=(
                Case("bytes", (_FEW,), {"w": 5, "h": 7}, grad=False),
                Case("bytes, nearest", (_FEW,), {"w": 5, "h": 7, "interp": 0}, grad=False),
            ),
        ),
    ),
    limits=tuple(
        Limit("read-backward", _COPIED, case)
        for case in ("floats", "floats, smaller", "floats, short edge", "floats, halved", "floats, nearest")
    ),
)
