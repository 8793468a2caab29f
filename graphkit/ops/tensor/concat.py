"""Joining arrays along an axis, old or new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ir.symbols import shape_of
from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.fill import uniform
from graphkit.ops.tensor.sizes import constant_ints, measured, rank_is_known, size_along, some
from graphkit.ops.tensor.torch_sizes import size_arg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    values = [some(value) for value in node.inputs]
    parts = [part for part in zip(values, x, strict=True) if not rank_is_known(part[0]) or 0 not in b.shape(part[0])]
    if not parts:
        return Refusal("it makes an array without elements, which MXNet does not have")
    if len(parts) == 1:
        return some(parts[0][1])
    refs = [some(ref) for _, ref in parts]
    if b.dtype(values[0]).kind == "b":
        dtype = carrier(b, parts[0][0])
        refs = [as_carrier(b, value, dtype) for value, _ in parts]
    return b.op("Concat", *refs, num_args=len(refs), dim=node.attributes.get_int("axis"))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    axis = node.attributes.get_int("axis")
    if len(x) == 1:
        alone: Arg = x[0]
        return alone
    at = (axis,) if axis else ()
    stripes = _stripes(b, node, axis)
    if stripes is not None:
        return stripes
    pieces = [_stacked(b, some(value), axis) for value in node.inputs]
    if None not in pieces:
        return b.call("torch.stack", pieces, *at)
    return b.call("torch.cat", list(x), *at)


def _stripes(b: TorchBuilder, node: ir.Node, axis: int) -> Arg | None:
    """Arrays of one number each, joined, as a constant that is stretched; None for all else."""
    want = shape_of(node.outputs[0])
    numbers = [uniform(b, some(value)) for value in node.inputs]
    if want is None or None in numbers:
        return None
    axis %= len(want)
    sizes = [b.shape(some(value))[axis] for value in node.inputs]
    known = [size for size in sizes if isinstance(size, int)]
    made_for = measured(*node.inputs)
    rest = [-1 if place == axis else size_arg(b, node, size, *made_for) for place, size in enumerate(want)]
    if len(known) < len(sizes) or None in rest:
        return None
    table = np.repeat(np.asarray(numbers, b.dtype(node.outputs[0])), known)
    return b.method("expand", b.const(table.reshape(-1, *(1,) * (len(want) - 1 - axis))), *rest)


def _stacked(b: TorchBuilder, value: ir.Value, axis: int) -> Arg | None:
    """What was given the axis that it is joined along just for that; None for all else."""
    producer = value.producer()
    if producer is None or producer.op_type != "Unsqueeze" or constant_ints(b, producer, 1) != (axis,):
        return None
    return b.arg(some(producer.inputs[0]))


def _read_concat(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Concat", *x, axis=int(node.attrs.get("dim", "1")))


def _read_stack(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    axis = int(node.attrs.get("axis", "0"))
    return b.op("Concat", *(b.op("Unsqueeze", value, [axis]) for value in x), axis=axis)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    parts = [some(value) for value in node.inputs]
    axis = node.attributes.get_int("axis")
    if len(parts) == 1:
        return [dy[0]]
    sizes = [b.shape(part)[axis] for part in parts]
    known = [size for size in sizes if isinstance(size, int)]
    wanted = [place for place, part in enumerate(parts) if b.wants(part)]
    if len(wanted) == 1 and len(known) == len(sizes):
        start, size = sum(known[: wanted[0]]), known[wanted[0]]
        only = b.op("Slice", dy[0], [start], [start + size], [axis])
        return [only if place == wanted[0] else None for place in range(len(parts))]
    if len(known) == len(sizes):
        return b.ops("Split", len(parts), dy[0], known, axis=axis)
    computed = b.op("Concat", *(size_along(b, part, axis) for part in parts), axis=0)
    return b.ops("Split", len(parts), dy[0], computed, axis=axis)


_A, _B = arr(2, 3, 4), arr(2, 1, 4)
_TRUTHS = arr(2, 3, dtype="bool")

OP = Op(
    "Concat",
    mx=(
        MxForm(
            "Concat",
            also=("_rnn_param_concat",),
            read=_read_concat,
            reads=("num_args", "dim"),
            write=_write,
            cases=(
                Case("default axis", (_A, _B), {"num_args": 2}),
                Case("last axis", (_A, _A, _A), {"num_args": 3, "dim": -1}),
                Case("one", (_A,), {"num_args": 1}),
            ),
        ),
        MxForm(
            "stack",
            read=_read_stack,
            reads=("num_args", "axis"),
            direction="read",
            cases=(
                Case("default axis", (_A, _A), {"num_args": 2}),
                Case("last axis", (_A, _A), {"num_args": 2, "axis": -1}),
                Case("middle axis", (_A, _A), {"num_args": 2, "axis": 1}),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("two", (_A, _B), {"axis": 1}, dynamic=(0, 1)),
        Case("three", (_A, _A, _A), {"axis": -1}),
        Case("one", (_A,), {"axis": 0}),
        Case("parameter", (_A, _B), {"axis": 1}, const=(1,)),
        Case("integers", (arr(2, dtype="int64"), arr(3, dtype="int64")), {"axis": 0}, grad=False),
        Case("truths", (_TRUTHS, _TRUTHS), {"axis": 0}, grad=False),
    ),
)
