"""What the rooms of linear algebra share: transposition, and the shapes of what is one number for each matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphkit.ops.spec import Arr, Refusal, given

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder
    from graphkit.ops.mxgraph import MxRef

    Builder: TypeAlias = "BodyBuilder | OnnxBuilder"

__all__ = ["misfit", "mx_turned", "per_matrix", "positive_definite", "regular", "turned", "turned_axes"]


def turned_axes(rank: int) -> list[int]:
    """The order of axes that transposes matrices."""
    return [*range(rank - 2), rank - 1, rank - 2]


def turned(b: Builder, value: ir.Value) -> ir.Value:
    """Matrices transposed."""
    return b.op("Transpose", value, perm=turned_axes(b.rank(value)))


def mx_turned(b: MxBuilder, ref: MxRef, rank: int) -> MxRef:
    """Matrices transposed, in MXNet."""
    return b.op("transpose", ref, axes=turned_axes(rank))


def misfit(b: OnnxBuilder, value: ir.Value, *, square: bool = True) -> Refusal | None:
    """Why a value holds no matrices, or none that are square."""
    shape = b.shape(value)
    if len(shape) < 2:
        return Refusal(f"its operand has {len(shape)} axes, and matrices have two or more")
    rows, columns = shape[-2:]
    if square and isinstance(rows, int) and isinstance(columns, int) and rows != columns:
        return Refusal(f"its matrices are not square: they have {rows} rows and {columns} columns")
    return None


def per_matrix(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    """One number for each matrix as MXNet shapes it: outside NumPy mode a single one has an axis."""
    return value if b.np_shape or b.rank(value) else b.op("Reshape", value, [1])


def _draw(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def positive_definite(*shape: int) -> Arr:
    """Test input: symmetric positive definite matrices."""
    factor = _draw(shape)
    return given((factor @ factor.swapaxes(-1, -2) + np.eye(shape[-1])).astype(np.float32), "float32")


def regular(*shape: int) -> Arr:
    """Test input: matrices far from singular, whose largest numbers do not lie on the diagonal."""
    shifted = np.roll(np.eye(shape[-1]), 1, axis=0) * 3
    return given((_draw(shape) + shifted).astype(np.float32), "float32")
