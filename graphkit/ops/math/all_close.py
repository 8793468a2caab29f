"""Whether all elements of two arrays are nearly equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.spec import Case, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    left, right = some(x[0]), some(x[1])
    relative, absolute = (
        b.scalar(float(np.float32(FLOAT.parse(node.attrs.get(name, default)))), right)
        for name, default in (("rtol", "1e-05"), ("atol", "1e-08"))
    )
    allowed = b.op("Add", absolute, b.op("Mul", relative, b.op("Abs", right)))
    near = b.op("LessOrEqual", b.op("Abs", b.op("Sub", left, right)), allowed)
    close = b.op("Or", near, b.op("Equal", left, right))
    missing = [b.op("IsNaN", operand) for operand in (left, right)]
    both = b.op("And", *missing)
    if BOOL.parse(node.attrs.get("equal_nan", "True")):
        close = b.op("Or", close, both)
    number = b.op("Cast", close, to=ir.DataType.FLOAT)
    return b.op("Cast", b.op("ReduceMin", number, keepdims=0), to=ir.DataType.UINT8)


_X = given([[1.0, -2.0, 3.0]], "float32")
_NAN = given([np.nan, np.inf, -np.inf, 1.0], "float32")


def _case(name: str, *arrays: Any, **attrs: Any) -> Case:
    return Case(name, arrays, attrs, grad=False)


OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_allclose",
            read=_read,
            reads=("rtol", "atol", "equal_nan"),
            direction="read",
            cases=(
                _case("equal", _X, _X),
                _case("random", arr(3, 4), arr(3, 4)),
                _case("within", _X, given([[1.05, -2.1, 3.0]], "float32"), rtol=0.1),
                _case("beyond", _X, given([[1.05, -2.1, 3.0]], "float32"), atol=0.06),
                _case("missing", _NAN, _NAN),
                _case("missing are different", _NAN, _NAN, equal_nan=False),
            ),
        ),
    ),
)
