"""Cutting out the middle of an array, and putting zeros around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.grad_sizes import joined, sizes_at
from graphkit.ops.tensor.sizes import constant_ints, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _changes(b: MxBuilder | TorchBuilder, node: ir.Node) -> dict[int, tuple[int, int, int]] | Refusal:
    """By axis, its size, and how many elements come before and after; negative numbers are cut off."""
    dims = b.shape(some(node.inputs[0]))
    wanted = constant_ints(b, node, 1)
    if wanted is None:
        return Refusal("its shape is computed while it runs; it has to be constant", needs=node.inputs[1:])
    axes = node.attributes.get_ints("axes", list(range(len(dims))))
    if len(wanted) != len(axes) or any(not -len(dims) <= axis < len(dims) for axis in axes):
        return Refusal(f"its shape has {len(wanted)} sizes for axes {list(axes)} of an array of {len(dims)}")
    found = {}
    for axis, size in zip(axes, wanted, strict=True):
        have = dims[axis]
        if not isinstance(have, int):
            return Refusal(
                f"the size of its axis {axis} is not known; give the shapes of the model's inputs with --input"
            )
        if size < 1:
            return Refusal(f"its axis {axis} is to have {size} elements; at least 1 is allowed")
        before = (size - have) // 2 if size >= have else -((have - size) // 2)
        if size != have:
            found[axis % len(dims)] = (have, before, size - have - before)
    return found


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    changes = _changes(b, node)
    if isinstance(changes, Refusal):
        return changes
    data = some(x[0])
    for axis, (size, before, after) in changes.items():
        if before + after < 0:
            data = b.op("slice_axis", data, axis=axis, begin=-before, end=size + after)
            continue
        parts = [_zeros(b, data, axis, width) if width else None for width in (before, after)]
        joined = [part for part in (parts[0], data, parts[1]) if part is not None]
        data = b.op("Concat", *joined, num_args=len(joined), dim=axis)
    return data


def _zeros(b: MxBuilder, data: MxRef, axis: int, width: int) -> MxRef:
    edge = b.op("zeros_like", b.op("slice_axis", data, axis=axis, begin=0, end=1), name="zeros")
    return edge if width == 1 else b.op("broadcast_axis", edge, axis=axis, size=width)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if constant_ints(b, node, 1) is None:
        axes = node.attributes.get("axes")
        return b.call("center_crop_pad", x[0], x[1], None if axes is None else tuple(axes.as_ints()))
    changes = _changes(b, node)
    if isinstance(changes, Refusal):
        return changes
    if not changes:
        data: Arg = x[0]
        return data
    pads: list[int] = []
    for axis in range(b.rank(some(node.inputs[0])) - 1, min(changes) - 1, -1):
        _, before, after = changes.get(axis, (0, 0, 0))
        pads += [before, after]
    return b.call("F.pad", x[0], tuple(pads))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """What was put around is cut off, and zeros are put where something was."""
    source = some(node.inputs[0])
    rank = b.rank(source)
    axes = [axis % rank for axis in node.attributes.get_ints("axes", list(range(rank)))]
    change = b.op("Sub", sizes_at(b, source, axes), sizes_at(b, dy[0], axes))
    before = b.op("Div", change, [2])
    return [b.op("Pad", dy[0], joined(b, before, b.op("Sub", change, before)), None, axes)]


_X = arr(5, 6, 3)

OP = Op(
    "CenterCropPad",
    mx=(MxForm("slice_axis", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("crop", (_X, int64([2, 3, 3])), const=(1,)),
        Case("pad", (_X, int64([8, 7, 3])), const=(1,)),
        Case("both", (_X, int64([8, 3, 4])), const=(1,)),
        Case("axes", (_X, int64([8, 3])), {"axes": [1, -1]}, const=(1,), dynamic=(0,)),
        Case("nothing", (_X, int64([5, 6, 3])), const=(1,)),
        Case("integers", (arr(5, low=0, high=9, dtype="int64"), int64([8])), const=(1,), grad=False),
    ),
)
