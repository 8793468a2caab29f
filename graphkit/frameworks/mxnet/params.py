"""MXNet's parameter files, ``*.params``, read and written without MXNet.

The format, which MXNet calls an NDArray list: u64 0x112, u64 0, u64 number of arrays, the arrays, u64 number of names
(0 or that of the arrays), each name as u64 length and UTF-8. An array is a u32 that tells the version, then

- version 0: the u32 is the rank; u32 dimensions, device, dtype, data;
- version 1: shape, device, dtype, data;
- version 2 and 3: i32 storage type, the stored shape if sparse, shape, device, dtype, (dtype, shape) of each index
  array, data, index arrays;

with shape = i32 rank and i64 dimensions, device = i32 type and i32 number, dtype = i32 code. Everything is
little-endian and nothing is aligned. An array without a shape ends after it.
"""

from __future__ import annotations

import math
import mmap
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from graphkit import limits
from graphkit.errors import FormatError, InputError
from graphkit.files import whole, write_array
from graphkit.files.opening import opened
from graphkit.frameworks.mxnet import npz
from graphkit.frameworks.mxnet.arrays import Csr, ParamsFile, Record, RowSparse, dense
from graphkit.ir.dtypes import DTYPES, dtype_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from graphkit.frameworks.mxnet.arrays import Array

__all__ = ["check", "checked_file", "dump", "load_checkpoint_params", "read", "size_of", "write"]

_LIST: Final = 0x112
_VERSIONS: Final = {0xF993FAC8: 1, 0xF993FAC9: 2, 0xF993FACA: 3}
_MAGIC: Final = {version: magic for magic, version in _VERSIONS.items()}
_DENSE, _ROW_SPARSE, _CSR = 0, 1, 2
_UNDEFINED = -1
_MAX_RANK = 32
_MAX_SIZE = 2**31 - 1
"""Elements that one array of the published MXNet 1.9.1 may have: it is built without 64-bit tensor sizes."""
_WIDER: Final = {"int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}


def read(path: Path) -> ParamsFile:
    """Read a parameter file of any MXNet from 0.7 to 2.0.

    The file is mapped into memory: arrays are read-only views, their bytes stay on disk until they are used, and they
    need not be aligned, so copy what is handed to code that demands it. The file must not be changed in place while an
    array is in use; :func:`write` and everything else here replaces files instead.

    Raises:
        InputError: The file cannot be read.
        FormatError: It is not a parameter file, or damaged: cut off, too long, inconsistent, or naming an array twice.
    """
    with opened(path) as file:
        size = file.seek(0, 2)
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    if npz.recognises(data):
        return npz.parse(data, path)
    return _Reader(data, path).file()


class _Reader:
    """Walks through the bytes of a file and never beyond them."""

    def __init__(self, data: mmap.mmap | bytes, path: Path) -> None:
        self._data = data
        self._size = len(data)
        self._path = path
        self._at = 0
        self._what = "the header"

    def _error(self, at: int, why: str) -> FormatError:
        return FormatError(
            f"{self._path} is damaged: at byte {at} of {self._size}, in {self._what}, {why}. Copy the file again from "
            "where it came, or save it again with MXNet."
        )

    def _take(self, size: int, what: str) -> int:
        """Position of the next ``size`` bytes, which are there."""
        at, self._at = self._at, self._at + size
        if self._at > self._size:
            raise self._error(at, f"{what} of {size} bytes should follow, but only {self._size - at} bytes are left")
        return at

    def _number(self, code: str, what: str) -> int:
        form = struct.Struct("<" + code)
        number: int = form.unpack_from(self._data, self._take(form.size, what))[0]
        return number

    def file(self) -> ParamsFile:
        if self._size < 8 or struct.unpack_from("<Q", self._data)[0] != _LIST:
            start = bytes(self._data[:8]).hex(" ") or "nothing"
            raise FormatError(
                f"{self._path} is not an MXNet parameter file: it starts with {start} instead of "
                "12 01 00 00 00 00 00 00. Give a file that save_checkpoint, export, save_parameters or nd.save wrote."
            )
        self._take(16, "the header")
        at, count = self._at, self._number("Q", "the number of arrays")
        if count > (self._size - self._at) // 4:
            raise self._error(at, f"{count} arrays are announced, more than fit into the file")
        records = []
        for i in range(count):
            self._what = f"array {i + 1} of {count}"
            records.append(self._record())
        self._what = "the names"
        names = self._names(count)
        if self._at != self._size:
            raise self._error(self._at, f"{self._size - self._at} bytes follow, though the file should end here")
        return ParamsFile(records, names)

    def _names(self, count: int) -> list[str] | None:
        at, named = self._at, self._number("Q", "the number of names")
        if named not in (0, count):
            raise self._error(at, f"{named} names are announced for {count} arrays")
        names: dict[str, int] = {}
        for _ in range(named):
            length = self._number("Q", "the length of a name")
            at = self._take(length, "a name")
            try:
                name = bytes(self._data[at : at + length]).decode()
            except UnicodeDecodeError as error:
                raise self._error(at, "a name is not UTF-8 text") from error
            if name in names:
                raise self._error(at, f"the name {name!r} stands again, after byte {names[name]}")
            names[name] = at
        return list(names) if named else None

    def _record(self) -> Record:
        at, magic = self._at, self._number("I", "the start of an array")
        version = _VERSIONS.get(magic, 0)
        if version == 0 and magic > _MAX_RANK:
            raise self._error(at, f"an array starts with 0x{magic:08x}, which no MXNet wrote")
        stype = _DENSE
        stored: tuple[int, ...] = ()
        if version >= 2:
            at, stype = self._at, self._number("i", "the storage type")
            if stype not in (_UNDEFINED, _DENSE, _ROW_SPARSE, _CSR):
                raise self._error(at, f"the storage type is {stype}, not 0 (dense), 1 (row_sparse) or 2 (csr)")
            stored = self._shape("the stored shape") or () if stype > _DENSE else ()
        shape = self._shape("the shape") if version else tuple(self._number("I", "a dimension") for _ in range(magic))
        if shape is None or (shape == () and version < 3):
            return Record(None, version)
        if stype == _UNDEFINED:
            raise self._error(at, "an array has a shape but no storage type")
        device = self._number("i", "the device"), self._number("i", "the device")
        dtype = self._dtype()
        if stype == _DENSE:
            return Record(self._array(shape, dtype), version, device)
        count = 1 if stype == _ROW_SPARSE else 2
        kinds = [(self._dtype(), self._shape("the shape of indices") or ()) for _ in range(count)]
        values = self._array(stored, dtype)
        aux = [self._array(length, kind) for kind, length in kinds]
        if stype == _ROW_SPARSE:
            fits = stored[1:] == shape[1:] and aux[0].shape == stored[:1] != ()
        else:
            fits = len(shape) == 2 and aux[0].shape == (shape[0] + 1,) and aux[1].shape == stored and len(stored) == 1
        if not (fits and all(item.dtype.kind in "iu" for item in aux)):
            raise self._error(at, f"the indices of a sparse array do not fit its shape {shape}")
        value = RowSparse(shape, aux[0], values) if stype == _ROW_SPARSE else Csr(shape, aux[0], aux[1], values)
        return Record(value, version, device)

    def _shape(self, what: str) -> tuple[int, ...] | None:
        """Dimensions; None for an array that has no shape yet."""
        at, rank = self._at, self._number("i", f"the rank of {what}")
        if rank > _MAX_RANK or rank < -1:
            raise self._error(at, f"{what} has rank {rank}, more than the {_MAX_RANK} that arrays can have")
        dims = tuple(self._number("q", f"a dimension of {what}") for _ in range(max(rank, 0)))
        return None if rank < 0 or any(dim < 0 for dim in dims) else dims

    def _dtype(self) -> np.dtype[Any]:
        at, code = self._at, self._number("i", "the element type")
        for row in DTYPES:
            if row.mxnet == code:
                return row.numpy.newbyteorder("<") if row.numpy.kind in "iuf" else row.numpy
        raise self._error(at, f"the element type is {code}, which is no type code of MXNet (0 to 12)")

    def _array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[np.generic]:
        at = self._take(math.prod(shape) * dtype.itemsize, f"the data of shape {shape}, {dtype.name},")
        try:
            # a view of nothing may not start at the end of the file
            return np.ndarray(shape, dtype, self._data, at) if 0 not in shape else np.zeros(shape, dtype)
        except ValueError as error:
            raise self._error(at, f"the shape {shape} is impossible") from error


def load_checkpoint_params(
    path: Path, aux: Collection[str] = ()
) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, npt.NDArray[np.generic]]]:
    """Arguments and auxiliary states by variable name, as ``save_checkpoint``, ``export`` or R's MXNet wrote them.

    Names are ``arg:NAME`` and ``aux:NAME``. In files whose names have no such prefix (R, ``save_parameters``) an array
    is an argument, unless ``aux`` has its name. Arrays are views as of :func:`read`, sparse ones are made dense.

    Args:
        path: The file.
        aux: Names of the symbol's auxiliary states (:func:`graphkit.frameworks.mxnet.schema.aux_names`).

    Raises:
        InputError: The file cannot be read.
        FormatError: It is damaged, has arrays but no names, or an array that is empty or named twice.
        LimitError: Its sparse arrays are much larger than the file once they are dense.
    """
    file = read(path)
    if file.names is None and file.records:
        raise FormatError(
            f"{path} holds {len(file.records)} arrays without names, which cannot be matched with a symbol. Save a "
            "dict of names and arrays instead of a list."
        )
    sparse = [record.value for record in file.records if isinstance(record.value, RowSparse | Csr)]
    if sparse:
        whole_size = sum(math.prod(value.shape) * value.values.dtype.itemsize for value in sparse)
        limits.check("expanded", whole_size - 4 * path.stat().st_size, f"{path}, whose sparse arrays are made dense,")
    args: dict[str, npt.NDArray[np.generic]] = {}
    states: dict[str, npt.NDArray[np.generic]] = {}
    for key, value in file.items():
        prefix, _, rest = key.partition(":")
        name = rest if prefix in ("arg", "aux") and rest else key
        if value is None:
            raise FormatError(
                f"{path} has no data for {key!r}: it was saved before the parameter got its shape. Run the network "
                "once, and "
                f"save it again."
            )
        if name in args or name in states:
            raise FormatError(f"{path} has {name!r} twice, with and without a prefix; remove one of them.")
        try:
            array = dense(value)
        except ValueError as error:
            raise FormatError(
                f"{path} has a damaged sparse array {key!r}: {error}. Copy the file again from where it came."
            ) from error
        if prefix == "aux" or (name == key and name in aux):
            states[name] = array
        else:
            args[name] = array
    return args, states


def write(
    path: Path, arrays: Mapping[str, Array] | ParamsFile, warn: Callable[[str], None] = lambda _message: None
) -> None:
    """Write a parameter file that MXNet 1.9.1 loads, whole or not at all.

    The records of a :class:`ParamsFile` keep their versions, so what was read from a file is written back byte for
    byte. A mapping is written in version 2; a scalar (0-d array) forces version 3 on all of them, which MXNet loads
    only under its numpy semantics.

    Args:
        path: The file; what it held before can still be in use, it is replaced and not overwritten.
        arrays: Arrays by name, in the order to write; sparse ones included.
        warn: Receives that version 3 was needed.

    Raises:
        InputError: An array has a type, size or name that MXNet 1.9.1 cannot load, or the file cannot be written.
    """
    checked = checked_file(arrays, path.name, warn)
    with whole(path, size=size_of(checked)) as (draft,), draft.open("wb") as out:
        dump(checked, out)


def dump(arrays: ParamsFile, out: BinaryIO) -> None:
    """Write what :func:`checked_file` gave, one array at a time."""
    out.write(struct.pack("<QQQ", _LIST, 0, len(arrays.records)))
    for record in arrays.records:
        _write_record(out, record)
    labels = [name.encode() for name in arrays.names or ()]
    out.write(struct.pack("<Q", len(labels)))
    out.writelines(struct.pack("<Q", len(label)) + label for label in labels)


def size_of(arrays: ParamsFile) -> int:
    """Bytes of the numbers of a parameter file, which are nearly all of it."""
    parts = [_parts(record.value) for record in arrays.records if record.value is not None]
    return sum(array.nbytes for values, aux in parts for array in (values, *aux))


def check(arrays: Mapping[str, Array] | ParamsFile) -> None:
    """Refuse arrays that :func:`write` would.

    Raises:
        InputError: An array has a type, size or name that MXNet 1.9.1 cannot load.
    """
    checked_file(arrays)


def checked_file(
    arrays: Mapping[str, Array] | ParamsFile,
    file: str = "the file",
    warn: Callable[[str], None] = lambda _message: None,
) -> ParamsFile:
    """Arrays as the records of a file that MXNet 1.9.1 loads; arguments and errors are those of :func:`write`."""
    arrays = _as_file(arrays, file, warn)
    written: set[str] = set()
    for (name, _), record in zip(arrays.items(), arrays.records, strict=True):
        problem = "another array has its name; rename it" if name in written else _problem(name, record)
        if problem:
            raise InputError(f"Array {name!r} cannot be written to a parameter file: {problem}.")
        written.add(name)
    return arrays


def _as_file(arrays: Mapping[str, Array] | ParamsFile, file: str, warn: Callable[[str], None]) -> ParamsFile:
    if not isinstance(arrays, ParamsFile):
        plain = {name: array if _is_sparse(array) else np.asarray(array) for name, array in arrays.items()}
        scalars = [name for name, array in plain.items() if array.shape == () and not _is_sparse(array)]
        if scalars:
            warn(
                f"{scalars[0]!r} is a scalar, which MXNet's older format cannot hold: load {file} under "
                "mxnet.util.np_shape(True), or give it the shape (1,)."
            )
        version = 3 if scalars else 2
        arrays = ParamsFile([Record(array, version) for array in plain.values()], list(plain))
    return arrays


def _is_sparse(array: Array) -> TypeGuard[RowSparse | Csr]:
    return isinstance(array, RowSparse | Csr)


def _parts(value: Array) -> tuple[npt.NDArray[np.generic], list[npt.NDArray[np.generic]]]:
    """The values and the index arrays."""
    if isinstance(value, RowSparse):
        return value.values, [value.indices]
    if isinstance(value, Csr):
        return value.values, [value.indptr, value.indices]
    return value, []


def _problem(name: str, record: Record) -> str | None:
    """Why MXNet 1.9.1 could not load a record, as a clause; None when it could."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name has half of a character, which UTF-8 cannot hold; rename it"
    if "\0" in name:
        return "MXNet cuts a name off at a zero byte; rename it"
    if record.value is None:
        return "it has no data, and MXNet 1.9.1 does not load such arrays; initialise the parameter or leave it out"
    values, aux = _parts(record.value)
    for array in (values, *aux):
        try:
            dtype = dtype_of(array.dtype)
        except FormatError:
            return f"MXNet has no element type {array.dtype}; cast it to one that it has"
        if not dtype.mxnet1:
            other = _WIDER.get(dtype.name, "a type that it has, such as float32")
            return f"MXNet 1.9.1 does not load {dtype.name} arrays; cast it to {other}"
        if array.size > _MAX_SIZE:
            return f"MXNet 1.9.1 loads at most {_MAX_SIZE} elements in an array, and it has {array.size}; split it"
    if aux and record.version != 2:
        return f"sparse arrays go with version 2 of the format, and this file needs {record.version}; make it dense"
    if values.ndim == 0 and record.version < 3:
        return f"version {record.version} of the format cannot hold a scalar; give it the shape (1,)"
    return None


def _write_record(out: BinaryIO, record: Record) -> None:
    assert record.value is not None
    values, aux = _parts(record.value)
    shape = values.shape if not aux else record.value.shape
    head = b""
    if record.version == 0:
        head = struct.pack(f"<I{len(shape)}I", len(shape), *shape)
    else:
        head = struct.pack("<I", _MAGIC[record.version])
        if record.version >= 2:
            stype = (_DENSE, _ROW_SPARSE, _CSR)[len(aux)]
            head += struct.pack("<i", stype) + (_packed_shape(values.shape) if aux else b"")
        head += _packed_shape(shape)
    head += struct.pack("<iii", *record.device, dtype_of(values.dtype).mxnet)
    out.write(head + b"".join(struct.pack("<i", dtype_of(a.dtype).mxnet) + _packed_shape(a.shape) for a in aux))
    for array in (values, *aux):
        write_array(out, array)


def _packed_shape(shape: Sequence[int]) -> bytes:
    return struct.pack(f"<i{len(shape)}q", len(shape), *shape)
