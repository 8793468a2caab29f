"""Comparison and logic.

ONNX compares into bool; MXNet into 0 and 1 of its operands' dtype (see :mod:`graphkit.ops.booleans`), and its reader
casts the truth values of ONNX back to that dtype.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import as_carrier, carrier, comparison_dtype
from graphkit.ops.math.binary import pair, same_shape, scalar_of
from graphkit.ops.math.promotion import number_of, with_scalar
from graphkit.ops.spec import Case, MxForm, Op, given, is_float, torch_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Write
    from graphkit.ops.torchprogram import Arg

_MIRROR = {"greater": "lesser", "lesser": "greater", "greater_equal": "lesser_equal", "lesser_equal": "greater_equal"}


def _as_float_truth(b: MxBuilder, ref: MxRef, operand: ir.Value) -> MxRef:
    dtype = comparison_dtype(b, operand)
    return ref if carrier(b, operand) == dtype else b.op("Cast", ref, dtype=dtype.name)


def _write_comparison(name: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef:
        left, right = pair(node)
        if (number := scalar_of(b, right, left)) is not None:
            found = b.op(f"_{name}_scalar", b.ref(left), scalar=float(number))
        elif (number := scalar_of(b, left, right)) is not None:
            found = b.op(f"_{_MIRROR.get(name, name)}_scalar", b.ref(right), scalar=float(number))
            return _as_float_truth(b, found, right)
        else:
            op = f"_{name}" if same_shape(b, left, right) else f"broadcast_{name}"
            found = b.op(op, b.ref(left), as_carrier(b, right, carrier(b, left)))
        return _as_float_truth(b, found, left)

    return write


def _back(b: OnnxBuilder, truth: ir.Value, like: ir.Value) -> ir.Value:
    return b.op("Cast", truth, to=ir.DataType.from_numpy(b.dtype(like)))


def _read_comparison(onnx: str, *, scalar: bool, negated: bool = False) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        left, right = with_scalar(b, node, x[0]) if scalar else (x[0], x[1])
        found = b.op(onnx, left, right)
        return _back(b, b.op("Not", found) if negated else found, left)

    return read


_LEFT, _RIGHT = given([[1.0, 2.0, 3.0]], "float32"), given([[1.0, 3.0, 2.0]], "float32")
_COLUMN = given([[1.0], [2.0]], "float32")
_WHOLE = given([1, 2, 3, 0], "int32")


def _reading_forms(onnx: str, name: str, *, negated: bool = False) -> tuple[MxForm, ...]:
    two = _read_comparison(onnx, scalar=False, negated=negated)
    one = _read_comparison(onnx, scalar=True, negated=negated)
    return (
        MxForm(
            f"broadcast_{name}", read=two, direction="read", cases=(Case("broadcast", (_LEFT, _COLUMN), grad=False),)
        ),
        MxForm(f"_{name}", read=two, direction="read", cases=(Case("equal shapes", (_LEFT, _RIGHT), grad=False),)),
        MxForm(
            f"_{name}_scalar",
            read=one,
            reads=("scalar", "is_int"),
            direction="read",
            cases=(
                Case("scalar", (_LEFT,), {"scalar": "2"}, grad=False),
                Case("integers", (_WHOLE,), {"scalar": "2"}, dtype="int32"),
                Case("integers with a double", (_WHOLE,), {"scalar": "2.5", "is_int": "False"}, dtype="int32"),
            ),
        ),
    )


def _comparison(onnx: str, name: str, torch: str, *extra: Case) -> Op:
    integers = given([1, 2, 3], "int64"), given([1, 3, 2], "int64")
    return Op(
        onnx,
        mx=(MxForm(f"broadcast_{name}", write=_write_comparison(name), direction="write"), *_reading_forms(onnx, name)),
        torch=torch_call(torch),
        cases=(
            Case("equal shapes", (_LEFT, _RIGHT), grad=False),
            Case("broadcast", (_LEFT, _COLUMN), grad=False),
            Case("scalar", (_LEFT, given(2.0, "float32")), const=(1,), grad=False),
            Case("reversed scalar", (given(2.0, "float32"), _LEFT), const=(0,), grad=False),
            Case("integers", integers, grad=False),
            *extra,
        ),
    )


def _write_logic(name: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef:
        left, right = pair(node)
        dtype = carrier(b, left)
        op = f"_logical_{name}" if same_shape(b, left, right) else f"broadcast_logical_{name}"
        return b.op(op, as_carrier(b, left, dtype), as_carrier(b, right, dtype))

    return write


def _truth(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    return b.op("Cast", value, to=ir.DataType.BOOL)


def _read_logic(onnx: str, *, scalar: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        left, right = x[0], x[1] if not scalar else None
        assert left is not None
        if scalar:
            left, _ = with_scalar(b, node, left)
            number = number_of(node)
            right = b.const(np.asarray((number if is_float(b.dtype(left)) else math.trunc(number)) != 0))
        assert right is not None
        return _back(b, b.op(onnx, _truth(b, left), right if scalar else _truth(b, right)), left)

    return read


_TRUTHS, _OTHERS = given([[True, True, False, False]], "bool"), given([[True, False, True, False]], "bool")
_NUMBERS, _MORE = given([[0.0, 2.0, -1.0, 0.0]], "float32"), given([[0.0, 0.0, 3.0, 1.0]], "float32")


def _logic(onnx: str, name: str, torch: str) -> Op:
    two, one = _read_logic(onnx, scalar=False), _read_logic(onnx, scalar=True)
    broadcast = Case("broadcast", (_NUMBERS, given([[0.0], [1.0]], "float32")), grad=False)
    return Op(
        onnx,
        mx=(
            MxForm(f"broadcast_logical_{name}", write=_write_logic(name), direction="write"),
            MxForm(f"broadcast_logical_{name}", read=two, direction="read", cases=(broadcast,)),
            MxForm(
                f"_logical_{name}",
                read=two,
                direction="read",
                cases=(Case("equal shapes", (_NUMBERS, _MORE), grad=False),),
            ),
            MxForm(
                f"_logical_{name}_scalar",
                read=one,
                reads=("scalar", "is_int"),
                direction="read",
                cases=(
                    Case("scalar", (_NUMBERS,), {"scalar": "2"}, grad=False),
                    Case("integers with a double", (_WHOLE,), {"scalar": "0.5", "is_int": "False"}, dtype="int32"),
                    Case("integers with a fraction", (_WHOLE,), {"scalar": "0.5"}, dtype="int32"),
                ),
            ),
        ),
        torch=torch_call(torch),
        cases=(
            Case("equal shapes", (_TRUTHS, _OTHERS), grad=False),
            Case("broadcast", (_TRUTHS, given([[True], [False]], "bool")), grad=False),
        ),
    )


def _read_not(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    assert x[0] is not None
    return _back(b, b.op("Not", _truth(b, x[0])), x[0])


def _write_isnan(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    return b.op("_not_equal", x[0], x[0])


def _write_isinf(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    up = node.attributes.get_int("detect_positive", 1)
    down = node.attributes.get_int("detect_negative", 1)
    if up and down:
        return b.op("_equal_scalar", b.op("abs", x[0]), scalar=float("inf"))
    if not up and not down:
        return b.op("zeros_like", x[0])
    return b.op("_equal_scalar", x[0], scalar=float("inf" if up else "-inf"))


def _torch_isinf(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    up, down = (node.attributes.get_int(f"detect_{side}", 1) for side in ("positive", "negative"))
    if not up and not down:
        return b.call("torch.zeros_like", x[0], dtype=b.torch_dtype(np.bool_))
    return b.call("torch.isinf" if up and down else "torch.isposinf" if up else "torch.isneginf", x[0])


_SPECIAL = given([1.0, np.nan, np.inf, -np.inf, 0.0], "float32")

OPS = (
    _comparison("Equal", "equal", "==", Case("truths", (_TRUTHS, _OTHERS), grad=False)),
    _comparison("Greater", "greater", ">"),
    _comparison("GreaterOrEqual", "greater_equal", ">="),
    _comparison("Less", "lesser", "<"),
    _comparison("LessOrEqual", "lesser_equal", "<="),
    Op("", mx=_reading_forms("Equal", "not_equal", negated=True)),
    _logic("And", "and", "&"),
    _logic("Or", "or", "|"),
    _logic("Xor", "xor", "^"),
    Op(
        "Not",
        mx=(
            MxForm("logical_not", direction="write"),
            MxForm("logical_not", read=_read_not, direction="read", cases=(Case("numbers", (_NUMBERS,), grad=False),)),
        ),
        torch=torch_call("~"),
        cases=(Case("truths", (_TRUTHS,), grad=False),),
    ),
    Op(
        "IsNaN",
        mx=(MxForm("_not_equal", write=_write_isnan, direction="write"),),
        torch=torch_call("torch.isnan"),
        cases=(Case("special", (_SPECIAL,), grad=False),),
    ),
    Op(
        "IsInf",
        mx=(MxForm("_equal_scalar", write=_write_isinf, direction="write"),),
        torch=_torch_isinf,
        cases=(
            Case("both", (_SPECIAL,), grad=False),
            Case("positive", (_SPECIAL,), {"detect_negative": 0}, grad=False),
            Case("negative", (_SPECIAL,), {"detect_positive": 0}, grad=False),
            Case("neither", (_SPECIAL,), {"detect_positive": 0, "detect_negative": 0}, grad=False),
        ),
    ),
)
