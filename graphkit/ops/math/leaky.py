"""Rectifiers that leak: a given slope below zero (LeakyRelu) or a stored one (PRelu)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.math.grad_activation import ACTIVATION
from graphkit.ops.spec import Attr, Case, Limit, MxForm, Op, Refusal, Tol, arr, is_float, torch_float
from graphkit.ops.stored import stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var

_F32_SLOPE = Tol(float64=1e-6, reason="MXNet holds the slope in float32")

_X = arr(2, 3, 4, low=-3.0, high=3.0)
_UNUSED_SLOPES = ("lower_bound", "upper_bound")


def _leaky(act_type: str) -> dict[str, str]:
    return {"act_type": act_type}


def _misfit(b: MxBuilder | TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why a slope is none of what it is for; ONNX stretches it, and not the data."""
    data, slope = (value for value in node.inputs if value is not None)
    have, want = b.shape(slope), b.shape(data)
    pairs = zip(have, want[len(want) - len(have) :], strict=False)
    fits = len(have) <= len(want) and all(
        one in (1, other) or not (isinstance(one, int) and isinstance(other, int)) for one, other in pairs
    )
    return None if fits else Refusal("its slope does not stretch to the shape of what it reads")


def _write_prelu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """MXNet's own prelu where the slope is constant.

    Its backward pass may write the gradient of the data over the cotangent before it computes that of the slope from
    it, so that inside of a graph the slope's gradient is wrong by a factor of the slope.
    """
    data, slope = node.inputs
    assert data is not None
    assert slope is not None
    assert x[0] is not None
    assert x[1] is not None
    rank, dims = b.rank(data), b.shape(slope)
    per_channel = [1] * (rank - len(dims)) + list(dims)
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    constant = b.value(slope) is not None
    if constant and rank > 1 and all(dim == 1 for axis, dim in enumerate(per_channel) if axis != 1):
        size = math.prod(dim for dim in dims if isinstance(dim, int))
        gamma = x[1] if dims == (size,) else b.derived(slope, (("reshape", (size,)),))
        return b.op("LeakyReLU", x[0], gamma, act_type="prelu")
    negative = b.op("broadcast_mul", b.op("_minimum_scalar", x[0], scalar=0.0), x[1])
    return b.op("elemwise_add", b.op("Activation", x[0], act_type="relu"), negative)


def _per_channel(rank: int, dims: tuple[Dim, ...], size: int) -> bool:
    """Whether all of a slope's elements lie along axis 1 of the data."""
    return 2 <= rank >= len(dims) and [*(1,) * (rank - len(dims)), *dims][1] == size


def _torch_prelu(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """A layer where one slope belongs to each channel or to all of them, as torch's do."""
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    data, slope = node.inputs
    assert data is not None
    assert slope is not None
    kept = stored(b, slope)
    if kept is not None and is_float(b.dtype(slope)):
        tensor, layout = kept
        dims = b.shape(slope)
        size = math.prod(dim for dim in dims if isinstance(dim, int))
        if size == 1 or _per_channel(b.rank(data), dims, size):
            if b.shape(tensor) == (size,):
                layout = ()
            elif dims != (size,):
                layout = (*layout, ("reshape", (size,)))
            sizes = () if size == 1 else (size,)
            made: Var | None = b.layer("nn.PReLU", (x[0],), {"weight": (tensor, layout)}, *sizes)
            return b.call("F.prelu", x[0], b.derived(tensor, layout)) if made is None else made
    return b.call("torch.where", b.infix(">", x[0], 0), x[0], b.infix("*", x[1], x[0]))


def _torch_leaky(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    slope = torch_float(node, "alpha", 0.01)
    return b.call("F.leaky_relu", x[0], *(() if slope == 0.01 else (slope,)))


def _read_prelu(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, gamma = x[0], x[1]
    assert data is not None
    assert gamma is not None
    size = b.static_shape(gamma)[-1]
    rank = b.rank(data)
    if rank > 2 and size != 1:
        gamma = b.op("Reshape", gamma, [size] + [1] * (rank - 2))
    return b.op("PRelu", data, gamma)


def _read_rrelu(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """In inference the slope is the middle of the range it is drawn from in training."""
    low, high = (
        float(node.attrs.get(key, default)) for key, default in (("lower_bound", 0.125), ("upper_bound", 0.334))
    )
    return b.op("LeakyRelu", x[0], alpha=(low + high) / 2)


OPS = (
    Op(
        "LeakyRelu",
        mx=(
            MxForm(
                "LeakyReLU",
                attrs=(Attr("slope", "alpha", FLOAT, onnx_default=np.float32(0.01), mx_default=0.25),),
                pin=_leaky("leaky"),
                pin_default=_leaky("leaky"),
                ignore=_UNUSED_SLOPES,
                cases=(Case("defaults", (_X,)), Case("slope", (_X,), {"slope": "0.1"}, tol=_F32_SLOPE)),
            ),
            MxForm(
                "LeakyReLU",
                pin=_leaky("rrelu"),
                read=_read_rrelu,
                reads=_UNUSED_SLOPES,
                ignore=("slope",),
                direction="read",
                cases=(Case("rrelu", (_X,), {"act_type": "rrelu"}, tol=_F32_SLOPE),),
            ),
        ),
        torch=_torch_leaky,
        gradient=ACTIVATION["LeakyRelu"],
        cases=(
            Case("default", (_X,), tol=_F32_SLOPE),
            Case("alpha", (_X,), {"alpha": 0.2}, tol=_F32_SLOPE),
            Case("quarter", (_X,), {"alpha": 0.25}),
        ),
        limits=(
            Limit("read-backward", "MXNet's gradient of rrelu in inference uses slopes that were never drawn", "rrelu"),
        ),
    ),
    Op(
        "PRelu",
        mx=(
            MxForm("LeakyReLU", write=_write_prelu, direction="write"),
            MxForm(
                "LeakyReLU",
                pin=_leaky("prelu"),
                read=_read_prelu,
                ignore=(*_UNUSED_SLOPES, "slope"),
                direction="read",
                cases=(
                    Case("per channel", (arr(2, 3, 4, 2), arr(3)), _leaky("prelu"), const=(1,), tol=_F32_SLOPE),
                    Case("one slope", (arr(2, 3, 4), arr(1)), _leaky("prelu"), const=(1,), tol=_F32_SLOPE),
                    Case("matrix", (arr(2, 3), arr(3)), _leaky("prelu"), const=(1,), tol=_F32_SLOPE),
                ),
            ),
        ),
        torch=_torch_prelu,
        gradient=ACTIVATION["PRelu"],
        cases=(
            Case("per channel", (arr(2, 3, 4, 2), arr(3, 1, 1)), const=(1,)),
            Case("one constant slope", (arr(2, 3, 4), arr(1)), const=(1,), tol=_F32_SLOPE),
            Case("matrix", (arr(2, 3), arr(3)), const=(1,)),
            Case("per element", (arr(2, 3, 4), arr(2, 3, 4)), const=(1,)),
            Case("last axis", (arr(2, 3, 4), arr(4)), const=(1,)),
            Case("computed", (arr(2, 3, 4), arr(3, 1))),
        ),
    ),
)
