"""Files of `torch.save` and the zip archives that they are."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

import graphkit
from attacks.catalogue import attack
from graphkit.errors import FormatError, InputError, LimitError
from graphkit.frameworks.torch.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


class Calls:
    """Unpickles to a call that makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"__import__('pathlib').Path('{self.mark}').touch()",)


class Fills:
    """Unpickles to an object whose ``__setstate__`` makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __getstate__(self) -> str:
        return str(self.mark)

    def __setstate__(self, state: str) -> None:
        with open(state, "w"):
            pass


def zipped(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, held in entries.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl"), held)
    return data.getvalue()


@attack("A checkpoint that calls a function when it is unpickled, given as source or as weights", "never unpickled")
@pytest.mark.parametrize("payload", [Calls, Fills])
@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_checkpoint_that_calls(form: str, payload: Any, tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / "weights.pt"
    held = {"weight": torch.ones(2), "evil": payload(mark)}
    if form == "plain":
        path.write_bytes(pickle.dumps(held))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=form == "zip")
    for read in (graphkit.load, graphkit.look, read_checkpoint):
        with pytest.raises(InputError, match=r"weights\.pt"):
            read(path)
    assert not mark.exists()


@attack("A checkpoint whose environment asks torch to run pickles (TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD)", "has no effect")
def test_an_environment_that_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    test_a_checkpoint_that_calls("zip", Calls, tmp_path)


@attack("A checkpoint whose weights claim a storage beyond its data", "refused without the memory")
def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.ones(2, 3)}, path)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in held if name.endswith("data.pkl"))
    assert b"K\x02K\x03\x86" in held[name]
    held[name] = held[name].replace(b"K\x02K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86")
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in held.items():
            archive.writestr(each, data)
    with pytest.raises(InputError, match=r"weights\.pt"):
        read_checkpoint(path)


@attack("Zip entries that are encrypted, lie over each other, or stand behind the end of a .pt", "refused")
@pytest.mark.parametrize("how", ["encrypted", "comment", "overlapping", "prefixed", "two"])
def test_an_archive_that_is_several_things(how: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    data = bytearray(zipped(net__data_pkl=pickle.dumps({}), net__version=b"3\n"))
    if how == "encrypted":
        data[data.index(b"PK\x01\x02") + 8] |= 1
    elif how == "comment":
        other = zipped(net__constants_pkl=b"", net__code__a=b"")
        data[-2:] = struct.pack("<H", len(other) + 2)
        data += other + b"  "
    elif how == "overlapping":
        for entry in (data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")):
            data[entry + 20 : entry + 24] = struct.pack("<I", 10_000)
    else:
        data = bytearray((b"PK\x00\x00" if how == "prefixed" else zipped(net__data_pkl=b"")) + bytes(data))
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"net\.pt"):
        graphkit.load(path)


@attack("A zip bomb: a checkpoint or program of a few kilobytes that unpacks to gigabytes", "refused before unpacking")
def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(1 << 22))
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = struct.pack("<I", 4_000_000_000)
    path.write_bytes(data)
    with pytest.raises(LimitError, match=r"net\.pt has 4.*--limit expanded"):
        graphkit.load(path)
