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

_EXACT = 2.0**53


def _refused(b: OnnxBuilder, *values: ir.Value) -> Refusal | None:
    dtypes = [b.dtype(value) for value in values]
    if any(dtype.kind not in "biu" for dtype in dtypes):
        return Refusal("MXNet refuses it: it is for integers and truth values")
    if len(set(dtypes)) > 1:
        return Refusal(f"MXNet does not combine {dtypes[0]} with {dtypes[1]} here; cast one of them in the model")
    return None


def _write(name: str) -> Write:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
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
        if not abs(number) < 2.0**63:
            return Refusal(f"scalar={node.attrs['scalar']} is no integer that has bits")
        return b.op(onnx, data, b.const(np.asarray(int(number), np.int64).astype(b.dtype(data))))

    return read


_SIX, _THREE = arr(2, 3, low=-40, high=40, dtype="int32"), arr(3, low=-40, high=40, dtype="int32")
_TRUTHS, _OTHERS = given([True, True, False, False], "bool"), given([True, False, True, False], "bool")


_WIDE = ("uint16", "uint32", "uint64")


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
    )


def _write_not(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    return b.op("_npi_bitwise_not", some(x[0]))


def _read_not(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    return _refused(b, data) or b.op("Not" if b.dtype(data).kind == "b" else "BitwiseNot", data)


def _torch_not(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """By exclusive or where torch has no other way: unsigned integers of more than 8 bits."""
    dtype = b.dtype(some(node.inputs[0]))
    if dtype.kind == "u" and dtype.itemsize > 1:
        return b.infix("^", x[0], b.const(np.asarray(np.iinfo(dtype).max, dtype)))
    return b.prefix("~", x[0])


def _write_shift(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    """By powers of 2, in integers of 64 bits and in two steps, for 2 to the 64 is none of them.

    By fewer places than none and by more than there are everything is shifted out; to the right copies of the sign come
    in, which what is negative is freed of by flipping its bits.
    """
    value = some(node.inputs[0])
    bits = float(value.dtype.bitwidth) if value.dtype is not None else 64.0
    data, places = (b.op("Cast", some(ref), dtype="int64") for ref in x[:2])
    beyond = b.op("_mul_scalar", b.op("_lesser_scalar", places, scalar=0.0), scalar=bits)
    places = b.op("elemwise_add", b.op("relu", b.op("_minimum_scalar", places, scalar=bits)), beyond)
    half = b.op("_div_scalar", places, scalar=2.0)
    factors = [b.op("_rpower_scalar", each, scalar=2.0) for each in (half, b.op("elemwise_sub", places, half))]
    left = node.attributes.get_string("direction", "") == "LEFT"
    signs = None
    if not left and value.dtype is not None and value.dtype.is_signed():
        signs = b.op("negative", b.op("_lesser_scalar", data, scalar=0.0))
        data = b.op("_npi_bitwise_xor", data, signs)
    for factor in factors:
        data = b.op("broadcast_mul" if left else "broadcast_div", data, factor)
    if signs is not None:
        data = b.op("_npi_bitwise_xor", data, signs)
    dtype = b.dtype(value).name
    return data if dtype == "int64" else b.op("Cast", data, dtype=dtype)


def _torch_shift(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """As int64 where torch has no other way: unsigned integers of more than 8 bits."""
    dtype = b.dtype(some(node.inputs[0]))
    left = node.attributes.get_string("direction", "") == "LEFT"
    symbol = "<<" if left else ">>"
    if dtype.kind == "i" or dtype.itemsize == 1:
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
    bits = min(np.dtype(dtype).itemsize * 8, 63)
    data = given([2**bits - 1, 2 ** (bits - 1) + 5, 3, 77], dtype)
    return tuple(
        Case(f"{direction.lower()} {dtype}", (data, given(places, dtype)), {"direction": direction}, dtype=dtype)
        for direction in ("LEFT", "RIGHT")
    )


_WIDE_NOTS = tuple(Case(dtype, (given([0, 77, 2**15], dtype),), dtype=dtype) for dtype in _WIDE)
_SHIFTS = tuple(case for dtype in ("uint8", *_WIDE) for case in _shifts(dtype, 0, 1, 7, 3))
_HIGH = Case(
    "high bits",
    (given([2**64 - 1, 2**63 + 5], "uint64"), given([1, 3], "uint64")),
    {"direction": "RIGHT"},
    dtype="uint64",
)

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
            _HIGH,
        ),
        limits=(
            Limit("mxnet", "MXNet holds uint64 as int64", _HIGH.name),
            Limit("round-trip", "MXNet holds uint64 as int64", _HIGH.name),
        ),
    ),
)
