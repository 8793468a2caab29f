"""Convolutions as single nodes: no bias where there is none, ``padding="same"`` in the node's own pads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _each(given: Sequence[int] | int, dims: int) -> list[int]:
    numbers = [given] if isinstance(given, int) else list(given)
    return numbers if len(numbers) == dims else [numbers[0]] * dims


def _unbatched(emit: Emit, x: ir.Value, dims: int, run: Callable[[ir.Value], ir.Value]) -> ir.Value:
    if rank(x) == dims + 2:
        return run(x)
    return emit.op("Squeeze", run(emit.op("Unsqueeze", x, emit.ints(0))), emit.ints(0))


def _conv(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> ir.Value:
    dims = rank(weight) - 2
    kernel = known(weight)[2:]
    dilations = _each(dilation, dims)
    if isinstance(padding, str):
        # "same": torch puts the odd one behind.
        totals = [d * ((k or 1) - 1) if padding == "same" else 0 for k, d in zip(kernel, dilations, strict=True)]
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
    else:
        pads = _each(padding, dims) * 2
    return _unbatched(
        emit,
        x,
        dims,
        lambda batched: emit.op(
            "Conv",
            batched,
            weight,
            bias,
            kernel_shape=None if None in kernel else kernel,
            strides=_each(stride, dims),
            pads=pads,
            dilations=dilations,
            group=groups,
        ),
    )


def _transposed(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> ir.Value:
    dims = rank(weight) - 2
    kernel = known(weight)[2:]
    extra = _each(output_padding, dims)
    return _unbatched(
        emit,
        x,
        dims,
        lambda batched: emit.op(
            "ConvTranspose",
            batched,
            weight,
            bias,
            kernel_shape=None if None in kernel else kernel,
            strides=_each(stride, dims),
            pads=_each(padding, dims) * 2,
            dilations=_each(dilation, dims),
            output_padding=extra if any(extra) else None,
            group=groups,
        ),
    )


def _convolution(
    emit: Emit,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> ir.Value:
    if transposed:
        return _transposed(emit, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(emit, x, weight, bias, stride, padding, dilation, groups)


ROWS: dict[str, Callable[..., Any]] = {
    "aten.convolution.default": _convolution,
    **{f"aten.conv{dims}d.{overload}": _conv for dims in (1, 2, 3) for overload in ("default", "padding")},
    "aten.conv_transpose1d.default": _transposed,
    "aten.conv_transpose2d.input": _transposed,
    "aten.conv_transpose3d.input": _transposed,
}
