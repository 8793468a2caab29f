"""Writing safetensors files one tensor at a time.

The safetensors library takes all tensors at once, so that weights mapped from a file would be in memory together.
Format: https://huggingface.co/docs/safetensors/index#format.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.files import write_array
from graphkit.frameworks.torch.source.uses import stored_dtype, stored_shape
from graphkit.ir.dtypes import dtype_of
from graphkit.ops.layout import parts
from graphkit.ops.torchprogram import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from graphkit.ir.dtypes import DType

__all__ = ["check_weights", "size_of", "write_metadata", "write_weights"]

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
    text = _header(tensors, metadata)
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(_ALIGNMENT, "little"))
        file.write(text)
        for _, tensor in _ordered(tensors):
            for part in _elements(tensor):
                write_array(file, part, _row(tensor).numpy)


def write_metadata(
    path: Path, tensors: Mapping[str, Stored | npt.NDArray[np.generic]], metadata: Mapping[str, str]
) -> None:
    """Write other metadata, which are no longer, into a file that :func:`write_weights` wrote.

    Args:
        path: The file.
        tensors: What it holds.
        metadata: Its metadata.

    Raises:
        OSError: The file cannot be written.
    """
    text = _header(tensors, metadata)
    with path.open("r+b") as file:
        room = int.from_bytes(file.read(_ALIGNMENT), "little")
        if len(text) > room:
            raise ValueError(f"{len(text)} bytes of metadata and layout do not fit into {room}")
        file.write(text.ljust(room))


def _ordered(
    tensors: Mapping[str, Stored | npt.NDArray[np.generic]],
) -> list[tuple[str, Stored | npt.NDArray[np.generic]]]:
    """Tensors in the order of the file: the largest elements first, which keeps all of them aligned."""
    return sorted(tensors.items(), key=lambda item: -_row(item[1]).numpy.itemsize)


def _header(tensors: Mapping[str, Stored | npt.NDArray[np.generic]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in _ordered(tensors):
        start, end = end, end + size_of(tensor)
        header[name] = {"dtype": _row(tensor).safetensors, "shape": list(_shape(tensor)), "data_offsets": [start, end]}
    return json.dumps(header).encode()


def size_of(tensor: Stored | npt.NDArray[np.generic]) -> int:
    """Bytes of a tensor in a file."""
    return math.prod(_shape(tensor)) * _row(tensor).numpy.itemsize


def check_weights(tensors: Mapping[str, Stored | npt.NDArray[np.generic]]) -> None:
    """Refuse tensors that :func:`write_weights` would.

    Raises:
        UnsupportedError: Safetensors has no such element type.
    """
    kinds = {name: _row(tensor) for name, tensor in tensors.items()}
    refused = [
        UnsupportedNode("tensor", name, f"it is of {dtype.name}, which safetensors files do not hold")
        for name, dtype in kinds.items()
        if dtype.safetensors is None
    ]
    if refused:
        raise UnsupportedError("PyTorch", refused)


def _dtype(tensor: Stored | npt.NDArray[np.generic]) -> ir.DataType:
    return stored_dtype(tensor) if isinstance(tensor, Stored) else ir.DataType.from_numpy(tensor.dtype)


def _row(tensor: Stored | npt.NDArray[np.generic]) -> DType:
    return dtype_of(_dtype(tensor)).in_torch


def _shape(tensor: Stored | npt.NDArray[np.generic]) -> tuple[int, ...]:
    return stored_shape(tensor) if isinstance(tensor, Stored) else tensor.shape


def _elements(tensor: Stored | npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.generic]]:
    """Arrays that together are the elements in their order."""
    if not isinstance(tensor, Stored):
        return iter((tensor,))
    assert tensor.value.const_value is not None
    return parts(tensor.value.const_value.numpy(), tensor.layout)
