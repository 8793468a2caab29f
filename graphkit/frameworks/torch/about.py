"""What PyTorch's files say of themselves, without PyTorch."""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.base import About
from graphkit.frameworks.torch.folder import is_folder

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["about"]

_TORCH: Final = re.compile(rb'"torch_version":\s*"([^"\\]{1,40})"')
_SCHEMA: Final = re.compile(rb'"schema_version":\s*\{\s*"major":\s*(\d{1,6}),\s*"minor":\s*(\d{1,6})')
_TAIL: Final = 2**16
"""Bytes at the end of a program within which it says by what it was written."""


def about(source: Any, options: ReadOptions, model: ir.Model) -> About:  # noqa: ARG001  # every framework's signature
    """Tell what kind of program a source is, and which PyTorch wrote it."""
    if isinstance(source, str) and not Path(source).exists():
        return About("PyTorch module", {"callable": source}, ())
    if not isinstance(source, str | Path):
        return About(f"PyTorch {type(source).__name__}", {}, ())
    path = Path(source)
    if is_folder(path):
        return About("PyTorch source", {}, tuple(sorted(entry for entry in path.iterdir() if entry.is_file())))
    facts: dict[str, str] = {}
    kind = "PyTorch module"
    with contextlib.suppress(zipfile.BadZipFile, zlib.error, OSError), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        programs = [name for name in names if _is_program(name)]
        if programs:
            kind = "PyTorch exported program"
        elif any(name.endswith("/constants.pkl") for name in names):
            kind = "TorchScript archive"
        for name in programs[:1]:
            tail = _tail(archive, name)
            if match := _SCHEMA.search(tail):
                facts["schema"] = f"{match[1].decode()}.{match[2].decode()}"
            if match := _TORCH.search(tail):
                facts["PyTorch version"] = match[1].decode("utf-8", "replace")
    return About(kind, facts, (path,))


def _is_program(name: str) -> bool:
    return (name.endswith(".json") and "/models/" in f"/{name}") or name == "serialized_exported_program.json"


def _tail(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    with archive.open(name) as file:
        file.seek(max(size - _TAIL, 0))
        return file.read(_TAIL)
