"""Output files that are written whole or not at all, and input files that are mapped into memory."""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

__all__ = ["release", "whole"]


@contextmanager
def whole(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Write files beside their targets and move them into place once all of them are complete.

    Of several files that belong together, old ones are moved away before the first new one is in place: whenever the
    process ends, no old file lies beside a new one. Links are followed, and the permissions of a file that is replaced
    are kept. A file that is open or mapped in memory while it is replaced keeps its old contents for those who hold it.

    Args:
        targets: Files to write; their folders must exist.

    Yields:
        For each target a path to write instead, in its folder and ending in its name. One that the block leaves
        unwritten is not an error, and its target is not touched.

    Raises:
        InputError: A target cannot be written. Nothing was changed.
    """
    ends = [Path(os.path.realpath(target)) for target in targets]
    for target, end in zip(targets, ends, strict=True):
        if end.is_dir():
            raise InputError(f"{target} cannot be written because it is a folder; give the name of a file.")
        if not end.parent.is_dir():
            raise InputError(
                f"{target} cannot be written because its folder does not exist; create {end.parent} first."
            )
    drafts = tuple(end.with_name(f".{secrets.token_hex(4)}-{end.name}") for end in ends)
    try:
        yield drafts
        _move([(draft, end) for draft, end in zip(drafts, ends, strict=True) if draft.exists()])
    except OSError as error:
        names = " and ".join(str(target) for target in targets)
        raise InputError(f"{names} cannot be written: {error}. Nothing was left half written.") from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def _move(moves: Sequence[tuple[Path, Path]]) -> None:
    for draft, end in moves:
        if end.exists():
            shutil.copymode(end, draft)
    if len(moves) == 1:
        os.replace(*moves[0])
        return
    old: list[tuple[Path, Path]] = []
    new: list[Path] = []
    try:
        for _, end in moves:
            if end.exists():
                aside = end.with_name(f".{secrets.token_hex(4)}-old-{end.name}")
                os.replace(end, aside)
                old.append((aside, end))
        for draft, end in moves:
            os.replace(draft, end)
            new.append(end)
    except BaseException:
        for end in new:
            end.unlink(missing_ok=True)
        for aside, end in old:
            os.replace(aside, end)
        raise
    for aside, _ in old:
        aside.unlink(missing_ok=True)


def release(array: npt.NDArray[np.generic]) -> None:
    """Give back the memory of the file that a read-only array is mapped from; what is needed again is read again.

    Does nothing to arrays that are in memory, or that may have been written to.
    """
    base: object = array
    while (inner := getattr(base, "obj", getattr(base, "base", None))) is not None:
        base = inner
    if isinstance(base, mmap.mmap) and memoryview(base).readonly and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
