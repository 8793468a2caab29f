"""Arithmetic progressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.broadcasting import stretch
from graphkit.ops.tensor.sizes import mx_axis, positions, some
from graphkit.ops.tensor.torch_sizes import device_near, elements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_IGNORED = ("ctx",)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    start, limit, step = (b.number(value) for value in node.inputs)
    result = node.outputs[0]
    dtype = b.dtype(result).name
    if step is None:
        return Refusal("its step is computed, and MXNet needs it in the symbol", needs=node.inputs[2:])
    size = b.shape(result)[0]
    if start is not None and limit is not None:
        size = max(math.ceil((limit - start) / step), 0)
    if size == 0:
        return Refusal("it makes an array without elements, which MXNet does not have")
    if start is None:
        line = _line(b, node, 0, size, step, dtype)
        return line if isinstance(line, Refusal) else b.op("broadcast_add", line, some(x[0]))
    if isinstance(size, int):
        stop = start + size * step if limit is None else limit
        return b.op("_arange", start=float(start), stop=float(stop), step=float(step), dtype=dtype)
    return _line(b, node, start, size, step, dtype)


def _line(b: MxBuilder, node: ir.Node, start: float, size: Dim, step: float, dtype: str) -> MxRef | Refusal:
    """As many numbers as a free size says."""
    like = stretch(b, node, b.op("_zeros", shape=(1,), dtype=dtype), (1,), (size,))
    if isinstance(like, Refusal):
        return like
    return b.op("_contrib_arange_like", like, start=float(start), step=float(step))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    dtype = b.dtype(node.outputs[0])
    start, limit, step = (_bound(b, node, position, arg) for position, arg in enumerate(x))
    bounds = (start, limit, step) if step != 1 else (start, limit) if start != 0 else (limit,)
    plain = dtype == np.int64 or (dtype == np.float32 and any(isinstance(bound, float) for bound in bounds))
    return b.call("torch.arange", *bounds, dtype=None if plain else b.torch_dtype(dtype), device=device_near(b, node))


def _bound(b: TorchBuilder, node: ir.Node, position: int, arg: Arg) -> Arg:
    number = b.number(node.inputs[position])
    if number is not None:
        return number
    found = elements(b, node, position, arg) if b.dtype(node.outputs[0]).kind in "iu" else None
    return found[0] if found else arg


def _read_arange(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    if BOOL.parse(node.attrs.get("infer_range", "False")):
        return Refusal("its length is only known from what reads it; write stop out in the symbol")
    start, step, stop = (
        FLOAT.parse(node.attrs["start"]),
        FLOAT.parse(node.attrs.get("step", "1")),
        node.attrs.get("stop"),
    )
    end = None if stop in (None, "None") else FLOAT.parse(stop)
    first, last = (0.0, start) if end is None else (start, end)
    count = math.ceil((last - first) / step)
    if count <= 0:
        return Refusal(f"it goes from {first} to {last} in steps of {step}, which MXNet itself rejects")
    first, step = _held(first, _dtype(node)), _held(step, _dtype(node))
    repeat = int(node.attrs.get("repeat", "1"))
    check_elements(count * repeat, f"Node {node.name!r} ({node.op})")
    numbers = np.repeat(first + step * np.arange(count), repeat)
    return b.const(numbers, _dtype(node))


def _held(number: float, dtype: npt.DTypeLike) -> float:
    """A start or step as MXNet counts with it: among integers it is one."""
    return math.trunc(number) if np.dtype(dtype).kind in "iu" else number


def _read_linspace(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value:
    start, stop, count = FLOAT.parse(node.attrs["start"]), FLOAT.parse(node.attrs["stop"]), int(node.attrs["num"])
    closed = bool(BOOL.parse(node.attrs.get("endpoint", "True")))
    check_elements(count, f"Node {node.name!r} ({node.op})")
    return b.const(np.linspace(start, stop, count, endpoint=closed), _dtype(node))


def _dtype(node: MxNode) -> npt.DTypeLike:
    return np.dtype(node.attrs.get("dtype", "float32"))


def _read_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, axis = some(x[0]), mx_axis(node)
    start, step = FLOAT.parse(node.attrs.get("start", "0")), FLOAT.parse(node.attrs.get("step", "1"))
    if b.dtype(data) == np.float16:  # MXNet 1.9.1 counts in integers there, too
        start, step = math.trunc(start), math.trunc(step)
    start, step = _held(start, b.dtype(data)), _held(step, b.dtype(data))
    repeat = int(node.attrs.get("repeat", "1"))
    if repeat < 1:
        raise ValueError(f"repeat={repeat} is not positive")
    dims = b.shape(data) if axis is None else (b.shape(data)[axis],)
    known = [dim for dim in dims if isinstance(dim, int)]
    if len(known) == len(dims):
        check_elements(math.prod(known), f"Node {node.name!r} ({node.op})")
        counts = np.arange(math.prod(known)) // repeat
        return b.const((start + step * counts).reshape(known), b.dtype(data))
    flat = b.op("Reshape", data, [-1]) if axis is None else data
    line = positions(b, flat, 0 if axis is None else axis % b.rank(data))
    if repeat > 1:
        line = b.op("Div", line, np.asarray(repeat))
    line = b.op("Cast", line, to=ir.DataType.from_numpy(b.dtype(data)))
    line = b.op("Mul", line, b.scalar(step, data)) if step != 1 else line
    line = b.op("Add", line, b.scalar(start, data)) if start else line
    return b.op("Reshape", line, b.op("Shape", data)) if axis is None else line


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """That of start + delta·i; the number of elements is flat."""
    start, delta = node.inputs[0], some(node.inputs[2])
    of_delta = None
    if b.wants(delta):
        turns = b.op("Range", np.asarray(0), b.op("Size", dy[0]), np.asarray(1))
        turns = b.op("Cast", turns, to=ir.DataType.from_numpy(b.dtype(delta)))
        of_delta = b.op("ReduceSum", b.op("Mul", dy[0], turns), keepdims=0)
    return [b.op("ReduceSum", dy[0], keepdims=0) if b.wants(start) else None, None, of_delta]


_X = arr(3, 4)


def _arange(name: str, **attrs: Any) -> Case:
    return Case(name, (), attrs, grad=False)


OP = Op(
    "Range",
    mx=(
        MxForm(
            "_arange",
            read=_read_arange,
            reads=("start", "stop", "step", "repeat", "dtype", "infer_range"),
            ignore=_IGNORED,
            write=_write,
            cases=(
                _arange("to a number", start=3),
                _arange("steps", start=1, stop=2, step=0.3),
                _arange("repeated", start=0, stop=3, repeat=2),
                _arange("downward", start=5, stop=0, step=-2, dtype="int64", ctx="cpu(0)"),
                _arange("truncated", start=0.5, stop="3", dtype="int32"),
                _arange("truncated steps", start=0.5, stop="3", step=1.5, dtype="int32"),
            ),
        ),
        MxForm(
            "_contrib_arange_like",
            read=_read_like,
            reads=("start", "step", "repeat", "axis"),
            ignore=_IGNORED,
            direction="read",
            cases=(
                Case("whole", (_X,), grad=False),
                Case("whole, repeated", (_X,), {"repeat": 2}, grad=False),
                Case("axis", (_X,), {"axis": -1, "start": 2, "step": 0.3}, grad=False),
                Case("axis, repeated", (_X,), {"axis": 1, "repeat": 3}, grad=False),
                Case("integers", (arr(3, dtype="int32"),), {"axis": 0}, grad=False),
                Case("truncated", (arr(3, dtype="int32"),), {"axis": 0, "start": 2.5, "step": 1.7}, grad=False),
                Case("halves", (arr(3),), {"start": 2.5, "step": 1.7, "repeat": 2}, dtype="float16", grad=False),
            ),
        ),
        MxForm(
            "_linspace",
            read=_read_linspace,
            reads=("start", "stop", "num", "endpoint", "dtype"),
            ignore=_IGNORED,
            direction="read",
            cases=(
                Case("closed", (), {"start": 0, "stop": 1, "num": 5}, grad=False),
                Case("open", (), {"start": 0, "stop": 1, "num": 5, "endpoint": False}, grad=False),
                Case("one", (), {"start": 2, "stop": 3, "num": 1}, grad=False),
                Case("integers", (), {"start": 0, "stop": 5, "num": 3, "dtype": "int32"}, grad=False),
            ),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("integers", (int64(2), int64(9), int64(3)), const=(0, 1, 2), grad=False),
        Case("downward", (int64(5), int64(0), int64(-1)), const=(0, 1, 2), grad=False),
        Case(
            "floats",
            (given(0.5, "float32"), given(2.0, "float32"), given(0.25, "float32")),
            const=(0, 1, 2),
            grad=False,
        ),
    ),
)
