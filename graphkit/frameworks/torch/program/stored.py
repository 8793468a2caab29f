"""Tensors as files hold them: bytes, and how an array lies in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.ir.dtypes import dtype_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt

__all__ = ["SCALAR_TYPES", "StoredTensor"]

_T = ir.DataType
SCALAR_TYPES: Final[dict[int, tuple[str, ir.DataType | None]]] = {
    1: ("uint8", _T.UINT8),
    2: ("int8", _T.INT8),
    3: ("int16", _T.INT16),
    4: ("int32", _T.INT32),
    5: ("int64", _T.INT64),
    6: ("float16", _T.FLOAT16),
    7: ("float32", _T.FLOAT),
    8: ("float64", _T.DOUBLE),
    9: ("complex32", None),
    10: ("complex64", _T.COMPLEX64),
    11: ("complex128", _T.COMPLEX128),
    12: ("bool", _T.BOOL),
    13: ("bfloat16", _T.BFLOAT16),
    28: ("uint16", _T.UINT16),
    29: ("float8_e4m3fn", _T.FLOAT8E4M3FN),
    30: ("float8_e5m2", _T.FLOAT8E5M2),
    31: ("float8_e4m3fnuz", _T.FLOAT8E4M3FNUZ),
    32: ("float8_e5m2fnuz", _T.FLOAT8E5M2FNUZ),
    33: ("float8_e8m0fnu", _T.FLOAT8E8M0),
    34: ("uint32", _T.UINT32),
    35: ("uint64", _T.UINT64),
}
"""torch's name and ONNX's type of each ScalarType of torch's export schema (torch/_export/serde/schema.py)."""

_SPREAD: Final = 2**30
"""Bytes that an array may span beyond those it lies in, by strides of zero."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as a file holds it.

    Attributes:
        storage: The bytes it lies in; None where the file has none.
        key: Which storage that is: tensors of one key share memory.
        dtype: Element type; None where ONNX has none.
        shape: Sizes.
        strides: Elements from one to the next along each axis.
        offset: Elements before its first.
        big_endian: Whether its numbers have the highest byte first.
    """

    storage: memoryview | None
    key: Hashable
    dtype: ir.DataType | None
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    big_endian: bool = False

    @property
    def identity(self) -> Hashable:
        """The same for tensors that are one."""
        return self.key, self.dtype, self.shape, self.strides, self.offset

    def array(self, name: str) -> npt.NDArray[np.generic] | None:
        """The numbers, as a view of the storage; None where there is none.

        Args:
            name: How to call the tensor in messages.

        Raises:
            DamageError: It does not lie in its storage.
        """
        if self.storage is None or self.dtype is None:
            return None
        dtype = dtype_of(self.dtype).numpy
        if len(self.strides) != len(self.shape) or self.offset < 0 or min((*self.shape, *self.strides), default=0) < 0:
            raise DamageError(
                f"tensor {name!r} has shape {self.shape}, strides {self.strides} and offset {self.offset}"
            )
        if 0 in self.shape:
            return np.zeros(self.shape, dtype)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        held, wanted = len(self.storage) // dtype.itemsize, math.prod(self.shape) * dtype.itemsize
        if last >= held or wanted > len(self.storage) + _SPREAD:
            raise DamageError(
                f"tensor {name!r} of shape {'x'.join(map(str, self.shape)) or 'scalar'} needs "
                f"{(last + 1) * dtype.itemsize} bytes of {dtype.name}, but its data are {len(self.storage)} bytes long"
            )
        flat = self._flat(dtype)[self.offset : last + 1]
        if self.strides == _contiguous(self.shape):
            return flat.reshape(self.shape)
        steps = tuple(step * dtype.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)

    def _flat(self, dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
        assert self.storage is not None
        count = len(self.storage) // dtype.itemsize
        if not self.big_endian or dtype.itemsize == 1:
            return np.frombuffer(self.storage, dtype, count)
        part = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        words = np.frombuffer(self.storage, f">u{part}", count * (dtype.itemsize // part))
        return words.astype(f"<u{part}").view(dtype)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps = [1]
    for size in reversed(shape[1:]):
        steps.append(steps[-1] * size)
    return tuple(reversed(steps)) if shape else ()
