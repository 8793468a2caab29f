"""Comparisons and tests of MXNet's NumPy interface, which give truth values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.math.promotion import number_of
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

_BOOL, _INT32, _DOUBLE = np.dtype(np.bool_), np.dtype(np.int32), np.dtype(np.float64)


def _compared(b: OnnxBuilder, name: str, left: ir.Value, right: ir.Value) -> ir.Value:
    """ONNX orders numbers only, of which truth values are 0 and 1."""
    if name in ("Equal", "NotEqual"):
        found = b.op("Equal", left, right)
        return b.op("Not", found) if name == "NotEqual" else found
    if b.dtype(left).kind == "b":
        left, right = cast(b, left, _INT32), cast(b, right, _INT32)
    return b.op(name, left, right)


def _read(name: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        left, right = some(x[0]), some(x[1])
        one, other = b.dtype(left), b.dtype(right)
        if one != other:
            return Refusal(f"MXNet does not compare {one} with {other}; cast one of them in the model")
        return _compared(b, name, left, right)

    return read


def _read_scalar(name: str) -> Read:
    """Integers meet a scalar that is none, as ``is_int`` says, in float64; otherwise the scalar takes their dtype."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data = some(x[0])
        if b.dtype(data).kind == "b":
            return _compared(b, name, data, b.const(np.asarray(number_of(node) != 0)))
        if not is_float(b.dtype(data)) and node.attrs.get("is_int", "True") not in ("True", "1"):
            data = cast(b, data, _DOUBLE)
        return _compared(b, name, data, b.scalar(number_of(node), data))

    return read


def _never(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Not", b.op("Equal", x, x))


def _read_test(of_floats: Callable[[OnnxBuilder, ir.Value], ir.Value], *, of_others: bool) -> Read:
    """A test for numbers that only floats have."""

    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data = some(x[0])
        if is_float(b.dtype(data)):
            return of_floats(b, data)
        return b.op("Equal", data, data) if of_others else _never(b, data)

    return read


def _is_finite(b: OnnxBuilder, x: ir.Value) -> ir.Value:
    return b.op("Less", b.op("Abs", x), b.scalar(np.inf, x))


def _read_not(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Not", cast(b, some(x[0]), _BOOL))


_LEFT = given([[1.0, 2.0, 3.0, np.nan]], "float32")
_RIGHT = given([[1.0], [3.0]], "float32")
_WHOLE = given([2, 3, 1], "int32")
_TRUTHS, _OTHERS = given([True, True, False, False], "bool"), given([True, False, True, False], "bool")
_SPECIAL = given([1.0, np.nan, np.inf, -np.inf, 0.0, -0.0], "float32")


def _comparison(name: str, onnx: str) -> Op:
    return Op(
        "",
        mx=(
            MxForm(
                name,
                read=_read(onnx),
                direction="read",
                cases=(
                    Case("broadcast", (_LEFT, _RIGHT), grad=False),
                    Case("no axes", (given(2.0, "float32"), given(2.0, "float32")), grad=False),
                    Case("no elements", (arr(0, 3), arr(1, 3)), grad=False),
                    Case("integers", (_WHOLE, given([2, 2, 2], "int32")), dtype="int32"),
                    Case("truths", (_TRUTHS, _OTHERS), dtype="bool"),
                ),
            ),
            MxForm(
                f"{name}_scalar",
                read=_read_scalar(onnx),
                reads=("scalar", "is_int"),
                direction="read",
                cases=(
                    Case("floats", (_LEFT,), {"scalar": "2", "is_int": "True"}, grad=False),
                    Case("a double that is no float", (given([0.1, 0.2], "float32"),), {"scalar": "0.1"}, grad=False),
                    Case("no axes", (given(2.0, "float32"),), {"scalar": "2.5", "is_int": "False"}, grad=False),
                    Case("integers", (_WHOLE,), {"scalar": "2"}, dtype="int32"),
                    Case("integers with a double", (_WHOLE,), {"scalar": "2.5", "is_int": "False"}, dtype="int32"),
                    Case("bytes", (given([44, 1], "uint8"),), {"scalar": "300"}, dtype="uint8"),
                    Case("truths", (_TRUTHS,), {"scalar": "0.5", "is_int": "False"}, dtype="bool"),
                ),
            ),
        ),
        limits=(
            Limit("read-round-trip", "legacy MXNet, which is written, has no arrays without elements", "no elements"),
        ),
    )


def _test(name: str, read: Read) -> Op:
    cases = (
        Case("floats", (_SPECIAL,), grad=False),
        Case("no axes", (given(np.inf, "float32"),), grad=False),
        Case("integers", (given([0, 1], "int32"),), dtype="int32"),
        Case("truths", (_TRUTHS,), dtype="bool"),
    )
    return Op("", mx=(MxForm(name, read=read, direction="read", cases=cases),))


OPS = (
    _comparison("_npi_equal", "Equal"),
    _comparison("_npi_not_equal", "NotEqual"),
    _comparison("_npi_less", "Less"),
    _comparison("_npi_less_equal", "LessOrEqual"),
    _comparison("_npi_greater", "Greater"),
    _comparison("_npi_greater_equal", "GreaterOrEqual"),
    _test("_npi_isnan", _read_test(lambda b, x: b.op("IsNaN", x), of_others=False)),
    _test("_npi_isinf", _read_test(lambda b, x: b.op("IsInf", x), of_others=False)),
    _test("_npi_isposinf", _read_test(lambda b, x: b.op("IsInf", x, detect_negative=0), of_others=False)),
    _test("_npi_isneginf", _read_test(lambda b, x: b.op("IsInf", x, detect_positive=0), of_others=False)),
    _test("_npi_isfinite", _read_test(_is_finite, of_others=True)),
    _test("_npi_logical_not", _read_not),
)
