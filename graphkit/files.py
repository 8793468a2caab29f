"""Output files that are written whole or not at all, and input files that are mapped into memory."""

from __future__ import annotations

import errno
import math
import mmap
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Progress: TypeAlias = Callable[[int, int], None]

__all__ = [
    "BLOCK",
    "aside",
    "joined_aside",
    "parse_size",
    "release",
    "showing",
    "sized",
    "whole",
    "write_array",
    "written",
]

BLOCK: Final = 1 << 26
"""Bytes that writing an array takes in memory at most, whatever the size of the array."""
_TILE: Final = 64
"""Columns that are turned at once, so that the rows they come from stay in the processor's cache."""
_LARGE: Final = 1 << 24
"""Bytes from which on an array that was computed lies in a file rather than in memory."""
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_ABANDONED: Final = 3600
"""Seconds after which a draft that nobody writes to is left over."""
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(slots=True)
class _Work:
    """How many bytes are to be written, and have been."""

    total: int
    tell: Progress | None
    done: int = 0


_shown: ContextVar[Progress | None] = ContextVar("graphkit_progress", default=None)
_work: ContextVar[_Work | None] = ContextVar("graphkit_work", default=None)


@contextmanager
def showing(progress: Progress | None) -> Iterator[None]:
    """Tell a function of the bytes that are written by what is called meanwhile, of those and how many there will be.

    It is called with every few megabytes of files whose size is known beforehand: those that hold weights.
    """
    token = _shown.set(progress)
    try:
        yield
    finally:
        _shown.reset(token)


def written(count: int) -> None:
    """Note that as many bytes have been written; :func:`write_array` does so itself."""
    work = _work.get()
    if work is not None:
        work.done += count
        if work.tell is not None:
            work.tell(min(work.done, work.total), work.total)


def sized(count: int) -> str:
    """A number of bytes for people, e.g. ``46.8 MB``."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.95 or unit == "TB":
            break
    return f"{amount:.1f} {unit}"


def parse_size(text: str) -> int:
    """Bytes of a size as people write it: ``5GB``, ``500 MB``, ``2GiB`` or a plain number.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b|b)?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"{text!r} is no size; write a number of bytes with or without a unit, e.g. 5GB or 500MiB.")
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


@contextmanager
def whole(*targets: Path, size: int = 0, stale: Iterable[Path] = ()) -> Iterator[tuple[Path, ...]]:
    """Write files beside their targets and move them into place once all of them are complete.

    Of several files that belong together, old ones are moved away before the first new one is in place: whenever the
    process ends, no old file lies beside a new one. Links are followed, and the permissions of a file that is replaced
    are kept. A file that is open or mapped in memory while it is replaced keeps its old contents for those who hold it.
    A process that is killed leaves its drafts, hidden; the next one that writes the same files removes them, an hour
    after the last byte was written.

    Args:
        targets: Files to write; their folders must exist.
        size: Bytes that they will have together as far as that is known. More than the disk has room for are refused
            at once, and progress is told of (:func:`showing`).
        stale: Further files of what is replaced, which are removed when the new ones are moved into place.

    Yields:
        For each target a path to write instead, in its folder and ending in its name. One that the block leaves
        unwritten is not an error, and its target is not touched.

    Raises:
        InputError: A target cannot be written, or the disk is full. Nothing was changed.
    """
    ends = [Path(os.path.realpath(target)) for target in targets]
    for target, end in zip(targets, ends, strict=True):
        if end.is_dir():
            raise InputError(f"{target} cannot be written because it is a folder; give the name of a file.")
        if not end.parent.is_dir():
            raise InputError(
                f"{target} cannot be written because its folder does not exist; create {end.parent} first."
            )
    names = " and ".join(map(str, targets)) if len(targets) < 4 else f"{targets[0]} and {len(targets) - 1} more files"
    drafts = tuple(end.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{end.name}") for end in ends)
    token = None
    try:
        if size:
            _clear(ends)
            _check_room(names, ends[0].parent, size)
            token = _work.set(_Work(size, _shown.get()))
        yield drafts
        with _undisturbed():
            moves = [(draft, end) for draft, end in zip(drafts, ends, strict=True) if draft.exists()]
            _move(moves, [path for path in map(Path, map(os.path.realpath, stale)) if path not in ends])
    except OSError as error:
        raise InputError(f"{names} cannot be written: {_why(error, drafts, size)}") from error
    finally:
        if token is not None:
            _work.reset(token)
        with _undisturbed():
            for draft in drafts:
                with suppress(OSError):  # such as that of a read-only disk, of which the error tells
                    draft.unlink()


def _why(error: OSError, drafts: Sequence[Path], size: int) -> str:
    """What an error of the system means, before the drafts are removed."""
    if error.errno not in _FULL:
        return f"{error}. Nothing was left half written."
    present = sum(draft.stat().st_size for draft in drafts if draft.exists())
    needed = f" of {sized(size)}" if size else ""
    room = "make room on the disk, or write to another one"
    if error.errno == errno.EFBIG:
        room = "the system limits how large a file may be (ulimit -f); raise that, or write several smaller files"
    return f"{error.strerror} after {sized(present)}{needed}. Nothing was left half written; {room}."


def _check_room(names: str, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{names} cannot be written: {sized(size)} are needed in {folder}, and {sized(free)} are free there. Old "
            f"files are only replaced once new ones are complete. Make room on the disk, or write to another one."
        )


def _clear(ends: Sequence[Path]) -> None:
    """Remove drafts of these files that killed processes have left."""
    for folder in {end.parent for end in ends}:
        names = "|".join(re.escape(end.name) for end in ends if end.parent == folder)
        for entry in os.scandir(folder):
            match = re.fullmatch(rf"\.(\d+)-[0-9a-f]{{8}}-(?:{names})", entry.name)
            if match is None or Path(f"/proc/{match[1]}").exists():
                continue
            try:
                if time.time() - entry.stat().st_mtime > _ABANDONED:
                    os.unlink(entry)
            except OSError:
                continue  # another process was faster, or it is somebody else's


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that end the process wait until this is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, lambda number, _frame: waiting.append(number))
        yield
    finally:
        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, handler)
        for number in dict.fromkeys(waiting):
            signal.raise_signal(number)


def _move(moves: Sequence[tuple[Path, Path]], stale: Sequence[Path]) -> None:
    for draft, end in moves:
        if end.exists():
            shutil.copymode(end, draft)
    replaced = [path for path in (*(end for _, end in moves), *stale) if path.exists()]
    if len(moves) == 1 and not stale:
        os.replace(*moves[0])
        return
    old: list[tuple[Path, Path]] = []
    new: list[Path] = []
    try:
        for path in replaced:
            hidden = path.with_name(f".{secrets.token_hex(4)}-old-{path.name}")
            os.replace(path, hidden)
            old.append((hidden, path))
        for draft, end in moves:
            os.replace(draft, end)
            new.append(end)
    except BaseException:
        for end in new:
            end.unlink(missing_ok=True)
        for hidden, path in old:
            os.replace(hidden, path)
        raise
    for hidden, _ in old:
        hidden.unlink(missing_ok=True)


def write_array(file: BinaryIO, array: npt.NDArray[np.generic], dtype: npt.DTypeLike = None) -> None:
    """Write the elements of an array in C order, little-endian.

    Whatever its size, its strides and its type, at most :data:`BLOCK` bytes of it are in memory besides pages of the
    file that it is mapped from, which are given back.

    Args:
        file: What to write to, opened for bytes.
        array: The array.
        dtype: Element type to write it in; None for its own.
    """
    import numpy as np

    wanted = np.dtype(array.dtype if dtype is None else dtype)
    wanted = wanted.newbyteorder("<") if wanted.kind in "iufc" else wanted
    if array.size == 0:
        return
    if array.dtype == wanted and array.flags.c_contiguous:
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), BLOCK):
            file.write(data[start : start + BLOCK])
            written(min(BLOCK, len(data) - start))
    else:
        _ahead(array)
        buffer = np.empty(min(BLOCK, array.size * wanted.itemsize), np.uint8)
        _write_arranged(file, array.reshape(1) if array.ndim == 0 else array, wanted, buffer)
    release(array)


def _write_arranged(
    file: BinaryIO, array: npt.NDArray[np.generic], wanted: np.dtype[Any], buffer: npt.NDArray[np.uint8]
) -> None:
    row = array[0].size * wanted.itemsize
    if row > len(buffer) and array.ndim > 1:
        for item in array:
            _write_arranged(file, item, wanted, buffer)
        return
    step = max(1, len(buffer) // row)
    for start in range(0, len(array), step):
        block = array[start : start + step]
        size = block.size * wanted.itemsize
        out = buffer[:size].view(wanted).reshape(block.shape)
        turned = block.ndim > 1 and abs(block.strides[-1]) > min(abs(stride) for stride in block.strides)
        for column in range(0, block.shape[-1], _TILE if turned else block.shape[-1]):
            part = slice(column, column + _TILE) if turned else slice(None)
            out[..., part] = block[..., part]
        file.write(buffer[:size].data)
        written(size)


def aside(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """An array that was computed, from a file of no name if it is large: the system writes its pages there, if need be.

    The file is gone when nothing uses the array any more, or the process ends. It lies in the folder for temporary
    files (``TMPDIR``). An array that is mapped from a file already is returned as it is.

    Args:
        array: The array, of which nothing else holds a reference.

    Raises:
        InputError: The disk with the folder for temporary files is full.
    """
    if array.nbytes < _LARGE or _mapping(array) is not None:
        return array
    return joined_aside((array,), array.shape, array.dtype)


def joined_aside(
    parts: Iterable[npt.NDArray[np.generic]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[np.generic]:
    """An array of the elements of several, one after the other; if it is large from a file, as :func:`aside` has it.

    At most :data:`BLOCK` bytes of a large one are in memory.

    Args:
        parts: Arrays.
        shape: Shape of the whole.
        dtype: Its element type.

    Raises:
        InputError: The disk with the folder for temporary files is full.
    """
    import numpy as np

    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        found: npt.NDArray[np.generic] = np.concatenate([part.reshape(-1) for part in parts])
        return found.astype(dtype, copy=False).reshape(shape)
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for part in parts:
                write_array(file, part, dtype)
            file.flush()
            data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(
            f"A rearranged weight of {sized(size)} cannot be kept in {folder}: {error.strerror}. Make room "
            f"there, or name another folder in the environment variable TMPDIR."
        ) from error
    return np.ndarray(shape, dtype.newbyteorder("<") if dtype.kind in "iufc" else dtype, data)


def release(array: npt.NDArray[np.generic]) -> None:
    """Give back the memory of the file that a read-only array is mapped from; what is needed again is read again.

    Does nothing to arrays that are in memory, or that may have been written to.
    """
    data = _mapping(array)
    if data is not None and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED)


def _ahead(array: npt.NDArray[np.generic]) -> None:
    """Have the file that an array is mapped from read in order, before it is gone through in another one."""
    import numpy as np

    data = _mapping(array)
    if data is None or not hasattr(mmap, "MADV_WILLNEED") or any(stride < 0 for stride in array.strides):
        return
    start = array.__array_interface__["data"][0] - np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    length = array.itemsize + sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    data.madvise(mmap.MADV_WILLNEED, first, min(start + length, len(data)) - first)


def _mapping(array: npt.NDArray[np.generic]) -> mmap.mmap | None:
    """The file that an array is mapped from to be read only."""
    base: object = array
    while (inner := getattr(base, "obj", getattr(base, "base", None))) is not None:
        base = inner
    return base if isinstance(base, mmap.mmap) and memoryview(base).readonly else None
