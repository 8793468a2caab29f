"""Scattering values into a tensor, several of which may meet at one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_REDUCTIONS: Final = {"sum": "add", "mean": "add", "prod": "mul", "amin": "min", "amax": "max"}
"""What ONNX calls torch's reductions; a mean is a sum divided by a number."""


def _scatter_reduce(
    emit: Emit,
    x: ir.Value,
    dim: int,
    index: ir.Value,
    src: ir.Value,
    reduce: str,
    *,
    include_self: bool = True,
) -> ir.Value:
    """What meets at a place, with what was there or without; nothing changes where nothing is put."""
    assert x.dtype is not None
    if reduce == "mean" and not x.dtype.is_floating_point():
        return emit.untranslated("scatter_reduce of integers to means", 1, x)[0]
    dtype, sizes = x.dtype.numpy(), known(x)
    if not sizes:
        one = emit.ints(1)
        x, index, src = (emit.op("Reshape", each, one) for each in (x, index, src))
        axis, shape = 0, one
    else:
        axis, shape = dim % len(sizes), emit.op("Shape", x)
        src = _as_large(emit, src, index)
    first = x
    if not include_self:
        nothing = emit.op("Expand", emit.array(_neutral(reduce, dtype)), emit.op("Shape", index))
        first = emit.op("ScatterElements", x, index, nothing, axis=axis)
    found = emit.op("ScatterElements", first, index, src, axis=axis, reduction=_REDUCTIONS[reduce])
    if reduce == "mean":
        one, none = (emit.array(np.array(number, dtype)) for number in (1, 0))
        before = emit.op("Expand", one if include_self else none, shape)
        ones = emit.op("Expand", one, emit.op("Shape", index))
        count = emit.op("ScatterElements", before, index, ones, axis=axis, reduction="add")
        found = emit.op("Div", found, count if include_self else emit.op("Max", count, one))
    return found if sizes else emit.op("Reshape", found, emit.array(np.array([], np.int64)))


def _masked_scatter(emit: Emit, x: ir.Value, mask: ir.Value, source: ir.Value) -> ir.Value:
    """Elements of a source, one after the other, where a mask is true.

    How many places of the mask are true up to one tells which element comes there, so that no size depends on elements.
    """
    if mask.shape != x.shape:
        mask = emit.op("Expand", mask, emit.op("Shape", x))
    flat = emit.ints(-1)
    seen = emit.op("Cast", emit.op("Reshape", mask, flat), to=ir.DataType.INT64)
    places = emit.op("Reshape", emit.op("CumSum", seen, emit.array(np.asarray(0))), emit.op("Shape", mask))
    none = emit.op("CastLike", emit.ints(0), x)
    elements = emit.op("Concat", none, emit.op("Reshape", source, flat), axis=0)
    return emit.op("Where", mask, emit.op("Gather", elements, places, axis=0), x)


def _as_large(emit: Emit, src: ir.Value, index: ir.Value) -> ir.Value:
    """The part of what is put that has a place; there may be fewer places along any axis."""
    cut = [
        (axis, size)
        for axis, (size, whole) in enumerate(zip(known(index), known(src), strict=True))
        if size is not None and whole is not None and size < whole
    ]
    if not cut or rank(src) != rank(index):
        return src
    axes, ends = zip(*cut, strict=True)
    return emit.op("Slice", src, emit.ints(*[0] * len(cut)), emit.ints(*ends), emit.ints(*axes))


def _neutral(reduce: str, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """The number that changes no result of a reduction."""
    if reduce in ("sum", "mean", "prod"):
        return np.array(1 if reduce == "prod" else 0, dtype)
    if dtype.kind == "b":
        return np.array(reduce == "amin", dtype)
    limits: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(np.float32 if dtype.kind == "V" else dtype)
    return np.array(limits.max if reduce == "amin" else limits.min, dtype)


ROWS: dict[str, Callable[..., Any]] = {
    "aten.masked_scatter.default": _masked_scatter,
    "aten.scatter_reduce.two": _scatter_reduce,
}
