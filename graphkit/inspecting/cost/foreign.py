"""Multiply-adds of operators of other domains, which stay in models that are only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.symbols import product, shape_of
from graphkit.ops.work import Product, convolved, dense, matmul_macs, multiplied

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.work import Macs

__all__ = ["FOREIGN"]

_MICROSOFT: Final = "com.microsoft"


def _shape(node: ir.Node, index: int) -> tuple[Size, ...] | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    return None if value is None else shape_of(value)


def _made(node: ir.Node) -> tuple[Size, ...] | None:
    return shape_of(node.outputs[0])


def _fused_matmul(node: ir.Node) -> Sequence[Product]:
    """A product of stacks of matrices, either of which may be turned; batch axes that move are unknown."""
    a, b = _shape(node, 0), _shape(node, 1)
    count = None
    flags = node.attributes
    if a and b and not flags.get_int("transBatchA", 0) and not flags.get_int("transBatchB", 0):
        a = (*a[:-2], a[-1], a[-2]) if flags.get_int("transA", 0) and len(a) > 1 else a
        b = (*b[:-2], b[-1], b[-2]) if flags.get_int("transB", 0) and len(b) > 1 else b
        count = matmul_macs(a, b, _made(node))
    return (Product(count, (0,), (1,)),)


def _few_bits(node: ir.Node) -> Sequence[Product]:
    """A product with weights (N, K) of few bits."""
    inner = node.attributes.get_int("K", 0) or None
    made = _made(node)
    return (Product(None if made is None else product((*made, inner)), (0,), ()),)


def _multi_head(node: ir.Node) -> Sequence[Product]:
    """Queries, keys and values of three axes each, apart, without keys and values from before."""
    query, key, value = (_shape(node, index) for index in range(3))
    scores = weighed = None
    if query and key and value and len(query) == len(key) == len(value) == 3 and _shape(node, 6) is None:
        scores = product((*query, key[1]))
        weighed = product((query[0], query[1], key[1], value[2]))
    return (Product(scores, (0, 3), (1, 3)), Product(weighed, (0, 1, 3, 5), (2, 3)))


FOREIGN: Final[Mapping[tuple[str, str], Macs]] = {
    (_MICROSOFT, "DynamicQuantizeMatMul"): multiplied(),
    (_MICROSOFT, "FusedConv"): convolved(),
    (_MICROSOFT, "FusedGemm"): dense(),
    (_MICROSOFT, "FusedMatMul"): _fused_matmul,
    (_MICROSOFT, "FusedMatMulActivation"): _fused_matmul,
    (_MICROSOFT, "MatMulInteger16"): multiplied(),
    (_MICROSOFT, "MatMulIntegerToFloat"): multiplied(),
    (_MICROSOFT, "MatMulNBits"): _few_bits,
    (_MICROSOFT, "MultiHeadAttention"): _multi_head,
    (_MICROSOFT, "QGemm"): dense(0, 3),
    (_MICROSOFT, "TransposeMatMul"): _fused_matmul,
}
