"""Operators on the bits of integers. MXNet has them in its NumPy interface, which runs in legacy symbols, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.math.binary import pair, scalar_of
from graphkit.ops.math.promotion import number_of
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg

_MXNET = ("int8", "uint8", "int32", "int64")
_EXACT = 2.0**53


def _lacks(b: MxBuilder, node: ir.Node) -> Refusal | None:
    dtype = b.dtype(pair(node)[0] if len(node.inputs) == 2 else some(node.inputs[0]))
    if dtype.name in _MXNET:
        return None
    return Refusal(f"MXNet has no {dtype.name} numbers; cast to one of {', '.join(_MXNET)}")


def _refused(b: OnnxBuilder, *values: ir.Value) -> Refusal | None:
    dtypes = [b.dtype(value) for value in values]
    if any(dtype.kind not in "biu" for dtype in dtypes):
        return Refusal("MXNet refuses it: it is for integers and truth values")
    if len(set(dtypes)) > 1:
        return Refusal(f"MXNet does not combine {dtypes[0]} with {dtypes[1]} here; cast one of them in the model")
    return None


def _write(name: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
        if (problem := _lacks(b, node)) is not None:
            return problem
        left, right = pair(node)
        for scalar, other, ref in ((right, left, x[0]), (left, right, x[1])):
            number = scalar_of(b, scalar, other)
            if number is not None and ref is not None and abs(number) <= _EXACT:
                return b.op(f"_npi_bitwise_{name}_scalar", ref, scalar=float(number))
        return b.op(f"_npi_bitwise_{name}", some(x[0]), some(x[1]))

    return write


def _read(onnx: str, logic: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        left, right = some(x[0]), some(x[1])
        if (problem := _refused(b, left, right)) is not None:
            return problem
        return b.op(logic if b.dtype(left).kind == "b" else onnx, left, right)

    return read


def _read_scalar(onnx: str, logic: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data, number = some(x[0]), number_of(node)
        if (problem := _refused(b, data)) is not None:
            return problem
        if b.dtype(data).kind == "b":
            return b.op(logic, data, b.const(np.asarray(number != 0)))
        return b.op(onnx, data, b.const(np.asarray(int(number), np.int64).astype(b.dtype(data))))

    return read


_SIX, _THREE = arr(2, 3, low=-40, high=40, dtype="int32"), arr(3, low=-40, high=40, dtype="int32")
_TRUTHS, _OTHERS = given([True, True, False, False], "bool"), given([True, False, True, False], "bool")


_WIDE = ("uint16", "uint32", "uint64")
_MXNET_CLAIMS = ("schema", "mxnet", "round-trip")


def _wide_limits(*cases: Case) -> tuple[Limit, ...]:
    return tuple(
        Limit(claim, f"MXNet has no {case.dtype} numbers", case.name)
        for case in cases
        if case.dtype in _WIDE
        for claim in _MXNET_CLAIMS
    )


def _torch(symbol: str) -> Torch:
    return lambda b, _node, x: b.infix(symbol, x[0], x[1])


def _pair(onnx: str, name: str, symbol: str, logic: str) -> Op:
    whole = arr(4, low=-100, high=100, dtype="int64")
    wide = Case("uint16", (arr(4, high=65535, dtype="uint16"), given([7, 255, 0, 4096], "uint16")), dtype="uint16")
    return Op(
        onnx,
        mx=(
            MxForm(
                f"_npi_bitwise_{name}",
                read=_read(onnx, logic),
                write=_write(name),
                cases=(
                    Case("broadcast", (_SIX, _THREE), dtype="int32"),
                    Case("bytes", (arr(4, high=255, dtype="uint8"), arr(4, high=255, dtype="uint8")), dtype="uint8"),
                    Case("truths", (_TRUTHS, _OTHERS), dtype="bool"),
                    Case("no axes", (given(6, "int64"), given(-3, "int64")), dtype="int64"),
                ),
            ),
            MxForm(
                f"_npi_bitwise_{name}_scalar",
                read=_read_scalar(onnx, logic),
                reads=("scalar",),
                ignore=("is_int",),
                direction="read",
                cases=(
                    Case("scalar", (_SIX,), {"scalar": "5"}, dtype="int32"),
                    Case("negative", (_SIX,), {"scalar": "-6"}, dtype="int32"),
                    Case("double", (_SIX,), {"scalar": "5.9", "is_int": "False"}, dtype="int32"),
                    Case("bytes", (arr(4, high=255, dtype="uint8"),), {"scalar": "-3"}, dtype="uint8"),
                    Case("truths", (_TRUTHS,), {"scalar": "2"}, dtype="bool"),
                ),
            ),
        ),
        torch=_torch(symbol),
        cases=(
            Case("equal shapes", (whole, whole), dtype="int64", dynamic=(0, 1)),
            Case("broadcast", (_SIX, _THREE), dtype="int32"),
            Case("bytes", (arr(4, high=255, dtype="uint8"), arr(4, high=255, dtype="uint8")), dtype="uint8"),
            Case("signed bytes", (arr(4, low=-9, high=9, dtype="int8"), given(-6, "int8")), const=(1,), dtype="int8"),
            Case("scalar", (_SIX, given(6, "int32")), const=(1,), dtype="int32"),
            Case("reversed scalar", (given(-6, "int32"), _SIX), const=(0,), dtype="int32"),
            Case("long scalar", (whole, int64(2**62 + 1)), const=(1,), dtype="int64"),
            wide,
        ),
        limits=_wide_limits(wide),
    )


def _write_not(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    return _lacks(b, node) or b.op("_npi_bitwise_not", some(x[0]))


def _read_not(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    return _refused(b, data) or b.op("Not" if b.dtype(data).kind == "b" else "BitwiseNot", data)


def _torch_not(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """By exclusive or where torch has no other way: unsigned integers of more than 8 bits."""
    dtype = b.dtype(some(node.inputs[0]))
    if dtype.kind == "u" and dtype.itemsize > 1:
        return b.infix("^", x[0], b.const(np.asarray(np.iinfo(dtype).max, dtype)))
    return b.prefix("~", x[0])


def _write_shift(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """By 2 to the number of places, in integers of 32 bits; 8 places leave nothing of a byte."""
    if (problem := _lacks(b, node)) is not None:
        return problem
    data, places = (b.op("Cast", some(ref), dtype="int32") for ref in x[:2])
    factor = b.op("_rpower_scalar", b.op("_minimum_scalar", places, scalar=8.0), scalar=2.0)
    left = node.attributes.get_string("direction", "") == "LEFT"
    return b.op("Cast", b.op("broadcast_mul" if left else "broadcast_div", data, factor), dtype="uint8")


def _torch_shift(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """As int64 where torch has no other way: unsigned integers of more than 8 bits."""
    dtype = b.dtype(some(node.inputs[0]))
    left = node.attributes.get_string("direction", "") == "LEFT"
    symbol = "<<" if left else ">>"
    if dtype.itemsize == 1:
        return b.infix(symbol, x[0], x[1])
    data, places = (b.method("to", each, b.torch_dtype(np.int64)) for each in x[:2])
    if left or dtype.itemsize < 8:
        shifted = b.infix(symbol, data, places)
        if left and dtype.itemsize < 8:
            shifted = b.infix("&", shifted, int(np.iinfo(dtype).max))
    else:
        half = b.infix("&", b.infix(">>", data, 1), int(np.iinfo(np.int64).max))
        rest = b.infix(">>", half, b.infix("-", places, 1))
        shifted = b.call("torch.where", b.infix("==", places, 0), data, rest)
    return b.method("to", shifted, b.torch_dtype(dtype))


def _shifts(dtype: str, *places: int) -> tuple[Case, ...]:
    bits = np.dtype(dtype).itemsize * 8
    data = given([2**bits - 1, 2 ** (bits - 1) + 5, 3, 77], dtype)
    return tuple(
        Case(f"{direction.lower()} {dtype}", (data, given(places, dtype)), {"direction": direction}, dtype=dtype)
        for direction in ("LEFT", "RIGHT")
    )


_WIDE_NOTS = tuple(Case(dtype, (given([0, 77, 2**15], dtype),), dtype=dtype) for dtype in _WIDE)
_SHIFTS = tuple(case for dtype in ("uint8", *_WIDE) for case in _shifts(dtype, 0, 1, 7, 3))

OPS = (
    _pair("BitwiseAnd", "and", "&", "And"),
    _pair("BitwiseOr", "or", "|", "Or"),
    _pair("BitwiseXor", "xor", "^", "Xor"),
    Op(
        "BitwiseNot",
        mx=(
            MxForm(
                "_npi_bitwise_not",
                read=_read_not,
                write=_write_not,
                cases=(
                    Case("integers", (_SIX,), dtype="int32"),
                    Case("bytes", (arr(4, high=255, dtype="uint8"),), dtype="uint8"),
                    Case("truths", (_TRUTHS,), dtype="bool"),
                ),
            ),
        ),
        torch=_torch_not,
        cases=(
            Case("integers", (_SIX,), dtype="int32", dynamic=(0,)),
            Case("bytes", (arr(4, high=255, dtype="uint8"),), dtype="uint8"),
            *_WIDE_NOTS,
        ),
        limits=_wide_limits(*_WIDE_NOTS),
    ),
    Op(
        "BitShift",
        mx=(MxForm("_rpower_scalar", write=_write_shift, direction="write"),),
        torch=_torch_shift,
        cases=(
            Case(
                "one place",
                (arr(2, 3, high=255, dtype="uint8"), given([1], "uint8")),
                {"direction": "LEFT"},
                dtype="uint8",
            ),
            *_SHIFTS,
        ),
        limits=(
            *_wide_limits(*_SHIFTS),
            Limit("onnxruntime", "ONNX Runtime has no kernel for uint16", "left uint16"),
            Limit("onnxruntime", "ONNX Runtime has no kernel for uint16", "right uint16"),
        ),
    ),
)
