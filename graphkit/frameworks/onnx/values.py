"""Arrays as ONNX Runtime holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["is_plain", "ort_value"]


def is_plain(fed: Any) -> bool:
    """Whether ONNX Runtime takes what is fed as numpy has it: no type that numpy itself lacks."""
    if fed is None or isinstance(fed, list):
        return True
    return bool(fed.dtype.kind in "OUS" or fed.dtype.isbuiltin == 1)


def ort_value(array: npt.NDArray[np.generic], dtype: int, device: str = "cpu", number: int = 0) -> Any:
    """An array as ONNX Runtime's value, which on the CPU points to the array.

    Args:
        array: The array. One of a type that numpy itself lacks stays on the CPU.
        dtype: ONNX's number of its element type.
        device: ONNX Runtime's name of the device that it is copied to.
        number: Which of several such devices.
    """
    from onnxruntime import OrtValue

    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    if contiguous.dtype.isbuiltin == 1:
        return OrtValue.ortvalue_from_numpy(contiguous, device, number)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous.view(f"u{contiguous.itemsize}"), dtype)
