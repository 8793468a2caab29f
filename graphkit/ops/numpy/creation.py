"""Arrays that NumPy's functions make of numbers alone, or of the shape of another array."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import FLOAT, ints
from graphkit.ops.numpy.parameters import cast, dtype_in, flag
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, Tol, arr, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _dtype(node: MxNode, default: str = "float32") -> np.dtype[Any]:
    return dtype_in(node, default=default) or np.dtype(default)


def _number(node: MxNode, name: str, default: str = "None") -> float | None:
    text = node.attrs.get(name, default)
    return None if text == "None" else FLOAT.parse(text)


def _filled(b: OnnxBuilder, shape: ir.Value, number: float, dtype: np.dtype[Any]) -> ir.Value:
    return b.op("ConstantOfShape", shape, value=ir.tensor(np.asarray([number]).astype(dtype)))


def _reads_full(number: float) -> Read:
    def read(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        shape = ints(node.attrs.get("shape", "()"))
        if min(shape, default=0) < 0:
            return Refusal(f"its shape {shape} is only known from what reads it; write it out in the symbol")
        if 0 in shape:
            return b.const(np.zeros(shape), _dtype(node))
        return _filled(b, b.const(np.asarray(shape, np.int64)), number, _dtype(node))

    return read


def _read_full_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    like = some(x[0])
    number, dtype = FLOAT.parse(node.attrs["fill_value"]), dtype_in(node) or b.dtype(like)
    return b.const(number, dtype) if b.rank(like) == 0 else _filled(b, b.op("Shape", like), number, dtype)


def _read_identity(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    shape = ints(node.attrs.get("shape", "()"))
    if len(shape) != 2 or shape[0] != shape[1] or min(shape) < 0:
        return Refusal(f"its shape {shape} is not that of a square matrix")
    check_elements(math.prod(shape), f"Node {node.name!r} ({node.op})")
    return b.const(np.eye(*shape), _dtype(node))


def _read_eye(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value:
    rows, columns = int(node.attrs["N"]), node.attrs.get("M", "None")
    wide = rows if columns == "None" else int(ints(columns)[0])
    check_elements(rows * wide, f"Node {node.name!r} ({node.op})")
    return b.const(np.eye(rows, wide, int(node.attrs.get("k", "0"))), _dtype(node))


def _read_arange(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    start, stop, step = (
        FLOAT.parse(node.attrs["start"]),
        _number(node, "stop"),
        FLOAT.parse(node.attrs.get("step", "1")),
    )
    if int(node.attrs.get("repeat", "1")) != 1 or flag(node, "infer_range"):
        return Refusal("MXNet's NumPy interface neither repeats numbers nor infers where they stop")
    first, last = (0.0, start) if stop is None else (start, stop)
    if step == 0:
        return Refusal("its step is 0")
    count = max(math.ceil((last - first) / step), 0)
    check_elements(count, f"Node {node.name!r} ({node.op})")
    dtype = _dtype(node)
    if dtype.kind in "iu":  # MXNet casts both before it counts
        first, step = math.trunc(first), math.trunc(step)
    return b.const(first + step * np.arange(count), dtype)


def _read_logspace(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    start, stop, count = FLOAT.parse(node.attrs["start"]), FLOAT.parse(node.attrs["stop"]), int(node.attrs["num"])
    if count < 0:
        return Refusal(f"num={count} is negative")
    check_elements(count, f"Node {node.name!r} ({node.op})")
    exponents = np.linspace(start, stop, count, endpoint=flag(node, "endpoint", "True"))
    return b.const(FLOAT.parse(node.attrs.get("base", "10")) ** exponents, _dtype(node))


def _read_indices(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    sizes = ints(node.attrs["dimensions"])
    if min(sizes, default=0) < 0:
        return Refusal(f"dimensions={sizes} has a negative size")
    check_elements(len(sizes) * math.prod(sizes), f"Node {node.name!r} ({node.op})")
    return b.const(np.indices(sizes), _dtype(node, "int32"))


def _reads_window(cosines: Sequence[float]) -> Read:
    """A window that is a sum of cosines, one for each whole number of periods from none."""

    def read(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        text = node.attrs.get("M", "None")
        size = 0 if text == "None" else int(ints(text)[0])
        check_elements(size, f"Node {node.name!r} ({node.op})")
        if size <= 1:
            return b.const(np.ones(max(size, 0)), _dtype(node))
        turn = 2 * np.pi * np.arange(size) / (size - 1)
        window: npt.NDArray[np.float64] = np.zeros(size)
        if not is_float(_dtype(node)):  # MXNet cuts off the weights, which leaves none
            return b.const(window, _dtype(node))
        for periods, weight in enumerate(cosines):
            window = window + weight * np.cos(periods * turn)
        return b.const(window, _dtype(node))

    return read


def _read_tril(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    if b.rank(data) == 0:
        return Refusal("a scalar has no triangle")
    if b.rank(data) == 1:
        size = b.op("Shape", data)
        data = b.op("Expand", data, b.op("Concat", size, size, axis=0))
    k, dtype = int(node.attrs.get("k", "0")), b.dtype(data)
    held = np.int64 if dtype.kind in "iu" else np.float32 if dtype.itemsize == 2 else dtype  # ONNX Runtime has these
    return cast(b, b.op("Trilu", cast(b, data, np.dtype(held)), b.const(np.asarray(k)) if k else None, upper=0), dtype)


_X = arr(2, 3)


def _case(name: str, **attrs: Any) -> Case:
    return Case(name, (), attrs, grad=False)


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, ignore=("ctx",), direction="read", cases=cases)


_SHAPES = (
    _case("matrix", shape=(2, 3)),
    _case("scalar", shape="()"),
    _case("integers", shape="2", dtype="int64", ctx="cpu(0)"),
    _case("truths", shape="(2,)", dtype="bool"),
    _case("no elements", shape=(0, 2)),
)
_HELD = Tol(float64=1e-6, reason="MXNet takes the cosines in float32")


def _windows() -> tuple[Case, ...]:
    floats = (Case(f"of {size}", (), {"M": size}, grad=False, tol=_HELD) for size in (1, 4, 5))
    return *floats, Case("integers", (), {"M": 5, "dtype": "int32"}, grad=False)


_FORMS = (
    _form("_npi_zeros", _reads_full(0.0), ("shape", "dtype"), *_SHAPES),
    _form("_npi_ones", _reads_full(1.0), ("shape", "dtype"), *_SHAPES),
    _form(
        "_npi_full_like",
        _read_full_like,
        ("fill_value", "dtype"),
        Case("floats", (_X,), {"fill_value": 0.3}),
        Case("integers of floats", (_X,), {"fill_value": 2.7, "dtype": "int32"}, grad=False),
        Case("truths", (arr(2, dtype="bool"),), {"fill_value": 2, "dtype": "None"}, grad=False),
        Case("scalar", (arr(),), {"fill_value": -1}, grad=False),
    ),
    _form(
        "_npi_identity",
        _read_identity,
        ("shape", "dtype"),
        _case("square", shape=(3, 3)),
        _case("integers", shape="[2,2]", dtype="int32"),
    ),
    _form(
        "_npi_eye",
        _read_eye,
        ("N", "M", "k", "dtype"),
        _case("square", N=3),
        _case("wide", N=2, M="3", k=1),
        _case("tall", N=3, M="2", k=-1, dtype="int64", ctx="cpu(0)"),
        _case("none", N=2, M="None"),
    ),
    _form(
        "_npi_arange",
        _read_arange,
        ("start", "stop", "step", "repeat", "infer_range", "dtype"),
        _case("to a number", start=3),
        _case("steps", start=1, stop=2, step=0.3),
        _case("downward", start=5, stop=0, step=-2, dtype="int64", ctx="cpu(0)"),
        _case("truncated", start=0.5, stop=3, step=1.5, dtype="int32"),
        _case("no elements", start=3, stop=0),
    ),
    _form(
        "_npi_logspace",
        _read_logspace,
        ("start", "stop", "num", "endpoint", "base", "dtype"),
        _case("decades", start=0, stop=2, num=5),
        _case("open", start=0, stop=3, num=4, endpoint=False, base=2),
        _case("integers", start=0, stop=2, num=4, endpoint=0, base=2, dtype="int32"),
        _case("one", start=1, stop=2, num=1),
    ),
    _form(
        "_npi_indices",
        _read_indices,
        ("dimensions", "dtype"),
        _case("grid", dimensions=(2, 3)),
        _case("line", dimensions="(4,)", dtype="float32"),
    ),
    _form("_npi_blackman", _reads_window((0.42, -0.5, 0.08)), ("M", "dtype"), *_windows()),
    _form("_npi_hamming", _reads_window((0.54, -0.46)), ("M", "dtype"), *_windows()),
    _form("_npi_hanning", _reads_window((0.5, -0.5)), ("M", "dtype"), *_windows()),
    _form(
        "_npi_tril",
        _read_tril,
        ("k",),
        Case("matrix", (arr(3, 4),)),
        Case("above", (arr(2, 3, 4),), {"k": 1}),
        Case("below", (arr(3, 4),), {"k": -1}),
        Case("vector", (arr(3),), {"k": 1}),
        Case("integers", (arr(3, 3, low=1, high=9, dtype="int32"),), grad=False),
    ),
)
_EMPTY = Limit("read-round-trip", "legacy MXNet, which is written, has no arrays without elements", "no elements")

OPS = tuple(
    Op("", mx=(form,), limits=(_EMPTY,) if any(case.name == "no elements" for case in form.cases) else ())
    for form in _FORMS
)
