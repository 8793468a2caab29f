"""Broadcasting as an operator of its own: Expand, and MXNet's broadcast_to, broadcast_axis and broadcast_like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ir.symbols import equal, shape_of
from graphkit.ops.codec import ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.broadcasting import stretch
from graphkit.ops.tensor.fill import filled
from graphkit.ops.tensor.sizes import rank_is_known, size_along, some
from graphkit.ops.tensor.torch_sizes import is_full, size_arg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data = some(node.inputs[0])
    if b.value(data) is not None and (number := b.number(data)) is not None:
        return filled(b, node, number)
    return stretch(b, node, some(x[0]), b.shape(data), b.shape(node.outputs[0]))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    have, want = shape_of(some(node.inputs[0])), shape_of(node.outputs[0])
    if have is not None and want is not None:
        if is_full(have, want):
            unchanged: Arg = x[0]
            return unchanged
        padded = [*(None,) * (len(want) - len(have)), *have]
        kept = [-1 if equal(old, new) else size_arg(b, node, new) for old, new in zip(padded, want, strict=True)]
        if None not in kept:
            return b.method("expand", x[0], *kept)
    return b.infix("*", x[0], b.method("new_ones", x[0], b.method("tolist", x[1])))


def _read_to(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, sizes = some(x[0]), ints(node.attrs.get("shape", "()"))
    if not sizes or (rank_is_known(data) and len(sizes) != b.rank(data)):
        return Refusal(f"shape={sizes} has not one size for each axis of what it reads")
    return b.op("Expand", data, [size or 1 for size in sizes])


def _read_axis(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    axes, sizes = ints(node.attrs.get("axis", "()")), ints(node.attrs.get("size", "()"))
    if len(axes) != len(sizes):
        return Refusal(f"axis={axes} and size={sizes} are not of equal length")
    target = [1] * b.rank(some(x[0]))
    for axis, size in zip(axes, sizes, strict=True):
        target[axis] = size
    return b.op("Expand", x[0], target)


def _read_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, like = some(x[0]), some(x[1])
    ours, theirs = (node.attrs.get(name, "None") for name in ("lhs_axes", "rhs_axes"))
    if ours == theirs == "None":
        dims = b.shape(like) if rank_is_known(like) else (None,)
        known = [dim for dim in dims if isinstance(dim, int)]
        return b.op("Expand", data, known if len(known) == len(dims) else b.op("Shape", like))
    if "None" in (ours, theirs) or len(ints(ours)) != len(ints(theirs)):
        return Refusal(f"lhs_axes={ours} and rhs_axes={theirs} are not of equal length")
    sizes = [b.const([1])] * b.rank(data)
    for axis, other in zip(ints(ours), ints(theirs), strict=True):
        sizes[axis] = size_along(b, like, other)
    return b.op("Expand", data, b.op("Concat", *sizes, axis=0))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return [b.sum_to(dy[0], some(node.inputs[0]))]


_X = arr(1, 3, 1)

OP = Op(
    "Expand",
    mx=(
        MxForm(
            "broadcast_to",
            read=_read_to,
            reads=("shape",),
            direction="read",
            cases=(Case("all", (_X,), {"shape": (2, 3, 4)}), Case("kept", (_X,), {"shape": (2, 0, 4)})),
        ),
        MxForm(
            "broadcast_axis",
            read=_read_axis,
            reads=("axis", "size"),
            write=_write,
            cases=(
                Case("one", (_X,), {"axis": 2, "size": 4}),
                Case("two", (_X,), {"axis": (2, 0), "size": (4, 2)}),
                Case("none", (_X,)),
            ),
        ),
        MxForm(
            "broadcast_like",
            read=_read_like,
            reads=("lhs_axes", "rhs_axes"),
            direction="read",
            cases=(
                Case("all", (_X, arr(2, 3, 4))),
                Case("axes", (_X, arr(5, 4)), {"lhs_axes": (0, -1), "rhs_axes": (1, 0)}),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("known", (_X, int64([2, 3, 4])), const=(1,)),
        Case("kept", (_X, int64([2, 1, 1])), const=(1,)),
        Case("more axes", (arr(3, 1), int64([2, 1, 3, 4])), const=(1,)),
        Case("fewer axes", (_X, int64([3, 4])), const=(1,)),
        Case("free batch", (arr(2, 1, 3), int64([1, 4, 3])), const=(1,), dynamic=(0,)),
        Case("scalar", (arr(), int64([2, 3])), const=(1,)),
        Case("every other axis", (arr(1, 2, 1, 3, 1, 2), int64([2, 1, 3, 1, 2, 1])), const=(1,)),
        Case("no change", (_X, int64([1, 3, 1])), const=(1,)),
        Case("integers", (arr(1, 3, low=-9, high=9, dtype="int64"), int64([2, 3])), const=(1,), grad=False),
        Case("truths", (arr(1, 3, dtype="bool"), int64([2, 3])), const=(1,), grad=False),
        Case("constant", (arr(1, 1), int64([2, 3])), const=(0, 1), grad=False),
        Case("constant truth", (arr(1, dtype="bool"), int64([2, 3])), const=(0, 1), grad=False),
    ),
)
