"""Differences of neighbours, and polynomials, in MXNet's NumPy interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.numpy.parameters import axis_in, flag
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import END, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _difference(b: OnnxBuilder, data: ir.Value, axis: int) -> ir.Value:
    return b.op("Sub", b.op("Slice", data, [1], [END], [axis]), b.op("Slice", data, [0], [-1], [axis]))


def _read_diff(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, count = some(x[0]), int(node.attrs.get("n", "1"))
    if b.rank(data) == 0:
        return Refusal("a scalar has no neighbours to take differences of")
    axis = axis_in(int(node.attrs.get("axis", "-1")), b.rank(data))
    if count < 0:
        return Refusal(f"n={count} is negative")
    if b.dtype(data) == np.bool_:
        return Refusal("MXNet takes no differences of truth values; cast its input")
    result = data
    for _ in range(count):
        result = _difference(b, result, axis)
    return b.op("Identity", data) if result is data else result


def _read_ediff(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    line = data if b.rank(data) == 1 else b.op("Reshape", data, [-1])
    more = iter(x[1:])
    ends: list[ir.Value | None] = []
    for end in ("to_begin", "to_end"):
        number = node.attrs.get(f"{end}_scalar", "None")
        if flag(node, f"{end}_arr_given"):
            ends.append(b.op("Reshape", some(next(more)), [-1]))
        else:
            ends.append(None if number == "None" else b.const(np.asarray([FLOAT.parse(number)]), b.dtype(data)))
    parts = [part for part in (ends[0], _difference(b, line, 0), ends[1]) if part is not None]
    return parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=0)


def _read_polynomial(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """By Horner's rule, as MXNet does."""
    weights, data = some(x[0]), some(x[1])
    if b.rank(weights) != 1:
        return Refusal(f"its coefficients have {b.rank(weights)} axes, and must be a vector")
    (count,) = b.static_shape(weights)
    if not count:
        return Refusal("it has no coefficients")
    first, *others = (b.op("Gather", weights, np.asarray(place)) for place in range(count))
    result = first
    for weight in others:
        result = b.op("Add", b.op("Mul", result, data), weight)
    return b.op("Expand", first, b.op("Shape", data)) if result is first else result


_LINE, _X = arr(5), arr(3, 4)
_WHOLE = arr(4, low=-9, high=9, dtype="int32")


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


_FORMS = (
    _form(
        "_npi_diff",
        _read_diff,
        ("n", "axis"),
        Case("vector", (_LINE,)),
        Case("second", (_X,), {"n": 2, "axis": 0}),
        Case("none", (_X,), {"n": 0}),
        Case("integers", (_WHOLE,), {"n": 2}, grad=False),
    ),
    _form(
        "_npi_ediff1d",
        _read_ediff,
        ("to_begin_arr_given", "to_end_arr_given", "to_begin_scalar", "to_end_scalar"),
        Case("matrix", (_X,)),
        Case("numbers around", (_LINE,), {"to_begin_scalar": -1.5, "to_end_scalar": 0.3}),
        Case("numbers around integers", (_WHOLE,), {"to_begin_scalar": -1.5, "to_end_scalar": 2}, grad=False),
        Case("array before", (_LINE, arr(2, 2)), {"to_begin_arr_given": True}),
        Case("arrays around", (_LINE, arr(2), arr(3)), {"to_begin_arr_given": 1, "to_end_arr_given": True}),
        Case("number before, array behind", (_LINE, arr(2)), {"to_begin_scalar": 7, "to_end_arr_given": True}),
    ),
    _form(
        "_npi_polyval",
        _read_polynomial,
        (),
        Case("cubic", (arr(4), _X)),
        Case("constant", (arr(1), _LINE)),
        Case("scalar", (arr(3), arr())),
        Case("integers", (arr(3, low=-3, high=3, dtype="int32"), _WHOLE), grad=False),
    ),
)

OPS = tuple(Op("", mx=(form,)) for form in _FORMS)
