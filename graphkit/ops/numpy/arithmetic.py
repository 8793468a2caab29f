"""Arithmetic of MXNet's NumPy interface, whose operands may have different dtypes.

With a scalar it is that of legacy operators (:mod:`graphkit.ops.math.binary`), but for the quotient, which is float32
where operands are not floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.math.binary import arithmetic, floored_mod
from graphkit.ops.math.promotion import number_of, together
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

_FLOAT32 = np.dtype(np.float32)


def _truths(b: OnnxBuilder, onnx: str, left: ir.Value, right: ir.Value) -> ir.Value | Refusal:
    """Sum, product and power of the numbers 0 and 1."""
    if onnx == "Pow":
        return b.op("Or", left, b.op("Not", right))
    if onnx in ("Sub", "Mod"):
        return Refusal("MXNet refuses it: it is for numbers, not for truth values")
    return b.op("Or" if onnx == "Add" else "And", left, right)


def _promoting(onnx: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        left, right = some(x[0]), some(x[1])
        dtype = together(b, left, right)
        if isinstance(dtype, Refusal):
            return dtype
        if dtype.kind == "b":
            return _truths(b, onnx, left, right)
        left, right = cast(b, left, dtype), cast(b, right, dtype)
        return floored_mod(b, left, right) if onnx == "Mod" else arithmetic(b, onnx, left, right)

    return read


def _read_quotient(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right = some(x[0]), some(x[1])
    one, other = b.dtype(left), b.dtype(right)
    if one != other and is_float(one) == is_float(other):
        return Refusal(f"MXNet does not divide {one} by {other}; cast one of them in the model")
    dtype = _FLOAT32 if not is_float(one) and not is_float(other) else one if is_float(one) else other
    return b.op("Div", cast(b, left, dtype), cast(b, right, dtype))


def _quotient_with_scalar(*, reverse: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data = some(x[0])
        data = data if is_float(b.dtype(data)) else cast(b, data, _FLOAT32)
        scalar = b.scalar(number_of(node), data)
        return b.op("Div", scalar, data) if reverse else b.op("Div", data, scalar)

    return read


_A, _B, _ROW = arr(2, 3, low=0.3, high=2.0), arr(2, 3, low=0.3, high=2.0), arr(3, low=0.3, high=2.0)
_WHOLE, _LONG = arr(2, 3, low=1, high=9, dtype="int32"), arr(3, low=1, high=4, dtype="int64")
_TRUTHS, _OTHERS = given([True, True, False, False], "bool"), given([True, False, True, False], "bool")
_SIGNS, _DIVISORS = given([-7.5, 7.5, 3.2, -0.4, 6.1], "float32"), given([2.0, -2.0, 1.5, 3.0, 0.0], "float32")


def _cases(*extra: Case) -> tuple[Case, ...]:
    """What every operator takes: floats, also without axes and without elements, and integers with floats."""
    return (
        Case("equal shapes", (_A, _B), dynamic=(0, 1)),
        Case("broadcast", (_A, _ROW)),
        Case("no axes", (arr(low=0.3), arr(low=0.3))),
        Case("no elements", (arr(0, 3), arr(1, 3)), grad=False),
        Case("integers and floats", (_WHOLE, _ROW)),
        Case("floats and truths", (_A, given([True, True, True], "bool"))),
        Case("floats of two widths", (arr(2, 3, low=0.3), arr(3, low=0.3, dtype="float64")), dtype="float64"),
        Case("halves and floats", (arr(2, 3, low=0.3, dtype="float16"), _ROW), dtype="float16"),
        Case("integers", (_WHOLE, arr(3, low=1, high=9, dtype="int32")), dtype="int32"),
        *extra,
    )


_WIDTHS = Case("integers of two widths", (_WHOLE, _LONG), dtype="int32")
_MIXED = (
    _WIDTHS,
    Case("bytes and integers", (arr(2, 3, low=1, high=9, dtype="int8"), _LONG), dtype="int32"),
    Case("truths and integers", (given([True, False, True], "bool"), _LONG), dtype="int32"),
    Case("truths", (_TRUTHS, _OTHERS), dtype="int32"),
)
_LIMITS = (Limit("read-round-trip", "legacy MXNet, which is written, has no arrays without elements", "no elements"),)


def _scalar(name: str, *, reverse: bool) -> MxForm:
    cases = (
        Case("floats", (_A,), {"scalar": "0.3", "is_int": "False"}),
        Case("no axes", (arr(low=0.3),), {"scalar": "3"}),
        Case("integers", (_WHOLE,), {"scalar": "3"}, dtype="int32"),
        Case("integers with a double", (_WHOLE,), {"scalar": "0.3", "is_int": "False"}, dtype="int32"),
        Case("truths", (given([True, True], "bool"),), {"scalar": "3"}, dtype="int32"),
    )
    read = _quotient_with_scalar(reverse=reverse)
    return MxForm(name, read=read, reads=("scalar",), ignore=("is_int",), direction="read", cases=cases)


OPS = (
    *(
        Op("", mx=(MxForm(name, read=_promoting(onnx), direction="read", cases=cases),), limits=_LIMITS)
        for name, onnx, cases in (
            ("_npi_add", "Add", _cases(*_MIXED)),
            ("_npi_subtract", "Sub", _cases(_WIDTHS)),
            ("_npi_multiply", "Mul", _cases(*_MIXED)),
            (
                "_npi_mod",
                "Mod",
                (
                    Case("signs", (_SIGNS, _DIVISORS), grad=False),
                    Case(
                        "integers",
                        (given([7, -7, 7, -7, 5], "int32"), given([3, 3, -3, -3, 0], "int32")),
                        dtype="int32",
                    ),
                    Case(
                        "integers and floats",
                        (given([7, -7, 7], "int32"), given([2.5, 2.5, -2.5], "float32")),
                        grad=False,
                    ),
                    Case("no axes", (arr(low=0.3), given(0.25, "float32")), grad=False),
                    _WIDTHS,
                ),
            ),
            (
                "_npi_power",
                "Pow",
                _cases(
                    *_MIXED,
                    Case(
                        "negative powers",
                        (given([1, 2, -1, 0], "int32"), given([-1, -2, -3, 0], "int32")),
                        dtype="int32",
                    ),
                ),
            ),
        )
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_npi_true_divide",
                read=_read_quotient,
                direction="read",
                cases=(
                    *(case for case in _cases() if case.dtype not in ("float16", "float64")),
                    Case("large integers", (given([2**24 + 1, 7], "int64"), given([3, 0], "int64")), dtype="int64"),
                    Case("truths", (_TRUTHS, given([True, True, True, True], "bool")), dtype="int32"),
                ),
            ),
            _scalar("_npi_true_divide_scalar", reverse=False),
            _scalar("_npi_rtrue_divide_scalar", reverse=True),
        ),
        limits=_LIMITS,
    ),
)
