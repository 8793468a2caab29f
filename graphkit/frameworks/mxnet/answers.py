"""Arrays that MXNet gives, as a model declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

__all__ = ["as_declared", "is_scalar"]


def as_declared(value: ir.Value, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """An array of MXNet's as the model declares it.

    MXNet 1.x has no 0-d arrays outside its NumPy mode, and gives booleans and indices as floats. Numbers that would
    change, and floats of another width, stay as they are.
    """
    if is_scalar(value, array):
        array = array.reshape(())
    if value.dtype is None or value.dtype.is_floating_point() or array.dtype == value.dtype.numpy():
        return array
    with np.errstate(invalid="ignore"):
        cast = array.astype(value.dtype.numpy())
    return cast if np.array_equal(cast.astype(array.dtype), array) else array


def is_scalar(value: ir.Value, array: npt.NDArray[np.generic]) -> bool:
    """Whether an array of one element stands for a value without axes."""
    return value.shape is not None and len(value.shape) == 0 and array.shape == (1,)
