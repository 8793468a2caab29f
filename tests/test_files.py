"""Files are written whole or not at all."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from graphkit.errors import InputError
from graphkit.files import release, whole


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


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_files_that_belong_together_are_replaced_together_or_not_at_all(tmp_path, monkeypatch, failing):
    """Both old files are moved away before the first new one is in place, so no old file is ever beside a new one."""
    seen = []
    replace = os.replace

    def watched(source, target):
        if len(seen) == failing - 1:
            seen.append(None)
            raise OSError(5, "Input/output error")
        replace(source, target)
        seen.append({name: (tmp_path / name).read_text() for name in "ab" if (tmp_path / name).exists()})

    def write():
        with whole(tmp_path / "a", tmp_path / "b") as (a, b):
            a.write_text("new")
            b.write_text("new")

    for name in "ab":
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(os, "replace", watched)
    with pytest.raises(InputError, match="Input/output error"):
        write()
    assert all(len(set(found.values())) <= 1 for found in seen[: failing - 1])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old", "b": "old"}
    monkeypatch.undo()
    write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}


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
