"""Exported programs whose weights stay in their file, mapped into memory.

``torch.export.load`` reads all weights. Here the file is mapped so that what is written to a weight becomes a page of
the process alone and never reaches the file, and torch's deserializer is handed tensors that lie in it.
"""

from __future__ import annotations

import io
import json
import mmap
import pickle
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.program.archive import Archive
from graphkit.frameworks.torch.program.layouts import contents, is_program
from graphkit.frameworks.torch.program.schema import program
from graphkit.frameworks.torch.program.trees import without_classes
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
_ALIGNMENT: Final = 16
"""Bytes of the largest elements, at multiples of which arrays of them have to begin."""


def load_mapped(path: Path) -> torch.export.ExportedProgram | None:
    """The program in a file, with weights that lie in the file.

    Of example inputs only what ``torch.load`` unpickles with ``weights_only`` is read. Whatever devices the program was
    exported on, it computes on the CPU.

    Args:
        path: What ``torch.export.save`` wrote.

    Returns:
        The program, or None where the file holds more than tensors, or several programs: what ``torch.export.load`` has
        to judge.

    Raises:
        Exception: Anything, where the file is damaged, or of an age that this torch does not read.
    """
    from torch._export.serde.serialize import SerializedArtifact, deserialize

    archive = Archive(_bytes_of(path))
    if not is_program(archive):
        return None
    found = contents(archive)
    if found.absent or found.warnings or any(stored.big_endian for stored in found.tensors.values()):
        return None
    weights, constants = _tensors(found)
    document = json.dumps(_of_plain_containers(_on_cpu(found.program))).encode()
    stored: Any = SerializedArtifact(document, weights, constants, _examples(archive, found))  # type: ignore[arg-type]  # torch takes tensors as they are, too
    return deserialize(stored)


def _bytes_of(path: Path) -> memoryview:
    with path.open("rb") as file:
        if path.stat().st_size < MAPPED:
            return memoryview(bytearray(file.read()))
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _tensors(found: Contents) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The parameters and buffers of a program, and its constants, by name."""
    import torch

    told = program(found.program)
    metas = told.graph["tensor_values"]
    parameters = {
        source.target: bool(metas[source.name].get("requires_grad"))
        for source in told.inputs
        if source.kind == "parameter"
    }
    storages: dict[Hashable, torch.Tensor] = {}
    weights: dict[str, torch.Tensor] = {}
    constants: dict[str, torch.Tensor] = {}
    for name, stored in found.tensors.items():
        tensor = _tensor(stored, storages)
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
    if stored.key not in storages:
        held = torch.frombuffer(
            bytearray(stored.storage) if stored.storage.readonly else stored.storage,  # a compressed one is read-only
            dtype=torch.uint8,
        )
        storages[stored.key] = held if held.data_ptr() % _ALIGNMENT == 0 else held.clone()
    held = storages[stored.key]
    tensor.set_(held.untyped_storage(), 0, (held.numel() // tensor.itemsize,), (1,))
    return torch.as_strided(tensor, stored.shape, stored.strides, stored.offset)  # which is checked to lie within


def _examples(archive: Archive, found: Contents) -> Any:
    """The example inputs, ``(args, kwargs)``; empty for none, and for objects, which only a pickle could make."""
    import torch

    data = bytes(archive.view(found.examples)) if found.examples else b""
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True) if data else b""
    except pickle.UnpicklingError:
        return b""


def _of_plain_containers(told: Json) -> Json:
    """A program that takes and returns dictionaries and tuples in place of objects; what is given is changed."""
    module = told["graph_module"]
    calls = [call["signature"] for call in module["module_call_graph"]]
    for signature in (module.get("call_spec"), *calls):
        for key in ("in_spec", "out_spec"):
            if signature and signature.get(key):
                signature[key] = without_classes(signature[key])
    return told


def _on_cpu(told: Json) -> Json:
    """A part of a program with the CPU for every device."""
    if isinstance(told, dict):
        if told.keys() == {"type", "index"}:
            return {"type": "cpu", "index": None}
        return {key: _on_cpu(held) for key, held in told.items()}
    return [_on_cpu(held) for held in told] if isinstance(told, list) else told
