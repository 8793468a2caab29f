"""Weights of safetensors files, and indexes of them, that lead elsewhere or are to take memory."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import graphkit
from attacks.catalogue import attack, beside
from graphkit.errors import FormatError, LimitError
from graphkit.frameworks.torch.shards import INDEX, read_index, read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 10.0


@contextmanager
def _in_time() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < _SECONDS


def _weights(path: Path, header: dict[str, Any] | str, data: bytes = bytes(16), length: int | None = None) -> Path:
    text = header if isinstance(header, str) else json.dumps(header)
    said = len(text.encode()) if length is None else length
    path.write_bytes(said.to_bytes(8, "little") + text.encode() + data)
    return path


def _tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _index(folder: Path, places: Any) -> Path:
    path = folder / INDEX
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")
    return path


@attack("An index of weights that names files elsewhere: ``..``, an absolute path, a link out", "refused")
@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "link", "inner/file", "..", "a\0b", "x" * 300, "\ud800"])
def test_an_index_names_files_beside_it_only(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    _weights(tmp_path / "secret", {"w": _tensor([4], 0, 16)})
    (folder / "link").symlink_to("../secret")
    with pytest.raises(FormatError, match="names"):
        read_index(_index(folder, {"w": name}))


@attack("An index that names a pipe, a device or a folder", "refused; nothing waits for data")
def test_an_index_names_plain_files_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "inner").mkdir()
    for name in ("pipe", "inner"):
        with _in_time(), pytest.raises(FormatError, match="lacks"):
            read_index(_index(tmp_path, {"w": name}))
    with _in_time(), pytest.raises(FormatError, match="plain file"):
        read_tensors(tmp_path / "pipe")


@beside
def test_links_of_a_cache_of_downloads_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    _weights(blobs / "abc", {"w": _tensor([4], 0, 16)})
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    assert list(read_index(_index(snapshot, {"w": "model.safetensors"})).files) == [snapshot / "model.safetensors"]


@attack("A header longer than its file, of 2^63 bytes, or of hundreds of megabytes", "refused before it is read")
def test_the_length_of_a_header_is_held_against_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for length in (2**63, 2**40, 500):
        with _in_time(), pytest.raises(FormatError, match="header says"):
            read_tensors(_weights(path, {"w": _tensor([4], 0, 16)}, length=length))
    with open(path, "wb") as file:
        file.write((2**32).to_bytes(8, "little"))
        file.truncate(2**33)  # of no bytes on the disk
    with _in_time(), pytest.raises(LimitError, match="--limit document="):
        read_tensors(path)


@attack("A header or an index of JSON that Python makes gigabytes of, or nested without end", "refused")
@pytest.mark.parametrize("bomb", ["[" + "{}," * 1_000_000 + "{}]", "[" * 1_000_000, '{"a":' * 100_000])
def test_bombs_of_json_are_not_parsed(tmp_path: Path, bomb: str) -> None:
    with _in_time(), graphkit.limited(document=1 << 26), pytest.raises((LimitError, FormatError)):
        read_tensors(_weights(tmp_path / "x.safetensors", bomb))
    (tmp_path / INDEX).write_text(bomb, encoding="utf-8")
    with _in_time(), graphkit.limited(document=1 << 26), pytest.raises((LimitError, FormatError)):
        read_index(tmp_path / INDEX)


@attack("A tensor that stands twice in the header, or in the index, so that two readers take different ones", "refused")
def test_a_tensor_stands_once(tmp_path: Path) -> None:
    one = json.dumps(_tensor([2], 0, 8))
    two = json.dumps(_tensor([2], 8, 16))
    with pytest.raises(FormatError, match="twice"):
        read_tensors(_weights(tmp_path / "x.safetensors", f'{{"w": {one}, "w": {two}}}'))
    (tmp_path / INDEX).write_text('{"metadata": {}, "weight_map": {"w": "a", "w": "b"}}', encoding="utf-8")
    with pytest.raises(FormatError, match="twice"):
        read_index(tmp_path / INDEX)


@attack(
    "Tensors that overlap, leave gaps, lie beyond the file, have sizes whose product overflows", "refused as damage"
)
@pytest.mark.parametrize(
    "header",
    [
        {"a": _tensor([4], 0, 16), "b": _tensor([2], 8, 16)},
        {"a": _tensor([2], 8, 16)},
        {"a": _tensor([4], 0, 64)},
        {"a": _tensor([2**62, 2**62], 0, 16)},
        {"a": _tensor([2**62, 2**62, 0], 0, 0), "b": _tensor([4], 0, 16)},
        {"a": _tensor([-4], 0, 16)},
        {"a": _tensor([4], 16, 0)},
        {"a": _tensor([4], 0, 16, "F1024")},
        {"a": {"dtype": "F32", "shape": "4", "data_offsets": [0, 16]}},
        {"a": 7},
    ],
)
def test_tensors_lie_in_their_file(tmp_path: Path, header: dict[str, Any]) -> None:
    with _in_time(), pytest.raises(FormatError, match="damaged"):
        read_tensors(_weights(tmp_path / "x.safetensors", header))
