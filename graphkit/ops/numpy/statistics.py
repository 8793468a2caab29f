"""Percentiles and counts in MXNet's NumPy interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import FLOAT
from graphkit.ops.numpy.parameters import axes_in, cast, flag, moved
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, Tol, arr, given
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder, Operand
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _read_percentile(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    rank = b.rank(data)
    axes = axes_in(node, rank) if rank else None
    over = tuple(range(rank)) if axes is None else axes
    free = [axis for axis in range(rank) if axis not in over]
    lines = b.op("Reshape", moved(b, data, [*free, *over]), [0] * len(free) + [-1])
    size = b.shape(lines)[-1]
    if not isinstance(size, int) or size == 0:
        return Refusal(
            "how many numbers it ranks must be known; give the size of the inputs with --input, and --no-dynamic-batch"
        )
    dtype = np.dtype(np.float64 if b.dtype(data) == np.float64 else np.float32)
    ranked, _ = b.ops("TopK", 2, lines, [size], axis=len(free), largest=0)
    held, ranked = b.dtype(ranked), cast(b, ranked, dtype)
    number = node.attrs.get("q_scalar", "None")
    method = node.attrs.get("interpolation", "linear")
    share = None if number != "None" else some(x[1])
    known = np.asarray(FLOAT.parse(number)) if share is None else b.value(share)
    if known is not None:
        stored = np.asarray(known, np.float64)
        if ((stored < 0) | (stored > 100)).any():
            return Refusal("a percentile it asks for is not between 0 and 100")
        result = _at_known(b, ranked, (stored * (size - 1) / 100.0).astype(np.float32), method, held)
        several = stored.ndim
    else:
        result = _at_computed(b, ranked, some(share), method, held)
        several = b.rank(some(share))
    order = list(range(len(free) + several))
    result = moved(b, result, order[len(free) :] + order[: len(free)])
    if not flag(node, "keepdims") or not rank:
        return result
    return b.op("Unsqueeze", result, [axis + several for axis in sorted(over)])


def _between(b: OnnxBuilder, ends: Sequence[ir.Value], weights: Sequence[Operand], held: np.dtype[Any]) -> ir.Value:
    """The weighted sum of two numbers, of which MXNet rounds each term to float16 where it reads that."""
    terms = [b.op("Mul", end, weight) for end, weight in zip(ends, weights, strict=True)]
    if held == np.float16:
        terms = [cast(b, cast(b, term, held), b.dtype(term)) for term in terms]
    return b.op("Add", *terms)


def _at_known(
    b: OnnxBuilder, ranked: ir.Value, place: npt.NDArray[np.float32], method: str, held: np.dtype[Any]
) -> ir.Value:
    """The numbers at places between ranks, along the last axis; they were read as ``held``."""
    below = np.floor(place)
    if method in ("lower", "higher", "nearest"):
        half = place - below
        up = {"lower": np.zeros_like(half), "higher": half > 0, "nearest": half >= np.float32(0.5)}[method]
        return b.op("Gather", ranked, (below + up).astype(np.int64), axis=-1)
    if method == "midpoint":
        place = (below + np.ceil(place)) / np.float32(2)
    part = np.asarray(place - below, np.float32)
    rest = np.asarray(np.float32(1) - part, np.float32)
    first = below.astype(np.int64)
    low = b.op("Gather", ranked, first, axis=-1)
    if not part.any():
        return low
    high = b.op("Gather", ranked, np.minimum(first + 1, b.static_shape(ranked)[-1] - 1), axis=-1)
    dtype = b.dtype(ranked)
    return _between(b, (low, high), (rest.astype(dtype), part.astype(dtype)), held)


def _at_computed(b: OnnxBuilder, ranked: ir.Value, share: ir.Value, method: str, held: np.dtype[Any]) -> ir.Value:
    """The numbers at percentiles that are computed or fed, along the last axis."""
    dtype, last = b.dtype(ranked), b.static_shape(ranked)[-1] - 1
    share = cast(b, share, dtype)
    place = b.op("Div", b.op("Mul", share, b.scalar(last, share)), b.scalar(100.0, share))
    below = b.op("Floor", place)
    if method == "lower":
        return b.op("Gather", ranked, as_int64(b, below), axis=-1)
    if method == "higher":
        return b.op("Gather", ranked, as_int64(b, b.op("Ceil", place)), axis=-1)
    if method == "nearest":
        return b.op("Gather", ranked, as_int64(b, b.op("Floor", b.op("Add", place, b.scalar(0.5, place)))), axis=-1)
    if method == "midpoint":
        place = b.op("Div", b.op("Add", below, b.op("Ceil", place)), b.scalar(2.0, place))
    part = b.op("Sub", place, below)
    first = as_int64(b, below)
    second = b.op("Min", b.op("Add", first, np.asarray(1)), np.asarray(last))
    low, high = (b.op("Gather", ranked, where, axis=-1) for where in (first, second))
    rest = b.op("Sub", b.scalar(1.0, part), part)
    return _between(b, (low, high), (rest, part), held)


def _read_bincount(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    if b.dtype(data).kind not in "iu" or b.rank(data) != 1:
        return Refusal("it counts the numbers of a vector of integers")
    least = int(node.attrs.get("minlength", "0"))
    weights = some(x[1]) if flag(node, "has_weights") else None
    dtype = b.dtype(data if weights is None else weights)
    if 0 in b.shape(data):
        return b.const(np.zeros(max(least, 0)), dtype)
    place = as_int64(b, data)
    most = b.op("Add", b.op("ReduceMax", place, keepdims=1), [1])
    if least > 1:
        most = b.op("Max", most, [least])
    kind = dtype if dtype.kind == "f" else np.dtype(np.int64)
    none = b.op("ConstantOfShape", most, value=ir.tensor(np.zeros(1, kind)))
    if weights is None:
        terms = b.op("ConstantOfShape", b.op("Shape", data), value=ir.tensor(np.ones(1, kind)))
    else:
        terms = cast(b, weights, kind)
    return cast(b, b.op("ScatterElements", none, place, terms, reduction="add"), dtype)


def _read_check(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    message = node.attrs.get("msg", "Constraint violated.")
    b.warn(f"MXNet stops with {message!r} where the check fails; what is converted goes on with False.")
    truths = cast(b, data, np.dtype(np.int32))
    whole = truths if b.rank(data) == 0 else b.op("ReduceMin", truths, keepdims=0)
    return cast(b, whole, np.dtype(np.bool_))


_X = arr(3, 4)
_HELD = Tol(float64=1e-6, reason="MXNet holds places between ranks in float32")
_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


_FORMS = (
    _form(
        "_npi_percentile",
        _read_percentile,
        ("axis", "interpolation", "keepdims", "q_scalar"),
        *(Case(method, (_X,), {"q_scalar": 30.0, "interpolation": method}, grad=False) for method in _METHODS),
        *(
            Case(
                f"fed, {method}",
                (_X, given([0.0, 35.0, 100.0], "float32")),
                {"interpolation": method, "axis": "(1,)"},
                grad=False,
                tol=_HELD,
            )
            for method in _METHODS
        ),
        Case("axes kept", (arr(2, 3, 4),), {"q_scalar": 45.5, "axis": (0, -1), "keepdims": True}, grad=False),
        Case(
            "several kept",
            (_X, given([20.0, 70.0], "float32")),
            {"axis": "(0,)", "keepdims": 1},
            const=(1,),
            grad=False,
        ),
        Case("one fed", (_X, given(40.0, "float32")), {"axis": "(0,)"}, grad=False, tol=_HELD),
        Case("integers", (arr(5, low=-9, high=9),), {"q_scalar": 40}, dtype="int32", grad=False),
        Case("halves", (arr(5, 4, low=-40, high=40),), {"q_scalar": 33.3, "axis": 0}, dtype="float16", grad=False),
    ),
    _form(
        "_npi_bincount",
        _read_bincount,
        ("minlength", "has_weights"),
        Case("counts", (given([0, 1, 1, 5], "int32"),), grad=False),
        Case("at least", (given([0, 1, 1, 5], "int64"),), {"minlength": 9}, grad=False),
        Case("bytes", (given([2, 1, 1], "uint8"),), {"minlength": 2}, grad=False),
        Case("weights", (given([0, 1, 1, 5], "int32"), arr(4)), {"has_weights": True}, grad=False),
    ),
    _form(
        "_npx_constraint_check",
        _read_check,
        ("msg",),
        Case("vector", (given([True, True], "bool"),), {"msg": "must be positive"}, grad=False),
        Case("scalar", (given(True, "bool"),), grad=False),
    ),
)
_SIZED = (
    "how long the result is depends on its numbers, and legacy MXNet, which is written, makes arrays of known sizes"
)

OPS = tuple(
    Op("", mx=(form,), limits=(Limit("read-round-trip", _SIZED),) if form.op == "_npi_bincount" else ())
    for form in _FORMS
)
