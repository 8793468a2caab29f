"""Normalisation, dropout, pooling and sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.aten import rows
from graphkit.frameworks.torch.aten.emit import rank
from graphkit.frameworks.torch.lasting import DROPOUTS, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]


def _batch_norm(
    emit: Recorder,
    x: ir.Value,
    weight: ir.Value | None = None,
    bias: ir.Value | None = None,
    running_mean: ir.Value | None = None,
    running_var: ir.Value | None = None,
    training: bool = False,  # noqa: ARG001 -- models are shown in inference form
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if running_mean is None or running_var is None:
        return rows()["aten._native_batch_norm_legit.no_stats"](emit, x, weight, bias, True, momentum, eps)[
            : len(emit.results)
        ]
    row = rows()["aten._native_batch_norm_legit_no_training.default"]
    return row(emit, x, weight, bias, running_mean, running_var, momentum, eps)[: len(emit.results)]


def _dropout(emit: Recorder, x: ir.Value, p: float = 0.5, train: bool = False) -> Any:  # noqa: ARG001
    return rows()[f"{NAMESPACE}.dropout.default"](emit, x, p)


def _layer_norm(
    emit: Recorder,
    x: ir.Value,
    normalized_shape: Sequence[int],
    weight: ir.Value | None,
    bias: ir.Value | None,
    eps: float,
) -> list[ir.Value]:
    result = rows()["aten.layer_norm.default"](emit, x, normalized_shape, weight, bias, eps)
    return [result, *emit.untranslated("statistics saved by layer_norm", 2, x)]


def _group_norm(
    emit: Recorder,
    x: ir.Value,
    weight: ir.Value | None,
    bias: ir.Value | None,
    N: Any,  # noqa: ARG001, N803 -- ATen's names
    C: Any,  # noqa: ARG001, N803
    HxW: Any,  # noqa: ARG001, N803
    group: int,
    eps: float,
) -> list[ir.Value]:
    result = rows()["aten.group_norm.default"](emit, x, group, weight, bias, eps)
    return [result, *emit.untranslated("statistics saved by group_norm", 2, x)]


def _each(given: int | Sequence[int], dims: int) -> list[int]:
    numbers = [given] if isinstance(given, int) else list(given)
    return numbers if len(numbers) == dims else numbers[:1] * dims


def _max_pool(dims: int) -> Callable[..., Any]:
    def row(
        emit: Recorder,
        x: ir.Value,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = (),
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> Any:
        single = rank(x) == dims + 1
        result = emit.op(
            "MaxPool",
            emit.op("Unsqueeze", x, emit.ints(0)) if single else x,
            kernel_shape=_each(kernel_size, dims),
            strides=_each(stride or kernel_size, dims),
            pads=_each(padding, dims) * 2,
            dilations=_each(dilation, dims),
            ceil_mode=int(ceil_mode),
            storage_order=0,
        )
        if single:
            result = emit.op("Squeeze", result, emit.ints(0))
        # torch counts places within a plane, ONNX within the tensor
        return [result, *emit.untranslated("ONNX counts places otherwise", len(emit.results) - 1, x)]

    return row


def _grid(
    emit: Recorder, x: ir.Value, grid: ir.Value, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> ir.Value:
    return emit.op(
        "GridSample",
        x,
        grid,
        mode=("linear", "nearest", "cubic")[interpolation_mode],
        padding_mode=("zeros", "border", "reflection")[padding_mode],
        align_corners=int(align_corners),
    )


def _affine_grid(emit: Recorder, theta: ir.Value, size: Sequence[int | ir.Value], align_corners: bool) -> ir.Value:
    return emit.op("AffineGrid", theta, emit.size_list(size), align_corners=int(align_corners))


ROWS: dict[str, Callable[..., Any]] = {
    "batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit.default": _batch_norm,
    "_batch_norm_with_update": _batch_norm,
    "_batch_norm_no_update": _batch_norm,
    **dict.fromkeys(DROPOUTS, _dropout),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **{f"max_pool{dims}d": _max_pool(dims) for dims in (1, 2, 3)},
    **{f"max_pool{dims}d_with_indices": _max_pool(dims) for dims in (1, 2, 3)},
    "grid_sampler": _grid,
    "grid_sampler_2d": _grid,
    "affine_grid_generator": _affine_grid,
}
