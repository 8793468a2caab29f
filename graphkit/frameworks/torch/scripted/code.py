"""What the code of a TorchScript archive may call.

Its operators compute, but for a few: ``aten::save`` writes any file, ``aten::from_file`` reads and grows any. Loading
an archive runs its ``__setstate__`` already, so its code is searched before.
"""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Final

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.zips import ZIP_FAILURES
from graphkit.limits import check

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_code"]

_GAP: Final = r"(?:\s|\\|\#[^\n]*\n)*"
"""What may stand between the words of an expression."""
_CALL: Final = re.compile(
    rf"\.{_GAP}(?P<name>save|from_file|get_gradients|record_stream|_load_from_lib)(?!\w)"
    rf"|(?<!\w)ops{_GAP}\.{_GAP}(?P<library>c10d\w*|_c10d\w*|symm_mem|inductor|image|video_reader|profiler|rpc|dist\w*)(?!\w)"
    r"|(?<!\w)(?P<remote>rpc_\w+)"
    rf"|(?P<attribute>__annotations__{_GAP}\[(?!\"[^\"'\\\n]*\"\]))"
)
"""Functions and libraries of operators that do something else than to compute, and names of attributes with quotes."""


def check_code(path: Path) -> None:
    """Refuse an archive whose code may call what reads or writes files, or talks to other machines.

    Args:
        path: The archive.

    Raises:
        InputError: It may.
        FormatError: The archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".py"):
                    continue
                check("attribute", entry.file_size, f"{entry.filename} of {path}")
                if match := _CALL.search(archive.read(entry).decode("latin-1")):
                    called = next(filter(None, match.groups()))
                    raise InputError(
                        f"{path} is not loaded: its code ({entry.filename}) names {called!r}, which does something "
                        f"else than to compute: it reads or writes files, talks to other processes, or is an attribute "
                        f"of a name that would be code. Remove it, or save the program without it: "
                        f"torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')."
                    )
    except ZIP_FAILURES as error:
        raise FormatError(f"{path} is a damaged zip archive ({error}); copy or export the model again.") from error
