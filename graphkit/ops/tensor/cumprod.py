"""Running products, which MXNet lacks: each step multiplies by the array shifted by twice as far as the step before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, int64
from graphkit.ops.tensor.cumsum import torch_running
from graphkit.ops.tensor.sizes import some
from graphkit.ops.tensor.torch_index import along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data, source, number = some(x[0]), some(node.inputs[0]), b.number(node.inputs[1])
    if number is None:
        return Refusal("its axis is computed; MXNet needs it in the symbol", needs=node.inputs[1:])
    axis = int(number) % b.rank(source)
    size = b.shape(source)[axis]
    if not isinstance(size, int):
        return Refusal(f"the size of its axis {axis} is not known; give the shapes of the model's inputs with --input")
    backward = node.attributes.get_int("reverse", 0)
    if backward:
        data = b.op("reverse", data, axis=(axis,))
    if node.attributes.get_int("exclusive", 0):
        data = _shifted(b, data, axis, size, 1)
    step = 1
    while step < size:
        data = b.op("elemwise_mul", data, _shifted(b, data, axis, size, step))
        step *= 2
    return b.op("reverse", data, axis=(axis,)) if backward else data


def _shifted(b: MxBuilder, data: MxRef, axis: int, size: int, step: int) -> MxRef:
    """The array moved along an axis, ones where it was."""
    ones = b.op("ones_like", b.op("slice_axis", data, axis=axis, begin=0, end=min(step, size)), name="ones")
    if step >= size:
        return ones
    return b.op("Concat", ones, b.op("slice_axis", data, axis=axis, begin=0, end=size - step), num_args=2, dim=axis)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source, number = some(node.inputs[0]), b.number(node.inputs[1])
    if number is None:
        return torch_running(b, node, x, "cumprod", 1)
    rank, dtype = b.rank(source), b.dtype(source)
    axis = int(number) % rank
    data: Arg = x[0]
    backward = node.attributes.get_int("reverse", 0)
    if backward:
        data = b.method("flip", data, axis)
    if node.attributes.get_int("exclusive", 0):
        rest = b.item(data, *along(axis, slice(-1), rank=rank))
        data = b.call("F.pad", rest, (0, 0) * (rank - 1 - axis) + (1, 0), value=1)
    narrow = dtype.kind in "iu" and dtype != np.int64
    data = b.method("cumprod", data, axis, dtype=b.torch_dtype(dtype) if narrow else None)
    return b.method("flip", data, axis) if backward else data


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """Σ of dy·y over the products that an element is in, divided by it.

    At the first zero, that of the products that one in its place gives; behind it every product is zero.
    """
    data, axis = some(node.inputs[0]), node.inputs[1]
    way: dict[str, Any] = {name: node.attributes.get_int(name, 0) for name in ("exclusive", "reverse")}
    back = {**way, "reverse": 1 - way["reverse"]}
    zero, one = b.scalar(0.0, data), b.scalar(1.0, data)
    none = b.op("Equal", data, zero)
    before = b.op("CumSum", b.op("Cast", none, to=ir.DataType.INT32), axis, exclusive=1, reverse=way["reverse"])
    first = b.op("And", none, b.op("Equal", before, np.asarray(0, np.int32)))
    without = b.op("CumProd", b.op("Where", first, one, data), axis, **way)
    of_first = b.op("CumSum", b.op("Mul", dy[0], without), axis, **back)
    of_others = b.op("CumSum", b.op("Mul", dy[0], node.outputs[0]), axis, **back)
    of_others = b.op("Div", of_others, b.op("Where", none, one, data))
    return [b.op("Where", none, b.op("Where", first, of_first, zero), of_others)]


_X = arr(2, 5, 4, low=0.5, high=1.5)

OP = Op(
    "CumProd",
    mx=(MxForm("elemwise_mul", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("axis", (_X, int64(1)), const=(1,), dynamic=(0,)),
        Case("last axis", (_X, int64(-1)), const=(1,)),
        Case("exclusive", (_X, int64(2)), {"exclusive": 1}, const=(1,), dynamic=(0,)),
        Case("reverse", (_X, int64(1)), {"reverse": 1}, const=(1,)),
        Case("both", (_X, int64(0)), {"reverse": 1, "exclusive": 1}, const=(1,)),
        Case("exclusive of one", (arr(2, 1), int64(1)), {"exclusive": 1}, const=(1,)),
        Case("integers", (arr(5, low=-9, high=9, dtype="int32"), int64(0)), const=(1,), grad=False),
    ),
)
