"""Cutting an array into pieces along an axis."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import equal, named, tidy
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.free_sizes import axis_like, cut_to, cut_to_last
from graphkit.ops.tensor.sizes import END, axis_of, constant_ints, rank_is_known, some
from graphkit.ops.tensor.torch_sizes import elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_COMPUTED = "the sizes of its pieces are computed, and MXNet needs them in the symbol"


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    data, source, count = some(x[0]), some(node.inputs[0]), len(node.outputs)
    if count == 1:
        return [data]
    axis = axis_of(node, b.rank(source))
    sizes = _sizes(b, node, axis, count)
    if sizes is None or isinstance(sizes, Refusal):
        made = _freely(b, node, data, axis)
        if made is None and sizes is None:
            b.warn(f"MXNet cuts the free axis {axis} into {count} equal pieces, and refuses sizes that have none")
            return b.ops("SliceChannel", count, data, num_outputs=count, axis=axis)
        return Refusal(_COMPUTED, needs=node.inputs[1:]) if made is None else made
    if len(set(sizes)) == 1:
        return b.ops("SliceChannel", count, data, num_outputs=count, axis=axis)
    if 0 in sizes:
        return _without_empty(b, node, data, sizes, axis)
    return b.ops("_split_v2", count, data, indices=tuple(accumulate(sizes[:-1], initial=0)), axis=axis)


def _freely(b: MxBuilder, node: ir.Node, data: MxRef, axis: int) -> Sequence[MxRef] | None:
    """Pieces whose sizes follow from free sizes; None where MXNet cannot make one of them."""
    rank, count = b.rank(some(node.inputs[0])), len(node.outputs)
    sizes = [named(b.shape(output)[axis]) for output in node.outputs]
    if all(equal(sizes[0], size) for size in sizes):
        return b.ops("SliceChannel", count, data, num_outputs=count, axis=axis)
    found: list[MxRef] = []
    end: Size = 0
    for place, (size, output) in enumerate(zip(sizes, node.outputs, strict=True)):
        end = None if end is None or size is None else tidy(end + size)
        piece = data
        if not output.uses() and not output.is_graph_output():
            found.append(piece)
            continue
        front = None if place + 1 == count else axis_like(b, node, end)
        back = None if place == 0 else axis_like(b, node, size)
        if (front is None and place + 1 < count) or (back is None and place > 0):
            return None
        piece = piece if front is None else cut_to(b, piece, rank, axis, front)
        found.append(piece if back is None else cut_to_last(b, piece, rank, axis, back))
    return found


def _without_empty(
    b: MxBuilder, node: ir.Node, data: MxRef, sizes: tuple[int, ...], axis: int
) -> Sequence[MxRef] | Refusal:
    """The pieces where some have no elements, which MXNet's arrays cannot be and nothing may use."""
    if any(
        not size and (piece.uses() or piece.is_graph_output()) for size, piece in zip(sizes, node.outputs, strict=True)
    ):
        return Refusal("it makes an array without elements, which MXNet does not have")
    starts = accumulate(sizes, initial=0)
    return [
        b.op("slice_axis", data, axis=axis, begin=start, end=start + size) if size else data
        for start, size in zip(starts, sizes, strict=False)
    ]


def _sizes(b: MxBuilder, node: ir.Node, axis: int, count: int) -> tuple[int, ...] | Refusal | None:
    """The sizes of the pieces; None for equal pieces of an unknown size."""
    sizes = constant_ints(b, node, 1)
    if sizes is not None:
        return sizes
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        dims = [b.shape(output)[axis] for output in node.outputs]
        known = tuple(dim for dim in dims if isinstance(dim, int))
        if len(known) < count:
            return Refusal(_COMPUTED, needs=node.inputs[1:])
        return known
    size = b.shape(some(node.inputs[0]))[axis]
    if not isinstance(size, int):
        return None
    piece = -(-size // count)
    return (piece,) * (count - 1) + (size - piece * (count - 1),)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg] | Refusal:
    count = len(node.outputs)
    if count == 1:
        return [x[0]]
    axis = node.attributes.get_int("axis", 0)
    at = (axis,) if axis else ()
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return b.calls("torch.chunk", count, x[0], count, *at)
    sizes = elements(b, node, 1, x[1])
    if sizes is None:
        sizes = [b.item(x[1], place) for place in range(count)]
    if all(size == sizes[0] for size in sizes):
        return b.calls("torch.chunk", count, x[0], count, *at)
    return b.calls("torch.split", count, x[0], sizes, *at)


def _squeezed(b: OnnxBuilder, node: MxNode, pieces: Sequence[ir.Value], axis: int) -> Sequence[ir.Value]:
    if not BOOL.parse(node.attrs.get("squeeze_axis", "False")):
        return pieces
    return [b.op("Squeeze", piece, [axis]) for piece in pieces]


def _read_equal(b: OnnxBuilder, node: MxNode, data: ir.Value, count: int) -> Sequence[ir.Value]:
    axis = int(node.attrs.get("axis", "1"))
    pieces = (b.op("Identity", data),) if count == 1 else b.ops("Split", count, data, axis=axis, num_outputs=count)
    return _squeezed(b, node, pieces, axis)


def _read_slice_channel(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    return _read_equal(b, node, some(x[0]), int(node.attrs["num_outputs"]))


def _read_split_v2(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data, sections = some(x[0]), int(node.attrs.get("sections", "0"))
    if sections:
        along = int(node.attrs.get("axis", "1"))
        whole = b.shape(data)[along] if rank_is_known(data) else None
        if not isinstance(whole, int) or whole % sections == 0:
            return _read_equal(b, node, data, sections)
        sizes = [whole // sections + (place < whole % sections) for place in range(sections)]
        return _squeezed(b, node, b.ops("Split", sections, data, sizes, axis=along), along)
    starts, axis = ints(node.attrs["indices"]), int(node.attrs.get("axis", "1"))
    if not starts or starts[0] != 0 or any(later <= former for former, later in pairwise(starts)):
        return Refusal(f"its indices {starts} do not rise from 0, which MXNet itself rejects")
    size = b.shape(data)[axis] if rank_is_known(data) else None
    if len(starts) == 1:
        pieces: Sequence[ir.Value] = (b.op("Identity", data),)
    elif isinstance(size, int):
        sizes = [end - start for start, end in pairwise([*starts, size])]
        pieces = b.ops("Split", len(starts), data, sizes, axis=axis)
    else:
        bounds = pairwise([*starts, END])
        pieces = [b.op("Slice", data, [start], [end], [axis]) for start, end in bounds]
    return _squeezed(b, node, pieces, axis)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    rank, outputs = b.rank(some(node.inputs[0])), node.outputs
    axis = axis_of(node, rank)
    present = [place for place, piece in enumerate(dy) if piece is not None]
    span = range(present[0], present[-1] + 1)
    sizes = [b.shape(output)[axis] if rank_is_known(output) else None for output in outputs]
    ends = (*sizes[: span.start], *sizes[span.stop :])
    known = [size for size in ends if isinstance(size, int)]
    if len(known) < len(ends):
        span, known = range(len(outputs)), []
    pieces = [b.full_like(b.output(node, place)) if dy[place] is None else dy[place] for place in span]
    joined = b.op("Concat", *pieces, axis=axis) if len(pieces) > 1 else pieces[0]
    if not known:
        return [joined]
    before = sum(known[: span.start])
    return [b.op("Pad", joined, [before, sum(known) - before], None, [axis])]


_X = arr(2, 6, 4)

OP = Op(
    "Split",
    mx=(
        MxForm(
            "SliceChannel",
            read=_read_slice_channel,
            reads=("num_outputs", "axis", "squeeze_axis"),
            write=_write,
            cases=(
                Case("default axis", (_X,), {"num_outputs": 3}, outputs=3),
                Case("last axis", (_X,), {"num_outputs": 2, "axis": -1}, outputs=2),
                Case("squeezed", (arr(2, 3, 4),), {"num_outputs": 3, "squeeze_axis": "1"}, outputs=3),
                Case("one", (_X,), {"num_outputs": 1}),
            ),
        ),
        MxForm(
            "_split_v2",
            read=_read_split_v2,
            reads=("indices", "axis", "squeeze_axis", "sections"),
            direction="read",
            cases=(
                Case("indices", (_X,), {"indices": "[0, 1, 4]"}, outputs=3),
                Case("sections", (_X,), {"indices": "()", "sections": 2, "axis": 2}, outputs=2),
                Case("uneven sections", (_X,), {"indices": "()", "sections": 4, "axis": 1}, outputs=4),
                Case("squeezed", (arr(2, 3),), {"indices": (0, 1, 2), "squeeze_axis": True}, outputs=3),
                Case(
                    "squeezed sections", (arr(2, 3),), {"indices": (), "sections": 3, "squeeze_axis": True}, outputs=3
                ),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("equal", (_X, int64([3, 3])), {"axis": 1}, const=(1,), outputs=2, dynamic=(0,)),
        Case("unequal", (_X, int64([1, 3, 2])), {"axis": -2}, const=(1,), outputs=3, dynamic=(0,)),
        Case("number of pieces", (_X,), {"axis": 2, "num_outputs": 2}, outputs=2),
        Case("smaller last piece", (arr(7, 2),), {"num_outputs": 3}, outputs=3),
        Case("free axis", (_X,), {"num_outputs": 2}, outputs=2, dynamic=(0,)),
        Case("one piece", (_X,), {"num_outputs": 1}),
        Case("integers", (arr(4, dtype="int64"), int64([1, 3])), const=(1,), outputs=2, grad=False),
        Case("truths", (arr(4, dtype="bool"), int64([1, 3])), const=(1,), outputs=2, grad=False),
    ),
)
