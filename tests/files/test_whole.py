"""Where files go, what becomes of the ones that they replace, and of drafts that were left."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from graphkit.errors import InputError
from graphkit.files import mover, scratch, steady, whole, write_whole
from graphkit.files.rooms import Rooms

SEVERAL = ("a", "b")


def write(folder, text, names=SEVERAL, **options):
    with whole(*(folder / name for name in names), **options) as drafts:
        for draft in drafts:
            draft.write_text(text)


def found(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(params=["guarded", "alone"])
def guard(request, monkeypatch):
    """With a process that moves files, and where none can be started."""
    if request.param == "alone":
        monkeypatch.setattr(sys, "executable", "")


@pytest.mark.usefixtures("guard")
def test_files_replace_older_ones_and_drafts_are_gone(tmp_path):
    for text in ("1", "2"):
        write(tmp_path, text)
        assert found(tmp_path) == {"a": text, "b": text}


@pytest.mark.usefixtures("guard")
def test_stale_files_go_when_the_new_ones_are_there_and_not_before(tmp_path):
    write(tmp_path, "old", ("a", "b", "c"))
    with pytest.raises(KeyError), whole(tmp_path / "a", stale=lambda: [tmp_path / "b"]):
        raise KeyError
    assert set(found(tmp_path)) == {"a", "b", "c"}
    write(tmp_path, "new", ("a",), stale=lambda: [tmp_path / name for name in ("a", "b", "c", "none")])
    assert found(tmp_path) == {"a": "new"}


@pytest.mark.usefixtures("guard")
def test_what_is_stale_is_looked_for_when_nobody_else_writes_there(tmp_path):
    (tmp_path / "old").write_text("")

    def stale():
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(descriptor)
        return tmp_path.glob("o*")

    write(tmp_path, "new", stale=stale)
    assert found(tmp_path) == {"a": "new", "b": "new"}


@pytest.mark.usefixtures("guard")
def test_a_folder_is_made_and_goes_when_nothing_came_into_it(tmp_path):
    with pytest.raises(KeyError), whole(tmp_path / "x" / "y" / "a", make=True):
        raise KeyError
    assert found(tmp_path) == {}
    (tmp_path / "x").mkdir()
    with whole(tmp_path / "x" / "y" / "a", make=True):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["x"]
    write(tmp_path / "x" / "y", "new", make=True)
    assert found(tmp_path / "x" / "y") == {"a": "new", "b": "new"}


@pytest.mark.usefixtures("guard")
def test_a_target_that_is_not_written_may_be_stale(tmp_path):
    write(tmp_path, "old")
    targets = [tmp_path / "a", tmp_path / "b"]
    with whole(*targets, stale=lambda: targets) as (a, _):
        a.write_text("new")
    assert found(tmp_path) == {"a": "new"}


@pytest.mark.usefixtures("guard")
def test_a_draft_that_was_not_written_leaves_the_old_file(tmp_path):
    write(tmp_path, "old")
    with whole(tmp_path / "a", tmp_path / "b") as (a, _):
        a.write_text("new")
    assert found(tmp_path) == {"a": "new", "b": "old"}


def test_the_longest_names_are_no_harder_than_others_and_longer_ones_are_refused(tmp_path):
    write(tmp_path, "new", ("x" * 250 + ".onnx", "y" * 255))
    assert len(found(tmp_path)) == 2
    with pytest.raises(InputError, match="File name too long"):
        write(tmp_path, "new", ("x" * 256,))
    assert len(found(tmp_path)) == 2


def test_an_interruption_while_files_wait_for_their_place_leaves_the_old_ones(tmp_path):
    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    write(tmp_path, "old")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, "new")
    finally:
        signal.signal(signal.SIGALRM, before)
        os.close(descriptor)
    assert time.monotonic() - start < 5
    assert found(tmp_path) == {"a": "old", "b": "old"}


def test_a_signal_while_files_are_moved_waits_until_they_are(tmp_path, monkeypatch):
    rename = os.rename

    def interrupted(source, target):
        rename(source, target)
        signal.raise_signal(signal.SIGINT)

    write(tmp_path, "old")
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "new")
    assert found(tmp_path) == {"a": "new", "b": "new"}


def test_a_mover_that_is_killed_is_done_without(tmp_path):
    write(tmp_path, "old")
    with Rooms([tmp_path / "a", tmp_path / "b"], [False, False], make=False, guarded=True) as rooms:
        for draft in rooms.drafts:
            draft.write_text("new")
        rooms._process.kill()
        rooms._process.wait()
        rooms.place()
    assert found(tmp_path) == {"a": "new", "b": "new"}


def test_a_mover_that_cannot_be_started_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    write(tmp_path, "new")
    assert found(tmp_path) == {"a": "new", "b": "new"}


def test_a_folder_for_temporary_files_goes_with_who_uses_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("1")
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []
    code = (
        "import os, signal\nfrom graphkit.files import scratch\nwith scratch() as folder:\n"
        "    (folder / 'a').write_text('1')\n    os.kill(0, signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment, start_new_session=True)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


def test_other_threads_write_too(tmp_path):
    threads = [threading.Thread(target=write, args=(tmp_path, str(number))) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found(tmp_path).values())) == 1


def _room(folder, number, old=(), new=("a",), age=120):
    room = folder / f".graphkit-{number:016x}"
    for part, names in (("old", old), ("new", new)):
        (room / part).mkdir(parents=True)
        for name in names:
            (room / part / name).write_text("half")
    os.utime(room, (time.time() - age, time.time() - age))
    return room


@pytest.mark.usefixtures("guard")
def test_rooms_that_were_left_are_removed_by_the_next_one(tmp_path):
    """As a power failure leaves them: nobody removes what might be in use, nor the only copy of an old file."""
    left, young, locked = _room(tmp_path, 1), _room(tmp_path, 2, age=0), _room(tmp_path, 3)
    same, other = _room(tmp_path, 4, old=("a", "b")), _room(tmp_path, 5, old=("a", "z"))
    descriptor = os.open(locked, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        with whole(tmp_path / "a", tmp_path / "b"):
            assert not left.exists()
        assert (same / "old" / "a").read_text() == "half"
        write(tmp_path, "new")
    finally:
        os.close(descriptor)
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {young, locked, other}
    assert sorted(path.name for path in (other / "old").iterdir()) == ["a", "z"]


@pytest.mark.usefixtures("guard")
def test_what_replaces_a_secret_is_never_open_to_others(tmp_path):
    write(tmp_path, "old", ("a",))
    (tmp_path / "a").chmod(0o600)
    with whole(tmp_path / "a", tmp_path / "new") as (a, new):
        a.write_text("new")
        new.write_text("new")
        (room,) = (path for path in tmp_path.iterdir() if path.is_dir())
        assert stat.S_IMODE(room.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_group_that_cannot_be_kept_loses_its_rights(tmp_path, monkeypatch):
    write(tmp_path, "old", ("a",))
    (tmp_path / "a").chmod(0o664)
    if os.geteuid() == 0:
        os.chown(tmp_path / "a", 0, 12345)
        write(tmp_path, "new", ("a",))
        about = (tmp_path / "a").stat()
        assert (about.st_gid, stat.S_IMODE(about.st_mode)) == (12345, 0o664)
        monkeypatch.setattr(os, "chown", lambda *_: None)
        write(tmp_path, "newer", ("a",))
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def as_nobody(action):
    """Run something without the rights of root; what it raised."""
    if os.geteuid():
        return _raised(action)
    with multiprocessing.get_context("fork").Pool(1, os.setuid, (65534,)) as pool:
        return pool.apply(_raised, (action,))


def _raised(action):
    try:
        action()
    except InputError as error:
        return str(error)
    return "nothing"


class Write:
    """Writing two files, to be done by another process."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        write(self.folder, "new")


@pytest.fixture
def public(tmp_path, tmp_path_factory):
    """A folder that everybody reaches."""
    base = tmp_path_factory.getbasetemp()
    for folder in (base, *(folder for folder in (tmp_path, *tmp_path.parents) if base in folder.parents)):
        folder.chmod(folder.stat().st_mode | 0o055)
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.mark.parametrize(
    ("mode", "told"), [(0o555, "Permission denied"), (0o666, "Permission denied"), (0o000, "Permission denied")]
)
def test_a_folder_without_permissions_is_told_of(public, mode, told):
    write(public, "old")
    for path in public.iterdir():
        path.chmod(0o666)
    public.chmod(mode)
    said = as_nobody(Write(public))
    public.chmod(0o777)
    assert told in said
    assert found(public) == {"a": "old", "b": "old"}


def test_a_file_that_is_protected_from_writing_is_not_replaced(public):
    write(public, "old")
    (public / "b").chmod(0o444)
    assert "protected" in as_nobody(Write(public))
    assert found(public) == {"a": "old", "b": "old"}


def test_pipes_and_devices_are_written_to_and_stay_what_they_are(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write(tmp_path, "text", ("pipe", "a"))
    assert reader.communicate()[0] == b"text"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    pipe.unlink()
    assert found(tmp_path) == {"a": "text"}
    write_whole(Path("/dev/null"), b"1")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(InputError, match="No space left on device"):
        write_whole(Path("/dev/full"), b"1")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_standard_output_is_a_pipe_like_others():
    code = "from pathlib import Path; from graphkit.files import write_whole; write_whole(Path('/dev/stdout'), 'text')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "text"


def test_a_socket_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "a"))
        with pytest.raises(InputError, match="a device or a socket"):
            write(tmp_path, "new")
    assert stat.S_ISSOCK((tmp_path / "a").stat().st_mode)


def _rounds(folder, number, ready):
    ready.wait()
    for _ in range(6):
        count = 2 + number % 3
        names = [f"part{place}" for place in range(count)]
        write(folder, f"{number}", names, stale=lambda: folder.glob("part*"), make=True)


def test_of_several_that_write_at_once_one_wins_whole(tmp_path):
    """Files of the others are gone, too, and who reads them together reads those of one."""
    context = multiprocessing.get_context("fork")
    folder, ready = tmp_path / "out", context.Event()
    writers = [context.Process(target=_rounds, args=(folder, number, ready)) for number in range(8)]
    for each in writers:
        each.start()
    ready.set()
    seen = set()
    while any(each.is_alive() for each in writers):
        with steady(folder / "part0"):
            files = {path.name: path.read_text() for path in folder.glob("part*")}
        if files:
            assert len(set(files.values())) == 1
            number = int(files["part0"])
            assert len(files) == 2 + number % 3
            seen.add(number)
    assert [each.exitcode for each in writers] == [0] * 8
    assert len(seen) > 1
    files = found(folder)
    assert len(files) == 2 + int(files["part0"]) % 3


def test_a_lock_that_nobody_gives_away_is_waited_for_no_longer_than_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(mover, "PATIENCE", 0.2)
    monkeypatch.setattr(sys, "executable", "")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        write(tmp_path, "new")
        with steady(tmp_path):
            assert found(tmp_path) == {"a": "new", "b": "new"}
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("guard")
def test_a_disk_without_locks_is_written_to(tmp_path, monkeypatch):
    def refuse(_descriptor, _kind):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left, lately = _room(tmp_path, 1, age=7200), _room(tmp_path, 2, age=600)
    for path in (left / "new").iterdir():
        os.utime(path, (0, 0))
    write(tmp_path, "new")
    assert not left.exists()
    assert lately.exists()
