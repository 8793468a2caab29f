"""Where a file comes from, as it says itself: the record that graphkit left in it, or what it tells of its maker."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit import limits, stamps
from graphkit._version import __version__
from graphkit.errors import GraphkitError, InputError, LimitError
from graphkit.files import sized
from graphkit.provenance import KEY, SourceFile, hash_file, parse
from graphkit.text import clean, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphkit.provenance import Record

__all__ = ["FORMAT", "Checked", "History", "as_json", "history", "lines"]

FORMAT: Final = 1
"""Version of the layout of the JSON form; it grows when a field changes its meaning, not when one is added."""
_ZIP: Final = b"PK\x03\x04"
_PARAMS: Final = b"\x12\x01\0\0\0\0\0\0"
_BASELINE: Final = "baseline.json"
"""The member of a baseline that tells what it holds."""
_ABOUT: Final = 60
"""Characters of a fact."""
_CLAIM: Final = (
    "This is what the file says of itself, and whoever can change the file can change that: compare the hashes with "
    "files that you trust (--source FILE)."
)


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a file is a source of another one.

    Attributes:
        file: The file.
        level: 0 where the record names it as the source, 1 where it is the source of that, and so on; None where no
            record has its hash.
    """

    file: SourceFile
    level: int | None


@dataclass(frozen=True, slots=True)
class History:
    """Where a file comes from, as it says itself.

    Attributes:
        name: What the file, or folder, is called.
        kind: What it is, e.g. ``"ONNX model"``.
        files: The file, or those of the folder that graphkit writes, with their hashes as they are now.
        facts: What it says of its maker besides the record.
        record: The record that graphkit left in it; None where there is none.
        beside: The file that has the record instead, where the format has no room for one; empty otherwise.
        checked: For each file that was asked about, whether it is a source.
    """

    name: str
    kind: str
    files: tuple[SourceFile, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None
    beside: str = ""
    checked: tuple[Checked, ...] = ()

    @property
    def matches(self) -> bool:
        """Whether all files that were asked about are sources."""
        return all(each.level is not None for each in self.checked)


@dataclass(slots=True)
class _Told:
    """What a file tells."""

    kind: str
    facts: dict[str, str] = field(default_factory=dict)
    record: Record | None = None
    beside: str = ""


def history(path: str | Path, sources: Iterable[str | Path] = ()) -> History:
    """Read where a file comes from; no graph and no weights are read, and no framework is imported.

    Args:
        path: Any file that graphkit wrote or reads, or a folder of torch source.
        sources: Files to look for among those that the record, or an earlier one in it, names; of a folder, its files
            that have the names of recorded ones.

    Raises:
        InputError: A file is not there, or cannot be read.
    """
    path = Path(path)
    named = path.absolute().name
    parts = _of_folder(path) if path.is_dir() else [path]
    files = tuple(map(_hashed, parts))
    told = _told(parts[0])
    if path.is_dir():
        told.kind = "PyTorch source"
    chain = told.record.chain if told.record is not None else ()
    checked = [_checked(_hashed(each), chain) for source in sources for each in _expanded(Path(source), chain)]
    facts = {name: value for name, value in told.facts.items() if value}
    return History(named, told.kind, files, facts, told.record, told.beside, tuple(checked))


def _hashed(path: Path) -> SourceFile:
    if not path.exists():
        raise InputError(f"There is no file {path}.")
    if not path.is_file():
        raise InputError(f"{path} is no file whose bytes could be hashed; give a file.")
    try:
        return hash_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _of_folder(folder: Path) -> list[Path]:
    """What graphkit writes into a folder: what has the record first."""
    try:
        found = [*sorted(folder.glob("model.safetensors*")), folder / "model.py", *sorted(folder.glob("model-*-of-*"))]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not found[-1].is_file() or len(found) == 1:
        found = [path for path in found if path.is_file()]
    if not found:
        raise InputError(f"{folder} is a folder in which graphkit wrote no torch source; give a file of it.")
    return found


def _expanded(path: Path, chain: Iterable[Record]) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = sorted({file.name for record in chain for file in record.files})
    found = [path / name for name in names if Path(name).name == name and (path / name).is_file()]
    if not found:
        raise InputError(
            f"{path} has none of the files that the record names: {', '.join(map(clean, names)) or '-'}. Give the "
            "folder or "
            f"the file that the model was made from."
        )
    return found


def _checked(file: SourceFile, chain: Iterable[Record]) -> Checked:
    for level, record in enumerate(chain):
        if any(file.sha256 == each.sha256 for each in record.files):
            return Checked(file, level)
    return Checked(file, None)


def _told(path: Path) -> _Told:
    """What a file tells; a file that is damaged tells nothing."""
    with path.open("rb") as file:
        head = file.read(16)
    limits.check("document", path.stat().st_size if path.suffix.lower()[1:] in stamps.FORMS else 0, str(path))
    try:
        if head.startswith(_ZIP):
            return _of_zip(path)
        if head.startswith(_PARAMS):
            return _of_params(path)
        read = _READERS.get(path.suffix.lower())
        return _stamped(path) if read is None else read(path)
    except LimitError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, GraphkitError) as error:
        return _Told("file", {"damaged": str(error)})


_STAMPED: Final = {
    "dot": "Graphviz drawing",
    "mmd": "Mermaid drawing",
    "svg": "SVG picture",
    "html": "page",
    "png": "PNG picture",
    "pdf": "PDF picture",
    "xml": "XML document",
    "md": "Markdown document",
    "py": "Python source",
}
"""What files are called that carry a record among their own content."""


def _stamped(path: Path) -> _Told:
    form = path.suffix.lower().removeprefix(".")
    if form not in _STAMPED:
        return _Told("file")
    return _Told(_STAMPED[form], record=parse(stamps.stamp(path.read_bytes(), form)))


def _of_json(path: Path) -> _Told:
    limits.check_json(data := path.read_bytes(), str(path))
    told: Any = json.loads(data.decode("utf-8-sig"), strict=False)
    if not isinstance(told, dict):
        return _Told("JSON document")
    if "nodes" in told and "heads" in told:
        from graphkit.frameworks.mxnet.about import version
        from graphkit.frameworks.mxnet.symbol import record_in

        stamp = told.get("attrs", {}).get("mxnet_version") if isinstance(told.get("attrs"), dict) else None
        number = stamp[1] if isinstance(stamp, list) and len(stamp) == 2 and type(stamp[1]) is int else None
        facts = {"MXNet version": "not stated (0.8 or older)" if number is None else version(number)}
        return _Told("MXNet symbol", facts, parse(record_in(told)))
    if isinstance(metadata := told.get("metadata"), dict) and "weight_map" in told:
        return _Told("index of safetensors files", _texts(metadata), parse(metadata.get(KEY)))
    kinds = {"graphkit_report": "report", "graphkit_benchmark": "benchmark"}
    kind = next((name for key, name in kinds.items() if key in told), "JSON document")
    return _Told(kind, record=_nested(told))


def _nested(told: Any) -> Record | None:
    """The record that is an object in a document."""
    return parse(json.dumps(told[KEY])) if isinstance(told, dict) and KEY in told else None


def _of_safetensors(path: Path) -> _Told:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        limits.check("document", size, str(path))
        limits.check_json(head := file.read(size), str(path))
    told: Any = json.loads(head)
    metadata: Any = told.get("__metadata__", {}) if isinstance(told, dict) else None
    if not isinstance(metadata, dict):
        raise ValueError("its header is none")  # of a file, not of a call
    return _Told("safetensors file", _texts(metadata), parse(metadata.get(KEY)))


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of another maker, which are few and short."""
    return {
        name: value
        for name, value in list(metadata.items())[:20]
        if isinstance(value, str) and len(value) <= _ABOUT and not name.startswith("graphkit")
    }


def _of_onnx(path: Path) -> _Told:
    from graphkit.frameworks.onnx.about import maker

    facts, metadata = maker(path)
    return _Told("ONNX model", facts, parse(metadata.get(KEY)))


def _of_zip(path: Path) -> _Told:
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as archive:
            if _BASELINE in archive.namelist():
                limits.check("document", archive.getinfo(_BASELINE).file_size, str(path))
                limits.check_json(text := archive.read(_BASELINE), str(path))
                return _Told("baseline", record=_nested(json.loads(text)))
            return _Told("NumPy arrays", record=parse(stamps.of_zip(archive.comment)))
    from graphkit.frameworks.base import ReadOptions
    from graphkit.frameworks.torch.about import about

    no_model: Any = None
    told = about(path, ReadOptions(), no_model)
    return _Told(told.kind, dict(told.facts))


def _of_params(path: Path) -> _Told:
    """What the symbol beside a parameter file says, which was written with it."""
    from graphkit.frameworks.mxnet.checkpoint import prefix_of

    prefix = prefix_of(path)
    symbol = prefix.with_name(f"{prefix.name}-symbol.json")
    told = _Told("MXNet parameter file")
    if symbol.is_file():
        told.record = _told(symbol).record
        told.beside = symbol.name if told.record is not None else ""
    return told


_READERS: Final[dict[str, Callable[[Path], _Told]]] = {
    ".json": _of_json,
    ".safetensors": _of_safetensors,
    ".onnx": _of_onnx,
}


def lines(found: History) -> Iterator[str]:
    """A history for people, line by line; text of the file is made harmless for a terminal."""
    yield short(found.name, _ABOUT)
    yield " · ".join([found.kind, *(f"{short(name)} {short(value, _ABOUT)}" for name, value in found.facts.items())])
    yield from map(_line, found.files)
    if found.record is None:
        yield "It carries no record of graphkit's, so nothing says what it was made from."
    else:
        if found.beside:
            yield (
                f"Its format has no room for a record. What follows is that of {clean(found.beside)} beside it, with "
                f"which it was written unless one of them was replaced since."
            )
        for level, record in enumerate(found.record.chain):
            options = ", ".join(f"{clean(name)} {short(value, _ABOUT)}" for name, value in record.options.items())
            yield (
                f"{'which was made' if level else 'Made'} by graphkit {short(record.graphkit)} from "
                f"{short(record.source, _ABOUT)}{f' ({options})' if options else ''}"
            )
            yield from map(_line, record.files)
            if not record.files:
                yield "  no file: a Python callable, or an object in memory"
        yield _CLAIM
    for each in found.checked:
        yield f"{_VERDICTS[min(each.level or 0, 1) if each.level is not None else None]}: {clean(each.file.name)}"


_VERDICTS: Final = {
    None: "NOT a recorded source, no record has its hash",
    0: "the recorded source",
    1: "a source of the source, from an earlier record",
}


def _line(file: SourceFile) -> str:
    digest = file.sha256 or "not known: it was changed while it was used"
    return f"  {digest}  {sized(file.bytes):>9}  {short(file.name, _ABOUT)}"


def as_json(found: History) -> dict[str, Any]:
    """A history in the types that JSON has; ``docs/inspect.schema.json`` is its schema."""
    records = [] if found.record is None else found.record.chain
    return {
        "graphkit_provenance": FORMAT,
        "graphkit": __version__,
        "name": found.name,
        "kind": found.kind,
        "files": [asdict(file) for file in found.files],
        "facts": dict(found.facts),
        "beside": found.beside,
        "records": [
            {
                "graphkit": record.graphkit,
                "source": record.source,
                "files": [asdict(file) for file in record.files],
                "options": dict(record.options),
            }
            for record in records
        ],
        "checked": [{**asdict(each.file), "level": each.level} for each in found.checked],
        "matches": found.matches,
    }
