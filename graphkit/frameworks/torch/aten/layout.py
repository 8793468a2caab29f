"""Taking tensors apart and putting them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_END: Final = 2**63 - 1


def _axis(dim: int, x: ir.Value) -> int:
    return dim + rank(x) if dim < 0 else dim


def _slice(
    emit: Emit,
    x: ir.Value,
    dim: int = 0,
    start: int | ir.Value | None = None,
    end: int | ir.Value | None = None,
    step: int = 1,
) -> ir.Value:
    axis = _axis(dim, x)
    if start in (None, 0) and (end is None or (isinstance(end, int) and end >= (known(x)[axis] or _END))) and step == 1:
        return emit.op("Identity", x)
    return emit.op(
        "Slice",
        x,
        _bound(emit, start, 0),
        _bound(emit, end, _END),
        emit.ints(axis),
        emit.ints(step) if step != 1 else None,
    )


def _bound(emit: Emit, given: int | ir.Value | None, default: int) -> ir.Value:
    if isinstance(given, ir.Value):
        return emit.op("Reshape", given, emit.ints(1))
    return emit.ints(default if given is None else given)


def _split_with_sizes(emit: Emit, x: ir.Value, split_sizes: Sequence[int | ir.Value], dim: int = 0) -> list[ir.Value]:
    if len(split_sizes) == 1:
        return [emit.op("Identity", x)]
    return emit.ops("Split", len(split_sizes), x, _sizes(emit, split_sizes), axis=_axis(dim, x))


def _sizes(emit: Emit, sizes: Sequence[int | ir.Value]) -> ir.Value:
    """Sizes of which some are computed as one tensor."""
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(numbers) == len(sizes):
        return emit.ints(*numbers)
    return emit.op("Concat", *(_bound(emit, size, 1) for size in sizes), axis=0)


def _split(emit: Emit, x: ir.Value, split_size: int, dim: int = 0) -> list[ir.Value]:
    total = known(x)[_axis(dim, x)]
    if total is None or not isinstance(split_size, int):
        return emit.untranslated("split of a free dimension", 1, x)
    whole, rest = divmod(total, split_size)
    return _split_with_sizes(emit, x, [split_size] * whole + [rest] * bool(rest), dim)


def _expand(emit: Emit, x: ir.Value, size: Sequence[int | ir.Value], *, implicit: bool = False) -> ir.Value:  # noqa: ARG001 -- part of ATen's signature
    """Expand by 1 where the dimension stays, so that no size of a free dimension is needed."""
    fresh = len(size) - rank(x)
    before = [1] * fresh + known(x)
    targets = [
        1 if isinstance(wanted, int) and (wanted == -1 or (place >= fresh and wanted == old)) else wanted
        for place, (old, wanted) in enumerate(zip(before, size, strict=True))
    ]
    # A symbolic target of a symbolic dimension cannot be anything but that dimension.
    targets = [
        1 if isinstance(wanted, ir.Value) and old is None else wanted
        for old, wanted in zip(before, targets, strict=True)
    ]
    return emit.op("Expand", x, _sizes(emit, targets))


def _index(emit: Emit, x: ir.Value, indices: Sequence[ir.Value | None]) -> ir.Value:
    """Advanced indexing; by one integer tensor on one axis it is Gather."""
    used = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(used) == 1 and used[0][1].dtype in (ir.DataType.INT64, ir.DataType.INT32):
        return emit.op("Gather", x, used[0][1], axis=used[0][0])
    from onnxscript.function_libs.torch_lib.ops import core

    found: ir.Value = core.aten_index(x, indices)
    return found


def _repeat_interleave(
    emit: Emit,
    x: ir.Value,
    repeats: int | ir.Value,
    dim: int | None = None,
    output_size: int | ir.Value | None = None,
) -> ir.Value:
    """Each element several times; torch.onnx repeats along another axis where that number is computed."""
    if isinstance(repeats, int):
        from onnxscript.function_libs.torch_lib.ops import core

        found: ir.Value = core.aten_repeat_interleave_self_int(x, repeats, dim, output_size)
        return found
    flat = dim is None
    given = emit.op("Reshape", x, emit.ints(-1)) if flat else x
    axis = 0 if dim is None else _axis(dim, x)
    behind: list[int | None] = [] if flat else known(x)[axis + 1 :]
    apart = emit.op("Unsqueeze", given, emit.ints(axis + 1))
    spread = emit.op("Expand", apart, _sizes(emit, [*[1] * (axis + 1), repeats, *[1] * len(behind)]))
    sizes = [
        emit.op("Shape", x, start=place, end=place + 1) if size is None else size
        for place, size in enumerate(behind, axis + 1)
    ]
    return emit.op("Reshape", spread, _sizes(emit, [*[0] * axis, -1, *sizes]))


def _roll(emit: Emit, x: ir.Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> ir.Value:
    if not dims:
        flat = emit.op("Reshape", x, emit.ints(-1))
        turned = _rolled(emit, flat, shifts[0], 0, None)
        return emit.op("Reshape", turned, emit.op("Shape", x))
    for shift, dim in zip(shifts, dims, strict=True):
        axis = _axis(dim, x)
        size = known(x)[axis]
        shape, kind = x.shape, x.type
        x = _rolled(emit, x, shift, axis, size)
        x.shape, x.type = shape, kind
    return x


def _rolled(emit: Emit, x: ir.Value, shift: int, axis: int, size: int | None) -> ir.Value:
    if size is not None:
        shift %= max(size, 1)
    if shift == 0:
        return emit.op("Identity", x)
    at = emit.ints(-shift)
    head = emit.op("Slice", x, at, emit.ints(_END), emit.ints(axis))
    tail = emit.op("Slice", x, emit.ints(0), at, emit.ints(axis))
    return emit.op("Concat", head, tail, axis=axis)


def _pixel_unshuffle(emit: Emit, x: ir.Value, downscale_factor: int) -> ir.Value:
    channels, height, width = known(x)[-3:]
    r = downscale_factor
    if rank(x) != 4 or channels is None:
        return emit.untranslated("pixel_unshuffle of an unknown number of channels", 1, x)[0]
    rows, columns = (
        emit.op("Div", emit.op("Shape", x, start=axis, end=axis + 1), emit.ints(r)) if size is None else size // r
        for axis, size in ((2, height), (3, width))
    )
    parts = emit.op("Reshape", x, _sizes(emit, (-1, channels, rows, r, columns, r)))
    turned = emit.op("Transpose", parts, perm=[0, 1, 3, 5, 2, 4])
    return emit.op("Reshape", turned, _sizes(emit, (-1, channels * r * r, rows, columns)))


ROWS: dict[str, Callable[..., Any]] = {
    "aten.expand.default": _expand,
    "aten.index.Tensor": _index,
    "aten.pixel_unshuffle.default": _pixel_unshuffle,
    "aten.repeat_interleave.self_int": _repeat_interleave,
    "aten.roll.default": _roll,
    "aten.slice.Tensor": _slice,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split_with_sizes,
}
