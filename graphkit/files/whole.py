"""Files that are written whole or not at all.

Files are written beside where they belong (:mod:`graphkit.files.rooms`). Once all of them are complete and on the disk,
a process that does nothing else (:mod:`graphkit.files.mover`) moves them into place: whatever ends the one that writes,
the old files are there afterwards or the new ones, and no drafts.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.errors import InputError
from graphkit.files.progress import writing
from graphkit.files.rooms import Rooms
from graphkit.files.sizes import sized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Stale = Callable[[], Iterable[Path]]

__all__ = ["whole", "write_whole"]

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_BRIEF: Final = 1 << 20
"""Bytes up to which a file is written in no time."""


def write_whole(path: Path, content: bytes | str, *, make: bool = False) -> None:
    """Write a file whose content is there already; text is written as UTF-8.

    Args:
        path: The file.
        content: What to write.
        make: As :func:`whole` has it.

    Raises:
        InputError: It cannot be written. Nothing was changed.
    """
    data = content.encode() if isinstance(content, str) else content
    with _written((path,), len(data), tuple, make=make, guarded=len(data) > _BRIEF) as (draft,):
        draft.write_bytes(data)


@contextmanager
def whole(*targets: Path, size: int = 0, stale: Stale = tuple, make: bool = False) -> Iterator[tuple[Path, ...]]:
    """Write files beside their targets and move them into place once all of them are complete.

    Whatever happens, the old files are there afterwards or all of the new ones, and no others: errors, a full disk,
    signals, a process that is killed with its process group, several that write the same files at once. A file that is
    open or mapped in memory while it is replaced keeps its old contents for those who hold it. Links are followed, and
    the permissions of a file that is replaced are kept. What is written to a device or a named pipe is copied there
    once it is complete.

    Where the process that moves the files is killed too, or the power fails, while it moves them, some may be missing;
    a hidden folder ``.graphkit-…`` beside them then holds them until the same files are written again.

    Args:
        targets: Files to write.
        size: Bytes that they will have together as far as that is known. More than the disk has room for are refused
            at once, and progress is told of (:func:`graphkit.files.showing`).
        stale: Gives files of what is replaced, beside the targets, which are removed when the new ones are moved into
            place: others, and targets that are not written. It is called then, when nobody else writes there.
        make: Whether the targets are the contents of a folder of their own, which is made if it is not there. Links in
            it are replaced, not followed.

    Yields:
        For each target a path to write instead, with the same name in a hidden folder. One that the block leaves
        unwritten is not an error, and its target is not touched.

    Raises:
        InputError: A target cannot be written, or the disk is full. Nothing was changed.
    """
    with _written(targets, size, stale, make=make, guarded=True) as drafts:
        yield drafts


@contextmanager
def _written(
    targets: Sequence[Path], size: int, stale: Stale, *, make: bool, guarded: bool
) -> Iterator[tuple[Path, ...]]:
    names = " and ".join(map(str, targets)) if len(targets) < 4 else f"{targets[0]} and {len(targets) - 1} more files"
    drafts: Sequence[Path] = ()
    try:
        copied = [not make and _is_stream(target) for target in targets]
        ends = [target if stream else _end(target, own=make) for target, stream in zip(targets, copied, strict=True)]
        if twice := next((end for end in ends if ends.count(end) > 1), None):
            raise InputError(f"{names} cannot be written: they are the same file {twice}. Remove the links first.")
        with Rooms(ends, copied, make=make, guarded=guarded) as rooms, writing(size if guarded else 0):
            drafts = rooms.drafts
            if size:
                _check_room(names, drafts[0].parent, ends[0].parent, size)
            try:
                yield rooms.drafts
                for draft, end, stream in zip(drafts, ends, copied, strict=True):
                    if stream and draft.exists():
                        _copy(draft, end)
                rooms.place(_beside(stale))
            except OSError as error:
                raise InputError(f"{names} cannot be written: {_why(error, drafts, size)}") from error
    except OSError as error:
        raise InputError(f"{names} cannot be written: {_why(error, drafts, size)}") from error


def _beside(stale: Stale) -> Iterator[Path]:
    """Stale files, with links in the way to them followed, but they themselves not."""
    for path in stale():
        yield Path(os.path.realpath(path.parent)) / path.name


def _end(target: Path, *, own: bool) -> Path:
    """Where a file goes: links are followed, except those in a folder of its own.

    Raises:
        InputError: No file can be there.
        OSError: The system does not let it be seen.
    """
    if own:
        end = Path(os.path.realpath(target.parent)) / target.name
    else:
        if target.is_symlink():
            _check_link(target)
        end = Path(os.path.realpath(target))
        if not end.parent.is_dir():
            raise InputError(
                f"{target} cannot be written because its folder does not exist; create {end.parent} first."
            )
    about = _about(end)
    if about is None:
        return end
    if stat.S_ISDIR(about.st_mode):
        raise InputError(f"{target} cannot be written because it is a folder; give the name of a file.")
    if stat.S_ISREG(about.st_mode) and not os.access(end, os.W_OK) and _about(end) == about:  # not replaced meanwhile
        raise InputError(
            f"{target} cannot be written because it is protected from that; remove it first, change its permissions, "
            f"or give another name."
        )
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISLNK(about.st_mode)):
        raise InputError(
            f"{target} cannot be written because it is no file but a device or a socket; give the name of a file."
        )
    return end


def _about(path: Path) -> os.stat_result | None:
    """What the system knows of a file; None where there is none."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _check_link(target: Path) -> None:
    """Refuse a link that somebody else has put into a folder in which everybody may.

    The kernel does so for those who open files: protected_symlinks,
    https://docs.kernel.org/admin-guide/sysctl/fs.html.
    """
    folder, link = os.stat(target.absolute().parent), target.lstat()
    public = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if public and link.st_uid not in (os.geteuid(), folder.st_uid):
        raise InputError(
            f"{target} cannot be written because it is a link of another user to {os.path.realpath(target)} in a "
            f"folder that everybody may write to; give a name in a folder of your own."
        )


def _is_stream(target: Path) -> bool:
    """Whether a target is a device or a pipe, to which bytes are written one after the other."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _copy(draft: Path, target: Path) -> None:
    with draft.open("rb") as source, target.open("wb", buffering=0) as stream:
        shutil.copyfileobj(source, stream)


def _why(error: OSError, drafts: Sequence[Path], size: int) -> str:
    """What an error of the system means, before the drafts are removed."""
    if error.errno not in _FULL:
        where = f" ({error.filename})" if error.filename and ".graphkit-" not in str(error.filename) else ""
        return f"{error.strerror or error}{where}. Nothing was left half written."
    present = sum(draft.stat().st_size for draft in drafts if draft.exists())
    needed = f" of {sized(size)}" if size else ""
    room = "make room on the disk, or write to another one"
    if error.errno == errno.EFBIG:
        room = "the system limits how large a file may be (ulimit -f); raise that, or write several smaller files"
    return f"{error.strerror} after {sized(present)}{needed}. Nothing was left half written; {room}."


def _check_room(names: str, drafts: Path, folder: Path, size: int) -> None:
    free = shutil.disk_usage(drafts).free
    if size > free:
        raise InputError(
            f"{names} cannot be written: {sized(size)} are needed in {folder}, and {sized(free)} are free there. Old "
            f"files are only replaced once new ones are complete. Make room on the disk, or write to another one."
        )
