"""What a generated file says of how it was made: by which graphkit, from which files, with which options.

A record says the version of graphkit, what the source is called, the name, size and SHA-256 of each file of it, the
options that change the result, and the record that the source carried itself, so that a file's history can be followed
back. It holds no path, no date, no user and no machine: the same input and options give the same bytes anywhere.

Files are hashed when something is written, in a thread beside the writing, from descriptors that were opened before
the source was read. A file that was replaced since is hashed as it was read; one that was changed in place since is
told to be that, and has no hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

__all__ = [
    "KEY",
    "Record",
    "Recording",
    "SourceFile",
    "Sources",
    "derive",
    "forget",
    "hash_file",
    "note",
    "note_record",
    "parse",
    "reading",
    "recording",
    "sources_of",
]

KEY: Final = "graphkit.record"
"""What a record is called where a format has names for what it carries."""
LEVELS: Final = 16
"""Records that one tells of at most, itself included; the oldest are left out."""
_ROOM: Final = 1 << 18
"""Characters of a record's text from which on older records are left out."""
_MOST: Final = 1 << 20
"""Characters of a record's text that are read at all."""
_BLOCK: Final = 1 << 20
_OPEN: Final = 32
"""Files of one source that stay open; of further ones only the path is kept, since processes may open few."""
_META: Final = "graphkit.sources"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PENDING: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that something was made from.

    Attributes:
        name: Its name, without a folder.
        bytes: Its size.
        sha256: SHA-256 of its bytes in hexadecimal; None where it was changed between being read and being hashed.
    """

    name: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """How a file was made.

    Attributes:
        graphkit: Version of graphkit that made it.
        source: What it was made from is called: the file's name, ``"package.module:callable"``, or the type of an
            object in memory.
        files: The files of the source; none for a callable or an object.
        options: Options that change the result, by name.
        earlier: The record that the source carried itself: what graphkit made it from. None where it carried none.
    """

    graphkit: str
    source: str
    files: tuple[SourceFile, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    earlier: Record | None = None

    @property
    def chain(self) -> tuple[Record, ...]:
        """This record and those before it, the newest first."""
        found = [self]
        while found[-1].earlier is not None:
            found.append(found[-1].earlier)
        return tuple(found)

    def text(self, room: int = _ROOM) -> str:
        """The record as JSON in ASCII, in one line; the oldest records are left out where there is no room for them.

        Args:
            room: Characters that it may have, unless the record alone has more.
        """
        chain = self.chain[:LEVELS]
        while True:
            told: dict[str, Any] | None = None
            for record in reversed(chain):
                told = _plain(record, told)
            text = json.dumps(told, sort_keys=True, separators=(",", ":"))
            if len(text) <= room or len(chain) == 1:
                return text
            chain = chain[:-1]


def _plain(record: Record, earlier: dict[str, Any] | None) -> dict[str, Any]:
    files = [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in record.files]
    told: dict[str, Any] = {"graphkit": record.graphkit, "source": record.source}
    told |= {"files": files} if files else {}
    told |= {"options": dict(record.options)} if record.options else {}
    return told | ({} if earlier is None else {"earlier": earlier})


def parse(text: object) -> Record | None:
    """The record that a text is; None where it is none, as in a file that somebody damaged or made up."""
    if not isinstance(text, str) or len(text) > _MOST:
        return None
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    levels: list[Any] = []
    while told is not None and len(levels) < LEVELS:
        if not isinstance(told, dict):
            return None
        levels.append(told)
        told = told.get("earlier")
    record: Record | None = None
    try:
        for told in reversed(levels):
            record = Record(
                _text(told["graphkit"]),
                _text(told["source"]),
                tuple(map(_file, told.get("files", []))),
                {_text(name): _text(value) for name, value in told.get("options", {}).items()},
                record,
            )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    return record


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # refuses halves of characters, which no file and no terminal takes
    return value


def _file(told: dict[str, Any]) -> SourceFile:
    size, digest = told["bytes"], told["sha256"]
    if type(size) is not int or size < 0 or not (digest is None or _DIGEST.fullmatch(_text(digest))):
        raise ValueError("no size or no SHA-256")
    return SourceFile(_text(told["name"]), size, digest)


class _Tracked:
    """A file that is being read, open since before that."""

    def __init__(self, path: Path, descriptor: int, *, keep: bool) -> None:
        self.name = path.name
        self._path = path.absolute()
        self._descriptor = descriptor if keep else None
        self._state = _state(os.fstat(descriptor))
        self._lock = threading.Lock()
        self._found: SourceFile | None = None
        if keep:
            weakref.finalize(self, os.close, descriptor)
        else:
            os.close(descriptor)

    def __deepcopy__(self, memo: object) -> _Tracked:
        return self

    @property
    def expected(self) -> SourceFile:
        """What :meth:`found` gives, with another hash of as many digits."""
        return SourceFile(self.name, self._state[-2], _PENDING)

    def settle(self) -> None:
        """Note whether what was read can have been another file, or another state of it."""
        try:
            if _state(os.stat(self._path)) == self._state:
                return
        except OSError:
            pass
        self._found = SourceFile(self.name, self._state[-2], None)

    def found(self, stopped: threading.Event) -> SourceFile:
        with self._lock:
            if self._found is None:
                digest = self._digest(stopped)
                if stopped.is_set():
                    return self.expected
                self._found = SourceFile(self.name, self._state[-2], digest)
            return self._found

    def _digest(self, stopped: threading.Event) -> str | None:
        opened = None
        try:
            if self._descriptor is None:
                opened = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            descriptor = self._descriptor if opened is None else opened
            assert descriptor is not None
            if _state(os.fstat(descriptor)) != self._state:
                return None
            digest = _sha256(descriptor, stopped)
            return digest if _state(os.fstat(descriptor)) == self._state else None
        except OSError:
            return None
        finally:
            if opened is not None:
                os.close(opened)


def _state(found: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file is written to or another takes its place: device, inode, size, time of change."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _sha256(descriptor: int, stopped: threading.Event | None = None) -> str:
    digest, buffer, at = hashlib.sha256(), memoryview(bytearray(_BLOCK)), 0
    while (count := os.preadv(descriptor, [buffer], at)) and not (stopped is not None and stopped.is_set()):
        digest.update(buffer[:count])
        at += count
    return digest.hexdigest()


def hash_file(path: Path) -> SourceFile:
    """Name, size and SHA-256 of a file as it is now.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return SourceFile(path.name, os.fstat(descriptor).st_size, _sha256(descriptor))
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class Sources:
    """What a model was read from.

    Attributes:
        source: What it is called.
        options: Options that change what is made of it, by name.
        earlier: The record that it carries itself.
        files: Its files.
    """

    source: str
    options: dict[str, str] = field(default_factory=dict)
    earlier: Record | None = None
    files: dict[str, _Tracked] = field(default_factory=dict)

    def attach(self, model: ir.Model) -> None:
        """Note on a model that it is what was read."""
        for file in self.files.values():
            file.settle()
        model.meta[_META] = self


_reading: ContextVar[Sources | None] = ContextVar("graphkit_sources", default=None)


@contextmanager
def reading(source: str, options: Mapping[str, str] | None = None) -> Iterator[Sources]:
    """Collect what is read meanwhile.

    Args:
        source: What the source is called.
        options: Options that change what is made of it.
    """
    sources = Sources(source, dict(options or {}))
    token = _reading.set(sources)
    try:
        yield sources
    finally:
        _reading.reset(token)


def note(path: Path | str) -> None:
    """Note that a file is about to be read as a part of the source; what is no file that can be read is passed over."""
    sources = _reading.get()
    if sources is None or (key := os.path.realpath(path)) in sources.files:
        return
    with suppress(OSError, ValueError):
        descriptor = os.open(key, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            sources.files[key] = _Tracked(Path(path), descriptor, keep=len(sources.files) < _OPEN)
        else:
            os.close(descriptor)


def note_record(text: object) -> None:
    """Note the record that the source carries, where it is one."""
    sources = _reading.get()
    if sources is not None and sources.earlier is None:
        sources.earlier = parse(text)


def sources_of(model: ir.Model) -> Sources | None:
    """What a model was read from; None for one that was not read."""
    found: Any = model.meta.get(_META)
    return found if isinstance(found, Sources) else None


def forget(model: ir.Model) -> None:
    """Say that a model is made of nothing that was read."""
    model.meta.pop(_META, None)


def derive(made: ir.Model, model: ir.Model, **options: object) -> None:
    """Note that a model was made of another one.

    Args:
        made: What was made.
        model: What of.
        options: Options that change the result; those that are None or False are left out.
    """
    sources = sources_of(model)
    if sources is not None:
        made.meta[_META] = replace(sources, options=sources.options | _told(options))


def _told(options: Mapping[str, object]) -> dict[str, str]:
    return {
        name: "yes" if value is True else str(value)
        for name, value in options.items()
        if value is not None and value is not False
    }


def _joined(known: list[Sources]) -> Sources:
    files = {path: file for sources in known for path, file in sources.files.items()}
    options = {name: value for sources in reversed(known) for name, value in sources.options.items()}
    return Sources(" and ".join(sources.source for sources in known), options, None, files)


class Recording:
    """The record of what is being written, whose files are hashed in a thread meanwhile."""

    def __init__(self, sources: Sources | None, options: Mapping[str, str]) -> None:
        known = sources or Sources("a model in memory")
        self._files = tuple(known.files.values())
        made = Record(
            __version__,
            known.source,
            tuple(file.expected for file in self._files),
            dict(sorted((known.options | dict(options)).items())),
            known.earlier,
        )
        self._expected = parse(made.text()) or made  # without what there is no room for
        self._hashed: list[SourceFile] = []
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if self._files:
            self._thread = threading.Thread(target=self._hash, name="graphkit-provenance", daemon=True)
            self._thread.start()

    def _hash(self) -> None:
        for file in self._files:
            self._hashed.append(file.found(self._stopped))

    def expected(self) -> Record:
        """The record with zeros for hashes, in text never shorter than the record is."""
        return self._expected

    def record(self) -> Record:
        """The record, once all files are hashed."""
        if self._thread is not None:
            self._thread.join()
        rest = (replace(file, sha256=None) for file in self._expected.files[len(self._hashed) :])  # of a failed thread
        return replace(self._expected, files=(*self._hashed, *rest))

    def stop(self) -> None:
        """Stop hashing, whose result is not wanted any more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()


@contextmanager
def recording(*models: ir.Model | None, **options: object) -> Iterator[Recording]:
    """Compute the record of a file while it is being written.

    Args:
        models: What it is made of; of several, the record tells all files and no earlier history.
        options: Options that change the result; those that are None or False are left out.
    """
    known = [sources for model in models if model is not None and (sources := sources_of(model)) is not None]
    found = Recording(_joined(known) if len(known) > 1 else next(iter(known), None), _told(options))
    try:
        yield found
    finally:
        found.stop()
