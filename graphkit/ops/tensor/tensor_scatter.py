"""Writing new rows into a cache at a place of its own for each sample, as language models keep keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.grad_sizes import operand, sizes_at
from graphkit.ops.tensor.sizes import axis_of, some
from graphkit.ops.torchprogram import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _axis(b: MxBuilder | TorchBuilder, node: ir.Node) -> int | Refusal:
    rank = b.rank(some(node.inputs[0]))
    axis = axis_of(node, rank, -2)
    if not 0 < axis < rank:
        return Refusal(f"axis={node.attributes.get_int('axis', -2)} is none of the axes 1 to {rank - 1}")
    return axis


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    axis = _axis(b, node)
    if isinstance(axis, Refusal):
        return axis
    cache, new = some(node.inputs[0]), some(node.inputs[1])
    rank = b.rank(cache)
    length, count = b.shape(cache)[axis], b.shape(new)[axis]
    if not isinstance(length, int) or not isinstance(count, int):
        return Refusal(
            "the sizes of its cache and update are not known; give the shapes of the model's inputs with --input"
        )
    old, update = some(x[0]), as_carrier(b, new, carrier(b, cache))
    starts = x[2] if len(x) > 2 else None
    if starts is None:
        if count == length:
            return update
        rest = b.op("slice_axis", old, axis=axis, begin=count, end="None")
        return b.op("Concat", update, rest, num_args=2, dim=axis)
    first = b.op("expand_dims", b.op("Cast", starts, dtype="float32"), axis=1, name="first")
    places = b.op("_arange", start=0, stop=length, dtype="float32", name="places")
    wanted = b.op("broadcast_sub", b.op("expand_dims", places, axis=0), first)
    if node.attributes.get_string("mode", "linear") == "circular":
        wanted = b.op("_mod_scalar", wanted, scalar=float(length))
    inside = b.op(
        "broadcast_mul",
        b.op("_greater_equal_scalar", wanted, scalar=0.0),
        b.op("_lesser_scalar", wanted, scalar=float(count)),
        name="inside",
    )
    row = b.op("clip", wanted, a_min=0.0, a_max=float(count - 1))
    sample = b.op("expand_dims", b.op("_contrib_arange_like", first, axis=0), axis=1)
    sample = b.op("broadcast_like", sample, row, name="sample")
    moved = b.op("SwapAxis", update, dim1=1, dim2=axis) if axis != 1 else update
    spread = b.op("gather_nd", moved, b.op("stack", sample, row, axis=0, num_args=2))
    spread = b.op("SwapAxis", spread, dim1=1, dim2=axis) if axis != 1 else spread
    mask = b.op("Reshape", inside, shape=(0, *(1,) * (axis - 1), length, *(1,) * (rank - 1 - axis)))
    return b.op("where", b.op("broadcast_like", mask, old, name="mask"), spread, old)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    axis = _axis(b, node)
    if isinstance(axis, Refusal):
        return axis
    cache, new = some(node.inputs[0]), some(node.inputs[1])
    count = b.size(new, axis)
    starts = x[2] if len(x) > 2 else None
    if starts is None:
        index = (slice(None),) * axis + (slice(count, None),)
        return b.call("torch.cat", [x[1], b.item(x[0], *index)], axis)
    places = b.infix("+", b.method("unsqueeze", starts, 1), b.call("torch.arange", count, device=Device(x[0])))
    if node.attributes.get_string("mode", "linear") == "circular":
        places = b.infix("%", places, b.size(cache, axis))
    samples = b.method("unsqueeze", b.call("torch.arange", b.size(cache, 0), device=Device(x[0])), 1)
    old, update = (b.method("movedim", part, axis, 1) if axis != 1 else part for part in x[:2])
    written = b.method("index_put", old, (samples, places), update)
    return b.method("movedim", written, 1, axis) if axis != 1 else written


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    cache, new = some(node.inputs[0]), some(node.inputs[1])
    axis = axis_of(node, b.rank(cache), -2)
    kept = None
    if b.wants(cache):
        mode = node.attributes.get_string("mode", "linear")
        kept = b.op("TensorScatter", dy[0], b.full_like(new), *node.inputs[2:], axis=axis, mode=mode)
    return [kept, _written(b, node, dy[0], axis) if b.wants(new) else None]


def _written(b: GradientBuilder, node: ir.Node, gradient: ir.Value, axis: int) -> ir.Value:
    """The gradient at the places that were written."""
    rank, count = b.rank(gradient), sizes_at(b, some(node.inputs[1]), [axis])
    starts = operand(node, 2)
    if starts is None:
        return b.op("Slice", gradient, [0], count, [axis])
    steps = b.op("Range", np.asarray(0), b.op("Squeeze", count, [0]), np.asarray(1))
    places = b.op("Add", b.op("Unsqueeze", starts, [1]), steps)
    if node.attributes.get_string("mode", "linear") == "circular":
        places = b.op("Mod", places, sizes_at(b, gradient, [axis]))
    order = list(range(rank))
    order[1], order[axis] = order[axis], order[1]
    moved = gradient if axis == 1 else b.op("Transpose", gradient, perm=order)
    found = b.op("GatherND", moved, b.op("Unsqueeze", places, [2]), batch_dims=1)
    return found if axis == 1 else b.op("Transpose", found, perm=order)


_CACHE, _NEW = arr(3, 2, 5, 4), arr(3, 2, 2, 4)

OP = Op(
    "TensorScatter",
    mx=(MxForm("where", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("linear", (_CACHE, _NEW, int64([0, 1, 3]))),
        Case("circular", (_CACHE, _NEW, int64([4, 0, 2])), {"mode": "circular"}),
        Case("from the start", (_CACHE, _NEW)),
        Case("all", (_CACHE, _CACHE)),
        Case("other axis", (arr(3, 5, 4), arr(3, 1, 4), int64([4, 0, 2])), {"axis": 1}),
        Case("last axis", (_CACHE, arr(3, 2, 5, 1), int64([3, 0, 2])), {"axis": -1}),
        Case(
            "integers",
            (arr(2, 4, 3, low=0, high=9, dtype="int32"), arr(2, 2, 3, low=0, high=9, dtype="int32"), int64([1, 2])),
            grad=False,
        ),
    ),
)
