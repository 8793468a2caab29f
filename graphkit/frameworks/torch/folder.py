"""Folders of source and weights: what they are made of, and reading them back."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit import limits
from graphkit.errors import FormatError, InputError
from graphkit.frameworks.base import InputSpec
from graphkit.frameworks.torch.explain import sentence
from graphkit.frameworks.torch.shards import INDEX, WEIGHTS, read_index, read_tensors
from graphkit.frameworks.torch.vetted_builtins import builtins_of
from graphkit.frameworks.torch.vetting import parsed, vet
from graphkit.provenance import KEY, note, note_record
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

__all__ = ["INPUTS", "MAIN", "MODEL", "NAMES", "Folder", "is_folder", "read_folder"]

MODEL = "model.py"
NAMES = "graphkit.names"
"""Key of the weights' metadata that maps the keys of the ``state_dict`` to the source's own names: JSON, an object of
``name`` and, where the tensor is stored in another layout than the source's, the steps of ``layout``
(:data:`graphkit.ops.layout.Step`)."""
MAIN = "graphkit.class"
"""Key of the metadata that names the module's class."""
_PARSED = 200
"""Bytes of memory that a character of source takes once it is parsed."""
INPUTS = "graphkit.inputs"
"""Key of the metadata that lists the arguments of ``forward``: JSON, a list of (name, shape with null for a free
dimension, element type)."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A module that was read from a folder.

    Attributes:
        module: The module with its weights.
        inputs: Its inputs, as they were when it was written.
        names: What the model that it was converted from calls its tensors, by key of its ``state_dict``, for those
            that are stored in the same layout.
    """

    module: torch.nn.Module
    inputs: tuple[InputSpec, ...]
    names: dict[str, str]


def is_folder(path: Path) -> bool:
    """Whether a path is such a folder, or the source in it."""
    folder = path.parent if path.name == MODEL else path
    return (folder / MODEL).is_file() and ((folder / WEIGHTS).is_file() or (folder / INDEX).is_file())


def read_folder(path: Path, *, trusted: bool = False) -> Folder:
    """Run the source of a folder and load its weights, which stay mapped from their files.

    Args:
        path: The folder, or the source in it.
        trusted: Whether the source may do anything; else it is run only where all that it does is to compute with
            torch, as source does that graphkit wrote (:mod:`graphkit.frameworks.torch.vetting`).

    Raises:
        InputError: The source fails, does what is not trusted, or the weights are not its own.
        FormatError: The weights are damaged, are not all there, or lack the metadata that graphkit writes.
    """
    folder = path.parent if path.name == MODEL else path
    note(folder / MODEL)
    weights, metadata, state = read_weights(folder)
    if not {MAIN, INPUTS, NAMES} <= metadata.keys():
        raise FormatError(
            f"{weights} has no metadata of graphkit's, so nothing says which class of {folder / MODEL} it belongs to. "
            f"If it was saved anew, after training say, hand safetensors' save_file the metadata of the file that it "
            f"replaces, metadata=safe_open(…).metadata(); else name what makes the module, as package.module:callable."
        )
    module = _made(_class(folder / MODEL, metadata[MAIN], trusted=trusted), folder / MODEL, state, weights)
    note_record(metadata.get(KEY))
    try:
        inputs = tuple(_input(*entry) for entry in _json(metadata, INPUTS, weights))
        entries = _json(metadata, NAMES, weights).items()
        names = {key: str(entry["name"]) for key, entry in entries if "layout" not in entry}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{weights} is damaged: its metadata is not what graphkit writes ({error}).") from error
    return Folder(module, inputs, names)


def read_weights(folder: Path) -> tuple[Path, dict[str, str], dict[str, torch.Tensor]]:
    """The weights in a folder: the file, or the index of files, that they are in, its metadata, and tensors by name.

    Raises:
        FormatError: They are damaged, or not all there.
        LimitError: A header or the index is larger than the limits allow.
    """
    weights = folder / WEIGHTS
    if weights.is_file():
        return weights, *read_tensors(weights)
    weights = folder / INDEX
    return weights, *_read_shards(weights)


def _read_shards(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    note(path)
    index = read_index(path)
    state: dict[str, torch.Tensor] = {}
    for file, names in index.files.items():
        _, found = read_tensors(file)
        for told, differing in (("lacks", set(names) - found.keys()), ("has", found.keys() - set(names))):
            if differing:
                other = "which" if told == "lacks" else "and"
                raise FormatError(
                    f"{file} {told} the tensor {min(differing)!r}, {other} {path.name} says "
                    f"{'lies there' if told == 'lacks' else 'it does not lie there'}; they are not of the same model. "
                    f"Copy all files from where they came, or convert the model again."
                )
        state.update(found)
    return index.metadata, state


def _json(metadata: dict[str, str], key: str, weights: Path) -> Any:
    limits.check_json(metadata[key], str(weights))
    return json.loads(metadata[key])


def _input(name: object, shape: list[object], dtype: object) -> InputSpec:
    """An input as the metadata of weights tells of it.

    Raises:
        ValueError: It tells of none.
    """
    from graphkit.ir.dtypes import DTYPES

    sizes = [size for size in shape if size is None or (type(size) is int and size >= 0)]
    if not isinstance(name, str) or not isinstance(dtype, str) or len(sizes) < len(shape):
        raise ValueError("an input is no name, shape and element type")
    if dtype not in {row.name for row in DTYPES}:
        raise ValueError(f"{short(dtype)!r} is no element type")
    return InputSpec(name, tuple(sizes), dtype)


def _class(source: Path, name: str, *, trusted: bool) -> Any:
    """The class of the module, which the source makes when it is run."""
    from torch import nn

    try:
        limits.check("document", source.stat().st_size * _PARSED, str(source))
        tree = parsed(source.read_text(encoding="utf-8"), source)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source} cannot be read: {error}.") from error
    space: dict[str, Any] = {"__name__": f"graphkit_{source.parent.name}", "__file__": str(source)}
    if not trusted:
        vet(tree, source)
        space["__builtins__"] = builtins_of()
    with _failing(source):
        exec(compile(tree, str(source), "exec", dont_inherit=True), space)
    found = space.get(name)
    if not isinstance(found, type) or not issubclass(found, nn.Module) or found.__module__ != space["__name__"]:
        raise InputError(
            f"{source} has no class {short(name)!r} that is an nn.Module, which its weights say is the model; they are "
            f"not of the same model. Convert the model again."
        )
    return found


@contextlib.contextmanager
def _failing(source: Path) -> Iterator[None]:
    """Say of what source raises that the source fails."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise InputError(f"{source} fails: {type(error).__name__}: {sentence(error)}.") from error


def _made(make: Any, source: Path, state: dict[str, torch.Tensor], weights: Path) -> torch.nn.Module:
    """The module with these tensors as its own.

    It is made without memory for its weights, unless its source has been changed to compute something of its own.
    """
    with _failing(source):
        module: torch.nn.Module = _without_memory(make, state) or make()
    try:
        module.load_state_dict(state, assign=True)
    except Exception as error:
        raise InputError(f"{weights} does not fit {source}: {sentence(error)}.") from error
    with _failing(source):
        module.eval()
    return module


def _without_memory(make: Any, state: dict[str, torch.Tensor]) -> torch.nn.Module | None:
    """The module on the meta device, None where it has other tensors than the state, or cannot be made so."""
    import torch

    try:
        with torch.device("meta"):
            module: torch.nn.Module = make()
    except Exception:  # which it raises again, or not, where it is made with memory
        return None
    tensors = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    return module if all(key in state for key, _ in tensors) else None
