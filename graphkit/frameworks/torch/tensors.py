"""Torch's tensors and numpy's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt
    import torch

__all__ = ["identity", "to_array", "to_tensor"]


def to_array(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    """A tensor as an array that shares its memory; complex numbers become a last axis of two."""
    import torch

    plain = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().cpu()
    if plain.dtype == torch.bfloat16:
        return plain.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    found: npt.NDArray[np.generic] = plain.numpy()
    return found


def to_tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    """A copy of an array as a tensor."""
    import torch

    native: npt.NDArray[Any] = np.array(array, array.dtype.newbyteorder("="), order="C")
    if native.dtype == np.dtype(ml_dtypes.bfloat16):
        return torch.from_numpy(native.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(native)


def identity(tensor: torch.Tensor) -> Hashable:
    """Equal for tensors that are one and the same piece of memory."""
    if not tensor.numel():
        return id(tensor)
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
