"""Matrix products of attention whose projections lie interleaved in one array, as GluonNLP's BERT has them.

The array is (positions, batch, heads × parts × features): the features of a head's query, key and value follow each
other, then those of the next head. Scores and weights are (batch × heads, positions, positions).
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

__all__ = ["features_of", "one_part"]


def features_of(b: OnnxBuilder, node: MxNode, operand: ir.Value, parts: int) -> int:
    """Features of one part of one head.

    Raises:
        ValueError: The array is not one of so many heads and parts.
    """
    heads, dims = int(node.attrs["heads"]), b.shape(operand)
    size = dims[-1] if isinstance(dims[-1], int) else b.static_shape(operand)[-1]
    if len(dims) != 3:
        raise ValueError(f"it reads an array of {len(dims)} axes instead of positions, batch and features")
    if heads < 1 or size % (heads * parts):
        raise ValueError(f"heads={heads} does not fit the {size} features of an array of {parts} part(s) per head")
    return size // (heads * parts)


def one_part(b: OnnxBuilder, operand: ir.Value, features: int, parts: int, which: int) -> ir.Value:
    """One part of all heads: (batch × heads, positions, features)."""
    if parts == 1:
        return b.op("Transpose", b.op("Reshape", operand, [0, -1, features]), perm=[1, 0, 2])
    apart = b.op("Reshape", operand, [0, -1, parts, features])
    part = b.op("Squeeze", b.op("Slice", apart, [which], [which + 1], [2]), [2])
    return b.op("Transpose", part, perm=[1, 0, 2])


def _scores(*, own: bool) -> Read:
    """Reader of scores: of queries and keys in one array (``own``), or of queries that are apart."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        first, second = some(x[0]), some(x[0] if own else x[1])
        parts, others = (3, 3) if own else (1, 2)
        features = features_of(b, node, first, parts)
        if features != features_of(b, node, second, others):
            return Refusal("its queries and keys are not of one size")
        query = one_part(b, first, features, parts, 0)
        key = one_part(b, second, features, others, others - 2)
        scaled = b.op("Mul", query, b.scalar(1 / sqrt(features), query))
        return b.op("MatMul", scaled, b.op("Transpose", key, perm=[0, 2, 1]))

    return read


def _mixed(parts: int) -> Read:
    """Reader of values weighed by attention, (positions, batch, heads × features)."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        features = features_of(b, node, some(x[0]), parts)
        value = one_part(b, some(x[0]), features, parts, parts - 1)
        mixed = b.op("Transpose", b.op("MatMul", some(x[1]), value), perm=[1, 0, 2])
        return b.op("Reshape", mixed, [0, -1, int(node.attrs["heads"]) * features])

    return read


def _form(op: str, read: Read, *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=("heads",), direction="read", cases=cases)


def _fused(op: str, read: Read) -> MxForm:
    """What oneDNN makes of the operator in a graph that it has not quantized."""
    pin = {"quantized": "False", "enable_float_output": "False"}
    ignore = ("min_calib_range", "max_calib_range")
    return MxForm(op, pin=pin, pin_default=pin, read=read, reads=("heads",), ignore=ignore, direction="read")


_THREE = arr(4, 2, 18)
_TWO = arr(5, 2, 12)
_CASES = (
    "scores of one array",
    "free batch of scores",
    "values of one array",
    "scores of two arrays",
    "values of two arrays",
)
_SINGLE = "MXNet's interleaved products are for float32 only on CPUs"

OP = Op(
    "",
    mx=(
        _form(
            "_contrib_interleaved_matmul_selfatt_qk",
            _scores(own=True),
            Case("scores of one array", (_THREE,), {"heads": 3}),
            Case("free batch of scores", (_THREE,), {"heads": 1}, dynamic=(0,)),
        ),
        _form(
            "_contrib_interleaved_matmul_selfatt_valatt",
            _mixed(3),
            Case("values of one array", (_THREE, arr(6, 4, 4, low=0)), {"heads": 3}),
        ),
        _form(
            "_contrib_interleaved_matmul_encdec_qk",
            _scores(own=False),
            Case("scores of two arrays", (arr(3, 2, 6), _TWO), {"heads": 2}, dynamic=(0, 1)),
        ),
        _form(
            "_contrib_interleaved_matmul_encdec_valatt",
            _mixed(2),
            Case("values of two arrays", (_TWO, arr(4, 3, 5, low=0)), {"heads": 2}),
        ),
        _fused("_sg_mkldnn_selfatt_qk", _scores(own=True)),
        _fused("_sg_mkldnn_selfatt_valatt", _mixed(3)),
    ),
    limits=tuple(Limit(claim, _SINGLE, case) for claim in ("read-float64", "read-backward") for case in _CASES),
)
