"""Division by a norm: ONNX's LpNormalization, MXNet's L2Normalization.

ONNX keeps zero vectors zero; MXNet adds a small number under the root instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = x[0]
    assert data is not None
    mode = node.attrs.get("mode", "instance")
    if mode not in ("instance", "channel", "spatial"):
        return Refusal(f"mode={mode} is not one of MXNet's")
    axes = [1] if mode == "channel" else list(range(1 if mode == "instance" else 2, b.rank(data)))
    eps = float(np.float32(node.attrs.get("eps", "1e-10")))
    total = b.op("ReduceSumSquare", data, axes, keepdims=1)
    return b.op("Div", data, b.op("Sqrt", b.op("Add", total, b.scalar(eps, total))))


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    data = x[0]
    assert data is not None
    axis, p = node.attributes.get_int("axis", -1), node.attributes.get_int("p", 2)
    if p == 1:
        norm = b.op("sum", b.op("abs", data), axis=axis, keepdims=True)
    elif p == 2:
        norm = b.op("sqrt", b.op("sum", b.op("square", data), axis=axis, keepdims=True))
    else:
        return Refusal(f"ONNX defines p = 1 and 2 only, not {p}")
    zero = b.op("_equal_scalar", norm, scalar=0.0)
    return b.op("broadcast_div", data, b.op("elemwise_add", norm, zero))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Torch divides by ``eps`` where the norm is less; the smallest number keeps all but zeros as they are."""
    source = node.inputs[0]
    assert source is not None
    axis, p = node.attributes.get_int("axis", -1), node.attributes.get_int("p", 2)
    if p not in (1, 2):
        return Refusal(f"ONNX defines p = 1 and 2 only, not {p}")
    tiny = Code(f"torch.finfo({b.torch_dtype(b.dtype(source)).text}).tiny")
    return b.call("F.normalize", x[0], p=p if p != 2 else None, dim=axis if axis != 1 else None, eps=tiny)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """Of y = x/n: (g − s·Σg·y)/n, where s is y for p = 2 and the sign of x for p = 1."""
    data, y = some(node.inputs[0]), node.outputs[0]
    axis, p = [node.attributes.get_int("axis", -1)], node.attributes.get_int("p", 2)
    if p not in (1, 2):
        return Refusal(f"ONNX defines p = 1 and 2 only, not {p}")
    norm = b.op("ReduceL2" if p == 2 else "ReduceL1", data, axis, keepdims=1)
    kind = b.dtype(data)
    tiny = np.finfo(kind if kind.kind == "f" else np.float32).tiny  # bfloat16 reaches as far as float32
    norm = b.op("Max", norm, b.scalar(float(tiny), data))
    total = b.op("ReduceSum", b.op("Mul", dy[0], y), axis, keepdims=1)
    slope = y if p == 2 else b.op("Sign", data)
    return [b.op("Div", b.op("Sub", dy[0], b.op("Mul", slope, total)), norm)]


_DATA = arr(2, 3, 4, 5)

OP = Op(
    "LpNormalization",
    mx=(
        MxForm(
            "L2Normalization",
            direction="read",
            read=_read,
            reads=("eps", "mode"),
            cases=(
                Case("defaults", (_DATA,)),
                Case("rows", (arr(3, 4),), {"mode": "instance"}),
                Case("channel", (_DATA,), {"mode": "channel", "eps": 1e-3}),
                Case("spatial", (_DATA,), {"mode": "spatial", "eps": "0.125"}),
            ),
        ),
        MxForm("broadcast_div", write=_write, direction="write"),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("defaults", (_DATA,), dynamic=(0,)),
        Case("p = 1", (_DATA,), {"p": 1, "axis": 1}),
        Case("p = 2", (_DATA,), {"p": 2, "axis": -3}),
        Case("tiny", (given([[2e-16, 0.0], [3e-16, 4e-16]], "float32"),), grad=False),
        Case("zeros", (given([[0.0, 0.0], [3.0, 4.0]], "float32"),), grad=False),
    ),
)
