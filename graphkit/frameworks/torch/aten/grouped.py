"""Products of rows with the matrix of the group that each belongs to, as mixtures of experts have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _grouped_mm(
    emit: Emit, x: ir.Value, weight: ir.Value, offs: ir.Value | None = None, *_rest: Any, **_options: Any
) -> ir.Value:
    """Multiply x (rows, k) by weight (groups, k, n): group g has the rows from offs[g - 1] to offs[g].

    Rows of no group give zeros. Every row is multiplied with every group's matrix, and all products but one are left
    out: the numbers of rows of a group depend on the data, sizes in a graph do not.
    """
    if offs is None or rank(x) != 2 or rank(weight) != 3:
        return emit.untranslated("grouped_mm of other operands than (rows, k) and (groups, k, n)", 1, x, weight)[0]
    zero, one = emit.array(np.asarray(0)), emit.array(np.asarray(1))
    count = emit.op("Squeeze", emit.op("Shape", x, start=0, end=1), emit.ints(0))
    places = emit.op("Range", zero, count, one)
    ends = emit.op("Cast", offs, to=int(ir.DataType.INT64))
    starts = emit.op("Concat", emit.ints(0), emit.op("Slice", ends, emit.ints(0), emit.ints(-1), emit.ints(0)), axis=0)
    ends, starts = (emit.op("Unsqueeze", bound, emit.ints(1)) for bound in (ends, starts))
    inside = emit.op("And", emit.op("GreaterOrEqual", places, starts), emit.op("Less", places, ends))
    products = emit.op("MatMul", emit.op("Unsqueeze", x, emit.ints(0)), weight)
    kept = emit.op("Where", emit.op("Unsqueeze", inside, emit.ints(2)), products, emit.floats(0.0, x))
    return emit.op("ReduceSum", kept, emit.ints(0), keepdims=0)


ROWS: dict[str, Callable[..., Any]] = {
    "aten._grouped_mm.default": _grouped_mm,
    "transformers.grouped_mm_fallback.default": _grouped_mm,
}
