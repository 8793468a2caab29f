"""MXNet's Fourier transforms along the last axis, whose complex numbers lie as pairs of reals in that axis.

The inverse gives real parts only and does not divide by the length. MXNet has both for GPUs only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

_RANKS = "it reads an array of {} axes, and MXNet takes 2 or 4"


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    rank = b.rank(data)
    if rank not in (2, 4):
        return Refusal(_RANKS.format(rank))
    spectrum = b.op("DFT", b.op("Unsqueeze", data, [rank]), None, b.const(rank - 1))
    return b.op("Reshape", spectrum, [*[0] * (rank - 1), -1])


def _read_inverse(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = some(x[0])
    rank = b.rank(data)
    if rank not in (2, 4):
        return Refusal(_RANKS.format(rank))
    size = b.shape(data)[-1]
    if not isinstance(size, int):
        size = b.static_shape(data)[-1]
    if size % 2:
        return Refusal(f"its last axis has {size} elements, which are not pairs")
    pairs = b.op("Reshape", data, [*[0] * (rank - 1), size // 2, 2])
    signal = b.op("DFT", pairs, None, b.const(rank - 1), inverse=1)
    real = b.op("Squeeze", b.op("Slice", signal, [0], [1], [rank]), [rank])
    return b.op("Mul", real, b.scalar(size // 2, data))


_GPU = "MXNet computes it on GPUs only"
_CASES = ("rows", "images", "rows back", "images back")

OP = Op(
    "",
    mx=(
        MxForm(
            "_contrib_fft",
            read=_read,
            ignore=("compute_size",),
            direction="read",
            cases=(
                Case("rows", (arr(3, 5),), dynamic=(0,)),
                Case("images", (arr(2, 1, 2, 4),), {"compute_size": 64}),
            ),
        ),
        MxForm(
            "_contrib_ifft",
            read=_read_inverse,
            ignore=("compute_size",),
            direction="read",
            cases=(
                Case("rows back", (arr(3, 10),), dynamic=(0,)),
                Case("images back", (arr(2, 1, 2, 8),)),
            ),
        ),
    ),
    limits=tuple(Limit(claim, _GPU, case) for claim in ("read", "read-float64", "read-backward") for case in _CASES),
)
