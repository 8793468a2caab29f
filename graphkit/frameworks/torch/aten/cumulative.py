"""Running products, largest and smallest elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import known, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _cumprod(emit: Emit, x: ir.Value, dim: int, dtype: int = -1) -> ir.Value:
    """The product of all elements up to each; ``dtype`` is a number of ONNX's element types."""
    wanted = dtype if dtype != -1 else None
    if wanted is None and x.dtype is not None and not x.dtype.is_floating_point():
        wanted = int(ir.DataType.INT64)
    given = x if wanted is None else emit.op("Cast", x, to=wanted)
    if rank(x) == 0:
        return emit.op("Identity", given)
    return emit.op("CumProd", given, emit.array(np.asarray(dim % rank(x))))


def _extremes(reduction: str, arg: str, lowest: bool) -> Callable[..., list[ir.Value]]:
    def row(emit: Emit, x: ir.Value, dim: int) -> list[ir.Value]:
        """The extreme of all elements up to each, and where the last of those equal to it is.

        Each row of a square table holds what one result looks at; the rest of the row can be no extreme.
        """
        if rank(x) == 0:
            return [emit.op("Identity", x), emit.array(np.asarray(0))]
        axis = dim % rank(x)
        size = known(x)[axis]
        if size is None or x.dtype is None or not x.dtype.is_floating_point():
            what = "along a free dimension" if size is None else "of integers"
            return emit.untranslated(f"running {reduction[6:].lower()}imum {what}", 2, x)
        seen = np.tri(size, dtype=bool).reshape(size, size, *[1] * (rank(x) - 1 - axis))
        table = emit.op("Unsqueeze", x, emit.ints(axis))
        spread = emit.op("Where", emit.array(seen), table, emit.floats(np.inf if lowest else -np.inf, x))
        values = emit.op(reduction, spread, emit.ints(axis + 1), keepdims=0)
        places = emit.op(arg, spread, axis=axis + 1, keepdims=0, select_last_index=1)
        return [values, places]

    return row


ROWS: dict[str, Callable[..., Any]] = {
    "aten.cummax.default": _extremes("ReduceMax", "ArgMax", lowest=False),
    "aten.cummin.default": _extremes("ReduceMin", "ArgMin", lowest=True),
    "aten.cumprod.default": _cumprod,
}
