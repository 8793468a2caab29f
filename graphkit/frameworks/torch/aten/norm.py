"""Normalisations and dropouts in the form that does not depend on the mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.torch.aten.emit import known, rank
from graphkit.frameworks.torch.lasting import DROPOUTS, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _filled(emit: Emit, given: ir.Value | None, number: float, shape: Sequence[int | None], like: ir.Value) -> ir.Value:
    if given is not None:
        return given
    assert all(size is not None for size in shape)
    return emit.floats(np.full([size or 0 for size in shape], number), like)


def _mixed(normalized: Callable[[ir.Value], ir.Value], emit: Emit, x: ir.Value, own: ir.Value | None) -> ir.Value:
    """Numbers of half precision normalized by parameters of another, as torch does it: in the parameters' precision.

    Args:
        normalized: Gives the result of data.
        emit: Emits nodes.
        x: The data.
        own: One of the parameters.
    """
    if own is None or own.dtype is None or x.dtype is None or own.dtype == x.dtype:
        return normalized(x)
    return emit.op("Cast", normalized(emit.op("Cast", x, to=own.dtype)), to=x.dtype)


def _batch_norm(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    mean: ir.Value,
    variance: ir.Value,
    momentum: float,
    eps: float,
) -> ir.Value:
    channels = known(x)[1:2]

    def normalized(data: ir.Value) -> ir.Value:
        return emit.op(
            "BatchNormalization",
            data,
            _filled(emit, weight, 1, channels, data),
            _filled(emit, bias, 0, channels, data),
            mean,
            variance,
            epsilon=eps,
            momentum=1 - momentum,
        )

    return _mixed(normalized, emit, x, mean)


def _by_batch(emit: Emit, x: ir.Value, weight: ir.Value | None, bias: ir.Value | None, eps: float) -> ir.Value:
    """BatchNorm that keeps no statistics: it normalises by those of the batch in either mode."""
    axes = emit.ints(0, *range(2, rank(x)))
    centred = emit.op("Sub", x, emit.op("ReduceMean", x, axes, keepdims=1))
    variance = emit.op("ReduceMean", emit.op("Mul", centred, centred), axes, keepdims=1)
    scale = emit.op("Sqrt", emit.op("Add", variance, emit.floats(eps, x)))
    result = emit.op("Div", centred, scale)
    spread = emit.ints(*range(1, rank(x) - 1))
    if weight is not None:
        result = emit.op("Mul", result, emit.op("Unsqueeze", weight, spread) if rank(x) > 2 else weight)
    if bias is not None:
        result = emit.op("Add", result, emit.op("Unsqueeze", bias, spread) if rank(x) > 2 else bias)
    return result


def _no_statistics(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    _training: bool,
    _momentum: float,
    eps: float,
) -> list[ir.Value]:
    return [_by_batch(emit, x, weight, bias, eps), *emit.untranslated("statistics saved by batch_norm", 2, x)]


def _no_training(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    mean: ir.Value,
    variance: ir.Value,
    momentum: float,
    eps: float,
) -> list[ir.Value]:
    result = _batch_norm(emit, x, weight, bias, mean, variance, momentum, eps)
    return [result, *emit.untranslated("statistics saved by batch_norm", 2, x)]


def _functional(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    mean: ir.Value,
    variance: ir.Value,
    _training: bool,
    momentum: float,
    eps: float,
) -> list[ir.Value]:
    result = _batch_norm(emit, x, weight, bias, mean, variance, momentum, eps)
    # Resting, it writes back the statistics it was given.
    kept = [emit.op("Identity", mean), emit.op("Identity", variance)]
    return [result, *emit.untranslated("statistics saved by batch_norm", 2, x), *kept]


def _instance_norm(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    mean: ir.Value | None,
    variance: ir.Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    _cudnn_enabled: bool = True,
) -> ir.Value:
    if not use_input_stats and mean is not None and variance is not None:
        return _batch_norm(emit, x, weight, bias, mean, variance, momentum, eps)
    channels = known(x)[1:2]
    scale, shift = _filled(emit, weight, 1, channels, x), _filled(emit, bias, 0, channels, x)
    return emit.op("InstanceNormalization", x, scale, shift, epsilon=eps)


def _group_norm(
    emit: Emit,
    x: ir.Value,
    num_groups: int,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    eps: float = 1e-5,
    _cudnn_enabled: bool = True,
) -> ir.Value:
    channels = known(x)[1:2]

    def normalized(data: ir.Value) -> ir.Value:
        scale, shift = _filled(emit, weight, 1, channels, data), _filled(emit, bias, 0, channels, data)
        # ONNX asks for a spatial dimension.
        spread = emit.op("Unsqueeze", data, emit.ints(2)) if rank(x) == 2 else data
        made = emit.op("GroupNormalization", spread, scale, shift, epsilon=eps, num_groups=num_groups)
        return emit.op("Squeeze", made, emit.ints(2)) if rank(x) == 2 else made

    return _mixed(normalized, emit, x, weight)


def _layer_norm(
    emit: Emit,
    x: ir.Value,
    normalized_shape: Sequence[int],
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    eps: float = 1e-5,
    _cudnn_enable: bool = True,
) -> ir.Value:
    def normalized(data: ir.Value) -> ir.Value:
        scale = _filled(emit, weight, 1, normalized_shape, data)
        return emit.op("LayerNormalization", data, scale, bias, axis=-len(normalized_shape), epsilon=eps)

    return _mixed(normalized, emit, x, weight)


def _rms_norm(
    emit: Emit,
    x: ir.Value,
    normalized_shape: Sequence[int],
    weight: ir.Value | None = None,
    eps: float | None = None,
) -> ir.Value:
    assert x.dtype is not None
    epsilon = float(np.finfo(x.dtype.numpy()).eps) if eps is None else eps
    scale = _filled(emit, weight, 1, normalized_shape, x)
    return emit.op("RMSNormalization", x, scale, axis=-len(normalized_shape), epsilon=epsilon)


def _dropout(emit: Emit, x: ir.Value, p: float) -> ir.Value:
    return emit.op("Dropout", x, emit.floats(p, x)) if p else emit.op("Identity", x)


def _native_dropout(emit: Emit, x: ir.Value, p: float, _train: bool | None) -> list[ir.Value]:
    return [_dropout(emit, x, p), *emit.untranslated("mask of native_dropout", 1, x)]


ROWS: dict[str, Callable[..., Any]] = {
    "aten._native_batch_norm_legit.no_stats": _no_statistics,
    "aten._native_batch_norm_legit_functional.default": _functional,
    "aten._native_batch_norm_legit_no_training.default": _no_training,
    **{f"{NAMESPACE}.{name}.default": _dropout for name in DROPOUTS},
    "aten.group_norm.default": _group_norm,
    "aten.instance_norm.default": _instance_norm,
    "aten.layer_norm.default": _layer_norm,
    "aten.native_dropout.default": _native_dropout,
    "aten.rms_norm.default": _rms_norm,
}
