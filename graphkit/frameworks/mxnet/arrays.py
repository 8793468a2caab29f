"""What a parameter file holds, without its spelling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CPU", "Array", "Csr", "ParamsFile", "Record", "RowSparse", "dense"]

CPU = (1, 0)
"""MXNet's code for the processor, and the number of the device."""


@dataclass(frozen=True, slots=True, eq=False)
class RowSparse:
    """A tensor of which only some rows are stored, as MXNet keeps gradients of embeddings.

    Attributes:
        shape: Shape of the whole tensor.
        indices: Numbers of the stored rows, shape (rows,), integers.
        values: The stored rows, shape (rows,) + shape[1:].
    """

    shape: tuple[int, ...]
    indices: npt.NDArray[np.generic]
    values: npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Csr:
    """A matrix in compressed sparse rows.

    Attributes:
        shape: Shape of the whole matrix, (rows, columns).
        indptr: Row r holds the values ``indptr[r]`` to ``indptr[r + 1]``; shape (rows + 1,), integers.
        indices: Column of each value, shape (values,), integers.
        values: The values, shape (values,).
    """

    shape: tuple[int, ...]
    indptr: npt.NDArray[np.generic]
    indices: npt.NDArray[np.generic]
    values: npt.NDArray[np.generic]


Array: TypeAlias = "npt.NDArray[np.generic] | RowSparse | Csr"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One array of a file.

    Attributes:
        value: The array; None for an MXNet array that has no shape yet.
        version: Record format, 0 to 3; 3 has numpy's shapes and so can be a scalar.
        device: MXNet's device type and number that the array was on.
    """

    value: Array | None
    version: int = 2
    device: tuple[int, int] = CPU


@dataclass(slots=True, eq=False)
class ParamsFile:
    """All arrays of a parameter file.

    Attributes:
        records: The arrays in the file's order.
        names: Their names, None for a file without names.
    """

    records: list[Record] = field(default_factory=list)
    names: list[str] | None = None

    def items(self) -> Iterator[tuple[str, Array | None]]:
        """Name and value of each array; numbers as names where the file has none."""
        names = self.names if self.names is not None else [str(i) for i in range(len(self.records))]
        return ((name, record.value) for name, record in zip(names, self.records, strict=True))


def dense(array: Array) -> npt.NDArray[np.generic]:
    """The whole tensor; an array that is dense already is returned as it is.

    Raises:
        ValueError: The indices of a sparse array do not fit its shape, or the whole does not fit in memory.
    """
    if isinstance(array, np.ndarray):
        return array
    try:
        whole: npt.NDArray[Any] = np.zeros(array.shape, array.values.dtype)
    except MemoryError as error:
        raise ValueError(f"a tensor of shape {array.shape} does not fit in memory") from error
    columns = np.asarray(array.indices)
    limit = array.shape[0 if isinstance(array, RowSparse) else 1]
    if columns.size and not (columns.min() >= 0 and columns.max() < limit):
        raise ValueError(f"its indices reach from {columns.min()} to {columns.max()}, beyond its shape {array.shape}")
    if isinstance(array, RowSparse):
        whole[columns] = array.values
        return whole
    starts = np.asarray(array.indptr, np.int64)
    if starts[0] != 0 or starts[-1] != columns.size or (np.diff(starts) < 0).any():
        raise ValueError("its row pointers do not rise from 0 to the number of its values")
    whole[np.repeat(np.arange(array.shape[0]), np.diff(starts)), columns] = array.values
    return whole
