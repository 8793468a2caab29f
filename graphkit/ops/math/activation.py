"""Activation functions: MXNet's ``Activation`` and ``LeakyReLU`` families, clipping, and what is composed from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import FLOAT
from graphkit.ops.math.grad_activation import ACTIVATION
from graphkit.ops.math.promotion import in_floats
from graphkit.ops.spec import (
    Attr,
    Case,
    MxForm,
    Op,
    Refusal,
    Tol,
    arr,
    decimal,
    given,
    is_float,
    torch_call,
    torch_float,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg

_F32_SLOPE = Tol(float64=1e-6, reason="MXNet holds the slope in float32")
_F32_BOUNDS = Tol(float64=1e-6, reason="MXNet holds the bounds in float32")
_F32_ERF = Tol(float64=1e-6, reason="MXNet evaluates erf and its gradient in float32")

_X = arr(2, 3, 4, low=-3.0, high=3.0)
_ANY = Case("any", (_X,))
_WHOLE = Case("integers", (given([-5, -1, 0, 1, 3], "int32"),), {"scalar": "2.0"}, dtype="int32")
_NO_AXES = Case("no axes", (given(0.7, "float32"),))
_LARGE = Case("large", (given([-100.0, -30.0, 0.5, 30.0, 100.0], "float32"),))


def _activation(onnx: str, act_type: str, own: str, torch: str, *extra: Case, also: str = "") -> Op:
    """An operator that MXNet spells as an ``act_type`` of Activation, and as an operator of its own."""
    forms = [MxForm("Activation", pin={"act_type": act_type}, when=_is_fraction, cases=(_ANY,))]
    if own:
        cases = (_ANY, _NO_AXES, Case("integers", (given([-2, 0, 3], "int32"),), dtype="int32"))
        read = _reads(onnx)
        names = (also,) if also else ()
        whole = {"write": _writes(own), "when": _is_whole} if onnx == "Relu" else {"direction": "read"}
        forms.append(MxForm(own, also=names, read=read, cases=cases, **whole))
    return Op(onnx, mx=tuple(forms), torch=torch_call(torch), cases=(_ANY, *extra), gradient=ACTIVATION[onnx])


def _is_whole(b: MxBuilder, node: ir.Node) -> bool:
    assert node.inputs[0] is not None
    return not is_float(b.dtype(node.inputs[0]))


def _is_fraction(b: MxBuilder, node: ir.Node) -> bool:
    """Activation is for floats."""
    return not _is_whole(b, node)


def _writes(op: str) -> Write:
    return lambda b, _node, x: b.op(op, *(ref for ref in x if ref is not None))


def _reads(onnx: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        assert x[0] is not None
        if b.dtype(x[0]).kind == "b":
            return Refusal("MXNet refuses it: it is for numbers, not for truth values")
        return in_floats(b, lambda data: b.op(onnx, data), x[0])

    return read


def _leaky(act_type: str) -> dict[str, str]:
    return {"act_type": act_type}


_UNUSED_SLOPES = ("lower_bound", "upper_bound")


def _write_selu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    """MXNet's own selu has a wrong gradient below zero, so it is elu, scaled."""
    assert x[0] is not None
    alpha = node.attributes.get_float("alpha", 1.67326319217681884765625)
    gamma = node.attributes.get_float("gamma", 1.05070102214813232421875)
    curve = b.op("LeakyReLU", x[0], act_type="elu", slope=np.float32(alpha), name="elu")
    return b.op("_mul_scalar", curve, scalar=gamma)


def _write_celu(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    assert x[0] is not None
    alpha = node.attributes.get_float("alpha", 1.0)
    if alpha <= 0:
        return Refusal(f"alpha={alpha} is not positive, and MXNet's elu has no such curve")
    inner = b.op("_div_scalar", x[0], scalar=alpha)
    return b.op("_mul_scalar", b.op("LeakyReLU", inner, act_type="elu", slope=1.0, name="elu"), scalar=alpha)


def _write_thresholded(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    above = b.op("_greater_scalar", x[0], scalar=node.attributes.get_float("alpha", 1.0))
    return b.op("elemwise_mul", x[0], above)


def _write_shrink(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    assert x[0] is not None
    if _is_whole(b, node):
        return Refusal("MXNet rounds its bias to an integer; cast its input to floats")
    bias, bound = node.attributes.get_float("bias", 0.0), node.attributes.get_float("lambd", 0.5)
    low = b.op("_lesser_scalar", x[0], scalar=-bound)
    if bound < 0:  # the first condition that holds decides
        return b.op("where", low, b.op("_plus_scalar", x[0], scalar=bias), b.op("_minus_scalar", x[0], scalar=bias))
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


def _read_smooth_l1(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """½(σx)² where |x| < 1/σ², else |x| − ½/σ². Of integers σ is one, too."""
    assert x[0] is not None
    sigma = FLOAT.parse(node.attrs.get("scalar", "1"))
    if not is_float(b.dtype(x[0])):
        sigma = math.trunc(sigma)

    def loss(data: ir.Value) -> ir.Value:
        near = b.op("Mul", b.op("Mul", data, data), b.scalar(0.5 * sigma * sigma, data))
        if sigma == 0:
            return near
        size = b.op("Abs", data)
        far = b.op("Sub", size, b.scalar(0.5 / (sigma * sigma), data))
        return b.op("Where", b.op("Less", size, b.scalar(1 / (sigma * sigma), data)), near, far)

    return in_floats(b, loss, x[0])


def _torch_alpha(function: str, default: float) -> Torch:
    """A call that takes ``alpha``, left out where it is the default of both."""

    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
        alpha = torch_float(node, "alpha", default)
        return b.call(function, x[0], *(() if alpha == default else (alpha,)))

    return emit


def _torch_selu(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    """Torch's own selu has the constants in double precision, ONNX's attributes hold them in single precision."""
    alpha, gamma = torch_float(node, "alpha", _SELU[0]), torch_float(node, "gamma", _SELU[1])
    if (alpha, gamma) == _SELU:
        return b.call("F.selu", x[0])
    return b.infix("*", gamma, b.call("F.elu", x[0], alpha))


def _torch_gelu(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    approximate = node.attributes.get_string("approximate", "none")
    return b.call("F.gelu", x[0], approximate=None if approximate == "none" else approximate)


def _torch_hard_sigmoid(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    alpha, beta = torch_float(node, "alpha", 0.2), torch_float(node, "beta", 0.5)
    if (alpha, beta) == (decimal(1 / 6), 0.5):
        return b.call("F.hardsigmoid", x[0])
    return b.method("clamp", b.infix("+", b.infix("*", x[0], alpha), beta), 0, 1)


def _torch_thresholded(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.call("F.threshold", x[0], torch_float(node, "alpha", 1.0), 0.0)


def _torch_shrink(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    assert node.inputs[0] is not None
    if not is_float(b.dtype(node.inputs[0])):
        return Refusal("torch shrinks floating-point numbers only; cast its input")
    bias, bound = torch_float(node, "bias", 0.0), torch_float(node, "lambd", 0.5)
    for function, fits in (("F.hardshrink", bias == 0), ("F.softshrink", bias == bound)):
        if fits and bound >= 0:
            return b.call(function, x[0], *(() if bound == 0.5 else (bound,)))
    down = b.call("torch.where", b.infix(">", x[0], bound), b.infix("-", x[0], bias), 0.0)
    return b.call("torch.where", b.infix("<", x[0], -bound), b.infix("+", x[0], bias), down)


_SELU = (decimal(1.67326319217681884765625), decimal(1.05070102214813232421875))

OPS = (
    _activation(
        "Relu", "relu", "relu", "F.relu", Case("integers", (given([-2, 0, 3], "int8"),), dtype="int8"), also="_npx_relu"
    ),
    _activation("Sigmoid", "sigmoid", "sigmoid", "torch.sigmoid", _LARGE, also="_npx_sigmoid"),
    _activation("Tanh", "tanh", "tanh", "torch.tanh", _LARGE, also="_npi_tanh"),
    _activation(
        "Softplus", "softrelu", "", "F.softplus", Case("large", (given([-30.0, 0.5, 30.0, 100.0], "float32"),))
    ),
    _activation("Softsign", "softsign", "softsign", "F.softsign"),
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
        torch=_torch_alpha("F.elu", 1.0),
        gradient=ACTIVATION["Elu"],
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
        torch=_torch_selu,
        gradient=ACTIVATION["Selu"],
        cases=(
            Case("default", (_X,), tol=_F32_SLOPE),
            Case("alpha and gamma", (_X,), {"alpha": 1.5, "gamma": 0.5}, tol=_F32_SLOPE),
        ),
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
        torch=_torch_gelu,
        gradient=ACTIVATION["Gelu"],
        cases=(Case("erf", (_X,), tol=_F32_ERF), Case("tanh", (_X,), {"approximate": "tanh"})),
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
        torch=_torch_hard_sigmoid,
        gradient=ACTIVATION["HardSigmoid"],
        cases=(
            Case("default", (_X,), tol=_F32_BOUNDS),
            Case("alpha and beta", (_X,), {"alpha": 1 / 6, "beta": 0.4}, tol=_F32_BOUNDS),
        ),
    ),
    Op(
        "HardSwish",
        mx=(MxForm("hard_sigmoid", write=_gate("hard_sigmoid", alpha=1 / 6, beta=0.5), direction="write"),),
        torch=torch_call("F.hardswish"),
        gradient=ACTIVATION["HardSwish"],
        cases=(Case("any", (arr(2, 3, 4, low=-5.0, high=5.0),), tol=_F32_BOUNDS),),
    ),
    Op(
        "Mish",
        mx=(MxForm("Activation", write=_write_mish, direction="write"),),
        torch=torch_call("F.mish"),
        gradient=ACTIVATION["Mish"],
        cases=(_ANY,),
    ),
    Op(
        "Celu",
        mx=(MxForm("LeakyReLU", write=_write_celu, direction="write"),),
        torch=_torch_alpha("F.celu", 1.0),
        gradient=ACTIVATION["Celu"],
        cases=(_ANY, Case("alpha", (_X,), {"alpha": 2.0})),
    ),
    Op(
        "ThresholdedRelu",
        mx=(MxForm("_greater_scalar", write=_write_thresholded, direction="write"),),
        torch=_torch_thresholded,
        gradient=ACTIVATION["ThresholdedRelu"],
        cases=(_ANY, Case("alpha", (_X,), {"alpha": 0.5})),
    ),
    Op(
        "Shrink",
        mx=(MxForm("_greater_scalar", write=_write_shrink, direction="write"),),
        torch=_torch_shrink,
        gradient=ACTIVATION["Shrink"],
        cases=(
            _ANY,
            Case("bias", (_X,), {"bias": 1.5, "lambd": 1.0}),
            Case("below zero", (_X,), {"bias": 1.5, "lambd": -1.0}),
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
                cases=(Case("default", (_X,)), Case("sigma", (_X,), {"scalar": "2.0"}), _WHOLE),
            ),
        ),
    ),
)
