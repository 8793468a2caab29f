"""Tensors that ``torch.save`` wrote, read from its pickle without running anything of it.

A pickle is a program: it names functions and calls them. Here a few names stand for functions of this module and all
others for nothing (:mod:`graphkit.frameworks.torch.program.machine`), so that the numbers can be told and no code of
the file's author runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.program.archive import Archive
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.machine import Foreign, Name, run
from graphkit.frameworks.torch.program.stored import SCALAR_TYPES, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_ORDERED: Final = Name("collections", "OrderedDict")
_SIZE: Final = Name("torch", "Size")
_TENSORS: Final = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
_PARAMETERS: Final = ("_rebuild_parameter", "_rebuild_parameter_with_state")


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
    order = f"{root}byteorder"
    big_endian = order in archive and archive.text(order) == "big"
    found = run(bytes(archive.view(f"{root}data.pkl")), _Reader(archive, root, where, big_endian))
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise DamageError("the weights in it are no dictionary of tensors")
    tensors = {name: value.tensor for name, value in found.items() if isinstance(value, _Tensor)}
    parameters = frozenset(name for name, value in found.items() if isinstance(value, _Tensor) and value.is_parameter)
    foreign = {
        name: value.what if isinstance(value, Foreign) else type(value).__name__
        for name, value in found.items()
        if not isinstance(value, _Tensor)
    }
    return Saved(tensors, parameters, foreign)


@dataclass(frozen=True, slots=True)
class _Tensor:
    tensor: StoredTensor
    is_parameter: bool = False


@dataclass(frozen=True, slots=True)
class _Storage:
    data: memoryview
    key: tuple[str, str]
    kind: str


@dataclass(slots=True)
class _Reader:
    """Answers what names in a pickle of torch's stand for."""

    archive: Archive
    root: str
    where: str
    big_endian: bool
    storages: dict[str, memoryview] = field(default_factory=dict)

    def stored(self, pid: Any) -> Any:
        """The storage that an identifier names."""
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], Name):
            return Foreign("an object of its own")
        kind, key = pid[1], pid[2]
        if kind.module not in ("torch", "torch.storage") or kind.name not in _STORAGES:
            return Foreign(f"{kind.module}.{kind.name}")
        if not isinstance(key, str | int):
            raise DamageError("a storage among the weights in it has no name")
        key = str(key)
        if key not in self.storages:
            self.storages[key] = self.archive.view(f"{self.root}data/{key}")
        return _Storage(self.storages[key], (self.where, key), kind.name)

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """What a function or class gives; a stand-in for what is none of torch's."""
        if function == _ORDERED:
            return {}
        if function == _SIZE:
            return _integers(arguments[0] if arguments else ())
        if function.module == "torch._utils" and function.name in _TENSORS and len(arguments) >= 4:
            return self._tensor(*arguments)
        if function.module == "torch._utils" and function.name in _PARAMETERS and arguments:
            data = arguments[0]
            return _Tensor(data.tensor, is_parameter=True) if isinstance(data, _Tensor) else data
        return Foreign(f"{function.module}.{function.name}")

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> _Tensor | Foreign:
        if not isinstance(storage, _Storage):
            return Foreign("a tensor without a storage")
        dtype = _BY_NAME[_STORAGES[storage.kind]]
        if storage.kind == "UntypedStorage":
            told = [one for one in rest if isinstance(one, Name) and one.module == "torch" and one.name in _BY_NAME]
            dtype = _BY_NAME[told[0].name] if told else dtype
        shape, strides = _integers(size), _integers(stride)
        if type(offset) is not int:
            raise DamageError("a tensor among the weights in it has no offset")
        return _Tensor(StoredTensor(storage.data, storage.key, dtype, shape, strides, offset, self.big_endian))


def _integers(given: Any) -> tuple[int, ...]:
    if not isinstance(given, tuple | list) or not all(type(number) is int for number in given):
        raise DamageError("a tensor among the weights in it has no sizes")
    return tuple(given)
