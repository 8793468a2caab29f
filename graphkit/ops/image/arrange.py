"""From images as files hold them to what networks read: cutting, flipping, scaling to [0, 1], normalising."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import literal
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import START, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

__all__ = ["SIZE", "floats"]

SIZE = "give it with --input, and --no-dynamic-batch where the height comes first"
"""What to do where the size of an image is not known."""


def floats(text: str) -> npt.NDArray[np.float32]:
    """The numbers of a tuple of floats, which MXNet holds in float32.

    Raises:
        ValueError: The text is no such tuple.
    """
    try:
        return np.atleast_1d(np.asarray(literal(text), np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is not a tuple of numbers") from error


def _read_to_tensor(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    orders = {3: (2, 0, 1), 4: (0, 3, 1, 2)}
    if b.rank(image) not in orders:
        return Refusal(f"it reads images of 3 axes or batches of 4, not {b.rank(image)} axes")
    planes = b.op("Transpose", image, perm=orders[b.rank(image)])
    if not is_float(b.dtype(image)):
        planes = b.op("Cast", planes, to=ir.DataType.FLOAT)
    return cast(b, b.op("Div", planes, b.scalar(255.0, planes)), np.dtype(np.float32))


def _read_normalize(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    planes = some(x[0])
    if b.rank(planes) not in (3, 4):
        return Refusal(f"it reads images of 3 axes or batches of 4, not {b.rank(planes)} axes")
    if not is_float(b.dtype(planes)):
        return Refusal(f"MXNet makes {b.dtype(planes).name} numbers of what it normalises; cast its input to floats")
    channels = b.shape(planes)[-3]
    if channels not in (1, 3) and isinstance(channels, int):
        return Refusal(f"MXNet normalises images of 1 or 3 channels, not {channels}")
    result = planes
    for op, name, default in (("Sub", "mean", 0.0), ("Div", "std", 1.0)):
        numbers = floats(node.attrs.get(name, "(0, 0, 0, 0)" if name == "mean" else "(1, 1, 1, 1)"))
        if name not in node.attrs:
            numbers = numbers[:1]
        if len(numbers) != 1 and len(numbers) != channels:
            return Refusal(f"{name} has {len(numbers)} elements; MXNet takes 1 or one for each channel")
        if (numbers != default).any():
            table = numbers.reshape(() if len(numbers) == 1 else (-1, 1, 1))
            result = b.op(op, result, table.astype(b.dtype(planes)))
    return b.op("Identity", planes) if result is planes else result


def _read_crop(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    if b.rank(image) not in (3, 4):
        return Refusal(f"it reads images of 3 axes or batches of 4, not {b.rank(image)} axes")
    left, top, width, height = (int(node.attrs[name]) for name in ("x", "y", "width", "height"))
    if min(left, top) < 0 or min(width, height) <= 0:
        return Refusal(f"its area of {width}x{height} at ({left}, {top}) is not inside of the image")
    for name, end, size in zip(
        ("y + height", "x + width"), (top + height, left + width), b.shape(image)[-3:-1], strict=True
    ):
        if isinstance(size, int) and end > size:
            return Refusal(f"{name} is {end}, and the image has {size}")
    axis = b.rank(image) - 3
    return b.op("Slice", image, [top, left], [top + height, left + width], [axis, axis + 1])


def _reads_flip(axis: int, name: str, *, drawn: bool = False) -> Read:
    """Args: the axis, what lies along it, and whether a coin is tossed for it."""

    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        image = some(x[0])
        if b.rank(image) != 3:
            return Refusal(f"it reads images of 3 axes, not of {b.rank(image)}")
        size = b.shape(image)[axis]
        if isinstance(size, int) and size % 2:
            b.warn(f"MXNet 1.9.1 leaves the middle {name} of an odd number unset; it stays where it is here.")
        flipped = b.op("Slice", image, [-1], [START], [axis], [-1])
        if not drawn:
            return flipped
        tossed = b.op("Less", b.op("RandomUniform", shape=(1,)), np.asarray(0.5, np.float32))
        return b.op("Where", tossed, flipped, image)

    return read


_SIDES = (("left_right", 1, "column"), ("top_bottom", 0, "row"))
_SAME = given(np.tile(np.asarray([3.0, 1.0, 1.0, 3.0], np.float32)[:, None, None], (1, 2, 1)), "float32")
"""An image that is the same upside down, and has equal columns."""
_COPIED = "MXNet's backward pass hands on the gradient as it is"
_SINGLE = "MXNet gives float32 whatever it reads"
_PHOTO = arr(4, 6, 3, low=0, high=256, dtype="uint8")

OPS = (
    Op(
        "",
        mx=(
            MxForm(
                "_image_to_tensor",
                read=_read_to_tensor,
                direction="read",
                cases=(
                    Case("bytes", (arr(4, 6, 3, low=0, high=256),), dtype="uint8", grad=False),
                    Case("a batch of bytes", (arr(2, 4, 5, 1, low=0, high=256),), dtype="uint8", grad=False),
                    Case("floats", (arr(4, 5, 3),), grad=False),
                    Case("halves", (arr(4, 6, 3, low=0, high=256),), dtype="float16", grad=False),
                ),
            ),
        ),
        limits=(Limit("read-float64", _SINGLE, "floats"),),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_image_normalize",
                read=_read_normalize,
                reads=("mean", "std"),
                direction="read",
                cases=(
                    Case("by channel", (arr(3, 4, 5),), {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
                    Case("by one number", (arr(2, 3, 4, 5),), {"mean": "(0.5,)", "std": "0.25"}),
                    Case("one channel", (arr(2, 1, 4, 5),), {"mean": "(0.13,)", "std": "(0.3,)"}),
                    Case("mean only", (arr(1, 4, 5),), {"mean": "0.3", "std": "1"}),
                    Case("by nothing", (arr(3, 4, 5),), {"mean": "(0, 0, 0)", "std": "(1, 1, 1)"}),
                ),
            ),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_image_crop",
                read=_read_crop,
                reads=("x", "y", "width", "height"),
                direction="read",
                cases=(
                    Case("bytes", (_PHOTO,), {"x": 1, "y": 2, "width": 4, "height": 2}, grad=False),
                    Case("a batch", (arr(2, 5, 6, 3),), {"x": 0, "y": 1, "width": 6, "height": 3}),
                    Case("floats", (arr(5, 6, 1),), {"x": 2, "y": 0, "width": 1, "height": 5}),
                ),
            ),
        ),
    ),
    *(
        Op(
            "",
            mx=(
                MxForm(
                    f"_image_flip_{side}",
                    read=_reads_flip(axis, name),
                    direction="read",
                    cases=(Case("bytes", (_PHOTO,), grad=False), Case("floats", (arr(4, 6, 1),))),
                ),
            ),
            limits=(Limit("read-backward", _COPIED, "floats"),),
        )
        for side, axis, name in _SIDES
    ),
    *(
        Op(
            "",
            mx=(
                MxForm(
                    f"_image_random_flip_{side}",
                    read=_reads_flip(axis, name, drawn=True),
                    direction="read",
                    cases=(Case("either way the same", (_SAME,), grad=False),),
                ),
            ),
        )
        for side, axis, name in _SIDES
    ),
)
