"""Rounding to decimals, and numbers in place of those that are none, as MXNet's NumPy interface does both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import FLOAT, INT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_MOST = 40
"""More decimals than a float32 and its exponent have."""


def _read_around(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """As MXNet: shifted by one decimal at a time, rounded half to even, and shifted back."""
    data, decimals = some(x[0]), int(INT.parse(node.attrs.get("decimals", "0")))
    if b.dtype(data).name in ("bool", "float16"):
        return Refusal(f"MXNet does not round {b.dtype(data)} numbers; cast them to float32 in the model")
    if abs(decimals) > _MOST:
        return Refusal(f"decimals={decimals} is more than the {_MOST} that graphkit shifts by; every number is 0 there")
    there, back = ("Mul", "Div") if decimals > 0 else ("Div", "Mul")
    ten = b.scalar(10, data)
    for _ in range(abs(decimals)):
        data = b.op(there, data, ten)
    data = b.op("Round", data) if is_float(b.dtype(data)) else b.op("Identity", data)
    for _ in range(abs(decimals)):
        data = b.op(back, data, ten)
    return data


def _read_nan_to_num(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    dtype = b.dtype(data)
    if not is_float(dtype):
        return b.op("Identity", data)
    most = float(np.finfo(dtype).max)
    found = b.op("Where", b.op("IsNaN", data), b.scalar(_given(node, "nan", 0.0), data), data)
    for sign, name in ((1, "posinf"), (-1, "neginf")):
        infinite = b.op("Equal", data, b.scalar(sign * np.inf, data))
        found = b.op("Where", infinite, b.scalar(_given(node, name, sign * most), data), found)
    return found


def _given(node: MxNode, name: str, default: float) -> float:
    text = node.attrs.get(name, "None")
    return default if text == "None" else float(FLOAT.parse(text))


_DECIMALS = given([123.456, -1.25, 0.125, 2.5, 3.5, -0.4, 0.0, np.nan, -np.inf], "float32")
_WHOLE = given([1234, -1250, 1350, 7], "int32")
_SPECIAL = given([1.5, np.nan, np.inf, -np.inf, -0.0], "float32")

OPS = (
    Op(
        "",
        mx=(
            MxForm(
                "_npi_around",
                read=_read_around,
                reads=("decimals",),
                direction="read",
                cases=(
                    Case("whole", (_DECIMALS,), grad=False),
                    Case("hundredths", (_DECIMALS,), {"decimals": 2}, grad=False),
                    Case("hundreds", (given([1234.0, -1250.0, 1350.0], "float32"),), {"decimals": -2}, grad=False),
                    Case("no axes", (given(0.25, "float32"),), {"decimals": 1}, grad=False),
                    Case("slope", (arr(2, 3),), {"decimals": 1}),
                    Case("integers", (_WHOLE,), dtype="int32"),
                    Case("tenths of integers", (_WHOLE,), {"decimals": 1}, dtype="int32"),
                    Case("hundreds of integers", (_WHOLE,), {"decimals": -2}, dtype="int32"),
                ),
            ),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_npi_nan_to_num",
                read=_read_nan_to_num,
                reads=("nan", "posinf", "neginf"),
                ignore=("copy",),
                direction="read",
                cases=(
                    Case("largest", (_SPECIAL,), dtype="float64"),
                    Case("largest doubles", (given([np.nan, np.inf, -np.inf], "float64"),), dtype="float64"),
                    Case("largest halves", (given([np.nan, np.inf, -np.inf], "float16"),), dtype="float16"),
                    Case("given", (_SPECIAL,), {"nan": "0.3", "posinf": "7", "neginf": "-2.5"}, grad=False),
                    Case("numbers", (arr(2, 3),), {"nan": "0.3", "posinf": "7", "neginf": "-2.5"}),
                    Case("no axes", (arr(),), {"posinf": "7", "neginf": "-2.5"}),
                    Case("integers", (_WHOLE,), dtype="int32"),
                    Case("truths", (given([True, False], "bool"),), dtype="bool"),
                ),
            ),
        ),
    ),
)
