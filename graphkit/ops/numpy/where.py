"""Choices of MXNet's NumPy interface: by a condition of any dtype, between arrays, numbers or one of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.numpy.parameters import cast
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

_BOOL = np.dtype(np.bool_)


def _number(node: MxNode, name: str) -> float:
    return float(FLOAT.parse(node.attrs.get(name, "0")))


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    condition, chosen, other = map(some, x)
    if b.dtype(chosen) != b.dtype(other):
        return Refusal(
            f"MXNet does not choose between {b.dtype(chosen)} and {b.dtype(other)}; cast one of them in the model"
        )
    return _where(b, condition, chosen, other)


def _where(b: OnnxBuilder, condition: ir.Value, chosen: ir.Value, other: ir.Value) -> ir.Value:
    """A choice; of truth values, between which ONNX Runtime's Where does not choose, by logic."""
    condition = cast(b, condition, _BOOL)
    if b.dtype(chosen) != _BOOL:
        return b.op("Where", condition, chosen, other)
    return b.op("Or", b.op("And", condition, chosen), b.op("And", b.op("Not", condition), other))


def _read_with_number(*, first: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        condition, array = map(some, x)
        scalar = b.scalar(_number(node, "scalar"), array)
        choices = (scalar, array) if first else (array, scalar)
        return _where(b, condition, *choices)

    return read


def _read_numbers(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    numbers = (b.const(_number(node, name), np.float32) for name in ("x", "y"))
    return b.op("Where", cast(b, some(x[0]), _BOOL), *numbers)


_TRUTHS = given([[True, False, True], [False, False, True]], "bool")
_NUMBERS = given([[1.0, 0.0, -2.0], [np.nan, 0.0, 0.5]], "float32")


def _with_number(name: str, *, first: bool) -> MxForm:
    return MxForm(
        name,
        read=_read_with_number(first=first),
        reads=("scalar",),
        direction="read",
        cases=(
            Case("broadcast", (_TRUTHS, arr(1, 3)), {"scalar": "0.7"}),
            Case("no axes", (given(True, "bool"), arr()), {"scalar": "0.7"}),
            Case("infinity", (_NUMBERS, arr(2, 3)), {"scalar": "-inf"}, grad=False),
            Case("integers", (_TRUTHS, arr(2, 3, low=-5, high=5, dtype="int32")), {"scalar": "2.5"}, dtype="int32"),
            Case("truths", (_TRUTHS, given([True, False, False], "bool")), {"scalar": "2.5"}, dtype="bool"),
        ),
    )


OP = Op(
    "",
    mx=(
        MxForm(
            "_npi_where",
            read=_read,
            direction="read",
            cases=(
                Case("truths", (_TRUTHS, arr(2, 3), arr(2, 3))),
                Case("numbers", (_NUMBERS, arr(2, 3), arr(2, 3)), grad=False),
                Case("broadcast", (given([[1], [0]], "int32"), arr(3), arr())),
                Case("no axes", (given(False, "bool"), arr(), arr())),
                Case(
                    "integers",
                    (_TRUTHS, arr(2, 3, low=-5, high=5, dtype="int64"), arr(3, low=-5, high=5, dtype="int64")),
                    dtype="int64",
                ),
                Case("of truths", (_TRUTHS, _TRUTHS, given([[True, True, False]], "bool")), dtype="bool"),
            ),
        ),
        _with_number("_npi_where_lscalar", first=True),
        _with_number("_npi_where_rscalar", first=False),
        MxForm(
            "_npi_where_scalar2",
            read=_read_numbers,
            reads=("x", "y"),
            direction="read",
            cases=(
                Case("numbers", (_TRUTHS,), {"x": "1.5", "y": "-2"}, dtype="bool"),
                Case("no axes", (given(False, "bool"),), {"x": "1.5"}, dtype="bool"),
            ),
        ),
    ),
)
