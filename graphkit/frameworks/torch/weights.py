"""Writing safetensors files one tensor at a time.

The safetensors library takes all tensors at once, so that weights mapped from a file would be in memory together.
Format: https://huggingface.co/docs/safetensors/index#format.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.files import release
from graphkit.frameworks.torch.source.uses import stored_dtype, stored_shape
from graphkit.ir.dtypes import dtype_of
from graphkit.ops.layout import arrange
from graphkit.ops.torchprogram import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["check_weights", "write_weights"]

_ALIGNMENT = 8


def write_weights(
    path: Path, tensors: Mapping[str, Stored | npt.NDArray[np.generic]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file.

    Args:
        path: The file.
        tensors: What it holds, by name.
        metadata: Its metadata.

    Raises:
        UnsupportedError: Safetensors has no such element type.
        OSError: The file cannot be written.
    """
    check_weights(tensors)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    # The largest elements first keeps all of them aligned.
    ordered = sorted(tensors.items(), key=lambda item: -dtype_of(_dtype(item[1])).in_torch.numpy.itemsize)
    end = 0
    for name, tensor in ordered:
        shape = stored_shape(tensor) if isinstance(tensor, Stored) else tensor.shape
        dtype = dtype_of(_dtype(tensor)).in_torch
        start, end = end, end + math.prod(shape) * dtype.numpy.itemsize
        header[name] = {"dtype": dtype.safetensors, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, tensor in ordered:
            held = _held(tensor)
            array = arrange(held, tensor.layout) if isinstance(tensor, Stored) else held
            array = array.astype(dtype_of(array.dtype).in_torch.numpy, copy=False)
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            release(held)


def check_weights(tensors: Mapping[str, Stored | npt.NDArray[np.generic]]) -> None:
    """Refuse tensors that :func:`write_weights` would.

    Raises:
        UnsupportedError: Safetensors has no such element type.
    """
    kinds = {name: dtype_of(_dtype(tensor)).in_torch for name, tensor in tensors.items()}
    refused = [
        UnsupportedNode("tensor", name, f"it is of {dtype.name}, which safetensors files do not hold")
        for name, dtype in kinds.items()
        if dtype.safetensors is None
    ]
    if refused:
        raise UnsupportedError("PyTorch", refused)


def _dtype(tensor: Stored | npt.NDArray[np.generic]) -> ir.DataType:
    return stored_dtype(tensor) if isinstance(tensor, Stored) else ir.DataType.from_numpy(tensor.dtype)


def _held(tensor: Stored | npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array before it is rearranged."""
    if not isinstance(tensor, Stored):
        return tensor
    assert tensor.value.const_value is not None
    return tensor.value.const_value.numpy()
