"""Repeating arrays and elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import sizes_of
from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.free_sizes import axis_like
from graphkit.ops.tensor.grad_sizes import joined, known_ints, sizes_at
from graphkit.ops.tensor.sizes import constant_ints, mx_axis, some
from graphkit.ops.tensor.torch_sizes import sizes_given

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write_tile(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, times = some(x[0]), constant_ints(b, node, 1)
    if times is None:
        return _write_computed(b, node, data)
    if 0 in times:
        return Refusal("it makes an array without elements, which MXNet does not have")
    return _tiled(b, data, times)


def _tiled(b: MxBuilder, data: MxRef, times: Sequence[int]) -> MxRef:
    """Repeat along each axis; MXNet's tile takes two of them at a time, as it broadcasts beside every one."""
    axes = [axis for axis, count in enumerate(times) if count != 1]
    for first in range(0, len(axes), 2):
        chosen = axes[first : first + 2]
        data = b.op("tile", data, reps=tuple(count if axis in chosen else 1 for axis, count in enumerate(times)))
    return data


def _write_computed(b: MxBuilder, node: ir.Node, data: MxRef) -> MxRef | Refusal:
    """Tile by numbers that follow from free sizes: an axis of size 1 is stretched, another stretched beside itself."""
    source = some(node.inputs[0])
    times, have, want = sizes_of(node.inputs[1]), b.shape(source), b.shape(node.outputs[0])
    counts = [
        new // old if count is None and isinstance(old, int) and isinstance(new, int) and new and old else count
        for count, old, new in zip([None] * len(have) if times is None else times.flat, have, want, strict=True)
    ]
    known = [count if isinstance(count, int) else 1 for count in counts]
    data = _tiled(b, data, known)
    for axis, count in enumerate(counts):
        if isinstance(count, int):
            continue
        like = axis_like(b, node, count)
        if like is None:
            return Refusal("how often it repeats is computed, and MXNet needs it in the symbol", needs=node.inputs[1:])
        lone = have[axis] == known[axis] == 1
        data = data if lone else b.op("expand_dims", data, axis=axis)
        data = b.op("broadcast_like", data, like[0], lhs_axes=(axis,), rhs_axes=(like[1],))
        data = data if lone else b.op("Reshape", data, shape=(*(0,) * axis, -3, -2))
    return data


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    times = sizes_given(b, node, 1, x[1])
    if all(isinstance(count, int) and count == 1 for count in times):
        unchanged: Arg = x[0]
        return unchanged
    return b.method("repeat", x[0], *times)


def _read_tile(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, times = some(x[0]), ints(node.attrs["reps"])
    rank = b.rank(data)
    if len(times) > rank:
        data = b.op("Unsqueeze", data, list(range(len(times) - rank)))
    times = (1,) * (rank - len(times)) + times
    return b.op("Tile", data, times) if times else b.op("Identity", data)


def _read_repeat(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, times, axis = some(x[0]), int(node.attrs["repeats"]), mx_axis(node)
    if times < 1:
        return Refusal(f"repeats={times} leaves nothing of what it reads")
    if axis is None:
        data, axis = b.op("Reshape", data, [-1]), 0
    rank = b.rank(data)
    axis %= rank
    later = [dim for dim in b.shape(data)[axis + 1 :] if isinstance(dim, int)]
    ends = len(later) == rank - axis - 1
    order = [*range(axis), *range(axis + 1, rank), axis]
    if not ends:
        data, later = b.op("Transpose", data, perm=order), []
    place = axis if ends else rank - 1
    data = b.op("Unsqueeze", data, [place + 1])
    data = b.op("Expand", data, [*[1] * (place + 1), times, *later])
    data = b.op("Reshape", data, [*[0] * place, -1, *later])
    return data if ends else b.op("Transpose", data, perm=[order.index(place) for place in range(rank)])


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """What was repeated stands apart in axes of its own, which are summed."""
    source = some(node.inputs[0])
    rank, times = b.rank(source), known_ints(node, 1)
    repeated = [axis for axis in range(rank) if times is None or times[axis] != 1]
    if not repeated:
        return [dy[0]]
    counts = b.const(times) if times is not None else some(node.inputs[1])
    parts: list[ir.Value] = []
    for axis in range(rank):
        count = [b.op("Slice", counts, [axis], [axis + 1])] if axis in repeated else []
        parts += [*count, sizes_at(b, source, [axis])]
    apart = b.op("Reshape", dy[0], joined(b, *parts), allowzero=1)
    return [b.op("ReduceSum", apart, [axis + number for number, axis in enumerate(repeated)], keepdims=0)]


_X = arr(2, 3, 4)

OPS = (
    Op(
        "Tile",
        mx=(
            MxForm(
                "tile",
                read=_read_tile,
                reads=("reps",),
                write=_write_tile,
                cases=(
                    Case("equal ranks", (_X,), {"reps": (1, 2, 3)}),
                    Case("fewer", (_X,), {"reps": "2"}),
                    Case("scalar", (arr(),), {"reps": (2, 3)}),
                    Case("scalar, not at all", (arr(),), {"reps": "()"}),
                    Case("more", (arr(3),), {"reps": (2, 1, 2)}),
                ),
            ),
        ),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("several", (_X, int64([1, 2, 3])), const=(1,), dynamic=(0,)),
            Case("once", (_X, int64([1, 1, 1])), const=(1,)),
            Case("four axes", (arr(2, 3, 2, 3), int64([2, 2, 3, 2])), const=(1,)),
            Case("integers", (arr(2, low=-9, high=9, dtype="int64"), int64([2])), const=(1,), grad=False),
            Case("truths", (arr(2, dtype="bool"), int64([2])), const=(1,), grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "repeat",
                read=_read_repeat,
                reads=("repeats", "axis"),
                direction="read",
                cases=(
                    Case("flattened", (_X,), {"repeats": 2}),
                    Case("first axis", (_X,), {"repeats": 2, "axis": 0}),
                    Case("middle axis", (_X,), {"repeats": 3, "axis": -2}),
                    Case("last axis", (_X,), {"repeats": 3, "axis": -1}),
                ),
            ),
        ),
    ),
)
