"""Shapes: reshaping, permuting, joining, splitting, repeating, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]

_END = 2**63 - 1
Size = int | ir.Value


def _reshaped(emit: Recorder, x: ir.Value, size: Sequence[Size]) -> ir.Value:
    """A reshape to sizes that are numbers as far as the result's are, with one -1 for a free one."""
    result = emit.sizes
    sizes: list[Size] = [
        known_size if known_size is not None else given for known_size, given in zip(result, size, strict=True)
    ]
    free = [axis for axis, one in enumerate(sizes) if not isinstance(one, int) or one == -1]
    if 0 in result:
        return emit.op("Reshape", x, emit.size_list([one if one != -1 else 0 for one in sizes]), allowzero=1)
    if len(free) == 1:
        sizes[free[0]] = -1
    elif len(free) > 1:
        same = _kept(emit, x)
        last = free[-1]
        sizes = [0 if axis in free and axis in same else one for axis, one in enumerate(sizes)]
        if sum(axis not in same for axis in free) == 0:
            return emit.op("Reshape", x, emit.size_list(sizes))
        left = [axis for axis in free if axis not in same]
        if len(left) == 1:
            sizes[left[0]] = -1
        elif not isinstance(sizes[last], int):
            sizes[last] = -1
    return emit.op("Reshape", x, emit.size_list(sizes))


def _kept(emit: Recorder, x: ir.Value) -> set[int]:
    """Axes at which the result has the symbolic size that the operand has there."""
    result = emit.results[0]
    if result is None or result.shape is None or x.shape is None:
        return set()
    pairs = enumerate(zip(x.shape, result.shape, strict=False))
    return {axis for axis, (old, new) in pairs if not isinstance(new, int) and old == new}


def _view(emit: Recorder, x: ir.Value, size: Sequence[Size]) -> ir.Value:
    return _reshaped(emit, x, size)


def _reshape(emit: Recorder, x: ir.Value, shape: Sequence[Size]) -> ir.Value:
    return _reshaped(emit, x, shape)


def _to_result(emit: Recorder, x: ir.Value, *_given: Any, **_named: Any) -> ir.Value:
    """A reshape whose sizes are all known from the result, but for one."""
    sizes = emit.sizes
    if sum(one is None for one in sizes) > 1:
        kept = _kept(emit, x)
        sizes = [0 if one is None and axis in kept else one for axis, one in enumerate(sizes)]
    if sum(one is None for one in sizes) > 1:
        raise UnfitError("its result has several free dimensions")
    return emit.op("Reshape", x, emit.ints(*(-1 if one is None else one for one in sizes)))


def _squeeze(emit: Recorder, x: ir.Value, dim: int | Sequence[int] | None = None) -> ir.Value:
    sizes = known(x)
    given = range(len(sizes)) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [axis % max(len(sizes), 1) for axis in given]
    ones = [axis for axis in axes if sizes and sizes[axis] == 1]
    if rank(x) - len(ones) != len(emit.sizes):
        raise UnfitError("which axes it takes away depends on sizes")
    return emit.op("Squeeze", x, emit.ints(*ones)) if ones else x


def _unsqueeze(emit: Recorder, x: ir.Value, dim: int) -> ir.Value:
    return emit.op("Unsqueeze", x, emit.ints(dim if dim >= 0 else dim + rank(x) + 1))


def _transpose(emit: Recorder, x: ir.Value, dim0: int, dim1: int) -> ir.Value:
    order = list(range(rank(x)))
    if not order:
        return x
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return emit.op("Transpose", x, perm=order) if order != sorted(order) else x


def _permute(emit: Recorder, x: ir.Value, dims: Sequence[int]) -> ir.Value:
    order = [axis % max(rank(x), 1) for axis in dims]
    return emit.op("Transpose", x, perm=order) if order != sorted(order) else x


def _turned(emit: Recorder, x: ir.Value) -> ir.Value:
    return _permute(emit, x, list(reversed(range(rank(x)))))


def _matrix_turned(emit: Recorder, x: ir.Value) -> ir.Value:
    return _transpose(emit, x, -1, -2)


def _moved(emit: Recorder, x: ir.Value, source: Any, destination: Any) -> ir.Value:
    dims = rank(x)
    old = [axis % dims for axis in ([source] if isinstance(source, int) else source)]
    new = [axis % dims for axis in ([destination] if isinstance(destination, int) else destination)]
    rest = iter(axis for axis in range(dims) if axis not in old)
    places = dict(zip(new, old, strict=True))
    return _permute(emit, x, [places[axis] if axis in places else next(rest) for axis in range(dims)])


def _expand_as(emit: Recorder, x: ir.Value, other: ir.Value) -> ir.Value:
    return emit.op("Expand", x, emit.op("Shape", other))


def _broadcast(emit: Recorder, tensors: Sequence[ir.Value]) -> list[ir.Value]:
    """Each tensor expanded to the common shape, itself where it has that already."""
    found = []
    for tensor, result in zip(tensors, emit.results, strict=True):
        if result is None or tensor.shape == result.shape:
            found.append(tensor)
            continue
        sizes = known(result)
        if None in sizes:
            raise UnfitError("it expands to a free dimension")
        found.append(emit.op("Expand", tensor, emit.ints(*(size or 0 for size in sizes))))
    return found


def _concat(emit: Recorder, tensors: Sequence[ir.Value], dim: int = 0) -> ir.Value:
    # torch lets tensors of shape [0] be joined with any
    parts = [emit.operand(one, emit.dtype) for one in tensors if rank(one) == len(emit.sizes)]
    return parts[0] if len(parts) == 1 else emit.op("Concat", *parts, axis=dim)


def _stack(emit: Recorder, tensors: Sequence[ir.Value], dim: int = 0) -> ir.Value:
    axis = dim % len(emit.sizes)
    parts = [emit.op("Unsqueeze", emit.operand(one, emit.dtype), emit.ints(axis)) for one in tensors]
    return emit.op("Concat", *parts, axis=axis)


def _split(emit: Recorder, x: ir.Value, split_size: Any, dim: int = 0) -> list[ir.Value]:  # noqa: ARG001 -- the results tell
    return _parts(emit, x, dim)


def _split_sizes(emit: Recorder, x: ir.Value, split_sizes: Any, dim: int = 0) -> list[ir.Value]:  # noqa: ARG001
    return _parts(emit, x, dim)


def _chunk(emit: Recorder, x: ir.Value, chunks: int, dim: int = 0) -> list[ir.Value]:  # noqa: ARG001
    return _parts(emit, x, dim)


def _parts(emit: Recorder, x: ir.Value, dim: int) -> list[ir.Value]:
    """A split into parts of the sizes that the results have."""
    sizes = []
    for result in emit.results:
        size = None if result is None or result.shape is None else result.shape[dim]
        if not isinstance(size, int):
            raise UnfitError("it splits a free dimension")
        sizes.append(size)
    if len(sizes) == 1:
        return [x]
    return emit.ops("Split", len(sizes), x, emit.ints(*sizes), axis=dim)


def _unbind(emit: Recorder, x: ir.Value, dim: int = 0) -> list[ir.Value]:
    count = len(emit.results)
    parts = emit.ops("Split", count, x, emit.ints(*[1] * count), axis=dim) if count > 1 else [x]
    return [emit.op("Squeeze", part, emit.ints(dim)) for part in parts]


def _flip(emit: Recorder, x: ir.Value, dims: Sequence[int]) -> ir.Value:
    last, stop = [-1] * len(dims), [-_END] * len(dims)
    return emit.op("Slice", x, emit.ints(*last), emit.ints(*stop), emit.ints(*dims), emit.ints(*last)) if dims else x


def _repeat(emit: Recorder, x: ir.Value, repeats: Sequence[Size]) -> ir.Value:
    fresh = len(repeats) - rank(x)
    if fresh > 0:
        x = emit.op("Unsqueeze", x, emit.ints(*range(fresh)))
    return emit.op("Tile", x, emit.size_list(repeats))


def _tile(emit: Recorder, x: ir.Value, dims: Sequence[Size]) -> ir.Value:
    return _repeat(emit, x, [*[1] * (rank(x) - len(dims)), *dims])


def _pad(
    emit: Recorder, x: ir.Value, pad: Sequence[Size], mode: str = "constant", value: float | None = None
) -> ir.Value:
    """Padding of the last axes first, pairs of before and after; ONNX has all before all after."""
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    untouched: list[Size] = [0] * (rank(x) - len(pad) // 2)
    begins, ends = [*untouched, *reversed(pad[0::2])], [*untouched, *reversed(pad[1::2])]
    filling = None if not value else emit.operand(value, emit.dtype)
    return emit.op("Pad", x, emit.size_list([*begins, *ends]), filling, mode=names[mode])


def _pad_with(mode: str) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, padding: Sequence[Size]) -> ir.Value:
        return _pad(emit, x, padding, mode)

    return row


def _constant_pad(emit: Recorder, x: ir.Value, pad: Sequence[Size], value: float = 0) -> ir.Value:
    return _pad(emit, x, pad, "constant", value)


def _pixel_shuffle(emit: Recorder, x: ir.Value, upscale_factor: int) -> ir.Value:
    if rank(x) != 4:
        raise UnfitError("ONNX has DepthToSpace of four axes only")
    return emit.op("DepthToSpace", x, blocksize=upscale_factor, mode="CRD")


def _triangle(upper: int) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value, diagonal: int = 0) -> ir.Value:
        return emit.op("Trilu", x, emit.array(np.asarray(diagonal)), upper=upper)

    return row


def _narrow(emit: Recorder, x: ir.Value, dim: int, start: Size, length: Size) -> ir.Value:
    ends: Size = (
        start + length
        if isinstance(start, int) and isinstance(length, int)
        else emit.op("Add", *(emit.operand(one, ir.DataType.INT64) for one in (start, length)))
    )
    return emit.op("Slice", x, emit.size_list([start]), emit.size_list([ends]), emit.ints(dim))


def _flip_one(axis: int) -> Callable[..., ir.Value]:
    def row(emit: Recorder, x: ir.Value) -> ir.Value:
        return _flip(emit, x, [axis])

    return row


def _diff(
    emit: Recorder,
    x: ir.Value,
    n: int = 1,
    dim: int = -1,
    prepend: ir.Value | None = None,
    append: ir.Value | None = None,
) -> ir.Value:
    if n != 1 or x.dtype == ir.DataType.BOOL:
        raise UnfitError("it takes differences of differences, or of truth values")
    parts = [part for part in (prepend, x, append) if part is not None]
    whole = emit.op("Concat", *parts, axis=dim) if len(parts) > 1 else x
    later = emit.op("Slice", whole, emit.ints(1), emit.ints(_END), emit.ints(dim))
    return emit.op("Sub", later, emit.op("Slice", whole, emit.ints(0), emit.ints(-1), emit.ints(dim)))


ROWS: dict[str, Callable[..., Any]] = {
    "view.default": _view,
    "_unsafe_view": _view,
    "reshape": _reshape,
    "view_copy.default": _view,
    "_reshape_alias": _to_result,
    "flatten": _to_result,
    "unflatten": _to_result,
    "view_as": _to_result,
    "reshape_as": _to_result,
    "ravel": _to_result,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "transpose.int": _transpose,
    "swapaxes": _transpose,
    "swapdims": _transpose,
    "permute": _permute,
    "t": _turned,
    "numpy_T": _turned,
    "mT": _matrix_turned,
    "movedim": _moved,
    "moveaxis": _moved,
    "expand_as": _expand_as,
    "broadcast_to": lambda emit, x, size: emit.op("Expand", x, emit.size_list(size)),
    "broadcast_tensors": _broadcast,
    "cat": _concat,
    "concat": _concat,
    "concatenate": _concat,
    "stack": _stack,
    "split.Tensor": _split,
    "split.sizes": _split,
    "split_with_sizes": _split_sizes,
    "chunk": _chunk,
    "unsafe_chunk": _chunk,
    "unsafe_split.Tensor": _split,
    "unbind": _unbind,
    "flip": _flip,
    "fliplr": _flip_one(1),
    "flipud": _flip_one(0),
    "diff": _diff,
    "repeat": _repeat,
    "tile": _tile,
    "pad": _pad,
    "constant_pad_nd": _constant_pad,
    **{f"reflection_pad{dims}d": _pad_with("reflect") for dims in (1, 2, 3)},
    **{f"replication_pad{dims}d": _pad_with("replicate") for dims in (1, 2, 3)},
    "pixel_shuffle": _pixel_shuffle,
    "tril": _triangle(0),
    "triu": _triangle(1),
    "narrow": _narrow,
}
