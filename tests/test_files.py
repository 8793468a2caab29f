"""Files are written whole or not at all."""

from __future__ import annotations

import io
import mmap
import os
import resource
import shutil
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from graphkit.errors import InputError
from graphkit.files import arrays as files
from graphkit.files import aside, joined_aside, parse_size, release, showing, sized, whole, write_array, written


def _write_half(target, error):
    with whole(target) as (draft,):
        draft.write_text("half")
        raise error


def test_files_appear_together_at_the_end(tmp_path):
    with whole(tmp_path / "a", tmp_path / "b") as (a, b):
        a.write_text("1")
        b.write_text("2")
        assert not (tmp_path / "a").exists()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "1", "b": "2"}


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(tmp_path / "a", KeyboardInterrupt())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_an_error_of_the_disk_is_told_in_a_paragraph(tmp_path):
    with pytest.raises(InputError, match=r"a cannot be written: .*No space left"):
        _write_half(tmp_path / "a", OSError(28, "No space left on device"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_folder_in_the_way_are_refused(tmp_path):
    with pytest.raises(InputError, match="its folder does not exist"), whole(tmp_path / "none" / "a"):
        pass
    with pytest.raises(InputError, match="it is a folder"), whole(tmp_path):
        pass


def test_links_are_followed_and_permissions_kept(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with whole(tmp_path / "link") as (draft,):
        draft.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_new_files_have_the_usual_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        with whole(tmp_path / "a") as (draft,):
            draft.write_text("new")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_the_memory_of_a_mapped_file_is_given_back_and_its_contents_stay(tmp_path):
    size = 1 << 24
    np.arange(size, dtype=np.int32).tofile(tmp_path / "a")
    array = np.memmap(tmp_path / "a", np.int32, "r")[8:].reshape(2, -1)
    total = array.sum(dtype=np.int64)
    before = _resident()
    release(array)
    assert before - _resident() > 2 * size
    assert array.sum(dtype=np.int64) == total


@pytest.mark.parametrize("mode", ["c", "r+"])
def test_what_was_written_to_a_mapped_file_is_not_given_back(tmp_path, mode):
    np.zeros(4096, np.int32).tofile(tmp_path / "a")
    array = np.memmap(tmp_path / "a", np.int32, mode)
    array[:] = 7
    array.flags.writeable = False
    release(array)
    assert (array == 7).all()
    release(np.arange(3))


def _full(block, shape):
    return np.random.default_rng(0).integers(-100, 100, shape).astype(block)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i8", "u1", "?", "<c8", ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "arranged",
    [
        pytest.param(lambda a: a, id="as it is"),
        pytest.param(lambda a: a.transpose(2, 0, 1), id="transposed"),
        pytest.param(lambda a: a.T, id="reversed axes"),
        pytest.param(lambda a: a[::-1, 1:, ::2], id="strided"),
        pytest.param(lambda a: a.reshape(-1)[5:6].reshape(()), id="scalar"),
        pytest.param(lambda a: a[:0], id="empty"),
        pytest.param(lambda a: np.broadcast_to(a[0], a.shape), id="repeated"),
    ],
)
def test_arrays_are_written_in_order_whatever_their_strides_and_blocks(monkeypatch, dtype, arranged):
    monkeypatch.setattr(files, "_TILE", 3)
    array = arranged(_full(dtype, (7, 11, 13)))
    little = array.astype(array.dtype.newbyteorder("<")) if array.dtype.kind in "iufc" else array
    for block in (16, 100, 10**6):
        monkeypatch.setattr(files, "BLOCK", block)
        out = io.BytesIO()
        write_array(out, array)
        assert out.getvalue() == np.ascontiguousarray(little).tobytes()


def test_arrays_are_written_in_another_type(monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 100)
    array = _full("f8", (30, 20)).T
    out = io.BytesIO()
    write_array(out, array, np.float16)
    assert out.getvalue() == np.ascontiguousarray(array).astype("<f2").tobytes()


def test_a_mapped_matrix_that_is_turned_takes_a_block_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 1 << 20)
    array = np.arange(1 << 22, dtype=np.int32).reshape(1 << 10, 1 << 12)
    array.tofile(tmp_path / "a")
    with (tmp_path / "a").open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped = np.ndarray(array.shape, array.dtype, data)
    tracemalloc.start()
    try:
        with (tmp_path / "b").open("wb") as file:
            write_array(file, mapped.T)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * files.BLOCK < array.nbytes / 4
    assert np.array_equal(np.fromfile(tmp_path / "b", np.int32).reshape(array.T.shape), array.T)


def test_what_was_computed_and_is_large_lies_in_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    small, large = np.arange(10), np.arange(1 << 21)
    assert aside(small) is small
    kept = aside(large)
    assert np.array_equal(kept, large)
    assert not kept.flags.writeable
    assert aside(kept) is kept, "it is in a file already"
    assert list(tmp_path.iterdir()) == [], "the file has no name"


@pytest.mark.parametrize("large", [1 << 24, 0])
@pytest.mark.parametrize("kind", ["<i4", ">f4", "bool", "bfloat16"])
def test_parts_are_joined_in_memory_or_in_a_file(monkeypatch, tmp_path, large, kind):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "_LARGE", large)
    dtype = np.dtype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    parts = [np.arange(6).reshape(2, 3).astype(dtype), np.arange(12).astype(dtype)[::2]]
    found = joined_aside(iter(parts), (3, 4), dtype)
    assert found.dtype.newbyteorder("=") == dtype.newbyteorder("=")
    assert np.array_equal(found, np.concatenate([part.reshape(-1) for part in parts]).reshape(3, 4))
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_of_what_is_written_of_all_that_will_be(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 40)
    told = []
    with showing(lambda done, total: told.append((done, total))), whole(tmp_path / "a", size=100) as (draft,):
        with draft.open("wb") as file:
            write_array(file, np.zeros(20, np.float32))
        written(20)
    assert told == [(40, 100), (80, 100), (100, 100)]
    with whole(tmp_path / "a", size=100) as (draft,):
        written(5)
    assert len(told) == 3


def test_more_than_the_disk_has_room_for_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**9))
    told = r"a cannot be written: 8\.0 GB are needed in .*, and 1\.0 GB are free there"
    with pytest.raises(InputError, match=told), whole(tmp_path / "a", size=8 * 10**9):
        pytest.fail("nothing is to be written")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_told_with_what_was_written(tmp_path):
    (tmp_path / "a").write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))  # Python ignores the signal
        told = r"a cannot be written: File too large after 300\.0 kB of 1\.0 MB\. Nothing"
        with (
            pytest.raises(InputError, match=told),
            whole(tmp_path / "a", size=10**6) as (draft,),
            draft.open("wb") as file,
        ):
            write_array(file, np.zeros(10**6, np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


def test_a_disk_that_takes_nothing_is_told_of_though_nothing_can_be_removed_there(tmp_path, monkeypatch):
    def refuse(_path, *_rest, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a cannot be written: .*Read-only"), whole(tmp_path / "a") as (draft,):
        draft.open("wb")


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("500 mb", 5 * 10**8), ("2GiB", 2**31), ("1.5kB", 1500), ("12", 12)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5 apples", "-1GB", "1e9", "5G"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="is no size"):
        parse_size(text)


def test_sizes_are_said_for_people():
    assert [sized(count) for count in (0, 999, 1000, 999_960, 46_800_000, 8 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.0 MB",
        "46.8 MB",
        "8.0 TB",
    ]
