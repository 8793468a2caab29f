"""Weights in several safetensors files, and the index that says which tensor lies in which of them.

The format is that of Hugging Face's checkpoints, which their tools read: ``model-00001-of-00003.safetensors``, … and
``model.safetensors.index.json`` with ``metadata.total_size`` in bytes and ``weight_map``, the file of each tensor
(https://huggingface.co/docs/transformers/main/en/big_models#sharded-checkpoints).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphkit.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    T = TypeVar("T")

__all__ = ["INDEX", "WEIGHTS", "Index", "index_text", "names_of", "older", "read_index", "split"]

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_SHARD: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_OURS: Final = "graphkit"
"""Key of the index's metadata that graphkit's own have."""


@dataclass(frozen=True, slots=True)
class Index:
    """What an index says.

    Attributes:
        metadata: Its metadata, texts alone.
        files: The names of the tensors in each file.
    """

    metadata: dict[str, str]
    files: dict[Path, list[str]]


def split(tensors: Mapping[str, T], sizes: Mapping[str, int], limit: int | None) -> list[dict[str, T]]:
    """Tensors in parts of at most ``limit`` bytes, in order; one that is larger is a part of its own.

    Args:
        tensors: Tensors by name.
        sizes: Bytes of each.
        limit: Bytes of a part; None for a single one.
    """
    parts: list[dict[str, T]] = [{}]
    taken = 0
    for name, tensor in tensors.items():
        if limit is not None and parts[-1] and taken + sizes[name] > limit:
            parts.append({})
            taken = 0
        parts[-1][name] = tensor
        taken += sizes[name]
    return parts


def names_of(count: int) -> list[str]:
    """What the files of so many parts are called."""
    if count == 1:
        return [WEIGHTS]
    return [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]


def index_text(parts: Mapping[str, Mapping[str, object]], size: int, metadata: Mapping[str, str]) -> str:
    """The text of an index.

    Args:
        parts: Tensors of each file, by its name.
        size: Bytes of all tensors.
        metadata: What to say besides that.
    """
    places = {name: file for file, part in parts.items() for name in part}
    return json.dumps({"metadata": {"total_size": size, **metadata}, "weight_map": places}, indent=2) + "\n"


def older(folder: Path) -> list[Path]:
    """The weights in a folder that writing others there replaces: one file, or what an index of graphkit's names."""
    found = [folder / WEIGHTS]
    try:
        said = json.loads((folder / INDEX).read_bytes())
        ours = _OURS in said["metadata"]
        shards = {name for name in said["weight_map"].values() if _SHARD.fullmatch(name)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return found
    return [*found, folder / INDEX, *(folder / name for name in sorted(shards))] if ours else found


def read_index(path: Path) -> Index:
    """Read an index, whose files must be there, beside it.

    Raises:
        FormatError: It is damaged, or a file that it names is not there.
    """
    try:
        said: Any = json.loads(path.read_bytes())
        metadata, places = said["metadata"], said["weight_map"]
        if not all(isinstance(name, str) and isinstance(file, str) for name, file in places.items()):
            raise TypeError("what is not text stands in its weight_map")
        texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{path} is damaged: it is no JSON object of metadata and weight_map ({error}). Convert the model again."
        ) from error
    files: dict[Path, list[str]] = {}
    for name, file in places.items():
        if "/" in file or "\\" in file or file in ("", ".", "..") or "\0" in file:
            raise FormatError(
                f"{path} names {file!r} for tensor {name!r}, which is not the name of a file beside it; the index is "
                f"damaged, or somebody wants other files read. Convert the model again."
            )
        files.setdefault(path.parent / file, []).append(name)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FormatError(
            f"{path.parent} lacks {missing[0]}{more} of the {len(files)} files that {path.name} names; copy it from "
            f"where the others came, or convert the model again."
        )
    return Index(texts, files)
