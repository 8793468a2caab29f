"""Torch's tensors and numpy's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from graphkit.ir.dtypes import dtype_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt
    import torch

__all__ = ["identity", "to_array", "to_tensor"]


def to_array(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    """A tensor as an array that shares its memory; complex numbers become a last axis of two."""
    import torch

    plain = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().cpu()
    name = str(plain.dtype).removeprefix("torch.")
    if plain.is_floating_point() and hasattr(ml_dtypes, name):
        bits = torch.int16 if plain.itemsize == 2 else torch.uint8
        return plain.contiguous().view(bits).numpy().view(getattr(ml_dtypes, name))
    found: npt.NDArray[np.generic] = plain.numpy()
    return found


def to_tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    """A copy of an array as a tensor, in the element type that holds the array's in torch."""
    import torch

    native: npt.NDArray[Any] = np.array(array, array.dtype.newbyteorder("="), order="C")
    if native.dtype.isbuiltin == 1:
        return torch.from_numpy(native)
    held = dtype_of(native.dtype).in_torch
    if held.numpy.isbuiltin == 1:
        return torch.from_numpy(native.astype(held.numpy))
    bits = np.int16 if native.itemsize == 2 else np.uint8
    found: torch.Tensor = torch.from_numpy(native.view(bits)).view(getattr(torch, held.torch or ""))
    return found


def identity(tensor: torch.Tensor) -> Hashable:
    """Equal for tensors that are one and the same piece of memory."""
    if not tensor.numel():
        return id(tensor)
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
