"""Group and instance normalisation.

MXNet's GroupNorm scales by group where ONNX scales by channel. Its InstanceNorm computes in float32 only; in other
types, its GroupNorm with one channel to the group is the same.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.nn.epsilon import torch_epsilon
from graphkit.ops.nn.grad_norm import group_norm_gradient, instance_norm_gradient
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var


def _read_group(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    data, gamma, beta = x
    assert data is not None
    groups, eps = int(node.attrs.get("num_groups", "1")), float(np.float32(node.attrs.get("eps", "1e-5")))
    channels = b.shape(data)[1]
    if not isinstance(channels, int):
        channels = b.static_shape(data)[1]
    results = [
        b.op(
            "GroupNormalization",
            data,
            _by_channel(b, gamma, groups, channels),
            _by_channel(b, beta, groups, channels),
            epsilon=eps,
            num_groups=groups,
        )
    ]
    if BOOL.parse(node.attrs.get("output_mean_var", "False")):
        rows = b.op("Reshape", data, [0, groups, -1])
        mean = b.op("ReduceMean", rows, [2], keepdims=1)
        apart = b.op("Sub", rows, mean)
        variance = b.op("ReduceMean", b.op("Mul", apart, apart), [2], keepdims=0)
        results += [b.op("Squeeze", mean, [2]), b.op("Sqrt", b.op("Add", variance, b.scalar(eps, variance)))]
    return results


def _by_channel(b: OnnxBuilder, vector: ir.Value | None, groups: int, channels: int) -> ir.Value | None:
    if groups == channels:
        return vector
    if groups == 1:
        return b.op("Expand", vector, [channels])
    return b.op("Reshape", b.op("Expand", b.op("Reshape", vector, [-1, 1]), [groups, channels // groups]), [-1])


def _by_group(b: MxBuilder, value: ir.Value | None, groups: int) -> ir.Value | None:
    """The (groups,) vector that a (channels,) one repeats as :func:`_by_channel` does, None where it does not."""
    if value is None or b.shape(value) == (groups,):
        return value
    producer = value.producer()
    if producer is not None and producer.op_type == "Reshape":
        value = producer.inputs[0]
        producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Expand":
        return None
    value = producer.inputs[0]
    if value is not None and groups > 1 and b.shape(value) == (groups, 1):
        producer = value.producer()
        value = producer.inputs[0] if producer is not None and producer.op_type in ("Reshape", "Unsqueeze") else None
    return value if value is not None and b.shape(value) == (groups,) else None


def _misfit(b: MxBuilder | TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why a node contradicts itself, as ONNX's rules let it."""
    assert node.inputs[0] is not None
    channels, groups = b.shape(node.inputs[0])[1], node.attributes.get_int("num_groups", 1)
    if isinstance(channels, int) and (groups < 1 or channels % groups):
        return Refusal(f"{channels} channels cannot be parted into {groups} groups")
    for what, value in zip(("scale", "bias"), node.inputs[1:], strict=False):
        dims = None if value is None else b.shape(value)
        known = dims is not None and all(isinstance(dim, int) for dim in dims)
        if known and isinstance(channels, int) and dims != (channels,):
            return Refusal(f"its {what} is {list(dims or ())}, and it normalises {channels} channels")
    return None


def _write_group(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    source, scale = node.inputs[0], node.inputs[1]
    data, gamma, beta = x
    assert source is not None
    assert scale is not None
    assert data is not None
    assert gamma is not None
    assert beta is not None
    groups = node.attributes.get_int("num_groups", 1)
    eps, rank = FLOAT.show(node.attributes.get_float("epsilon", 1e-5)), b.rank(source)
    if rank == 2:
        data = b.op("expand_dims", data, axis=2)
    by_group = _by_group(b, scale, groups), _by_group(b, node.inputs[2], groups)
    if by_group[0] is not None and by_group[1] is not None:
        operands = [b.ref(value) for value in by_group if value is not None]
        result = b.op("GroupNorm", data, *operands, num_groups=groups, eps=eps)
        return b.op("squeeze", result, axis=2) if rank == 2 else result
    dtype = b.dtype(source)
    ones, zeros = b.const(np.ones(groups, dtype), "gamma"), b.const(np.zeros(groups, dtype), "beta")
    result = b.op("GroupNorm", data, ones, zeros, num_groups=groups, eps=eps)
    if rank == 2:
        result = b.op("squeeze", result, axis=2)
    stored = b.value(scale), b.value(node.inputs[2])
    if stored[0] is not None and stored[1] is not None and (stored[0] == 1).all() and not stored[1].any():
        return result
    gamma, beta = (b.op("Reshape", vector, shape=(1, -1, *(1,) * (rank - 2))) for vector in (gamma, beta))
    return b.op("broadcast_add", b.op("broadcast_mul", result, gamma), beta)


def _read_instance(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    eps = float(np.float32(node.attrs.get("eps", "1e-3")))
    return b.op("InstanceNormalization", *x, epsilon=eps)


def _write_instance(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    source, scale = node.inputs[0], node.inputs[1]
    assert source is not None
    assert scale is not None
    operands = [ref for ref in x if ref is not None]
    eps = FLOAT.show(node.attributes.get_float("epsilon", 1e-5))
    if b.dtype(source) == np.float32:
        return b.op("InstanceNorm", *operands, eps=eps)
    channels = b.shape(scale)[0]
    if not isinstance(channels, int):
        return Refusal("the number of its channels is not known; give the image's shape with --input")
    return b.op("GroupNorm", *operands, num_groups=channels, eps=eps)


def _torch_group(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    scale = node.inputs[1]
    assert scale is not None
    groups, channels = node.attributes.get_int("num_groups", 1), b.shape(scale)[0]
    eps = torch_epsilon(node)
    made: Var | None = None
    if isinstance(channels, int):
        tensors = {"weight": scale, "bias": node.inputs[2]}
        made = b.layer("nn.GroupNorm", (x[0],), tensors, groups, channels, eps=eps)
    return b.call("F.group_norm", x[0], groups, *x[1:], eps=eps) if made is None else made


def _torch_instance(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    source, scale = node.inputs[0], node.inputs[1]
    assert source is not None
    assert scale is not None
    channels, eps, sizes = b.shape(scale)[0], torch_epsilon(node), b.shape(source)[2:]
    known, rank = [size for size in sizes if isinstance(size, int)], 2 + len(sizes)
    if prod(known) == 1 and len(known) == len(sizes):  # torch refuses to normalise a single element
        normal = b.call("F.layer_norm", x[0], tuple(known), eps=eps)
        gamma, beta = (b.method("reshape", vector, -1, *known) for vector in x[1:])
        return b.infix("+", b.infix("*", normal, gamma), beta)
    made: Var | None = None
    if isinstance(channels, int) and rank in (3, 4, 5):
        tensors = {"weight": scale, "bias": node.inputs[2]}
        made = b.layer(f"nn.InstanceNorm{rank - 2}d", (x[0],), tensors, channels, eps=eps, affine=True)
    return b.call("F.instance_norm", x[0], weight=x[1], bias=x[2], eps=eps) if made is None else made


_IMAGE, _ROW = arr(2, 6, 4, 3), arr(2, 6, 5)
_DOUBLE = ("read-float64", "read-backward")

OPS = (
    Op(
        "GroupNormalization",
        mx=(
            MxForm(
                "GroupNorm",
                read=_read_group,
                reads=("num_groups", "eps", "output_mean_var"),
                write=_write_group,
                cases=(
                    Case("one group", (_IMAGE, arr(1), arr(1)), const=(1, 2)),
                    Case("groups", (_IMAGE, arr(3), arr(3)), {"num_groups": 3, "eps": 0.125}, const=(1, 2)),
                    Case("a group for each channel", (_ROW, arr(6), arr(6)), {"num_groups": 6}, const=(1, 2)),
                    Case(
                        "statistics",
                        (_ROW, arr(2), arr(2)),
                        {"num_groups": 2, "output_mean_var": True},
                        const=(1, 2),
                        outputs=3,
                        grad=False,
                    ),
                ),
            ),
        ),
        torch=_torch_group,
        gradient=group_norm_gradient,
        cases=(
            Case("groups", (_IMAGE, arr(6), arr(6)), {"num_groups": 3}, const=(1, 2), dynamic=(0,)),
            Case("one group", (_ROW, arr(6), arr(6)), {"num_groups": 1, "epsilon": 0.125}, const=(1, 2)),
            Case("a group for each channel", (_ROW, arr(6), arr(6)), {"num_groups": 6}, const=(1, 2)),
            Case("rows", (arr(3, 6), arr(6), arr(6)), {"num_groups": 2}, const=(1, 2)),
            Case("3-D", (arr(2, 4, 2, 3, 2), arr(4), arr(4)), {"num_groups": 2}, const=(1, 2)),
            Case("computed scale", (_ROW, arr(6), arr(6)), {"num_groups": 2}),
        ),
    ),
    Op(
        "InstanceNormalization",
        mx=(
            MxForm(
                "InstanceNorm",
                read=_read_instance,
                reads=("eps",),
                write=_write_instance,
                cases=(
                    Case("defaults", (_IMAGE, arr(6), arr(6)), const=(1, 2)),
                    Case("small epsilon", (_IMAGE, arr(6), arr(6)), {"eps": "1e-5"}, const=(1, 2)),
                ),
            ),
        ),
        torch=_torch_instance,
        gradient=instance_norm_gradient,
        cases=(
            Case("image", (_IMAGE, arr(6), arr(6)), const=(1, 2), dynamic=(0,)),
            Case("1-D", (_ROW, arr(6), arr(6)), {"epsilon": 0.125}, const=(1, 2)),
            Case("3-D", (arr(2, 4, 2, 3, 2), arr(4), arr(4)), const=(1, 2)),
            Case("4-D", (arr(2, 2, 2, 3, 2, 2), arr(2), arr(2)), const=(1, 2)),
            Case("one element", (arr(2, 6, 1, 1), arr(6), arr(6)), const=(1, 2)),
            Case("computed scale", (_IMAGE, arr(6), arr(6))),
        ),
        limits=tuple(
            Limit(claim, "MXNet's InstanceNorm refuses float64", case)
            for claim in _DOUBLE
            for case in ("defaults", "small epsilon")
        ),
    ),
)
