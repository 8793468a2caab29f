"""Softmax, log-softmax and hardmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import BOOL, FLOAT, INT
from graphkit.ops.gradients import flat
from graphkit.ops.spec import Attr, Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import as_int64, positions, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch
    from graphkit.ops.torchprogram import Arg

_AXIS = Attr("axis", "axis", INT, onnx_default=-1, mx_default=-1)
_READS = ("axis", "temperature", "dtype", "use_length")


def _reads(onnx: str, *, negative: bool = False) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data = x[0]
        assert data is not None
        if node.attrs.get("dtype", "None") != "None":
            return Refusal(f"its dtype={node.attrs['dtype']} asks for another precision of the result; use Cast")
        text = node.attrs.get("temperature", "None")
        if text != "None" and FLOAT.parse(text) != 1:
            data = b.op("Div", data, b.scalar(FLOAT.parse(text), data))
        if negative:
            data = b.op("Neg", data)
        axis = int(node.attrs.get("axis", "-1"))
        if not BOOL.parse(node.attrs.get("use_length", "False")):
            return b.op(onnx, data, axis=axis)
        if len(x) < 2:
            return Refusal(f"MXNet's {node.op} has no input for the lengths that its use_length asks for")
        within = _within(b, data, some(x[1]), axis)
        lowest = np.finfo(np.float16 if b.dtype(data) == np.float16 else np.float32).min
        result = b.op(onnx, b.op("Where", within, data, b.scalar(float(lowest), data)), axis=axis)
        return b.op("Where", within, result, b.scalar(0.0, data))

    return read


def _within(b: OnnxBuilder, data: ir.Value, lengths: ir.Value, axis: int) -> ir.Value:
    """Which elements are among the first so many along an axis; what is beyond has no part and becomes 0."""
    rank = b.rank(data)
    axis %= rank
    line = positions(b, data, axis)
    if axis < rank - 1:
        line = b.op("Reshape", line, [-1] + [1] * (rank - 1 - axis))
    return b.op("Less", line, b.op("Unsqueeze", as_int64(b, lengths), [axis]))


def _read_activation(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    mode = node.attrs.get("mode", "instance")
    if mode not in ("instance", "channel"):
        return Refusal(f"mode={mode} is neither instance nor channel")
    return b.op("Softmax", x[0], axis=1 if mode == "channel" else -1)


def _write_hardmax(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data = node.inputs[0]
    assert data is not None
    assert x[0] is not None
    rank = b.rank(data)
    axis = node.attributes.get_int("axis", -1) % rank
    size = b.shape(data)[axis]
    if not isinstance(size, int):
        return Refusal("the size of its axis is not known; give the input's shape with --input")
    found = b.op("one_hot", b.op("argmax", x[0], axis=axis), depth=size, dtype=b.dtype(data).name)
    order = list(range(rank - 1))
    order.insert(axis, rank - 1)
    return found if axis == rank - 1 else b.op("transpose", found, axes=tuple(order))


def _torch(function: str) -> Torch:
    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
        return b.call(function, x[0], dim=node.attributes.get_int("axis", -1))

    return emit


def _torch_hardmax(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """One at the first of the largest elements, which is the one that argmax finds."""
    axis = node.attributes.get_int("axis", -1)
    first = b.method("argmax", x[0], axis, keepdim=True)
    return b.method("scatter", b.call("torch.zeros_like", x[0]), axis, first, 1.0)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    y, axis = node.outputs[0], node.attributes.get_int("axis", -1)
    mean = b.op("ReduceSum", b.op("Mul", dy[0], y), [axis], keepdims=1)
    return [b.op("Mul", b.op("Sub", dy[0], mean), y)]


def _log_gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    total = b.op("ReduceSum", dy[0], [node.attributes.get_int("axis", -1)], keepdims=1)
    return [b.op("Sub", dy[0], b.op("Mul", b.op("Exp", node.outputs[0]), total))]


_X = arr(2, 3, 4)
_LENGTH_CASES = (
    Case("lengths", (_X, given([[1, 2, 4], [4, 3, 2]], "int32")), {"use_length": True}),
    Case("lengths along the middle", (_X, given([[1, 2, 3, 3], [3, 3, 2, 1]], "int64")), {"use_length": 1, "axis": 1}),
    Case("no length", (arr(2, 3), given([0, 2], "int32")), {"use_length": True, "temperature": 2.0}),
)
_READ_CASES = (
    Case("default", (_X,)),
    Case("axis", (_X,), {"axis": "1"}),
    Case("temperature", (_X,), {"temperature": "2.5"}),
    Case("no temperature", (_X,), {"temperature": "None", "dtype": "None", "use_length": "False"}),
)
_CASES = (
    Case("last axis", (_X,), dynamic=(0,)),
    Case("first axis", (_X,), {"axis": 0}),
    Case("middle axis", (_X,), {"axis": 1}),
    Case("large", (given([[50.0, 40.0, -30.0]], "float32"),)),
)

OPS = (
    Op(
        "Softmax",
        mx=(
            MxForm("softmax", attrs=(_AXIS,), direction="write"),
            MxForm(
                "softmax",
                read=_reads("Softmax"),
                reads=_READS,
                direction="read",
                cases=(*_READ_CASES, *_LENGTH_CASES),
            ),
            MxForm(
                "softmin",
                read=_reads("Softmax", negative=True),
                reads=_READS,
                direction="read",
                cases=_READ_CASES[:2],
            ),
            MxForm(
                "SoftmaxActivation",
                read=_read_activation,
                reads=("mode",),
                direction="read",
                cases=(
                    Case("instance", (arr(3, 4),)),
                    Case("channel", (arr(2, 3, 4, 5),), {"mode": "channel"}),
                ),
            ),
        ),
        torch=_torch("F.softmax"),
        gradient=_gradient,
        cases=_CASES,
        limits=(
            Limit("read-float64", "SoftmaxActivation refuses float64", "instance"),
            Limit("read-float64", "SoftmaxActivation refuses float64", "channel"),
            Limit("read-backward", "SoftmaxActivation refuses float64", "instance"),
            Limit("read-backward", "SoftmaxActivation refuses float64", "channel"),
        ),
    ),
    Op(
        "LogSoftmax",
        mx=(
            MxForm("log_softmax", attrs=(_AXIS,), direction="write"),
            MxForm("log_softmax", read=_reads("LogSoftmax"), reads=_READS, direction="read", cases=_READ_CASES),
        ),
        torch=_torch("F.log_softmax"),
        gradient=_log_gradient,
        cases=_CASES,
    ),
    Op(
        "Hardmax",
        mx=(MxForm("one_hot", write=_write_hardmax, direction="write"),),
        torch=_torch_hardmax,
        gradient=flat,
        cases=(
            Case("last axis", (_X,), grad=False),
            Case("middle axis", (_X,), {"axis": 1}, grad=False),
            Case("ties", (given([[1.0, 3.0, 3.0]], "float32"),), grad=False),
        ),
    ),
)
