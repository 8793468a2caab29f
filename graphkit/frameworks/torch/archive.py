"""What kind of file a source is, told from its bytes without unpickling anything."""

from __future__ import annotations

import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.zips import ZIP_FAILURES, members

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ArchiveKind", "has_traced_inputs", "kind_of_file"]

ArchiveKind: TypeAlias = Literal["program", "torchscript", "pickle", "compiled", "safetensors"]

_ENCRYPTED: Final = 0x1
"""Flag of an entry that needs a password."""


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
            _check_entries(path, archive)
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


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that another reader may take for other entries, or that grows beyond bounds.

    Raises:
        FormatError: It does.
        LimitError: Its compressed entries would take more than the limit of what is expanded.
    """
    size = path.stat().st_size
    entries = members(archive, size, str(path))
    what = ""
    repeated = [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]
    if repeated:
        what = f"{repeated[0]!r} stands in it twice"
    elif locked := [entry.filename for entry in entries if entry.flag_bits & _ENCRYPTED]:
        what = f"{locked[0]!r} in it is encrypted"
    elif archive.comment:
        what = "it has a comment behind its end"
    elif sum(entry.compress_size for entry in entries) > size:
        what = "entries in it lie over each other"
    if what:
        raise FormatError(
            f"{path} is no archive as torch writes them: {what}, so that readers may take it for different things. "
            f"Export the model again with torch.export.save."
        )


def has_traced_inputs(path: Path) -> bool:
    """Whether a TorchScript archive says with which inputs it was traced."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == "traced_inputs.pkl" for name in archive.namelist())
