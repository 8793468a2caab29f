"""Max, Min, Sum and Mean of any number of operands, and MXNet's pairwise and scalar forms of them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from graphkit.ir.producers import made_by
from graphkit.ops.math.binary import same_shape, scalar_of
from graphkit.ops.math.clip import torch_clamp
from graphkit.ops.math.grad_binary import VARIADIC
from graphkit.ops.math.promotion import with_scalar
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, is_float, torch_lacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg


def _operands(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None]


def _write_extreme(name: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef:
        first, *others = _operands(node)
        if len(others) == 1:
            for scalar, other in ((others[0], first), (first, others[0])):
                if (number := scalar_of(b, scalar, other)) is not None:
                    return b.op(f"_{name}_scalar", b.ref(other), scalar=number)
        result = b.ref(first)
        for other in others:
            op = f"_{name}" if len(others) == 1 and same_shape(b, first, other) else f"broadcast_{name}"
            result = b.op(op, result, b.ref(other))
        return result if others else b.op("_copy", result)

    return write


def _total(b: MxBuilder, node: ir.Node) -> MxRef:
    first, *others = _operands(node)
    if len(others) > 1 and all(same_shape(b, first, other) for other in others):
        return b.op("add_n", *(b.ref(value) for value in (first, *others)), num_args=1 + len(others))
    result = b.ref(first)
    for other in others:
        op = "elemwise_add" if len(others) == 1 and same_shape(b, first, other) else "broadcast_add"
        result = b.op(op, result, b.ref(other))
    return result if others else b.op("_copy", result)


def _write_sum(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef:
    return _total(b, node)


def _write_mean(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef:
    return b.op("_div_scalar", _total(b, node), scalar=float(len(_operands(node))))


def _bounded(b: TorchBuilder, node: ir.Node) -> tuple[ir.Value, float] | None:
    """The tensor and the number whose larger or smaller one an operator gives."""
    values = _operands(node)
    if len(values) == 2:
        for number, other in (values, reversed(values)):
            if (bound := scalar_of(b, number, other)) is not None and not b.is_initializer(other):
                return other, bound
    return None


def _torch_extreme(name: str) -> Torch:
    """Torch spells the extreme of a tensor and a number as a clamp, and so both extremes in a row."""

    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
        if (lacking := torch_lacks(b, node)) is not None:
            return lacking
        found = _bounded(b, node)
        if found is None:
            result: Arg = reduce(lambda left, right: b.call(f"torch.{name}", left, right), x)
            return result
        data, bound = found
        bounds = {node.op_type: bound}
        inner = made_by(data, "Min" if node.op_type == "Max" else "Max")
        before = None if inner is None else _bounded(b, inner)
        if inner is not None and before is not None:
            both = {node.op_type: bound, inner.op_type: before[1]}
            if both["Max"] <= both["Min"]:
                data, bounds = before[0], both
        return torch_clamp(b, b.arg(data), bounds.get("Max"), bounds.get("Min"), floats=is_float(b.dtype(data)))

    return emit


def _torch_sum(b: TorchBuilder, _node: ir.Node, x: Sequence[Any]) -> Arg:
    result: Arg = reduce(lambda left, right: b.infix("+", left, right), x)
    return result


def _torch_mean(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.infix("/", _torch_sum(b, node, x), len(x)) if len(x) > 1 else x[0]


def _reads(onnx: str, *, scalar: bool = False) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        if not scalar:
            return b.op(onnx, *x)
        assert x[0] is not None
        return b.op(onnx, *with_scalar(b, node, x[0]))

    return read


_A, _B, _C = arr(2, 3), arr(2, 3), arr(2, 3)
_SPREAD = given([[-1.5, 0.5, 2.5]], "float32")
_WHOLE = given([1, 5], "int32")


def _cases(*extra: Case) -> tuple[Case, ...]:
    return (
        Case("two", (_A, _B), dynamic=(0, 1)),
        Case("three", (_A, _B, _C)),
        Case("one", (_A,)),
        Case("broadcast", (_A, arr(3), arr(2, 1))),
        Case("broadcast two", (_A, arr(1, 3))),
        *extra,
    )


def _extreme(onnx: str, name: str) -> Op:
    return Op(
        onnx,
        mx=(
            MxForm(f"broadcast_{name}", write=_write_extreme(name), direction="write"),
            MxForm(
                f"broadcast_{name}",
                read=_reads(onnx),
                direction="read",
                cases=(Case("rows", (_A, arr(1, 3))), Case("zero axes", (arr(), arr(2)))),
            ),
            MxForm(f"_{name}", read=_reads(onnx), direction="read", cases=(Case("equal shapes", (_A, _B)),)),
            MxForm(
                f"_{name}_scalar",
                read=_reads(onnx, scalar=True),
                reads=("scalar", "is_int"),
                direction="read",
                cases=(
                    Case("scalar", (_SPREAD,), {"scalar": "0.1"}),
                    Case("integers", (_WHOLE,), {"scalar": "3"}, dtype="int32"),
                    Case("integers with a double", (_WHOLE,), {"scalar": "2.5", "is_int": "False"}, dtype="int32"),
                ),
            ),
        ),
        torch=_torch_extreme(name),
        gradient=VARIADIC[onnx],
        cases=_cases(
            Case("scalar", (_SPREAD, given(0.1, "float32")), const=(1,)),
            Case("scalar first", (given(0.1, "float32"), _SPREAD), const=(0,)),
            Case("integers", (given([1, 5], "int64"), given([4, 2], "int64")), grad=False),
        ),
    )


OPS = (
    _extreme("Max", "maximum"),
    _extreme("Min", "minimum"),
    Op(
        "Sum",
        mx=(
            MxForm("add_n", write=_write_sum, direction="write"),
            MxForm(
                "add_n",
                read=_reads("Sum"),
                reads=("num_args",),
                direction="read",
                cases=(Case("three", (_A, _B, _C), {"num_args": 3}), Case("one", (_A,), {"num_args": 1})),
            ),
        ),
        torch=_torch_sum,
        gradient=VARIADIC["Sum"],
        cases=_cases(),
    ),
    Op(
        "Mean",
        mx=(MxForm("add_n", write=_write_mean, direction="write"),),
        torch=_torch_mean,
        gradient=VARIADIC["Mean"],
        cases=_cases(),
    ),
)
