"""Files are moved into place together, whatever happens to who moves them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graphkit.files import mover

NAMES = ("a", "b", "c")


def arranged(folder, names=NAMES):
    """Drafts of three files, of which two replace others and a fourth is stale: moves, what they replace."""
    for part in ("new", "old"):
        (folder / "room" / part).mkdir(parents=True)
    for name in names:
        (folder / "room" / "new" / name).write_text("new")
    for name in ("a", "b", "stale"):
        (folder / name).write_text("old")
    moves = [(str(folder / "room" / "new" / name), str(folder / name)) for name in names]
    replaced = [(str(folder / name), str(folder / "room" / "old" / name)) for name in (*names, "stale")]
    return moves, replaced


def found(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


OLD = {"a": "old", "b": "old", "stale": "old"}
NEW = dict.fromkeys(NAMES, "new")


@pytest.mark.parametrize("failing", range(1, 7))
def test_files_that_belong_together_are_replaced_together_or_not_at_all(tmp_path, monkeypatch, failing):
    """All old files are moved away before the first new one is in place, so no old file is ever beside a new one."""
    rename, seen = os.rename, []

    def watched(source, target):
        if len(seen) == failing - 1:
            seen.append({})
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)
        seen.append(found(tmp_path))

    moves, replaced = arranged(tmp_path)
    monkeypatch.setattr(os, "rename", watched)
    with pytest.raises(OSError, match="Input/output error"):
        mover.place(moves, replaced)
    assert all(len(set(files.values())) <= 1 for files in seen)
    assert found(tmp_path) == OLD
    monkeypatch.undo()
    mover.place(moves, replaced)
    assert found(tmp_path) == NEW
    assert list((tmp_path / "room" / "old").iterdir()) == []


def _ending(call, left):
    """A call that ends the process once there are no more left."""

    def called(*paths):
        if next(left, None) is None:
            os._exit(9)
        call(*paths)

    return called


@pytest.mark.parametrize("names", [NAMES, ("a",)], ids=["several files", "one file and a stale one"])
def test_another_one_completes_what_a_killed_mover_began(tmp_path, names):
    for step in range(20):
        folder = tmp_path / str(step)
        folder.mkdir()
        moves, replaced = arranged(folder, names)
        child = os.fork()
        if not child:
            left = iter(range(step))
            os.rename, os.unlink = _ending(os.rename, left), _ending(os.unlink, left)
            mover.place(moves, replaced)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        mover.place(moves, replaced, again=True)
        files = found(folder)
        files.pop("b") if names == ("a",) else None
        assert files == dict.fromkeys(names, "new"), step
        assert list((folder / "room" / "old").iterdir()) == []
        if status == 0:
            assert step > len(names) + 2
            return
    pytest.fail("it never came to an end")


def test_a_folder_that_came_in_the_way_is_left_and_so_is_everything_else(tmp_path):
    moves, replaced = arranged(tmp_path)
    (tmp_path / "c").mkdir()
    with pytest.raises(IsADirectoryError):
        mover.place(moves, replaced)
    assert found(tmp_path) == OLD


def test_what_cannot_be_put_back_is_not_thrown_away(tmp_path, monkeypatch):
    rename, calls = os.rename, []

    def failing(source, target):
        calls.append(source)
        if len(calls) > 2:
            raise OSError(errno.EROFS, "Read-only file system")
        rename(source, target)

    moves, replaced = arranged(tmp_path)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="Read-only"):
        mover.place(moves, replaced)
    mover.discard([str(tmp_path / "room")], [])
    assert sorted(path.name for path in (tmp_path / "room" / "old").iterdir()) == ["a", "b"]


def test_what_lies_in_folders_among_drafts_goes_too_and_links_are_not_followed(tmp_path):
    """As files do that are written by something that writes whole files itself."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("")
    inner = tmp_path / "room" / "new" / "inner" / "new"
    inner.mkdir(parents=True)
    (inner / "a").write_text("")
    (inner / "link").symlink_to(tmp_path / "kept")
    mover.discard([str(tmp_path / "room")], [])
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


@pytest.fixture
def started():
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", mover.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def _say(process, *parts):
    process.stdin.write(mover.pack(*parts))
    process.stdin.flush()


def test_drafts_go_and_folders_made_for_them_when_who_writes_them_is_dead(tmp_path, started):
    inner = tmp_path / "made" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "stays").write_text("")
    arranged(inner)
    for name in ("a", "b", "stale"):
        (inner / name).unlink()
    _say(started, "guard", "1", str(inner / "room"), str(inner), str(tmp_path / "made"))
    started.stdin.close()
    assert started.wait(10) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["stays"]


@pytest.mark.parametrize("cut", [1, 9, 40, -1])
def test_a_request_that_is_cut_off_is_none(tmp_path, started, cut):
    moves, replaced = arranged(tmp_path)
    _say(started, "guard", "1", str(tmp_path / "room"))
    message = mover.pack("place", "3", *(path for pair in (*moves, *replaced) for path in pair))
    started.stdin.write(message[:cut])
    started.stdin.close()
    assert started.wait(10) == 0
    assert found(tmp_path) == OLD
    assert not (tmp_path / "room").exists()


def test_it_is_not_ended_by_signals_that_end_commands(tmp_path, started):
    moves, replaced = arranged(tmp_path)
    _say(started, "guard", "1", str(tmp_path / "room"))
    _say(started, "sync", *(draft for draft, _ in moves))
    assert mover.read(started.stdout.fileno()) == [b"done"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        started.send_signal(number)
    _say(started, "place", "3", *(path for pair in (*moves, *replaced) for path in pair))
    assert mover.read(started.stdout.fileno()) == [b"done"]
    assert found(tmp_path) == NEW


def test_it_tells_what_the_system_has_against_it(tmp_path, started):
    _say(started, "sync", str(tmp_path / "none"))
    answer = mover.read(started.stdout.fileno())
    assert answer[:2] == [b"failed", str(errno.ENOENT).encode()]
    assert answer[3].decode() == str(tmp_path / "none")


def test_it_needs_nothing_of_the_package_nor_any_other():
    text = Path(mover.__file__).read_text()
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*(m for m in sys.modules if 'graphkit' in m))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, mover.__file__], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
    assert "import contextlib" not in text
