"""Folders of source and weights: what they are made of, and reading them back."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.base import InputSpec
from graphkit.frameworks.torch.explain import sentence

if TYPE_CHECKING:
    from pathlib import Path

    import torch

__all__ = ["INPUTS", "MAIN", "MODEL", "NAMES", "WEIGHTS", "Folder", "is_folder", "read_folder"]

MODEL = "model.py"
WEIGHTS = "model.safetensors"
NAMES = "graphkit.names"
"""Key of the weights' metadata that maps the keys of the ``state_dict`` to the source's own names: JSON, an object of
``name`` and, where the tensor is stored in another layout than the source's, the steps of ``layout``
(:data:`graphkit.ops.layout.Step`)."""
MAIN = "graphkit.class"
"""Key of the metadata that names the module's class."""
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
    return (folder / MODEL).is_file() and (folder / WEIGHTS).is_file()


def read_folder(path: Path) -> Folder:
    """Run the source of a folder and load its weights.

    Args:
        path: The folder, or the source in it.

    Raises:
        InputError: The source fails, or the weights are not its own.
        FormatError: The weights are damaged, or were not written by graphkit.
    """
    from safetensors import SafetensorError, safe_open

    folder = path.parent if path.name == MODEL else path
    weights = folder / WEIGHTS
    try:
        with safe_open(weights, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no mapping
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{weights} is damaged: {sentence(error)}. Convert the model again.") from error
    if not {MAIN, INPUTS, NAMES} <= metadata.keys():
        raise FormatError(
            f"{weights} was not written by graphkit, so nothing says which class of {folder / MODEL} it belongs to; "
            f"name what makes the module instead, as package.module:callable."
        )
    module = _made(folder / MODEL, metadata[MAIN])
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{weights} does not fit {folder / MODEL}: {sentence(error)}.") from error
    inputs = tuple(InputSpec(name, tuple(shape), dtype) for name, shape, dtype in json.loads(metadata[INPUTS]))
    names = {key: entry["name"] for key, entry in json.loads(metadata[NAMES]).items() if "layout" not in entry}
    return Folder(module, inputs, names)


def _made(source: Path, name: str) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location(f"graphkit_{source.parent.name}", source)
    assert spec is not None
    assert spec.loader is not None
    space: Any = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(space)
        module: torch.nn.Module = getattr(space, name)()
    except Exception as error:
        raise InputError(f"{source} fails: {type(error).__name__}: {sentence(error)}.") from error
    return module.eval()
