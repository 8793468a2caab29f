"""Factors and inverses of matrices, and systems of equations, as graphkit's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.aten.emit import FREE, known, rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]


def _sized(value: ir.Value, like: ir.Value, *shape: Any) -> ir.Value:
    """A result with its type, and with its shape or that of ``like``, so that the next step may ask."""
    value.type = like.type
    value.shape = ir.Shape(shape) if shape else like.shape
    return value


def _turned(emit: Emit, x: ir.Value) -> ir.Value:
    assert x.shape is not None
    axes = list(range(rank(x)))
    turned = emit.op("Transpose", x, perm=[*axes[:-2], axes[-1], axes[-2]])
    return _sized(turned, x, *x.shape[:-2], x.shape[-1], x.shape[-2])


def _cholesky(emit: Emit, x: ir.Value, upper: bool = False) -> ir.Value:
    factor = _sized(emit.own("Cholesky", 1, x)[0], x)
    return _turned(emit, factor) if upper else factor


def _inverse(emit: Emit, x: ir.Value) -> ir.Value:
    return emit.own("Inverse", 1, x)[0]


def _slogdet(emit: Emit, x: ir.Value) -> list[ir.Value]:
    return emit.own("SlogDet", 2, x)


def _slogdet_with_factors(emit: Emit, x: ir.Value) -> list[ir.Value]:
    return [*_slogdet(emit, x), *emit.untranslated("factors of a determinant", 2, x)]


def _stretched(emit: Emit, a: ir.Value, b: ir.Value) -> list[ir.Value] | None:
    """Two batches of matrices of one batch shape; None where sizes are free and differ by name."""
    assert a.shape is not None
    assert b.shape is not None
    if list(a.shape[:-2]) == list(b.shape[:-2]):
        return [a, b]
    shapes = [known(value) for value in (a, b)]
    if any(size is None for shape in shapes for size in shape):
        return None
    batch = np.broadcast_shapes(*(tuple(size or 0 for size in shape[:-2]) for shape in shapes))
    sizes = [(*batch, *(size or 0 for size in shape[-2:])) for shape in shapes]
    return [_sized(emit.op("Expand", v, emit.ints(*size)), v, *size) for v, size in zip((a, b), sizes, strict=True)]


def _solve(emit: Emit, a: ir.Value, b: ir.Value, *, left: bool = True) -> ir.Value:
    """X of A X = B, or of X A = B, which is Aᵀ Xᵀ = Bᵀ; B may be a vector for each matrix."""
    assert b.shape is not None
    vector = rank(b) == 1 or (rank(b) == rank(a) - 1 and known(b) == known(a)[:-1])
    if vector:
        b = _sized(emit.op("Unsqueeze", b, emit.ints(-1)), b, *b.shape, 1)
    if not left:
        a, b = _turned(emit, a), b if vector else _turned(emit, b)
    both = _stretched(emit, a, b)
    if both is None:
        return emit.untranslated("system of equations of free batch sizes", 1, a, b, why=FREE)[0]
    found = _sized(emit.own("Solve", 1, *both)[0], both[1])
    if vector:
        return emit.op("Squeeze", found, emit.ints(-1))
    return found if left else _turned(emit, found)


def _triangular(
    emit: Emit, a: ir.Value, b: ir.Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> ir.Value:
    if unitriangular:
        size = known(a)[-1]
        if size is None:
            return emit.untranslated("triangular system with ones on a diagonal of free size", 1, a, b, why=FREE)[0]
        diagonal = emit.array(np.eye(size, dtype=bool))
        a = _sized(emit.op("Where", diagonal, emit.floats(1, a), a), a)
    both = _stretched(emit, a, b)
    if both is None:
        return emit.untranslated("triangular system of free batch sizes", 1, a, b, why=FREE)[0]
    return _sized(emit.own("TriangularSolve", 1, *both, upper=int(upper), left=int(left))[0], both[1])


def _cholesky_solve(emit: Emit, b: ir.Value, factor: ir.Value, upper: bool = False) -> ir.Value:
    """X of L Lᵀ X = B, or of Uᵀ U X = B."""
    other = _turned(emit, factor)
    lower, raised = (other, factor) if upper else (factor, other)
    return _triangular(emit, raised, _triangular(emit, lower, b, upper=False), upper=True)


def _cholesky_inverse(emit: Emit, factor: ir.Value, upper: bool = False) -> ir.Value:
    """(L Lᵀ)⁻¹ or (Uᵀ U)⁻¹, whose other triangle is not looked at."""
    size = known(factor)[-1]
    if size is None:
        return emit.untranslated("inverse from a factor of free size", 1, factor)[0]
    unit = _sized(emit.floats(np.eye(size), factor), factor, size, size)
    return _cholesky_solve(emit, unit, factor, upper)


def _cholesky_ex(emit: Emit, x: ir.Value, *, upper: bool = False, check_errors: bool = False) -> list[ir.Value]:  # noqa: ARG001 -- nothing raises in a graph
    return [_cholesky(emit, x, upper), *emit.untranslated("whether a factor was found", 1, x)]


def _inverse_ex(emit: Emit, x: ir.Value, *, check_errors: bool = False) -> list[ir.Value]:  # noqa: ARG001 -- nothing raises in a graph
    return [_inverse(emit, x), *emit.untranslated("whether an inverse was found", 1, x)]


def _eigenvalues(emit: Emit, x: ir.Value, UPLO: str = "L") -> ir.Value:  # noqa: N803 -- ATen's name
    """Those of the symmetric matrix that one triangle tells."""
    upper = int(UPLO.upper() == "U")
    half = emit.op("Trilu", x, upper=upper)
    strict = emit.op("Trilu", x, emit.array(np.asarray(1 if upper else -1)), upper=upper)
    whole = _sized(emit.op("Add", half, _turned(emit, _sized(strict, x))), x)
    return emit.own("Eigh", 2, whole)[0]


def _eigh(emit: Emit, x: ir.Value, UPLO: str = "L", compute_v: bool = True) -> list[ir.Value]:  # noqa: ARG001, N803 -- ATen's signature
    """Eigenvectors are left out: which of two opposite ones torch gives depends on its library."""
    return [_eigenvalues(emit, x, UPLO), *emit.untranslated("eigenvectors, whose signs are free", 1, x)]


def _singular_values(emit: Emit, x: ir.Value, *, driver: str | None = None) -> ir.Value:  # noqa: ARG001 -- how, not what
    return emit.own("Svd", 3, x)[1]


def _svd(
    emit: Emit,
    x: ir.Value,
    full_matrices: bool = True,  # noqa: ARG001 -- of the vectors
    compute_uv: bool = True,  # noqa: ARG001 -- of the vectors
    *,
    driver: str | None = None,  # noqa: ARG001 -- how, not what
) -> list[ir.Value]:
    left, right = emit.untranslated("singular vectors, whose signs are free", 2, x)
    return [left, _singular_values(emit, x), right]


def _qr(emit: Emit, x: ir.Value, mode: str = "reduced") -> list[ir.Value]:
    if mode != "reduced":
        return emit.untranslated(f"qr with mode={mode}", 2, x)
    return emit.own("Qr", 2, x)


ROWS: dict[str, Callable[..., Any]] = {
    "aten._linalg_eigh.default": _eigh,
    "aten._linalg_slogdet.default": _slogdet_with_factors,
    "aten._linalg_svd.default": _svd,
    "aten.cholesky.default": _cholesky,
    "aten.cholesky_inverse.default": _cholesky_inverse,
    "aten.cholesky_solve.default": _cholesky_solve,
    "aten.inverse.default": _inverse,
    "aten.linalg_cholesky.default": _cholesky,
    "aten.linalg_cholesky_ex.default": _cholesky_ex,
    "aten.linalg_eigh.default": _eigh,
    "aten.linalg_eigvalsh.default": _eigenvalues,
    "aten.linalg_inv.default": _inverse,
    "aten.linalg_inv_ex.default": _inverse_ex,
    "aten.linalg_qr.default": _qr,
    "aten.linalg_slogdet.default": _slogdet,
    "aten.linalg_solve.default": _solve,
    "aten.linalg_solve_triangular.default": _triangular,
    "aten.linalg_svd.default": _svd,
    "aten.linalg_svdvals.default": _singular_values,
    "aten.slogdet.default": _slogdet,
}
