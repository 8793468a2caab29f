"""Tensors that ``torch.save`` wrote, read from its pickle without running anything of it.

A pickle is a program: it names functions and calls them. Here every name stands for a function of this module, or for
an object that does nothing, so that the numbers can be told and no code of the file's author runs.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from graphkit.frameworks.torch.program.archive import Archive
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.stored import SCALAR_TYPES, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

__all__ = ["Saved", "saved_tensors"]

_BY_NAME: Final = dict(SCALAR_TYPES.values())
_STORAGES: Final = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file of ``torch.save`` holds.

    Attributes:
        tensors: Tensors by name.
        parameters: Names of those that are parameters.
        foreign: Names of entries that are something else, and of what they would have to run to be read.
    """

    tensors: Mapping[str, StoredTensor]
    parameters: frozenset[str]
    foreign: Mapping[str, str]


def saved_tensors(data: memoryview, where: str = "") -> Saved:
    """The tensors of a dictionary that ``torch.save`` wrote (PyTorch 1.6 and later).

    Args:
        data: The file, or the part of a file that holds it.
        where: What tells this part from others, whose tensors share no memory with these.

    Raises:
        DamageError: It is damaged, or holds something else than a dictionary of tensors.
    """
    if not len(data):
        return Saved({}, frozenset(), {})
    archive = Archive(data)
    root = next((name[: -len("data.pkl")] for name in archive.names if name.rpartition("/")[2] == "data.pkl"), None)
    if root is None:
        raise DamageError("the weights in it are no file of torch.save: they lack data.pkl")
    reader = _Reader(archive, root, where)
    try:
        found = reader.load()
    except DamageError:
        raise
    except Exception as error:
        # a pickle can make any method of the objects that it is given raise anything
        raise DamageError(f"the pickle of the weights in it is damaged ({type(error).__name__}: {error})") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise DamageError("the weights in it are no dictionary of tensors")
    tensors = {name: value.tensor for name, value in found.items() if isinstance(value, _Tensor)}
    parameters = frozenset(name for name, value in found.items() if isinstance(value, _Tensor) and value.is_parameter)
    foreign = {
        name: value.what if isinstance(value, _Foreign) else type(value).__name__
        for name, value in found.items()
        if not isinstance(value, _Tensor)
    }
    return Saved(tensors, parameters, foreign)


@dataclass(slots=True)
class _Tensor:
    tensor: StoredTensor
    is_parameter: bool = False

    def __setstate__(self, state: object) -> None:
        """Take what a pickle sets on a tensor: attributes of its own, which are left out."""


@dataclass(frozen=True, slots=True)
class _StorageType:
    dtype: ir.DataType | None
    is_untyped: bool = False


@dataclass(frozen=True, slots=True)
class _Storage:
    data: memoryview
    key: tuple[str, str]
    kind: _StorageType


@dataclass(frozen=True, slots=True)
class _Dtype:
    dtype: ir.DataType | None


class _Foreign:
    """Stands for any object that a pickle asks for: it can be called, filled and built, and does nothing."""

    what = ""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        """Take any arguments."""

    def __call__(self, *_args: object, **_kwargs: object) -> _Foreign:
        return self

    def __setstate__(self, state: object) -> None:
        """Take any state."""

    def __setitem__(self, key: object, value: object) -> None:
        """Take any item."""

    def append(self, item: object) -> None:
        """Take any item."""

    def extend(self, items: object) -> None:
        """Take any items."""

    def add(self, item: object) -> None:
        """Take any item."""

    def __hash__(self) -> int:
        return id(self)


@dataclass
class _Reader:
    archive: Archive
    root: str
    where: str
    big_endian: bool = False
    storages: dict[str, memoryview] = field(default_factory=dict)

    def load(self) -> Any:
        order = f"{self.root}byteorder"
        self.big_endian = order in self.archive and self.archive.text(order) == "big"
        return _Unpickler(self).load()

    def storage(self, pid: Any) -> _Storage | _Foreign:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], _StorageType):
            return _Foreign()
        key = str(pid[2])
        if key not in self.storages:
            self.storages[key] = self.archive.view(f"{self.root}data/{key}")
        return _Storage(self.storages[key], (self.where, key), pid[1])

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _Tensor | _Foreign:
        if not isinstance(storage, _Storage):
            return _Foreign()
        dtype = storage.kind.dtype
        if storage.kind.is_untyped:
            told = [one for one in rest if isinstance(one, _Dtype)]
            dtype = told[0].dtype if told else dtype
        shape, strides = _integers(size), _integers(stride)
        if not isinstance(offset, int):
            raise DamageError("a tensor among the weights in it has no offset")
        return _Tensor(StoredTensor(storage.data, storage.key, dtype, shape, strides, offset, self.big_endian))

    # Methods, because what a pickle is handed it can set attributes of, which a bound method does not let it.

    def parameter(self, data: Any, *_rest: Any) -> Any:
        if isinstance(data, _Tensor):
            return _Tensor(data.tensor, is_parameter=True)
        return data

    def size(self, numbers: Any = ()) -> tuple[int, ...]:
        return _integers(numbers)

    def named(self, module: str, name: str) -> Any:
        """What a name in a pickle stands for."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _StorageType(_BY_NAME[_STORAGES[name]], name == "UntypedStorage")
        if module == "torch" and name in _BY_NAME:
            return _Dtype(_BY_NAME[name])
        if module == "torch" and name == "Size":
            return self.size
        functions: dict[str, Callable[..., Any]] = {
            "_rebuild_tensor": self.tensor,
            "_rebuild_tensor_v2": self.tensor,
            "_rebuild_tensor_v3": self.tensor,
            "_rebuild_parameter": self.parameter,
            "_rebuild_parameter_with_state": self.parameter,
        }
        if module == "torch._utils" and name in functions:
            return functions[name]
        return type(_Foreign.__name__, (_Foreign,), {"what": f"{module}.{name}"})


def _integers(given: Any) -> tuple[int, ...]:
    if not isinstance(given, tuple | list) or not all(type(number) is int for number in given):
        raise DamageError("a tensor among the weights in it has no sizes")
    return tuple(given)


class _Unpickler(pickle.Unpickler):
    """Reads a pickle with nothing but the names of :meth:`_Reader.named`."""

    def __init__(self, reader: _Reader) -> None:
        super().__init__(io.BytesIO(bytes(reader.archive.view(f"{reader.root}data.pkl"))), encoding="utf-8")
        self._reader = reader

    def find_class(self, module: str, name: str) -> Any:
        return self._reader.named(module, name)

    def persistent_load(self, pid: Any) -> Any:
        return self._reader.storage(pid)
