"""Reductions of MXNet's NumPy interface.

Unlike NumPy's, sums and products of integers keep their dtype; those of truth values are int64. Means of integers are
float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.numpy.parameters import axes_in, cast, count_along, dtype_in, flag
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

__all__ = ["reduced"]

_SUMMED = ("int32", "int64", "float16", "bfloat16", "float32", "float64")
"""What ONNX adds and multiplies."""


def reduced(b: OnnxBuilder, onnx: str, data: ir.Value, axes: Sequence[int] | None, *, keep: bool) -> ir.Value:
    """A reduction over axes; over all of them for None, over none for ``()``. Of no elements MXNet makes 0."""
    if onnx in ("ReduceProd", "ReduceMean") and 0 in b.shape(data):
        onnx = "ReduceSum"
    if b.rank(data) == 0 or axes == ():
        return data
    return b.op(onnx, data, None if axes is None else list(axes), keepdims=keep)


def _with_initial(node: MxNode) -> Refusal | None:
    if node.attrs.get("initial", "None") == "None":
        return None
    return Refusal("MXNet 1.9.1 itself does not run it with an initial value")


def _total_dtype(b: OnnxBuilder, node: MxNode, data: ir.Value) -> np.dtype[Any] | Refusal:
    """The dtype of a sum or product."""
    have, want = b.dtype(data), dtype_in(node)
    if want is None:
        return np.dtype(np.int64) if have == np.bool_ else have
    if want == np.bool_ or (is_float(have) and not is_float(want)):
        return Refusal(f"dtype={want} of {have} numbers is not converted; cast before or after")
    if have == np.bool_ and want.name not in ("int32", "int64", "float32", "float64"):
        return Refusal(f"MXNet adds truth values in int32, int64, float32 and float64 only, not in {want}")
    return want


def _reads_total(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = some(x[0])
        axes = axes_in(node, b.rank(data))
        dtype = _total_dtype(b, node, data)
        if isinstance(dtype, Refusal):
            return dtype
        if (problem := _with_initial(node)) is not None:
            return problem
        terms = cast(b, data, _adding(b.dtype(data), dtype))
        total = cast(b, reduced(b, onnx, terms, axes, keep=flag(node, "keepdims")), dtype)
        return b.op("Identity", total) if total is data else total

    return read


def _adding(have: np.dtype[Any], want: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype to add in: integers wrap alike in any that is as wide as the result; floats keep their precision."""
    if is_float(have) and is_float(want):
        return max(have, want, key=lambda dtype: dtype.itemsize)
    return want if want.name in _SUMMED else np.dtype(np.int32)


def _read_mean(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    have, want = b.dtype(data), dtype_in(node)
    dtype = want or (have if is_float(have) else np.dtype(np.float32))
    if not is_float(dtype):
        return Refusal(f"dtype={dtype} makes MXNet round the mean to an integer; cast after it")
    if (problem := _with_initial(node)) is not None:
        return problem
    axes = axes_in(node, b.rank(data))
    terms = cast(b, data, _adding(have, dtype))
    mean = cast(b, reduced(b, "ReduceMean", terms, axes, keep=flag(node, "keepdims")), dtype)
    return b.op("Identity", mean) if mean is data else mean


def _reads_extreme(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = some(x[0])
        axes = axes_in(node, b.rank(data))
        if (problem := _with_initial(node)) is not None:
            return problem
        if 0 in [b.shape(data)[axis] for axis in (range(b.rank(data)) if axes is None else axes)]:
            return Refusal("of no elements none is the largest or smallest")
        numbers = cast(b, data, np.dtype(np.int32)) if b.dtype(data) == np.bool_ else data
        result = cast(b, reduced(b, onnx, numbers, axes, keep=flag(node, "keepdims")), b.dtype(data))
        return b.op("Identity", result) if result is data else result

    return read


def _reads_truth(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data = some(x[0])
        axes = axes_in(node, b.rank(data))
        truths = cast(b, data, np.dtype(np.bool_))
        if b.rank(data) == 0 or axes == ():
            return b.op("Identity", truths) if truths is data else truths
        numbers = cast(b, truths, np.dtype(np.int32))
        return cast(b, reduced(b, onnx, numbers, axes, keep=flag(node, "keepdims")), np.dtype(np.bool_))

    return read


def _reads_position(onnx: str) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data, rank = some(x[0]), b.rank(some(x[0]))
        if b.dtype(data) == np.bool_:
            return Refusal("MXNet compares no truth values here; cast its input to int32")
        axes, keep = axes_in(node, rank), flag(node, "keepdims")
        if axes is not None and rank:
            return b.op(onnx, data, axis=axes[0], keepdims=keep)
        found = b.op(onnx, b.op("Reshape", data, [-1]), axis=0, keepdims=int(keep and rank > 0))
        return b.op("Reshape", found, [1] * rank) if keep and rank > 1 else found

    return read


def _reads_spread(*, root: bool) -> Read:
    """Variance, or standard deviation."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data, want = some(x[0]), dtype_in(node)
        have = b.dtype(data)
        if not is_float(have) or not is_float(want or have):
            return Refusal("MXNet takes differences of integers to their mean in integers; cast its input to floats")
        dtype = want or have
        data = cast(b, data, _adding(have, dtype))
        axes, keep = axes_in(node, b.rank(data)), flag(node, "keepdims")
        over = tuple(range(b.rank(data))) if axes is None else axes
        spread = b.op("Sub", data, reduced(b, "ReduceMean", data, axes, keep=True))
        less = int(node.attrs.get("ddof", "0"))
        sizes = [size for axis in over if isinstance(size := b.shape(data)[axis], int)]
        if 0 in sizes or (len(sizes) == len(over) and less >= math.prod(sizes)):
            return Refusal(f"with ddof={less}, {math.prod(sizes)} numbers are too few to tell how they spread")
        squares = b.op("Mul", spread, spread)
        if less:
            count = b.op("Sub", count_along(b, data, over), np.asarray(less))
            variance = b.op("Div", reduced(b, "ReduceSum", squares, axes, keep=keep), cast(b, count, b.dtype(data)))
        else:
            variance = reduced(b, "ReduceMean", squares, axes, keep=keep)
        return cast(b, b.op("Sqrt", variance) if root else variance, dtype)

    return read


def _read_average(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    data = some(x[0])
    dtype, axes = b.dtype(data), axes_in(node, b.rank(data))
    if not is_float(dtype):
        return Refusal("MXNet rounds averages of integers to integers; cast its inputs to floats")
    if not flag(node, "weighted", "True"):
        over = tuple(range(b.rank(data))) if axes is None else axes
        return reduced(b, "ReduceMean", data, axes, keep=False), cast(b, count_along(b, data, over), dtype)
    weights = some(x[1])
    if b.rank(weights) == b.rank(data):
        total = reduced(b, "ReduceSum", weights, axes, keep=False)
        weighted = reduced(b, "ReduceSum", b.op("Mul", data, weights), axes, keep=False)
        return b.op("Div", weighted, total), total
    if b.rank(weights) != 1 or axes is None or len(axes) != 1:
        return Refusal("its weights have neither the shape of the data nor that of the one axis that it averages over")
    total = b.op("ReduceSum", weights, keepdims=0)
    line = b.op("Reshape", weights, [-1] + [1] * (b.rank(data) - axes[0] - 1))
    return b.op("Div", b.op("ReduceSum", b.op("Mul", data, line), list(axes), keepdims=0), total), total


_X = arr(2, 3, 4, low=0.2, high=2.0)
_INTEGERS = arr(2, 3, low=-9, high=9, dtype="int32")
_BYTES = arr(2, 3, low=0, high=9, dtype="int8")
_TRUTHS = given([[True, False, True], [True, False, False]], "bool")
_COMMON = ("axis", "keepdims")


def _cases(*more: Case) -> tuple[Case, ...]:
    return (
        Case("all", (_X,)),
        Case("all kept", (_X,), {"keepdims": True}),
        Case("one axis", (_X,), {"axis": 1}),
        Case("two axes kept", (_X,), {"axis": "(0, -1)", "keepdims": "1"}),
        Case("scalar", (arr(),)),
        *more,
    )


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


_TOTALS = (
    Case("integers", (_INTEGERS,), {"axis": 0}, grad=False),
    Case("bytes", (_BYTES,), {"axis": 1}, grad=False),
    Case("truths", (_TRUTHS,), {"axis": 1}, grad=False),
    Case("truths as floats", (_TRUTHS,), {"dtype": "float32"}, grad=False),
    Case("integers as floats", (_INTEGERS,), {"dtype": "float32", "axis": 1}, grad=False),
    Case("bytes as integers", (_BYTES,), {"dtype": "int64"}, grad=False),
    Case("no elements", (arr(2, 0),), {"axis": 1}, grad=False),
)
_MEANS = (
    Case("integers", (_INTEGERS,), {"axis": 0}, dtype="int32", grad=False),
    Case("truths", (_TRUTHS,), {"axis": 1}, dtype="bool", grad=False),
    Case("no elements", (arr(2, 0),), {"axis": 1}, grad=False),
)
_EXTREMES = (
    Case("integers", (_INTEGERS,), {"axis": 0}, grad=False),
    Case("truths", (_TRUTHS,), {"axis": 1}, grad=False),
)
_TESTS = (
    Case("all", (given([[0.0, 2.0], [0.0, 0.0]], "float32"),), grad=False),
    Case("rows", (given([[0.0, 2.0], [0.5, -1.0], [0.0, 0.0]], "float32"),), {"axis": "(1,)"}, grad=False),
    Case("truths kept", (_TRUTHS,), {"axis": 0, "keepdims": True}, grad=False),
    Case("integers", (arr(3, 2, low=-1, high=2, dtype="int64"),), {"axis": -1}, grad=False),
    Case("scalar", (given(2.0, "float32"),), grad=False),
)
_PLACES = (
    Case("flattened", (_X,), grad=False),
    Case("flattened, kept", (_X,), {"keepdims": True}, grad=False),
    Case("axis", (_X,), {"axis": -1}, grad=False),
    Case("axis, kept", (_X,), {"axis": 1, "keepdims": 1}, grad=False),
    Case("first of ties", (given([[1, 3, 3, 1], [2, 2, 2, 2]], "float32"),), {"axis": 1}, grad=False),
    Case("integers", (_INTEGERS,), {"axis": 0}, grad=False),
    Case("vector", (arr(5),), {"axis": 0}, grad=False),
)
_SPREADS = (
    *_cases(),
    Case("fewer degrees of freedom", (_X,), {"axis": "(0, 2)", "ddof": 1}),
    Case("fewer degrees, kept", (_X,), {"axis": 1, "ddof": 2, "keepdims": True}),
)
_AVERAGES = (
    Case("weights", (_X, _X), {"axis": 1}),
    Case("weights of all", (_X, _X)),
    Case("weights and their sum", (_X, _X), {"axis": "(0, 2)", "returned": True}, outputs=2),
    Case("weights of one axis", (_X, arr(3, low=0.5, high=1.5)), {"axis": 1}),
    Case("one axis and the sum", (_X, arr(4, low=0.5, high=1.5)), {"axis": -1, "returned": 1}, outputs=2),
    Case("no weights", (_X,), {"axis": 2, "weighted": False}),
    Case("no weights and their sum", (_X,), {"weighted": 0, "returned": True}, outputs=2, grad=False),
)


def _op(form: MxForm, *limits: Limit) -> Op:
    return Op("", mx=(form,), limits=limits)


_NO_SLOPE = "MXNet's backward pass leaves out what comes back to the sum of the weights"

OPS = (
    _op(_form("_np_sum", _reads_total("ReduceSum"), (*_COMMON, "dtype", "initial"), *_cases(*_TOTALS))),
    _op(_form("_np_prod", _reads_total("ReduceProd"), (*_COMMON, "dtype", "initial"), *_cases(*_TOTALS))),
    _op(_form("_npi_mean", _read_mean, (*_COMMON, "dtype", "initial"), *_cases(*_MEANS))),
    _op(_form("_np_max", _reads_extreme("ReduceMax"), (*_COMMON, "initial"), *_cases(*_EXTREMES))),
    _op(_form("_np_min", _reads_extreme("ReduceMin"), (*_COMMON, "initial"), *_cases(*_EXTREMES))),
    _op(_form("_np_any", _reads_truth("ReduceMax"), _COMMON, *_TESTS)),
    _op(_form("_np_all", _reads_truth("ReduceMin"), _COMMON, *_TESTS)),
    _op(_form("_npi_argmax", _reads_position("ArgMax"), _COMMON, *_PLACES)),
    _op(_form("_npi_argmin", _reads_position("ArgMin"), _COMMON, *_PLACES)),
    *(
        _op(
            _form(op, _reads_spread(root=op == "_npi_std"), (*_COMMON, "dtype", "ddof"), *_SPREADS),
            Limit("read-backward", "the slope of a root is infinite at 0", "_npi_std>scalar"),
        )
        for op in ("_npi_std", "_npi_var")
    ),
    _op(
        _form("_npi_average", _read_average, ("axis", "returned", "weighted"), *_AVERAGES),
        *(Limit("read-backward", _NO_SLOPE, name) for name in ("weights and their sum", "one axis and the sum")),
    ),
)
