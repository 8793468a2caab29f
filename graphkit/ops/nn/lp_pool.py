"""Pooling by p-norm, over windows and over everything.

MXNet's ``lp`` pooling sums powers of the numbers themselves rather than of their magnitudes, and knows p = 1, 2, 3; so
it is the p-norm for p = 2 only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.nn.average_pool import spread
from graphkit.ops.nn.windows import global_pool, onnx_window, pool, torch_pad, torch_windows
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, per_axis
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _by_powers(b: MxBuilder, data: MxRef, p: int, total: Callable[[MxRef], MxRef]) -> MxRef:
    """(Σ|x|ᵖ)^(1/p), given how to sum."""
    if p == 1:
        return total(b.op("abs", data))
    if p == 2:
        return b.op("sqrt", total(b.op("square", data)))
    powers = b.op("_power_scalar", b.op("abs", data), scalar=float(p))
    return b.op("_power_scalar", total(powers), scalar=1.0 / p)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    kernel, p = tuple(node.attributes.get_ints("kernel_shape", [])), node.attributes.get_int("p", 2)
    if not 1 <= len(kernel) <= 3:
        return Refusal(f"MXNet pools 1 to 3 spatial axes, not {len(kernel)}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    spatial = b.shape(source)[2:]
    convention = window.convention(spatial)
    if p == 2 and convention is not None:
        return b.op(
            "Pooling",
            data,
            pool_type="lp",
            p_value=2,
            kernel=kernel,
            stride=window.strides,
            pad=window.begins,
            pooling_convention=convention,
        )
    return _by_powers(b, data, p, lambda powers: pool(b, powers, spatial, window, "sum"))


def _write_global(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    rank, p = b.rank(source), node.attributes.get_int("p", 2)
    if p == 2 and rank in (3, 4, 5):
        kernel = (1,) * (rank - 2)
        return b.op("Pooling", data, global_pool=True, pool_type="lp", p_value=2, kernel=kernel)
    return _by_powers(b, data, p, lambda powers: global_pool(b, powers, rank, "sum"))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    source = node.inputs[0]
    assert source is not None
    kernel, p = tuple(node.attributes.get_ints("kernel_shape", [])), node.attributes.get_int("p", 2)
    if not 1 <= len(kernel) <= 3:
        return Refusal(f"torch pools 1 to 3 spatial axes, not {len(kernel)}")
    window = onnx_window(b, node, kernel)
    if isinstance(window, Refusal):
        return window
    data = x[0] if p % 2 == 0 else b.method("abs", x[0])
    if set(window.dilations) == {1}:
        data = torch_pad(b, data, window.begins, window.whole_ends)
        stride = per_axis(window.strides) if window.strides != kernel else None
        return b.call(f"F.lp_pool{len(kernel)}d", data, p, per_axis(kernel), stride=stride)
    powers = data if p == 1 else b.infix("**", data, p)
    total, _ = torch_windows(b, powers, window, b.size(source, 1))
    return total if p == 1 else b.method("sqrt", total) if p == 2 else b.infix("**", total, 1 / p)


def _torch_global(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source = node.inputs[0]
    assert source is not None
    axes, p = tuple(range(2, b.rank(source))), node.attributes.get_int("p", 2)
    return b.call("torch.linalg.vector_norm", x[0], p, axes, keepdim=True)


def _through_norm(b: GradientBuilder, node: ir.Node, dy: ir.Value, spread_: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """x·|x|ᵖ⁻² times what the windows hand back of dy·y¹⁻ᵖ; windows of zeros hand nothing back, as in torch."""
    data, norm, p = some(node.inputs[0]), node.outputs[0], node.attributes.get_int("p", 2)
    if p == 1:
        return b.op("Mul", b.op("Sign", data), spread_(dy))
    power = norm if p == 2 else b.op("Pow", norm, b.scalar(p - 1, norm))
    zero = b.scalar(0.0, norm)
    share = b.op("Where", b.op("Greater", norm, zero), b.op("Div", dy, power), zero)
    slope = data
    if p > 2:
        slope = b.op("Mul", data, b.op("Pow", b.op("Abs", data), b.scalar(p - 2, data)))
    return b.op("Mul", slope, spread_(share))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    data = some(node.inputs[0])
    window = onnx_window(b, node, tuple(node.attributes.get_ints("kernel_shape", [])))
    if isinstance(window, Refusal):
        return window
    return [_through_norm(b, node, dy[0], lambda share: spread(b, data, share, window))]


def _gradient_global(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return [_through_norm(b, node, dy[0], lambda share: share)]


_ROW, _IMAGE, _VOLUME = arr(2, 2, 9), arr(2, 3, 7, 8), arr(1, 2, 5, 6, 4)

OPS = (
    Op(
        "LpPool",
        mx=(MxForm("Pooling", write=_write, direction="write"),),
        torch=_torch,
        gradient=_gradient,
        cases=(
            Case("p = 2", (_IMAGE,), {"kernel_shape": [2, 3], "strides": [2, 1]}, dynamic=(0,)),
            Case("p = 2, 1-D", (_ROW,), {"kernel_shape": [3], "pads": [1, 1], "strides": [2]}),
            Case("p = 2, 3-D", (_VOLUME,), {"kernel_shape": [2, 2, 2]}),
            Case("p = 1", (_IMAGE,), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "p": 1}),
            Case("p = 3", (_IMAGE,), {"kernel_shape": [2, 2], "p": 3}),
            Case("p = 4", (_IMAGE,), {"kernel_shape": [2, 2], "p": 4}),
            Case("uneven pads", (_IMAGE,), {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0]}),
            Case("dilated", (_IMAGE,), {"kernel_shape": [2, 3], "dilations": [3, 2]}, dynamic=(0,)),
            Case("ceil", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
            Case(
                "ceil that drops a window in the padding",
                (_ROW,),
                {"kernel_shape": [2], "strides": [2], "pads": [1, 1], "ceil_mode": 1, "p": 3},
            ),
            Case("same upper", (_IMAGE,), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ),
    ),
    Op(
        "GlobalLpPool",
        mx=(MxForm("Pooling", write=_write_global, direction="write"),),
        torch=_torch_global,
        gradient=_gradient_global,
        cases=(
            Case("p = 2", (_IMAGE,), dynamic=(0,)),
            Case("p = 1", (_ROW,), {"p": 1}),
            Case("p = 3", (_VOLUME,), {"p": 3}),
            Case("4-D", (arr(1, 2, 2, 3, 2, 2),)),
        ),
        limits=tuple(
            Limit(claim, "it pools at most 3 spatial axes", "4-D") for claim in ("onnxruntime", "gradient-onnxruntime")
        ),
    ),
)
