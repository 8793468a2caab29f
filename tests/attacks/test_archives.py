"""Archives of exported programs (`.pt2`) and of arrays that are to take memory or time, or to be read in two ways."""

from __future__ import annotations

import io
import json
import pickle
import struct
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile.budget import measured

import graphkit
from attacks.catalogue import attack
from graphkit.errors import FormatError, GraphkitError, LimitError
from graphkit.frameworks.torch.program import pickles
from graphkit.frameworks.torch.program.archive import Archive
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.pickles import saved_tensors
from graphkit.parity.npz import Archive as Arrays
from graphkit.parity.npz import read_array

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 10.0
_SEEDS = Path(__file__).parents[1] / "hostile" / "seeds" / "pt2"


@contextmanager
def _in_time() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < _SECONDS


def _entries(name: str = "new.pt2") -> dict[str, bytes]:
    with zipfile.ZipFile(_SEEDS / name) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def _packed(entries: dict[str, bytes], *more: tuple[str, bytes], compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, data in (*entries.items(), *more):
            archive.writestr(name, data)
    return buffer.getvalue()


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "model.pt2"
    path.write_bytes(data)
    return path


def _document(entries: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    name = next(name for name in entries if name.endswith("models/model.json"))
    return name, json.loads(entries[name])


@attack("An archive of a kilobyte for each megabyte that it unpacks to", "refused before anything is unpacked")
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    entries = _entries()
    bomb = next(name for name in entries if name.endswith("models/model.json"))
    entries[bomb] = entries[bomb] + b" " * 100_000_000
    with _in_time(), pytest.raises(LimitError, match="--limit expanded="):
        graphkit.look(_written(tmp_path, _packed(entries, compressed=True)))


@attack("An entry that stands twice, so that a scanner sees one and a reader the other", "refused")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_stands_once(tmp_path: Path) -> None:
    entries = _entries()
    name, _ = _document(entries)
    with pytest.raises(FormatError, match="two entries of one name"):
        graphkit.look(_written(tmp_path, _packed(entries, (name, b"{}"))))


@attack("JSON of a few megabytes that Python makes gigabytes of, or that is nested without end", "refused as too large")
@pytest.mark.parametrize(
    "bomb", [b"[" + b"{}," * 3_000_000 + b"{}]", b"[" * 5_000_000, b'{"a":' * 100_000], ids=["wide", "deep", "objects"]
)
def test_a_bomb_of_json_is_not_parsed(tmp_path: Path, bomb: bytes) -> None:
    entries = _entries()
    name, _ = _document(entries)
    with _in_time(), graphkit.limited(document=1 << 28), pytest.raises((LimitError, FormatError)):
        graphkit.look(_written(tmp_path, _packed(entries | {name: bomb})))


@attack("Notes and trees of a program that cost the square of their length, or the stack", "left out or refused")
def test_notes_and_trees_of_a_program_are_bounded(tmp_path: Path) -> None:
    entries = _entries()
    name, document = _document(entries)
    for node in document["graph_module"]["graph"]["nodes"]:
        node["metadata"]["nn_module_stack"] = "x," + "getattr(" * 100_000 + ",y"
        node["metadata"]["stack_trace"] = 'File "' * 200_000
    path = _written(tmp_path, _packed(entries | {name: json.dumps(document).encode()}))
    with _in_time():
        assert graphkit.look(path)
    for call in document["graph_module"]["module_call_graph"]:
        if call["signature"] is not None:
            call["signature"]["out_spec"] = "[1, " + '{"type": "builtins.list", "children_spec": [' * 200_000
    path = _written(tmp_path, _packed(entries | {name: json.dumps(document).encode()}))
    with _in_time():
        assert graphkit.look(path)


@attack("Symbolic sizes nested ten thousand deep, or powers of powers", "shown as the file has them, or as names")
@pytest.mark.parametrize(
    "term", ["-" * 10_000 + "Integer(1)", "Add(" * 4000, "Pow(Symbol('s0'), Pow(Integer(9), Integer(999999999)))"]
)
def test_symbolic_sizes_are_not_computed(tmp_path: Path, term: str) -> None:
    entries = _entries()
    name, document = _document(entries)
    text = json.dumps(document)
    known = [
        size["as_expr"]["expr_str"]
        for value in document["graph_module"]["graph"]["tensor_values"].values()
        for size in value["sizes"]
        if "as_expr" in size
    ]
    assert known
    changed = text.replace(json.dumps(known[0]), json.dumps(term))
    assert changed != text
    with _in_time():
        assert graphkit.look(_written(tmp_path, _packed(entries | {name: changed.encode()})))


@attack(
    "A tensor with negative strides, an offset beyond its storage, sizes of 2^62, or 64 GB out of one byte", "refused"
)
@pytest.mark.parametrize(
    "change",
    [
        {"strides": [{"as_int": -1}, {"as_int": 1}]},
        {"storage_offset": {"as_int": 2**62}},
        {"sizes": [{"as_int": 2**62}, {"as_int": 2**62}]},
        {"sizes": [{"as_int": 2**18}, {"as_int": 2**18}], "strides": [{"as_int": 0}, {"as_int": 0}]},
        {"sizes": [{"as_int": -2}, {"as_int": -3}]},
        {"sizes": [{"as_int": 1}] * 3},
    ],
)
def test_a_tensor_lies_in_its_storage(tmp_path: Path, change: dict[str, Any]) -> None:
    entries = _entries()
    name = next(name for name in entries if name.endswith("weights_config.json"))
    config = json.loads(entries[name])
    config["config"]["fc.weight"]["tensor_meta"].update(change)
    with pytest.raises(FormatError, match=r"fc\.weight"):
        graphkit.look(_written(tmp_path, _packed(entries | {name: json.dumps(config).encode()})))


def _torch_zip(program: bytes) -> memoryview:
    return memoryview(_packed({"archive/data.pkl": program, "archive/data/0": bytes(16)}))


_NESTED = b"\x80\x02)" + b"2\x86" * 60


@attack(
    "Pickles of bytes that fill the memory: numbers of the memo, lengths, tuples of tuples as keys", "refused at once"
)
@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
        b"\x80\x02}" + _NESTED[2:] + b"Ns.",
        b"\x80\x02X\x07\x00\x00\x00storagecx\ny\n" + _NESTED[2:] + b"NNt\x85Q.",
        b"\x80\x02" + b"(" * 1_000_000 + b".",
        b"\x80\x02" + b"]" * 100 + b"a" * 99 + b".",
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    ],
    ids=["memo", "text", "bytes", "number", "key", "identifier", "marks", "lists", "call"],
)
def test_pickles_take_no_memory_and_run_nothing(program: bytes) -> None:
    def read(data: bytes) -> None:
        try:
            found = saved_tensors(_torch_zip(data))
        except DamageError as error:
            raise FormatError(str(error)) from error
        assert not found.tensors

    assert measured(read, program).finding is None


@attack("A pickle that sets attributes of the functions that read it", "has nothing to set them on")
def test_pickles_change_nothing_of_their_reader() -> None:
    program = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00xK\x01sbs."
    found = saved_tensors(_torch_zip(program))
    assert not found.tensors
    assert found.foreign == {"a": "Name"}
    assert not vars(pickles._Reader._tensor)


@attack("Entries whose places in the archive are not where the directory says", "refused")
def test_entries_lie_where_the_archive_says() -> None:
    data = bytearray(_packed({"a": b"x" * 64, "b": b"y" * 64}))
    place = data.rfind(b"PK\x01\x02")
    for offset in (2**31, 1, 40):
        data[place + 42 : place + 46] = offset.to_bytes(4, "little")
        with pytest.raises(DamageError):
            Archive(memoryview(bytes(data))).view("b")


def _npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@attack("Arrays as feeds that hold pickles, claim terabytes, or elements of no bytes", "refused")
@pytest.mark.parametrize(
    "data",
    [
        _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([print])),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }", bytes(8)),
        _npy("{'descr': '|S0', 'fortran_order': False, 'shape': (1099511627776,), }"),
        _npy("{'descr': '|V0', 'fortran_order': False, 'shape': (8589934592,), }"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4611686018427387904, 0), }"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", bytes(8)),
        _npy("(" * 9000),
        _npy("__import__('os').system('touch pwned')"),
    ],
)
def test_arrays_of_strangers_are_refused(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.npy").write_bytes(data)
    with _in_time(), pytest.raises(FormatError):
        read_array(Path("x.npy"))
    Path("x.npz").write_bytes(_packed({"x.npy": data}))
    with Arrays(Path("x.npz")) as archive, pytest.raises(FormatError):
        archive.plain("x")
    assert not Path("pwned").exists()


@attack("A compressed file of feeds that unpacks to a thousand times its size", "refused before that, unless asked for")
def test_a_bomb_of_feeds_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(4_000_000))
    with graphkit.limited(feeds=10_000_000), pytest.raises(LimitError, match="--limit feeds="), Arrays(path) as held:
        held.plain("x")
    with Arrays(path) as held:
        assert held.plain("x").nbytes == 32_000_000


@attack("A picture as feed of a few kilobytes and a hundred million pixels", "refused before it is decoded")
def test_a_bomb_of_pixels_is_not_decoded(tmp_path: Path) -> None:
    import onnx_ir as ir
    from PIL import Image

    from graphkit.running.pictures import Scaling, read_pictures

    path = tmp_path / "x.png"
    Image.new("1", (12_000, 12_000)).save(path)
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 3, 8, 8]))
    with _in_time(), pytest.raises(GraphkitError, match=r"decompression bomb|pixels"):
        read_pictures([path], value, Scaling())
