"""Count sketches: the elements of the last axis, with signs, added up in few places, as in compact bilinear pooling.

MXNet has them for GPUs only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ops.spec import Case, Limit, MxForm, Op, arr, given
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data, places, signs = (some(operand) for operand in x)
    targets = b.op("Reshape", as_int64(b, places), [-1])
    levels = np.asarray([0, 1]).astype(b.dtype(data))
    table = b.op("OneHot", targets, np.asarray(int(node.attrs["out_dim"])), levels, axis=-1)
    return b.op("MatMul", data, b.op("Mul", table, b.op("Reshape", signs, [-1, 1])))


_PLACES, _SIGNS = given([[0, 3, 1, 3]], "float32"), given([[1, -1, -1, 1]], "float32")
_GPU = "MXNet computes it on GPUs only"

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_count_sketch",
            read=_read,
            reads=("out_dim",),
            ignore=("processing_batch_size",),
            direction="read",
            cases=(Case("rows", (arr(3, 4), _PLACES, _SIGNS), {"out_dim": 5}, const=(1, 2), dynamic=(0,)),),
        ),
    ),
    limits=tuple(Limit(claim, _GPU) for claim in ("read", "read-float64", "read-backward")),
)
