"""Arrays in numpy's files: what goes in comes out, the same each time, and damage is told."""

from __future__ import annotations

import zipfile

import ml_dtypes
import numpy as np
import pytest

from graphkit.errors import FormatError, InputError
from graphkit.parity.npz import Archive, Writer, called, read_array

ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "doubles": np.array([np.pi, np.nan, -np.inf, -0.0]),
    "half": np.array([1.5], np.float16),
    "bfloat16": np.array([[1.5, -2.0]], ml_dtypes.bfloat16),
    "float8": np.array([1.5, 448.0], ml_dtypes.float8_e4m3fn),
    "int4": np.array([-8, 7], ml_dtypes.int4),
    "complex": np.array([1 + 2j], np.complex64),
    "scalar": np.array(3, np.int64),
    "bfloat16 scalar": np.array(2, ml_dtypes.bfloat16),
    "booleans": np.array([True, False]),
    "empty": np.zeros((2, 0, 3), np.float32),
    "strings": np.array([["a", "čáp 🐟"]]),
    "objects": np.array(["", "b\0"], object),
    "scalar string": np.array("word"),
    "no strings": np.zeros(0, object),
}


def write(path, arrays):
    writer = Writer(path)
    told = {name: writer.array(called(name), array) for name, array in arrays.items()}
    writer.text("about.txt", "what it is 🐟")
    writer.close()
    return told


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_it_was(tmp_path, name):
    told = write(tmp_path / "a.npz", {name: ARRAYS[name]})
    with Archive(tmp_path / "a.npz") as archive:
        assert archive.names == [called(name), "about.txt"]
        found = archive.array(called(name), told[name])
        assert archive.text("about.txt") == "what it is 🐟"
    assert found.dtype == ARRAYS[name].dtype
    assert found.shape == ARRAYS[name].shape
    assert found.tobytes() == ARRAYS[name].tobytes() if found.dtype.kind != "O" else (found == ARRAYS[name]).all()


def test_layouts_and_byte_orders_are_levelled(tmp_path):
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    told = write(tmp_path / "a.npz", {"x": array})
    with Archive(tmp_path / "a.npz") as archive:
        assert np.array_equal(archive.array("x", told["x"]), array)


def test_numpy_reads_the_file_without_pickles(tmp_path):
    write(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["floats"], ARRAYS["floats"])
        assert all(isinstance(archive[called(name)], np.ndarray) for name in ARRAYS)
        assert archive["about.txt"].decode() == "what it is 🐟"


def test_the_same_arrays_give_the_same_bytes(tmp_path, monkeypatch):
    write(tmp_path / "a.npz", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write(tmp_path / "b.npz", {name: np.array(array, order="F") for name, array in ARRAYS.items()})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("name", ["a/b", "../../etc/passwd", "C:\\x", "a\0b", "100%", "a%2Fb", "čáp", " ", "x" * 3000])
def test_any_name_has_a_member_of_its_own(tmp_path, name):
    told = write(tmp_path / "a.npz", {name: ARRAYS["floats"], "a": ARRAYS["half"]})
    with Archive(tmp_path / "a.npz") as archive:
        assert np.array_equal(archive.array(called(name), told[name]), ARRAYS["floats"])
    assert not set(called(name)) & {"/", "\\", "\0"}


def test_members_past_the_limit_of_zip_are_zip64(tmp_path, monkeypatch):
    monkeypatch.setattr("graphkit.parity.npz._LARGE", 100)
    monkeypatch.setattr("graphkit.parity.npz._CHUNK", 64)
    array = np.random.default_rng(0).standard_normal(1000)
    told = write(tmp_path / "a.npz", {"x": array})
    assert b"\x01\x00\x10\x00" in (tmp_path / "a.npz").read_bytes()[:64]  # the extra field of ZIP64
    with Archive(tmp_path / "a.npz") as archive:
        assert np.array_equal(archive.array("x", told["x"]), array)


def test_only_what_becomes_smaller_is_compressed(tmp_path):
    told = write(tmp_path / "a.npz", {"noise": np.random.default_rng(0).standard_normal(9999), "zeros": np.zeros(9999)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    assert (kinds["noise.npy"], kinds["zeros.npy"]) == (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    with Archive(tmp_path / "a.npz") as archive:
        assert not archive.array("zeros", told["zeros"]).flags.writeable


def test_python_objects_are_not_stored(tmp_path):
    writer = Writer(tmp_path / "a.npz")
    with pytest.raises(InputError, match="cannot be stored"):
        writer.array("x", np.array([{}, 1], object))
    with pytest.raises(InputError, match="cannot be stored"):
        writer.array("x", np.array([b"bytes"]))
    writer.close()


def test_every_cut_and_every_changed_byte_is_found_out_or_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    told = write(path, {"x": ARRAYS["floats"], "b": ARRAYS["bfloat16"]})
    whole = path.read_bytes()

    def read():
        with Archive(path) as archive:
            return archive.array("x", told["x"]), archive.array("b", told["b"]), archive.text("about.txt")

    expected = read()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError, match=r"a\.npz"):
            read()
    for place in range(len(whole)):
        for flip in (0x01, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            try:
                found = read()
            except InputError:
                continue
            assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))


def test_an_array_that_is_not_what_was_told_is_damage(tmp_path):
    told = write(tmp_path / "a.npz", {"x": ARRAYS["floats"]})
    with Archive(tmp_path / "a.npz") as archive:
        for wrong in ({"dtype": "float64"}, {"shape": [3, 2]}, {"dtype": "int32"}, {"dtype": "object"}):
            with pytest.raises(FormatError, match="cannot be read"):
                archive.array("x", told["x"] | wrong)
        with pytest.raises(FormatError, match="'y'"):
            archive.array("y", told["x"])


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }",
        b"__import__('os').getcwd()",
        b"{",
    ],
)
def test_headers_that_are_not_true_are_damage(tmp_path, header):
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"1234")
    with pytest.raises(FormatError, match=r"x\.npy cannot be read"):
        read_array(path)


def test_files_that_are_not_there_are_told(tmp_path):
    for read in (Archive, read_array):
        with pytest.raises(InputError, match="No such file"):
            read(tmp_path / "nowhere.npz")
