"""Adaptive poolings, and average pooling with a divisor of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphkit.frameworks.torch.aten.emit import FREE, known, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """Bounds of the windows of adaptive pooling: ⌊i·size/count⌋ to ⌈(i+1)·size/count⌉, which may overlap."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive(mode: str) -> Callable[..., ir.Value]:
    def adaptive(emit: Emit, x: ir.Value, output_size: Sequence[int | None] | int) -> ir.Value:
        dims = rank(x)
        spatial = known(x)[2 - dims if isinstance(output_size, int) else -len(output_size) :]
        given = [output_size] * len(spatial) if isinstance(output_size, int) else list(output_size)
        counts = [size if count is None or count == -1 else count for size, count in zip(spatial, given, strict=True)]
        batched = dims == len(spatial) + 2
        if batched and all(count == 1 for count in counts):
            return emit.op(f"Global{mode}Pool", x)
        pairs = list(zip(spatial, counts, strict=True))
        if any(not isinstance(size, int) or not isinstance(count, int) for size, count in pairs if count != 1):
            return emit.untranslated(f"adaptive {mode.lower()} pooling of a free size", 1, x, why=FREE)[0]
        whole = [size // count for size, count in pairs if size and count and size % count == 0]
        if batched and len(whole) == len(pairs) and max(whole) > 1:
            return emit.op(f"{mode}Pool", x, kernel_shape=whole, strides=whole)
        result = x
        for axis, (size, count) in enumerate(pairs, dims - len(pairs)):
            if size == count:
                continue
            if mode == "Average":
                result = _mean(emit, result, x, axis, size, count)
            else:
                result = _max(emit, result, axis, size, count)
        return emit.op("Identity", x) if result is x else result

    return adaptive


def _mean(emit: Emit, x: ir.Value, like: ir.Value, axis: int, size: int | None, count: int | None) -> ir.Value:
    """Means of windows along one axis, counted from 0: a product with the matrix that averages."""
    if count == 1:
        return emit.op("ReduceMean", x, emit.ints(axis), keepdims=1)
    assert size is not None
    assert count is not None
    weights = np.zeros((size, count))
    for column, (start, stop) in enumerate(_windows(size, count)):
        weights[start:stop, column] = 1 / (stop - start)
    last = rank(like) - 1
    if axis == last:
        return emit.op("MatMul", x, emit.floats(weights, like))
    if axis == last - 1:
        return emit.op("MatMul", emit.floats(weights.T, like), x)
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    turned = emit.op("MatMul", emit.op("Transpose", x, perm=order), emit.floats(weights, like))
    return emit.op("Transpose", turned, perm=order)


def _max(emit: Emit, x: ir.Value, axis: int, size: int | None, count: int | None) -> ir.Value:
    if count == 1:
        return emit.op("ReduceMax", x, emit.ints(axis), keepdims=1)
    assert size is not None
    assert count is not None
    parts = [
        emit.op(
            "ReduceMax",
            emit.op("Slice", x, emit.ints(start), emit.ints(stop), emit.ints(axis)),
            emit.ints(axis),
            keepdims=1,
        )
        for start, stop in _windows(size, count)
    ]
    return emit.op("Concat", *parts, axis=axis)


def _adaptive_max(emit: Emit, x: ir.Value, output_size: Sequence[int | None] | int) -> list[ir.Value]:
    indices = emit.untranslated("indices of adaptive max pooling", 1, x)[0]
    return [_adaptive("Max")(emit, x, output_size), indices]


def _average(
    emit: Emit,
    x: ir.Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> ir.Value:
    dims = len(kernel_size) if len(kernel_size) > 1 else rank(x) - 2
    kernel, strides, pads = (_each(given, dims) for given in (kernel_size, stride or kernel_size, padding))
    whole = rank(x) == dims + 1
    if whole:
        x = emit.op("Unsqueeze", x, emit.ints(0))
    pooled = emit.op(
        "AveragePool",
        x,
        kernel_shape=kernel,
        strides=strides,
        pads=[*pads, *pads],
        ceil_mode=int(ceil_mode),
        count_include_pad=int(count_include_pad) if divisor_override is None else 1,
    )
    if divisor_override is not None:
        area = float(np.prod(kernel))
        if ceil_mode:
            return emit.untranslated("average pooling with ceil_mode and divisor_override", 1, x)[0]
        pooled = emit.op("Mul", pooled, emit.floats(area / divisor_override, x))
    return emit.op("Squeeze", pooled, emit.ints(0)) if whole else pooled


def _each(given: Sequence[int], dims: int) -> list[int]:
    return list(given) if len(given) == dims else [given[0]] * dims


ROWS: dict[str, Callable[..., Any]] = {
    **{f"aten.avg_pool{dims}d.default": _average for dims in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{dims}d.default": _adaptive("Average") for dims in (1, 2, 3)},
    **{f"aten._adaptive_avg_pool{dims}d.default": _adaptive("Average") for dims in (2, 3)},
    **{f"aten.adaptive_max_pool{dims}d.default": _adaptive_max for dims in (1, 2, 3)},
}
