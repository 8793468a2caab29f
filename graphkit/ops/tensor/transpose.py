"""Transposition and its special cases. MXNet's transpose takes at most 6 axes; its SwapAxis any number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_MOST = 6


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data, given = some(x[0]), node.attributes.get_ints("perm", None)
    order = list(range(b.rank(some(node.inputs[0])))[::-1] if given is None else given)
    if order == sorted(order):
        return data
    if len(order) <= _MOST:
        return b.op("transpose", data, axes=order)
    held = list(range(len(order)))
    for place, axis in enumerate(order):
        if held[place] != axis:
            other = held.index(axis)
            held[place], held[other] = held[other], held[place]
            data = b.op("SwapAxis", data, dim1=place, dim2=other)
    return data


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    given = node.attributes.get_ints("perm", None)
    order = list(range(b.rank(some(node.inputs[0])))[::-1] if given is None else given)
    moved = [axis for place, axis in enumerate(order) if place != axis]
    if not moved:
        unchanged: Arg = x[0]
        return unchanged
    if len(order) == 2:
        return b.method("t", x[0])
    return b.method("transpose", x[0], *sorted(moved)) if len(moved) == 2 else b.method("permute", x[0], *order)


def _read_transpose(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Transpose", x[0], perm=ints(node.attrs.get("axes", "()")) or None)


def _read_swap(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    order = list(range(b.rank(some(x[0]))))
    first, second = int(node.attrs.get("dim1", "0")), int(node.attrs.get("dim2", "0"))
    order[first], order[second] = order[second], order[first]
    return b.op("Transpose", x[0], perm=order)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    order = node.attributes.get_ints("perm", None)
    back = None if order is None else [list(order).index(axis) for axis in range(len(order))]
    return [b.op("Transpose", dy[0], perm=back)]


_X = arr(2, 3, 4)

OP = Op(
    "Transpose",
    mx=(
        MxForm(
            "transpose",
            read=_read_transpose,
            reads=("axes",),
            write=_write,
            cases=(
                Case("reverse", (_X,)),
                Case("axes", (_X,), {"axes": "[2,0,1]"}),
                Case("empty", (_X,), {"axes": ()}),
            ),
        ),
        MxForm(
            "SwapAxis",
            read=_read_swap,
            reads=("dim1", "dim2"),
            direction="read",
            cases=(
                Case("nothing", (_X,)),
                Case("ends", (_X,), {"dim2": 2}),
                Case("negative", (_X,), {"dim1": -1, "dim2": 1}),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("default", (_X,), dynamic=(0,)),
        Case("perm", (_X,), {"perm": [1, 2, 0]}),
        Case("no change", (_X,), {"perm": [0, 1, 2]}),
        Case("vector", (arr(3),)),
        Case("scalar", (arr(),)),
        Case("seven axes", (arr(1, 2, 1, 3, 2, 1, 2),), {"perm": [6, 1, 3, 0, 5, 2, 4]}),
        Case("integers", (arr(2, 3, low=-9, high=9, dtype="int64"),), grad=False),
        Case("truths", (arr(2, 3, dtype="bool"),), grad=False),
    ),
)
