"""Choosing between two arrays. MXNet broadcasts none of the three; a 1-D condition chooses rows there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ir.symbols import broadcast, shape_of
from graphkit.ops.booleans import as_carrier, carrier
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.broadcasting import stretch
from graphkit.ops.tensor.fill import uniform
from graphkit.ops.tensor.padding_row import lookup_without_gradient
from graphkit.ops.tensor.sizes import some
from graphkit.ops.tensor.torch_sizes import is_full

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    condition, chosen, other = (some(value) for value in node.inputs)
    dtype = carrier(b, chosen)
    want = b.shape(node.outputs[0])
    known = [value for value in (chosen, other, condition) if b.shape(value) == want]
    refs = [some(x[0]), as_carrier(b, chosen, dtype), as_carrier(b, other, dtype)]
    for place, value in enumerate((condition, chosen, other)):
        number = b.number(value) if place else None
        if number is not None and any(like is not value for like in known):
            like = next(like for like in known if like is not value)
            refs[place] = _filled(b, b.ref(like), number, like_dtype=carrier(b, like).name, dtype=dtype.name)
            continue
        stretched = stretch(b, node, refs[place], b.shape(value), want, condition, chosen, other)
        if isinstance(stretched, Refusal):
            return stretched
        refs[place] = stretched
    return b.op("where", *refs)


def _filled(b: MxBuilder, like: MxRef, number: float, *, like_dtype: str, dtype: str) -> MxRef:
    """An array of one number in the shape of another."""
    array = b.op("ones_like" if number == 1 else "zeros_like", like)
    if like_dtype != dtype:
        array = b.op("Cast", array, dtype=dtype)
    return array if number in (0, 1) else b.op("_plus_scalar", array, scalar=float(number))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    chosen, other = (some(value) for value in node.inputs[1:])
    first, second = uniform(b, chosen), uniform(b, other)
    if first is not None and second is None and is_full(shape_of(other), shape_of(node.outputs[0])):
        return b.method("masked_fill", x[2], x[0], first)
    if second is not None and first is None and (b.rank(other) == 0 or _suffices(node)):
        return b.call("torch.where", x[0], x[1], second)
    return b.call("torch.where", *x)


def _may_agree(one: Dim, other: Dim) -> bool:
    return one == other or not (isinstance(one, int) and isinstance(other, int))


def _suffices(node: ir.Node) -> bool:
    """Whether the condition and what is chosen by it have the shape of the result between them."""
    shapes = [shape_of(some(value)) for value in node.inputs[:2]]
    known = [shape for shape in shapes if shape is not None]
    return len(known) == 2 and is_full(broadcast(known), shape_of(node.outputs[0]))


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    condition, chosen, other = (some(value) for value in x)
    if (looked_up := lookup_without_gradient(b, condition, chosen, other)) is not None:
        return looked_up
    dims = [b.shape(value) for value in (condition, chosen, other)]
    rows = len(dims[0]) == 1 < len(dims[1])
    pairs = [(dims[1], dims[2]), (dims[0], dims[1][:1] if rows else dims[1])]
    if any(len(one) != len(two) or not all(map(_may_agree, one, two)) for one, two in pairs):
        return Refusal("its operands have different shapes, which MXNet does not stretch; use broadcast_to")
    if b.dtype(condition).kind != "b":
        condition = b.op("Cast", condition, to=ir.DataType.BOOL)
    if rows:
        condition = b.op("Unsqueeze", condition, list(range(1, b.rank(chosen))))
    return b.op("Where", condition, chosen, other)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    condition, chosen, other = (some(value) for value in node.inputs)
    zero = b.scalar(0, dy[0])
    parts = (condition, dy[0], zero), (condition, zero, dy[0])
    found = [
        b.sum_to(b.op("Where", *part), value) if b.wants(value) else None
        for value, part in zip((chosen, other), parts, strict=True)
    ]
    return [None, *found]


_TRUTHS = given([[True, False, True], [False, False, True]], "bool")
_NUMBERS = given([[1.0, 0.0, -2.0], [0.0, 0.0, 0.5]], "float32")
_A, _B = arr(2, 3), arr(2, 3)

OP = Op(
    "Where",
    mx=(
        MxForm(
            "where",
            read=_read,
            write=_write,
            cases=(
                Case("numbers", (_NUMBERS, _A, _B), grad=False),
                Case("integers", (given([[1, 0, 2]], "int32"), arr(1, 3), arr(1, 3))),
                Case("rows", (given([1, 0], "int64"), arr(2, 3, 2), arr(2, 3, 2))),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("equal shapes", (_TRUTHS, _A, _B), dynamic=(0, 1, 2)),
        Case("broadcast condition", (given([[True], [False]], "bool"), _A, _B)),
        Case("broadcast row condition", (given([True, False, True], "bool"), _A, _B), dynamic=(1, 2)),
        Case("broadcast all", (given([True, False, True], "bool"), arr(2, 1, 1), arr(2, 1))),
        Case("scalar", (_TRUTHS, given(-0.3, "float32"), _A), const=(1,), dynamic=(0, 2)),
        Case("infinity", (_TRUTHS, _A, given(float("-inf"), "float32")), const=(2,), grad=False),
        Case("scalar of integers", (_TRUTHS, given(2, "int64"), arr(2, 3, dtype="int64")), const=(1,), grad=False),
        Case("two scalars", (_TRUTHS, given(1.0, "float32"), given(0.0, "float32")), const=(1, 2), grad=False),
        Case("parameter", (_TRUTHS, _A, arr(3)), const=(2,)),
        Case("truths", (_TRUTHS, _TRUTHS, given([[True, True, False]], "bool")), grad=False),
    ),
    limits=(Limit("onnxruntime", "ONNX Runtime has no kernel that chooses between truth values", "truths"),),
)
