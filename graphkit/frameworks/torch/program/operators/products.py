"""Products of matrices and linear layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.aten.emit import rank
from graphkit.frameworks.torch.program.recorder import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.torch.program.recorder import Recorder

__all__ = ["ROWS"]


def _product(emit: Recorder, x: ir.Value, other: ir.Value) -> ir.Value:
    return emit.op("MatMul", x, other)


def _linear(emit: Recorder, x: ir.Value, weight: ir.Value, bias: ir.Value | None = None) -> ir.Value:
    """Gemm for matrices, else a product with the transposed weight, as torch.onnx writes it."""
    if rank(weight) != 2:
        raise UnfitError("its weight is a vector")
    if rank(x) == 2 and bias is not None:
        return emit.op("Gemm", x, weight, bias, alpha=1.0, beta=1.0, transA=0, transB=1)
    result = emit.op("MatMul", x, emit.op("Transpose", weight, perm=[1, 0]))
    return result if bias is None else emit.op("Add", result, bias)


def _addmm(emit: Recorder, x: ir.Value, mat1: ir.Value, mat2: ir.Value, beta: float = 1, alpha: float = 1) -> ir.Value:
    return emit.op("Gemm", mat1, mat2, x, alpha=float(alpha), beta=float(beta), transA=0, transB=0)


def _baddbmm(
    emit: Recorder, x: ir.Value, batch1: ir.Value, batch2: ir.Value, beta: float = 1, alpha: float = 1
) -> ir.Value:
    product = emit.op("MatMul", batch1, batch2)
    if alpha != 1:
        product = emit.op("Mul", product, emit.operand(alpha, emit.dtype))
    if not beta:
        return product
    added = x if beta == 1 else emit.op("Mul", x, emit.operand(beta, emit.dtype))
    return emit.op("Add", product, added)


def _addmv(emit: Recorder, x: ir.Value, mat: ir.Value, vec: ir.Value, beta: float = 1, alpha: float = 1) -> ir.Value:
    return _baddbmm(emit, x, mat, vec, beta, alpha)


def _outer(emit: Recorder, x: ir.Value, vec2: ir.Value) -> ir.Value:
    to = emit.dtype
    column = emit.op("Unsqueeze", emit.operand(x, to), emit.ints(1))
    return emit.op("Mul", column, emit.operand(vec2, to))


ROWS: dict[str, Callable[..., Any]] = {
    "matmul": _product,
    "mm.default": _product,
    "bmm.default": _product,
    "mv": _product,
    "dot": _product,
    "linear": _linear,
    "addmm.default": _addmm,
    "baddbmm.default": _baddbmm,
    "addmv": _addmv,
    "outer": _outer,
    "ger": _outer,
    "det": lambda emit, x: emit.op("Det", x),
    "linalg_det": lambda emit, x: emit.op("Det", x),
}
