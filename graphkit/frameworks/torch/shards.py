"""Weights in several safetensors files, and the index that says which tensor lies in which of them.

The format is that of Hugging Face's checkpoints, which their tools read: ``model-00001-of-00003.safetensors``, … and
``model.safetensors.index.json`` with ``metadata.total_size`` in bytes and ``weight_map``, the file of each tensor
(https://huggingface.co/docs/transformers/main/en/big_models#sharded-checkpoints).
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphkit import limits
from graphkit.errors import FormatError
from graphkit.frameworks.torch.explain import sentence
from graphkit.provenance import note

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    T = TypeVar("T")

__all__ = ["INDEX", "WEIGHTS", "Index", "index_text", "names_of", "older", "read_index", "read_tensors", "split"]

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
_SHARD: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_NAME: Final = 255
"""Bytes that the name of a file has at most."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""What JSON can say and no name of a file can have."""
_LENGTH: Final = 8
"""Bytes in which a safetensors file says how long its header is."""
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


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a safetensors file, by name; the tensors stay mapped from it.

    Raises:
        FormatError: It is damaged, or cannot be read.
        LimitError: Its header is larger than :attr:`graphkit.limits.Limits.document` allows.
    """
    from safetensors import SafetensorError, safe_open

    note(path)
    _check_header(path)
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no mapping
    except (SafetensorError, OSError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise FormatError(
            f"{path} is damaged: {sentence(error)}. Copy it again from where it came, or convert the model again."
        ) from error


def _check_header(path: Path) -> None:
    """Refuse a safetensors file whose header the library would take much memory for, or that says a thing twice.

    All else that may be wrong with it the library refuses: tensors that overlap or leave gaps, sizes that are not those
    of their type and shape.

    Raises:
        FormatError: It is damaged.
        LimitError: Its header is larger than :attr:`graphkit.limits.Limits.document` allows.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            size = os.fstat(file.fileno()).st_size
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FormatError(f"{path} is no plain file, as weights are; give the name of one.")
            length = int.from_bytes(file.read(_LENGTH), "little")
            if length > size - _LENGTH:
                raise FormatError(
                    f"{path} is damaged: its header says to be {length} bytes long, the file has {size}. Copy it "
                    f"again from where it came."
                )
            limits.check("document", length, f"The header of {path}")
            header = file.read(length)
        limits.check_json(header, f"The header of {path}")
        json.loads(header, object_pairs_hook=_unique)
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is damaged: its header is no JSON ({error}). Convert the model again.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"it says {twice[:100]!r} twice")
    return found


def _is_beside(folder: Path, file: str) -> bool:
    """Whether a file lies in a folder, links followed, or in that of Hugging Face's cache which its links lead to."""
    target, home = (Path(os.path.realpath(path)) for path in (folder / file, folder))
    snapshots = Path(os.path.abspath(folder)).parent
    blobs = Path(os.path.realpath(snapshots.parent / "blobs")) if snapshots.name == "snapshots" else home
    return target.parent in (home, blobs)


def read_index(path: Path) -> Index:
    """Read an index, whose files must be there, beside it.

    Raises:
        FormatError: It is damaged, or a file that it names is not there.
        LimitError: It is larger than :attr:`graphkit.limits.Limits.document` allows.
    """
    try:
        if not path.is_file():
            raise OSError(errno.ENOENT, "it is no plain file")
        limits.check("document", path.stat().st_size, str(path))
        content = path.read_bytes()
        limits.check_json(content, str(path))
        said: Any = json.loads(content, object_pairs_hook=_unique)
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
        if (
            len(file) > _NAME
            or _SURROGATE.search(file)
            or "/" in file
            or "\\" in file
            or file in ("", ".", "..")
            or "\0" in file
        ):
            raise FormatError(
                f"{path} names {file[:_NAME]!r} for tensor {name[:_NAME]!r}, which is not the name of a file beside "
                f"it; the index is damaged, or somebody wants other files read. Convert the model again."
            )
        files.setdefault(path.parent / file, []).append(name)
    out = [file.name for file in files if not _is_beside(path.parent, file.name)]
    if out:
        raise FormatError(
            f"{path} names {out[0]!r}, which is a link to a file elsewhere; put the file itself beside the index."
        )
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FormatError(
            f"{path.parent} lacks {missing[0]}{more} of the {len(files)} files that {path.name} names; copy it from "
            f"where the others came, or convert the model again."
        )
    return Index(texts, files)
