"""Layer normalisation over the last axes, and its variant without a mean, RMSNormalization.

MXNet normalises one axis, scales and shifts it always, and gives no gradient through its mean and deviation outputs.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.nn.epsilon import epsilon, torch_epsilon
from graphkit.ops.nn.grad_norm import layer_norm_gradient, rms_norm_gradient
from graphkit.ops.spec import Case, MxForm, Op, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.layout import Layout
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    data, gamma, beta = x
    assert data is not None
    axis = int(node.attrs.get("axis", "-1"))
    eps = float(np.float32(node.attrs.get("eps", "1e-5")))
    back: tuple[int, ...] | None = None
    if axis != -1:
        rank = b.rank(data)
        axis %= rank
        if axis != rank - 1:
            data = b.op("Transpose", data, perm=(*(k for k in range(rank) if k != axis), axis))
            back = (*range(axis), rank - 1, *range(axis, rank - 1))
    statistics = bool(BOOL.parse(node.attrs.get("output_mean_var", "False")))
    results = list(b.ops("LayerNormalization", 3 if statistics else 1, data, gamma, beta, epsilon=eps, axis=-1))
    if statistics:
        results[2] = b.op("Reciprocal", results[2])
    return [result if back is None else b.op("Transpose", result, perm=back) for result in results]


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Sequence[MxRef]:
    source, scale = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    data = x[0]
    assert source is not None
    assert scale is not None
    assert data is not None
    shape = b.shape(source)
    rank = len(shape)
    axis = node.attributes.get_int("axis", -1) % rank
    eps = FLOAT.show(node.attributes.get_float("epsilon", 1e-5))
    normalised = tuple(dim for dim in shape[axis:] if isinstance(dim, int))
    statistics = any(output.uses() or output.is_graph_output() for output in node.outputs[1:])
    if statistics or len(normalised) != rank - axis:
        mean, inverse, result = _standardised(b, data, tuple(range(axis, rank)), eps)
        return [_affine(b, x, result), mean, inverse]
    size = prod(normalised)
    whole = all(vector is None or b.shape(vector) == normalised for vector in (scale, bias))
    flat: Layout = (("reshape", (size,)),) if rank - axis > 1 else ()
    if rank - axis > 1:
        data = b.op("Reshape", data, shape=(*(0,) * axis, -1))
    dtype = b.dtype(source)
    gamma = b.derived(scale, flat) if whole else b.const(np.ones(size, dtype), "gamma")
    beta = b.derived(bias, flat) if whole and bias is not None else b.const(np.zeros(size, dtype), "beta")
    result = b.op("LayerNorm", data, gamma, beta, axis=-1, eps=eps)
    if rank - axis > 1:
        result = b.op("Reshape", result, shape=(*(0,) * axis, *normalised))
    return result if whole else _affine(b, x, result)


def _standardised(b: MxBuilder, data: MxRef, axes: tuple[int, ...], eps: str) -> tuple[MxRef, MxRef, MxRef]:
    """Mean, inverse deviation and what they make of the data."""
    mean = b.op("mean", data, axis=axes, keepdims=True)
    apart = b.op("broadcast_sub", data, mean)
    inverse = _inverse_root(b, apart, axes, eps)
    return mean, inverse, b.op("broadcast_mul", apart, inverse)


def _inverse_root(b: MxBuilder, data: MxRef, axes: tuple[int, ...], eps: str) -> MxRef:
    squares = b.op("mean", b.op("square", data), axis=axes, keepdims=True)
    return b.op("rsqrt", b.op("_plus_scalar", squares, scalar=eps))


def _affine(b: MxBuilder, x: Sequence[MxRef | None], result: MxRef) -> MxRef:
    scale, bias = x[1], x[2] if len(x) > 2 else None
    assert scale is not None
    result = b.op("broadcast_mul", result, scale)
    return result if bias is None else b.op("broadcast_add", result, bias)


def _write_rms(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    rank = b.rank(source)
    axes = tuple(range(node.attributes.get_int("axis", -1) % rank, rank))
    inverse = _inverse_root(b, data, axes, FLOAT.show(node.attributes.get_float("epsilon", 1e-5)))
    return _affine(b, x, b.op("broadcast_mul", data, inverse))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg]:
    source, scale, bias = node.inputs[0], node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else None
    assert source is not None
    assert scale is not None
    shape = b.shape(source)
    rank = len(shape)
    axis = node.attributes.get_int("axis", -1) % rank
    normalised = tuple(dim for dim in shape[axis:] if isinstance(dim, int))
    statistics = any(output.uses() or output.is_graph_output() for output in node.outputs[1:])
    if statistics or len(normalised) != rank - axis:
        axes = tuple(range(axis - rank, 0)) if rank - axis > 1 else -1
        var, mean = b.calls("torch.var_mean", 2, x[0], axes, correction=0, keepdim=True)
        inverse = b.call("torch.rsqrt", b.infix("+", var, epsilon(node)))
        return [_torch_affine(b, x, b.infix("*", b.infix("-", x[0], mean), inverse)), mean, inverse]
    eps = torch_epsilon(node)
    vectors = [vector for vector in (scale, bias) if vector is not None]
    if any(b.shape(vector) != normalised for vector in vectors) or _is_plain(b, scale, bias):
        result = b.call("F.layer_norm", x[0], normalised, eps=eps)
        return result if _is_plain(b, scale, bias) else _torch_affine(b, x, result)
    sizes = normalised if len(normalised) > 1 else normalised[0]
    use_bias = None if bias is not None else False
    tensors = {"weight": scale, "bias": bias}
    made: Var | None = b.layer("nn.LayerNorm", (x[0],), tensors, sizes, eps=eps, bias=use_bias)
    return b.call("F.layer_norm", x[0], normalised, *x[1:], eps=eps) if made is None else made


def _is_plain(b: TorchBuilder, scale: ir.Value, bias: ir.Value | None) -> bool:
    """Whether scale and bias are constants that change nothing."""
    ones, zeros = b.value(scale), b.value(bias)
    return ones is not None and bool((ones == 1).all()) and (bias is None or (zeros is not None and not zeros.any()))


def _torch_affine(b: TorchBuilder, x: Sequence[Any], result: Arg) -> Arg:
    result = b.infix("*", result, x[1])
    return b.infix("+", result, x[2]) if len(x) > 2 and x[2] is not None else result


def _torch_rms(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source, scale = node.inputs[0], node.inputs[1]
    assert source is not None
    assert scale is not None
    shape = b.shape(source)
    rank = len(shape)
    axis, eps = node.attributes.get_int("axis", -1) % rank, epsilon(node)
    normalised = tuple(dim for dim in shape[axis:] if isinstance(dim, int))
    if len(normalised) != rank - axis:
        axes = tuple(range(axis - rank, 0)) if rank - axis > 1 else -1
        squares = b.method("mean", b.method("square", x[0]), axes, keepdim=True)
        return _torch_affine(b, x, b.infix("*", x[0], b.call("torch.rsqrt", b.infix("+", squares, eps))))
    if b.shape(scale) != normalised:
        return _torch_affine(b, x, b.call("F.rms_norm", x[0], normalised, eps=eps))
    sizes = normalised if len(normalised) > 1 else normalised[0]
    made: Var | None = b.layer("nn.RMSNorm", (x[0],), {"weight": scale}, sizes, eps=eps)
    return b.call("F.rms_norm", x[0], normalised, x[1], eps=eps) if made is None else made


_DATA, _FOUR = arr(2, 3, 4), arr(2, 3, 4, 5)

OPS = (
    Op(
        "LayerNormalization",
        mx=(
            MxForm(
                "LayerNorm",
                read=_read,
                reads=("axis", "eps", "output_mean_var"),
                write=_write,
                cases=(
                    Case("defaults", (_DATA, arr(4), arr(4)), const=(1, 2)),
                    Case("epsilon", (_DATA, arr(4), arr(4)), {"eps": 0.125, "axis": 2}, const=(1, 2)),
                    Case("middle axis", (_FOUR, arr(3), arr(3)), {"axis": 1}, const=(1, 2)),
                    Case("axis from behind", (_FOUR, arr(4), arr(4)), {"axis": -2}, const=(1, 2)),
                    Case(
                        "statistics",
                        (_FOUR, arr(3), arr(3)),
                        {"axis": 1, "output_mean_var": 1},
                        const=(1, 2),
                        outputs=3,
                        grad=False,
                    ),
                ),
            ),
        ),
        torch=_torch,
        gradient=layer_norm_gradient,
        cases=(
            Case("last axis", (_DATA, arr(4), arr(4)), const=(1, 2), dynamic=(0,)),
            Case("epsilon", (_DATA, arr(4), arr(4)), {"epsilon": 0.125, "axis": 2}, const=(1, 2)),
            Case("no bias", (_DATA, arr(4)), const=(1,)),
            Case("two axes", (_FOUR, arr(4, 5), arr(4, 5)), {"axis": 2}, const=(1, 2), dynamic=(0,)),
            Case("three axes, no bias", (_FOUR, arr(3, 4, 5)), {"axis": -3}, const=(1,), dynamic=(0,)),
            Case("all axes", (arr(3, 4), arr(3, 4), arr(3, 4)), {"axis": 0}, const=(1, 2)),
            Case("scale of the last axis alone", (_FOUR, arr(5), arr(5)), {"axis": 2}, const=(1, 2)),
            Case("scale that broadcasts", (_FOUR, arr(3, 1, 1), arr(1)), {"axis": 1}, const=(1, 2)),
            Case("free axis", (arr(5, 4), arr(1), arr(4)), {"axis": 0}, const=(1, 2), dynamic=(0,)),
            Case("statistics", (_DATA, arr(4), arr(4)), const=(1, 2), outputs=3, dynamic=(0,)),
            Case("statistics of two axes, no bias", (_DATA, arr(3, 4)), {"axis": 1}, const=(1,), outputs=3),
            Case("computed scale", (_FOUR, arr(4, 5), arr(4, 5)), {"axis": 2}),
        ),
    ),
    Op(
        "RMSNormalization",
        mx=(MxForm("rsqrt", write=_write_rms, direction="write"),),
        torch=_torch_rms,
        gradient=rms_norm_gradient,
        cases=(
            Case("last axis", (_DATA, arr(4)), const=(1,), dynamic=(0,)),
            Case("two axes", (_FOUR, arr(4, 5)), {"axis": 2, "epsilon": 0.125}, const=(1,)),
            Case("scale that broadcasts", (_FOUR, arr(5)), {"axis": 1}, const=(1,)),
            Case("free axis", (arr(5, 4), arr(4)), {"axis": 0}, const=(1,), dynamic=(0,)),
            Case("computed scale", (_DATA, arr(4))),
        ),
    ),
)
