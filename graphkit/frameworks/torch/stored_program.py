"""Exported programs whose weights stay in their file, mapped into memory.

``torch.export.load`` reads all weights, and runs code that a file may hold. Here the file is mapped so that what is
written to a weight becomes a page of the process alone and never reaches the file, and torch's deserializer is handed
tensors that lie in it, and a program of which everything that it evaluates is checked.
"""

from __future__ import annotations

import io
import mmap
import pickle
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.checks.program import checked_program
from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.checks.trees import check_keys
from graphkit.frameworks.torch.program.archive import Archive
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.layouts import contents
from graphkit.frameworks.torch.program.schema import program
from graphkit.frameworks.torch.program.trees import without_classes
from graphkit.frameworks.zips import ZIP_FAILURES
from graphkit.ir.dtypes import dtype_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    import torch

    from graphkit.frameworks.torch.program.layouts import Contents
    from graphkit.frameworks.torch.program.schema import Json
    from graphkit.frameworks.torch.program.stored import StoredTensor

__all__ = ["MAPPED", "load_mapped"]

MAPPED: Final = 1 << 24
"""Bytes from which on a file is mapped; a smaller one is read, so that it may be written to while its model is used."""
_ABSENT: Final = {
    "fake": "it holds {name!r} without its numbers (a fake tensor)",
    "sparse": "it holds {name!r} as a sparse tensor, which graphkit does not read",
}
"""Why a tensor is not read, by what the reader of the archive says of it."""
_ALIGNMENT: Final = 16
"""Bytes of the largest elements, at multiples of which arrays of them have to begin."""


def load_mapped(path: Path) -> torch.export.ExportedProgram:
    """The program in a file, with weights that lie in the file; nothing that the file holds is run.

    Of example inputs only what ``torch.load`` unpickles with ``weights_only`` is read. Whatever devices the program was
    exported on, it computes on the CPU. Of several programs the one called "model" is read.

    Args:
        path: What ``torch.export.save`` wrote.

    Raises:
        DamageError: The archive or its tensors are damaged.
        HarmfulError: The file holds what torch could be made to run code by, or tensors that only a pickle could make.
        Exception: Anything, where the program is damaged, or of an age that this torch does not read.
    """
    from torch._export.serde.serialize import ExportedProgramDeserializer

    archive = Archive(_bytes_of(path))
    found = contents(archive)
    if found.absent:
        name, why = next(iter(found.absent.items()))
        raise HarmfulError(_ABSENT.get(why, f"it holds {name!r} as a pickled object ({why})").format(name=name))
    weights, constants = _tensors(found)
    checked = checked_program(_of_plain_containers(found.program))
    examples = _examples(archive, found)
    return ExportedProgramDeserializer().deserialize(checked, weights, constants, examples)


def _bytes_of(path: Path) -> memoryview:
    with path.open("rb") as file:
        if path.stat().st_size < MAPPED:
            return memoryview(bytearray(file.read()))
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _tensors(found: Contents) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The parameters and buffers of a program, and its constants, by name."""
    import torch

    parameters = program(found.program).trained()
    storages: dict[Hashable, torch.Tensor] = {}
    weights: dict[str, torch.Tensor] = {}
    constants: dict[str, torch.Tensor] = {}
    for name, stored in found.tensors.items():
        try:
            tensor = _tensor(stored, storages)
        except RuntimeError as error:
            raise DamageError(f"tensor {name!r} does not lie within its data: {error}") from error
        if name in parameters:
            tensor = torch.nn.Parameter(tensor, parameters[name])
        (constants if name in found.constants else weights)[name] = tensor
    return weights, constants


def _tensor(stored: StoredTensor, storages: dict[Hashable, torch.Tensor]) -> torch.Tensor:
    """A tensor that lies where the file has it; those of one storage share it."""
    import torch

    assert stored.dtype is not None
    dtype = getattr(torch, dtype_of(stored.dtype).torch or "")
    tensor = torch.empty(0, dtype=dtype)
    if 0 in stored.shape:
        return tensor.reshape(stored.shape)
    assert stored.storage is not None
    turned = (tensor.itemsize // 2 if dtype.is_complex else tensor.itemsize) if stored.big_endian else 1
    if (stored.key, turned) not in storages:
        held = torch.frombuffer(
            bytearray(stored.storage) if stored.storage.readonly else stored.storage,  # a compressed one is read-only
            dtype=torch.uint8,
        )
        if turned > 1:
            held = held[: held.numel() // turned * turned].reshape(-1, turned).flip(1).reshape(-1)
        storages[stored.key, turned] = held if held.data_ptr() % _ALIGNMENT == 0 else held.clone()
    held = storages[stored.key, turned]
    tensor.set_(held.untyped_storage(), 0, (held.numel() // tensor.itemsize,), (1,))
    return torch.as_strided(tensor, stored.shape, stored.strides, stored.offset)  # which is checked to lie within


def _examples(archive: Archive, found: Contents) -> Any:
    """The example inputs, ``(args, kwargs)``; None for none, and for objects, which only a pickle could make."""
    import torch

    data = bytes(archive.view(found.examples)) if found.examples else b""
    try:
        given = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True) if data else None
    except (pickle.UnpicklingError, *ZIP_FAILURES):
        return None
    match given:
        case (tuple(), dict()):  # anything else torch might take for a pickle that it has yet to read
            check_keys(given)
            return given
    return None


def _of_plain_containers(told: Json) -> Json:
    """A program that takes and returns dictionaries and tuples in place of objects; what is given is changed."""
    module = told["graph_module"]
    calls = [call["signature"] for call in module["module_call_graph"]]
    for signature in (module.get("call_spec"), *calls):
        for key in ("in_spec", "out_spec"):
            if signature and signature.get(key):
                signature[key] = without_classes(signature[key])
    return told
