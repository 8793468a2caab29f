"""Weights of a module in a file of their own: what ``torch.save(module.state_dict(), …)`` and safetensors write."""

from __future__ import annotations

import copy
import difflib
import zipfile
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import FormatError, InputError, ParameterError
from graphkit.frameworks.torch import archive
from graphkit.frameworks.torch.explain import sentence
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.shards import read_index, read_tensors
from graphkit.frameworks.torch.stored_program import MAPPED
from graphkit.provenance import note
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

__all__ = ["contents_of", "loaded", "read_checkpoint"]

_WITHIN: Final = ("state_dict", "model_state_dict", "model", "module", "net", "network", "params", "weights")
"""What programs that train call the weights among what else they save."""
_PREFIXES: Final = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before all names."""
_TOLD: Final = 3
"""Names that a message tells of each kind."""
_INDEX: Final = ".index.json"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The weights in a file, by name; nothing that the file holds is run, and large ones stay in it.

    Args:
        path: What ``torch.save`` wrote (``.pt``, ``.pth``, ``.ckpt``, ``.bin``), which may hold the weights as
            ``"state_dict"``, ``"model"`` and the like; ``.safetensors``; or the index of several
            (``model.safetensors.index.json``).

    Raises:
        InputError: It is not there, holds no weights, or more than ``torch.load`` reads with ``weights_only``.
        FormatError: It is damaged.
    """
    if path.name.endswith(_INDEX):
        note(path)
        index = read_index(path)
        return {name: tensor for file in index.files for name, tensor in read_tensors(file)[1].items()}
    kind = archive.kind_of_file(path)
    if kind == "safetensors":
        return read_tensors(path)[1]
    if kind != "pickle":
        raise InputError(f"{path} holds a whole model, not weights of another one; give it as the source itself.")
    note(path)
    return _weights_in(_unpickled(path), path)


def loaded(
    module: torch.nn.Module, path: Path, label: str, warn: Callable[[str], None], *, shared: bool = False
) -> torch.nn.Module:
    """A module with the weights of a file.

    Args:
        module: The module.
        path: See :func:`read_checkpoint`.
        label: How to call the module.
        warn: Told where weights lose precision, and where names lose what is before all of them.
        shared: Whether the module is somebody else's, so that a copy gets the weights.

    Raises:
        ParameterError: The file lacks weights, has others, or some of another shape.
        InputError: See :func:`read_checkpoint`.
    """
    import torch

    given = read_checkpoint(path)
    module = copy.deepcopy(module) if shared else module
    wanted = module.state_dict()
    given = _named_as(wanted, given, path, warn)
    tied = _tied(wanted)
    missing = [name for name in wanted if name not in given and not tied.get(name, set()) & given.keys()]
    unexpected = [name for name in given if name not in wanted]
    shapes = [
        f"{name} ({_shape(given[name])} in the file, {_shape(value)} in the module)"
        for name, value in wanted.items()
        if name in given and isinstance(value, torch.Tensor) and _shape(given[name]) != _shape(value)
    ]
    if missing or unexpected or shapes:
        raise ParameterError(_difference(path, label, missing, unexpected, shapes))
    narrowed = [
        name
        for name, value in wanted.items()
        if name in given
        and isinstance(value, torch.Tensor)
        and torch.promote_types(value.dtype, given[name].dtype) != value.dtype
    ]
    if narrowed:
        name = narrowed[0]
        warn(
            f"{len(narrowed)} weights of {path} lose precision, as {label} has narrower ones: {name} is "
            f"{given[name].dtype} in the file and {wanted[name].dtype} in the module."
        )
    meta = any(isinstance(value, torch.Tensor) and value.is_meta for value in wanted.values())
    module.load_state_dict(given, strict=False, assign=meta)
    return module


def contents_of(path: Path) -> str:
    """What a file of weights holds, as a clause about "it"; empty where that cannot be told."""
    import torch

    try:
        held = read_checkpoint(path)
    except InputError:
        return ""
    tensors = {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}
    numbers = sum(value.numel() for value in tensors.values())
    shown = [f"{name} {_shape(value)} {str(value.dtype).removeprefix('torch.')}" for name, value in tensors.items()]
    return f"it holds {len(tensors)} weights of {numbers:,} numbers in all: {several(shown, _TOLD)}"


def _unpickled(path: Path) -> Any:
    import pickle

    import torch

    try:
        with quiet():
            mapped = path.stat().st_size >= MAPPED and zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than weights, which only running code of its author could load: {sentence(error)}. "
            f"Save the weights alone: torch.save(model.state_dict(), 'weights.pt')."
        ) from error
    except Exception as error:
        raise FormatError(
            f"{path} is damaged, or no file of torch.save ({sentence(error)}); save the weights again: "
            f"torch.save(model.state_dict(), 'weights.pt')."
        ) from error


def _weights_in(found: Any, path: Path) -> dict[str, Any]:
    import torch

    for held in (found, *(found[key] for key in _WITHIN if isinstance(found, dict) and key in found)):
        if (
            isinstance(held, dict)
            and all(isinstance(name, str) for name in held)
            and any(isinstance(value, torch.Tensor) for value in held.values())
        ):
            return dict(held)
    what = type(found).__name__
    if isinstance(found, dict):
        what = f"a dictionary of {several(list(map(repr, found)), _TOLD)}"
    raise InputError(
        f"{path} holds no weights by name, but {what}; save them: torch.save(model.state_dict(), 'weights.pt')."
    )


def _named_as(
    wanted: Mapping[str, Any], given: dict[str, Any], path: Path, warn: Callable[[str], None]
) -> dict[str, Any]:
    """The weights without what is before all of their names, where that makes them those of the module."""
    if wanted.keys() & given.keys():
        return given
    for prefix in _PREFIXES:
        plain = {name.removeprefix(prefix): value for name, value in given.items()}
        if all(name.startswith(prefix) for name in given) and plain.keys() & wanted.keys():
            warn(f"All names in {path} begin with {prefix!r}, which is left out.")
            return plain
    return given


def _tied(wanted: Mapping[str, Any]) -> dict[str, set[str]]:
    """Names of weights that are one in the module, of which files may hold one only, by each of them."""
    import torch

    groups: dict[Any, set[str]] = {}
    for name, value in wanted.items():
        if isinstance(value, torch.Tensor) and value.numel() and not value.is_meta:
            groups.setdefault((value.data_ptr(), value.dtype, tuple(value.shape), value.stride()), set()).add(name)
    return {name: group for group in groups.values() if len(group) > 1 for name in group}


def _difference(path: Path, label: str, missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"it lacks {several(missing, _TOLD)}")
    if unexpected:
        parts.append(
            f"it has {several([_like(name, missing) for name in unexpected], _TOLD)}, which the module does not"
        )
    if shapes:
        parts.append(f"of another shape are {several(shapes, _TOLD)}")
    return (
        f"{path} does not hold the weights of {label}: {'; '.join(parts)}. Give the weights of this network, or the "
        f"network that they were saved from."
    )


def _like(name: str, missing: list[str]) -> str:
    close = difflib.get_close_matches(name, missing[:1000], 1, 0.8)
    return f"{name} (is that {close[0]}?)" if close else name


def _shape(value: Any) -> str:
    return "x".join(map(str, getattr(value, "shape", ()))) or "scalar"
