"""Batch normalisation in inference form, which follows the session's mode.

- MXNet's ``fix_gamma`` (its default) means a scale of ones whatever the file stores, and no gradient for it: it is read
  as a constant of ones, and a constant of ones is written as ``fix_gamma``.
- Both frameworks mean the same by momentum: how much of the old statistics stays.
- ``use_global_stats`` normalises with the stored statistics while training, too. ONNX has no word for that; it is kept
  in the node's metadata.
- ONNX's statistics may be computed; MXNet's are auxiliary states, so computed ones become element-wise operators.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.limits import check_elements
from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.nn.epsilon import epsilon, torch_epsilon
from graphkit.ops.spec import Case, Limit, MxForm, Op, Read, Refusal, arr, decimal, torch_float
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Var

_BATCH_NORM = {2: 1, 3: 1, 4: 2, 5: 3}
"""Number in the name of torch's layer for each rank of its input."""
_KEPT = 0.9
"""How much of the old statistics stays, by default in every framework; torch's momentum is the rest."""
FROZEN = "graphkit.use_global_stats"
_EPS = float(np.float32(1e-3))


def _reads(*, relu: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
        data, gamma, beta, mean, var = x
        assert data is not None
        assert gamma is not None
        assert mean is not None
        assert var is not None
        if BOOL.parse(node.attrs.get("fix_gamma", "True")):
            channels = _channels(b, gamma, mean, var)
            check_elements(prod(channels))
            gamma = b.const(np.ones(channels, b.dtype(gamma)))
        axis = int(node.attrs.get("axis", "1"))
        eps = float(node.attrs["eps"]) if "eps" in node.attrs else _EPS
        swapped = None
        if axis != 1:
            rank = b.rank(data)
            axis %= rank
            if axis != 1:
                swapped = (0, axis, *(k for k in range(1, rank) if k != axis)) if axis else (1, 0, *range(2, rank))
                data = b.op("Transpose", data, perm=swapped)
        momentum = float(node.attrs.get("momentum", "0.9"))
        result = b.op("BatchNormalization", data, gamma, beta, mean, var, epsilon=eps, momentum=momentum)
        if BOOL.parse(node.attrs.get("use_global_stats", "False")):
            producer = result.producer()
            assert producer is not None
            producer.metadata_props[FROZEN] = "True"
        if swapped is not None:
            result = b.op("Transpose", result, perm=tuple(int(k) for k in np.argsort(swapped)))
        if relu:
            result = b.op("Relu", result)
        if not BOOL.parse(node.attrs.get("output_mean_var", "False")):
            return [result]
        spread = b.op("Sqrt", b.op("Add", var, b.scalar(eps, var)))
        return [result, b.op("Identity", mean), b.op("Reciprocal", spread)]

    return read


def _channels(b: OnnxBuilder, *vectors: ir.Value) -> tuple[int, ...]:
    known = next(
        (vector for vector in vectors if vector.shape is not None or vector.const_value is not None), vectors[0]
    )
    return b.static_shape(known)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    if node.attributes.get_int("training_mode", 0):
        return Refusal("it is in training form; its statistics belong to the session's mode")
    operands = [ref for ref in x if ref is not None]
    assert len(operands) == 5
    eps = node.attributes.get_float("epsilon", 1e-5)
    source, scale, _, mean, var = node.inputs
    assert source is not None
    if b.is_inside or not (b.is_initializer(mean) and b.is_initializer(var)):
        return _by_elements(b, operands, b.rank(source), eps)  # no gradient passes a body that has states
    ones = b.value(scale)
    momentum = node.attributes.get_float("momentum", 0.9)
    return b.op(
        "BatchNorm",
        *operands,
        eps=FLOAT.show(eps),
        momentum=FLOAT.show(momentum),
        fix_gamma=ones is not None and bool((ones == 1).all()),
        use_global_stats=node.metadata_props.get(FROZEN),
    )


def _by_elements(b: MxBuilder, operands: Sequence[MxRef], rank: int, eps: float) -> MxRef:
    data = operands[0]
    scale, bias, mean, var = (b.op("Reshape", ref, shape=(1, -1, *(1,) * (rank - 2))) for ref in operands[1:])
    spread = b.op("rsqrt", b.op("_plus_scalar", var, scalar=FLOAT.show(eps)))
    result = b.op("broadcast_mul", b.op("broadcast_sub", data, mean), b.op("broadcast_mul", spread, scale))
    return b.op("broadcast_add", result, bias)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if node.attributes.get_int("training_mode", 0):
        return Refusal("it is in training form; its statistics belong to the module's mode")
    source, scale, bias, mean, var = node.inputs
    assert source is not None
    assert mean is not None
    rank = b.rank(source)
    eps, kept = torch_epsilon(node), torch_float(node, "momentum", _KEPT)
    momentum = None if kept == _KEPT else decimal(1 - kept)
    channels = b.shape(mean)[0]
    frozen = node.metadata_props.get(FROZEN)
    if 2 <= rank <= 5 and isinstance(channels, int) and not frozen:
        tensors = {
            "weight": scale,
            "bias": bias,
            "running_mean": mean,
            "running_var": var,
            "num_batches_tracked": np.zeros((), np.int64),
        }
        made: Var | None = b.layer(
            f"nn.BatchNorm{_BATCH_NORM[rank]}d", (x[0],), tensors, channels, eps=eps, momentum=momentum
        )
        if made is not None:
            return made
    if b.is_initializer(mean) and b.is_initializer(var):
        training = None if frozen else Code("self.training")
        rest = {"training": training, "momentum": None if frozen else momentum, "eps": eps}
        return b.call("F.batch_norm", x[0], x[3], x[4], x[1], x[2], **rest)
    rows = (-1, *(1,) * (rank - 2))
    gamma, beta, center, spread = (b.method("reshape", x[k], *rows) if rank > 2 else x[k] for k in range(1, 5))
    spread = b.call("torch.rsqrt", b.infix("+", spread, epsilon(node)))
    scaled = b.infix("*", b.infix("-", x[0], center), b.infix("*", spread, gamma))
    return b.infix("+", scaled, beta)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """Of y = (x − μ)·γ·r + β, where r = 1/√(σ² + ε)."""
    if node.attributes.get_int("training_mode", 0):
        return Refusal("it is in training form; write its statistics as operators first")
    data, scale, bias, mean, var = (some(value) for value in node.inputs)
    axes = [axis for axis in range(b.rank(data)) if axis != 1]
    column = (-1, *(1,) * (len(axes) - 1))
    inverse = b.op("Reciprocal", b.op("Sqrt", b.op("Add", var, b.scalar(epsilon(node), var))))
    gain = b.op("Mul", scale, inverse)
    found: list[ir.Value | None] = [None] * 5
    if b.wants(data):
        found[0] = b.op("Mul", dy[0], b.op("Reshape", gain, column))
    if b.wants(bias) or b.wants(mean):
        found[2] = b.op("ReduceSum", dy[0], axes, keepdims=0)
    if b.wants(mean):
        found[3] = b.op("Neg", b.op("Mul", gain, found[2]))
    if b.wants(scale) or b.wants(var):
        apart = b.op("Sub", data, b.op("Reshape", mean, column))
        found[1] = b.op("Mul", b.op("ReduceSum", b.op("Mul", dy[0], apart), axes, keepdims=0), inverse)
    if b.wants(var):
        half = b.op("Mul", b.op("Mul", gain, inverse), b.scalar(-0.5, var))
        found[4] = b.op("Mul", half, found[1])
    return found


_IMAGE, _GAMMA, _BETA, _MEAN, _VAR = arr(2, 3, 4, 5), arr(3), arr(3), arr(3), arr(3, low=0.5, high=2.0)
_STATS = (_GAMMA, _BETA, _MEAN, _VAR)
_STORED = (1, 2, 3, 4)
_ONNX = (_IMAGE, *_STATS)
_READS = ("eps", "momentum", "fix_gamma", "use_global_stats", "output_mean_var")
_DOUBLE = ("read-float64", "read-backward")

OP = Op(
    "BatchNormalization",
    mx=(
        MxForm(
            "BatchNorm",
            read=_reads(relu=False),
            reads=(*_READS, "axis"),
            ignore=("cudnn_off", "min_calib_range", "max_calib_range"),
            write=_write,
            cases=(
                Case("defaults", _ONNX, const=_STORED),
                Case("scaled", _ONNX, {"fix_gamma": "0", "eps": 1e-5, "momentum": 0.99}, const=_STORED),
                Case("global statistics", _ONNX, {"fix_gamma": False, "use_global_stats": True}, const=_STORED),
                Case("last axis", (arr(2, 4, 5, 3), *_STATS), {"fix_gamma": False, "axis": -1}, const=_STORED),
                Case("first axis", (arr(3, 4, 2), *_STATS), {"fix_gamma": False, "axis": 0}, const=_STORED),
                Case("axis 2", (arr(2, 4, 3, 2), *_STATS), {"fix_gamma": False, "axis": 2}, const=_STORED),
                Case("last axis of two", (arr(4, 3), *_STATS), {"fix_gamma": False, "axis": -1}, const=_STORED),
                Case(
                    "mean and variance",
                    _ONNX,
                    {"fix_gamma": False, "output_mean_var": True},
                    const=_STORED,
                    outputs=3,
                    grad=False,
                ),
            ),
        ),
        MxForm(
            "BatchNorm_v1",
            direction="read",
            read=_reads(relu=False),
            reads=_READS,
            cases=(Case("version 1", _ONNX, {"fix_gamma": False}, const=_STORED),),
        ),
        MxForm(
            "_contrib_SyncBatchNorm",
            direction="read",
            read=_reads(relu=False),
            reads=_READS,
            ignore=("ndev", "key"),
            cases=(Case("across devices", _ONNX, {"fix_gamma": False, "key": "bn", "ndev": 2}, const=_STORED),),
        ),
        MxForm(
            "_contrib_BatchNormWithReLU",
            direction="read",
            read=_reads(relu=True),
            reads=(*_READS, "axis"),
            ignore=("cudnn_off", "min_calib_range", "max_calib_range"),
            cases=(Case("with relu", _ONNX, {"fix_gamma": False}, const=_STORED),),
        ),
    ),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("image", _ONNX, const=_STORED, buffers=(3, 4), dynamic=(0,)),
        Case("parameters", _ONNX, {"epsilon": 1e-2, "momentum": 0.5}, const=_STORED, buffers=(3, 4)),
        Case("rows", (arr(4, 3), *_STATS), const=_STORED, buffers=(3, 4)),
        Case("1-D", (arr(2, 3, 6), *_STATS), const=_STORED, buffers=(3, 4)),
        Case("3-D", (arr(2, 3, 2, 3, 2), *_STATS), const=_STORED, buffers=(3, 4)),
        Case("computed scale", _ONNX, const=(3, 4), buffers=(3, 4)),
        Case("computed statistics", _ONNX),
        Case("computed statistics of rows", (arr(4, 3), *_STATS), {"epsilon": 1e-3}),
    ),
    limits=(
        *(Limit(claim, "it computes in float32 only", "version 1") for claim in _DOUBLE),
        *(Limit(claim, "it computes in float32 only", "across devices") for claim in _DOUBLE),
        *(Limit(claim, "MXNet runs it on GPUs and with oneDNN only", "with relu") for claim in ("read", *_DOUBLE)),
    ),
)
