"""Reading MXNet's Crop (not ``crop``, which is slice): a window of an image, of a given size or of another image's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import BOOL, ints
from graphkit.ops.spec import Case, Limit, MxForm, Op, arr
from graphkit.ops.tensor.sizes import END, rank_is_known, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _sizes(b: OnnxBuilder, value: ir.Value) -> list[int] | ir.Value:
    """Height and width of an image: numbers where they are known, else computed."""
    known = [dim for dim in b.shape(value)[2:4] if isinstance(dim, int)] if rank_is_known(value) else []
    return known if len(known) == 2 else b.op("Shape", value, start=2, end=4)


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, like = some(x[0]), x[1] if len(x) > 1 else None
    size = list(ints(node.attrs.get("h_w", "(0, 0)"))) if like is None else _sizes(b, like)
    if BOOL.parse(node.attrs.get("center_crop", "False")):
        whole = _sizes(b, data)
        if isinstance(whole, list) and isinstance(size, list):
            return _window(b, data, [(all_ - part) // 2 for all_, part in zip(whole, size, strict=True)], size)
        first = b.op("Div", b.op("Sub", whole, size), [2])
        return b.op("Slice", data, first, b.op("Add", first, size), [2, 3])
    return _window(b, data, list(ints(node.attrs.get("offset", "(0, 0)"))), size)


def _window(b: OnnxBuilder, data: ir.Value, first: list[int], size: list[int] | ir.Value) -> ir.Value:
    if isinstance(size, list):
        last = [start + length for start, length in zip(first, size, strict=True)]
        return b.op("Slice", data, first, last, [2, 3])
    if any(first):
        data = b.op("Slice", data, first, [END, END], [2, 3])
    return b.op("Slice", data, [0, 0], size, [2, 3])


_IMAGE = arr(2, 3, 6, 7)
_DOUBLE = ("read-float64", "read-backward")

OP = Op(
    "",
    mx=(
        MxForm(
            "Crop",
            direction="read",
            read=_read,
            reads=("num_args", "offset", "h_w", "center_crop"),
            cases=(
                Case("from the corner", (_IMAGE,), {"num_args": 1, "h_w": (4, 5)}),
                Case("from an offset", (_IMAGE,), {"num_args": 1, "h_w": (4, 5), "offset": (1, 2)}),
                Case(
                    "from the centre", (_IMAGE,), {"num_args": 1, "h_w": (3, 4), "offset": (2, 2), "center_crop": "1"}
                ),
                Case("like another", (_IMAGE, arr(1, 1, 2, 3)), {"num_args": 2, "offset": (1, 1), "h_w": (5, 5)}),
                Case("centred, like another", (_IMAGE, arr(1, 1, 2, 3)), {"num_args": 2, "center_crop": True}),
            ),
        ),
    ),
    limits=tuple(Limit(claim, "MXNet's Crop refuses float64") for claim in _DOUBLE),
)
