"""What kind of file a source is, told from its bytes without unpickling anything."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.zips import ZIP_FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ArchiveKind", "has_traced_inputs", "kind_of_file", "only_weights", "opaque_objects"]

ArchiveKind: TypeAlias = Literal["program", "torchscript", "pickle", "compiled", "safetensors"]

_OBJECT: Final = re.compile(r"(?:^|/)data/constants/(?:custom_obj|opaque_obj)_")


def kind_of_file(path: Path) -> ArchiveKind:
    """Tell an exported program, a TorchScript archive, a pickle, and things that look alike apart.

    ``torch.export.save`` writes a zip with ``models/model.json`` (before PyTorch 2.8
    ``serialized_exported_program.json``), ``torch.jit.save`` one with ``code/`` and ``constants.pkl``, ``torch.save``
    one with ``data.pkl`` (before PyTorch 1.6 no zip), ahead-of-time compilation one with ``data/aotinductor``.

    Raises:
        InputError: The file is not there or cannot be read.
        FormatError: The file is none of these, or a damaged zip.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if head[:2] == b"PK":
        return _kind_of_zip(path)
    if head[:1] == b"\x80" or head[:6] == b"\x8a\nl\xfc\x9cF":
        return "pickle"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return "safetensors"
    raise FormatError(
        f"{path} is not a PyTorch file: it is no zip archive, as exported programs and TorchScript archives are, and "
        f"no pickle. It may be truncated or of another format; export the model again with torch.export.save."
    )


def _kind_of_zip(path: Path) -> ArchiveKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
            start = min((entry.header_offset for entry in archive.infolist()), default=0)
    except ZIP_FAILURES as error:
        raise FormatError(f"{path} is a damaged zip archive ({error}); copy or export the model again.") from error
    if start:  # the end found is that of an archive within this one
        raise FormatError(f"{path} is a zip archive that is cut off; copy or export the model again.")
    if damaged is not None:
        raise FormatError(f"{path} is damaged: {damaged} in it fails its checksum; copy or export the model again.")
    parts = {name.partition("/")[2] for name in names}
    if any(name.endswith(".json") and "/models/" in f"/{name}" for name in names):
        return "program"
    if "serialized_exported_program.json" in names:
        return "program"
    if any("data/aotinductor/" in name for name in names):
        return "compiled"
    if any(name.startswith("code/") for name in parts) and "constants.pkl" in parts:
        return "torchscript"
    if "data.pkl" in parts:
        return "pickle"
    raise FormatError(
        f"{path} is a zip archive, but not of PyTorch: it holds {', '.join(sorted(names)[:3]) or 'nothing'}. Export "
        f"the model with torch.export.save."
    )


def has_traced_inputs(path: Path) -> bool:
    """Whether a TorchScript archive says with which inputs it was traced."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == "traced_inputs.pkl" for name in archive.namelist())


def opaque_objects(path: Path) -> list[str]:
    """The entries of an exported program that only unpickling arbitrary objects could load."""
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if _OBJECT.search(name)]


@contextlib.contextmanager
def only_weights() -> Iterator[None]:
    """Keep ``torch.load`` from unpickling anything but tensors and plain containers, whoever calls it meanwhile."""
    variables = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.get(name) for name in variables}
    os.environ[variables[0]] = "1"
    os.environ.pop(variables[1], None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
