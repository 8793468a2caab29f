"""Activation functions: MXNet's ``Activation`` and ``LeakyReLU`` families, clipping, and what is composed from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.spec import FLOAT, Attr, Case, Limit, MxForm, Op, Tol, arr, given

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Write

_F32_SLOPE = Tol(float64=1e-6, reason="MXNet holds the slope in float32")
_F32_BOUNDS = Tol(float64=1e-6, reason="MXNet holds the bounds in float32")
_F32_ERF = Tol(float64=1e-6, reason="MXNet evaluates erf and its gradient in float32")

_X = arr(2, 3, 4, low=-3.0, high=3.0)
_ANY = Case("any", (_X,))
_LARGE = Case("large", (given([-100.0, -30.0, 0.5, 30.0, 100.0], "float32"),))


def _activation(onnx: str, act_type: str, own: str, *extra: Case) -> Op:
    """An operator that MXNet spells as an ``act_type`` of Activation, and as an operator of its own."""
    forms = [MxForm("Activation", pin={"act_type": act_type}, cases=(_ANY,))]
    if own:
        forms.append(MxForm(own, direction="read", cases=(_ANY,)))
    return Op(onnx, mx=tuple(forms), cases=(_ANY, *extra))


def _leaky(act_type: str) -> dict[str, str]:
    return {"act_type": act_type}


_UNUSED_SLOPES = ("lower_bound", "upper_bound")


def _write_prelu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
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
    constant = b.value(slope) is not None
    if constant and rank > 1 and all(dim == 1 for axis, dim in enumerate(per_channel) if axis != 1):
        size = math.prod(dim for dim in dims if isinstance(dim, int))
        gamma = x[1] if dims == (size,) else b.derived(slope, (("reshape", (size,)),))
        return b.op("LeakyReLU", x[0], gamma, act_type="prelu")
    negative = b.op("broadcast_mul", b.op("_minimum_scalar", x[0], scalar=0.0), x[1])
    return b.op("elemwise_add", b.op("Activation", x[0], act_type="relu"), negative)


def _read_prelu(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, gamma = x[0], x[1]
    assert data is not None
    assert gamma is not None
    size = b.static_shape(gamma)[-1]
    rank = b.rank(data)
    if rank > 2 and size != 1:
        gamma = b.op("Reshape", gamma, [size] + [1] * (rank - 2))
    return b.op("PRelu", data, gamma)


def _write_selu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    """MXNet's own selu has a wrong gradient below zero, so it is elu, scaled."""
    assert x[0] is not None
    alpha = node.attributes.get_float("alpha", 1.67326319217681884765625)
    gamma = node.attributes.get_float("gamma", 1.05070102214813232421875)
    curve = b.op("LeakyReLU", x[0], act_type="elu", slope=np.float32(alpha), name="elu")
    return b.op("_mul_scalar", curve, scalar=gamma)


def _write_celu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    alpha = node.attributes.get_float("alpha", 1.0)
    inner = b.op("_div_scalar", x[0], scalar=alpha)
    return b.op("_mul_scalar", b.op("LeakyReLU", inner, act_type="elu", slope=1.0, name="elu"), scalar=alpha)


def _write_thresholded(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    above = b.op("_greater_scalar", x[0], scalar=node.attributes.get_float("alpha", 1.0))
    return b.op("elemwise_mul", x[0], above)


def _write_shrink(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    bias, bound = node.attributes.get_float("bias", 0.0), node.attributes.get_float("lambd", 0.5)
    low = b.op("_lesser_scalar", x[0], scalar=-bound)
    high = b.op("_greater_scalar", x[0], scalar=bound)
    up = b.op("elemwise_mul", b.op("_plus_scalar", x[0], scalar=bias), low)
    down = b.op("elemwise_mul", b.op("_minus_scalar", x[0], scalar=bias), high)
    return b.op("elemwise_add", up, down)


def _write_gelu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    """0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), or the erf form that MXNet has."""
    assert x[0] is not None
    if node.attributes.get_string("approximate", "none") == "none":
        return b.op("LeakyReLU", x[0], act_type="gelu")
    cube = b.op("_mul_scalar", b.op("_power_scalar", x[0], scalar=3.0), scalar=0.044715)
    inner = b.op("_mul_scalar", b.op("elemwise_add", x[0], cube), scalar=math.sqrt(2 / math.pi))
    gate = b.op("_plus_scalar", b.op("tanh", inner), scalar=1.0)
    return b.op("_mul_scalar", b.op("elemwise_mul", x[0], gate), scalar=0.5)


def _gate(function: str, **attrs: float) -> Write:
    """X · function(x)."""

    def write(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
        assert x[0] is not None
        return b.op("elemwise_mul", x[0], b.op(function, x[0], name="", **attrs))

    return write


def _write_mish(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    return b.op("elemwise_mul", x[0], b.op("tanh", b.op("Activation", x[0], act_type="softrelu")))


def _write_clip(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    data, bounds = x[0], [*node.inputs[1:], None, None][:2]
    assert data is not None
    low, high = (b.number(bound) for bound in bounds)
    if low is not None and high is not None and np.float32(low) == low and np.float32(high) == high:
        return b.op("clip", data, a_min=low, a_max=high)
    for bound, number, scalar, tensor in (
        (bounds[0], low, "_maximum_scalar", "broadcast_maximum"),
        (bounds[1], high, "_minimum_scalar", "broadcast_minimum"),
    ):
        if bound is not None:
            data = b.op(scalar, data, scalar=number) if number is not None else b.op(tensor, data, b.ref(bound))
    return data if data != x[0] else b.op("_copy", data)


def _read_clip(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    assert x[0] is not None
    low, high = (b.scalar(FLOAT.parse(node.attrs[name]), x[0]) for name in ("a_min", "a_max"))
    return b.op("Clip", x[0], low, high)


def _read_rrelu(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """In inference the slope is the middle of the range it is drawn from in training."""
    low, high = (
        float(node.attrs.get(key, default)) for key, default in (("lower_bound", 0.125), ("upper_bound", 0.334))
    )
    return b.op("LeakyRelu", x[0], alpha=(low + high) / 2)


def _read_smooth_l1(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """½(σx)² where |x| < 1/σ², else |x| − ½/σ²."""
    assert x[0] is not None
    sigma = FLOAT.parse(node.attrs.get("scalar", "1"))
    size = b.op("Abs", x[0])
    near = b.op("Mul", b.op("Mul", x[0], x[0]), b.scalar(0.5 * sigma * sigma, x[0]))
    far = b.op("Sub", size, b.scalar(0.5 / (sigma * sigma), x[0]))
    return b.op("Where", b.op("Less", size, b.scalar(1 / (sigma * sigma), x[0])), near, far)


OPS = (
    _activation("Relu", "relu", "relu"),
    _activation("Sigmoid", "sigmoid", "sigmoid", _LARGE),
    _activation("Tanh", "tanh", "tanh", _LARGE),
    _activation("Softplus", "softrelu", "", Case("large", (given([-30.0, 0.5, 30.0, 100.0], "float32"),))),
    _activation("Softsign", "softsign", "softsign"),
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
        "Elu",
        mx=(
            MxForm(
                "LeakyReLU",
                attrs=(Attr("slope", "alpha", FLOAT, onnx_default=1.0, mx_default=0.25),),
                pin=_leaky("elu"),
                ignore=_UNUSED_SLOPES,
                cases=(Case("default slope", (_X,), _leaky("elu")),),
            ),
        ),
        cases=(_ANY, Case("alpha", (_X,), {"alpha": 0.7}, tol=_F32_SLOPE)),
    ),
    Op(
        "Selu",
        mx=(
            MxForm("LeakyReLU", write=_write_selu, direction="write"),
            MxForm(
                "LeakyReLU",
                pin=_leaky("selu"),
                ignore=(*_UNUSED_SLOPES, "slope"),
                direction="read",
                cases=(Case("selu", (_X,), _leaky("selu"), tol=_F32_SLOPE),),
            ),
        ),
        cases=(
            Case("default", (_X,), tol=_F32_SLOPE),
            Case("alpha and gamma", (_X,), {"alpha": 1.5, "gamma": 0.5}, tol=_F32_SLOPE),
        ),
        limits=(Limit("read-backward", "MXNet's own gradient of selu is wrong below zero", "selu"),),
    ),
    Op(
        "Gelu",
        mx=(
            MxForm("LeakyReLU", write=_write_gelu, direction="write"),
            MxForm(
                "LeakyReLU",
                pin=_leaky("gelu"),
                ignore=(*_UNUSED_SLOPES, "slope"),
                direction="read",
                cases=(Case("gelu", (_X,), _leaky("gelu"), tol=_F32_ERF),),
            ),
        ),
        cases=(Case("erf", (_X,), tol=_F32_ERF), Case("tanh", (_X,), {"approximate": "tanh"})),
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
        cases=(
            Case("per channel", (arr(2, 3, 4, 2), arr(3, 1, 1)), const=(1,)),
            Case("one constant slope", (arr(2, 3, 4), arr(1)), const=(1,), tol=_F32_SLOPE),
            Case("matrix", (arr(2, 3), arr(3)), const=(1,)),
            Case("per element", (arr(2, 3, 4), arr(2, 3, 4)), const=(1,)),
            Case("last axis", (arr(2, 3, 4), arr(4)), const=(1,)),
            Case("computed", (arr(2, 3, 4), arr(3, 1))),
        ),
    ),
    Op(
        "HardSigmoid",
        mx=(
            MxForm(
                "hard_sigmoid",
                attrs=(
                    Attr("alpha", "alpha", FLOAT, onnx_default=np.float32(0.2), mx_default=0.2),
                    Attr("beta", "beta", FLOAT, onnx_default=0.5, mx_default=0.5),
                ),
                cases=(Case("defaults", (_X,), tol=_F32_BOUNDS),),
            ),
        ),
        cases=(
            Case("default", (_X,), tol=_F32_BOUNDS),
            Case("alpha and beta", (_X,), {"alpha": 1 / 6, "beta": 0.4}, tol=_F32_BOUNDS),
        ),
    ),
    Op(
        "HardSwish",
        mx=(MxForm("hard_sigmoid", write=_gate("hard_sigmoid", alpha=1 / 6, beta=0.5), direction="write"),),
        cases=(Case("any", (arr(2, 3, 4, low=-5.0, high=5.0),), tol=_F32_BOUNDS),),
    ),
    Op("Mish", mx=(MxForm("Activation", write=_write_mish, direction="write"),), cases=(_ANY,)),
    Op(
        "Celu",
        mx=(MxForm("LeakyReLU", write=_write_celu, direction="write"),),
        cases=(_ANY, Case("alpha", (_X,), {"alpha": 2.0})),
    ),
    Op(
        "ThresholdedRelu",
        mx=(MxForm("_greater_scalar", write=_write_thresholded, direction="write"),),
        cases=(_ANY, Case("alpha", (_X,), {"alpha": 0.5})),
    ),
    Op(
        "Shrink",
        mx=(MxForm("_greater_scalar", write=_write_shrink, direction="write"),),
        cases=(_ANY, Case("bias", (_X,), {"bias": 1.5, "lambd": 1.0})),
    ),
    Op(
        "Clip",
        mx=(
            MxForm(
                "clip",
                read=_read_clip,
                reads=("a_min", "a_max"),
                write=_write_clip,
                cases=(
                    Case("both", (_X,), {"a_min": "-0.3", "a_max": "1e0"}, tol=_F32_BOUNDS),
                    Case("integers", (arr(3, low=-5, high=5, dtype="int32"),), {"a_min": -1, "a_max": 2}, grad=False),
                ),
            ),
        ),
        cases=(
            Case("both", (_X, given(0.0, "float32"), given(6.0, "float32")), const=(1, 2)),
            Case("both inexact", (_X, given(-0.3, "float32"), given(0.7, "float32")), const=(1, 2)),
            Case("low", (_X, given(-0.3, "float32")), const=(1,)),
            Case("high", (_X, None, given(0.3, "float32")), const=(2,)),
            Case("neither", (_X,)),
            Case("computed bounds", (_X, given(-0.3, "float32"), given(0.7, "float32")), grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "smooth_l1",
                read=_read_smooth_l1,
                reads=("scalar",),
                direction="read",
                cases=(Case("default", (_X,)), Case("sigma", (_X,), {"scalar": "2.0"})),
            ),
        ),
    ),
)
