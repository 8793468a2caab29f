"""Commands in processes of their own: bounds of time and memory, signals, crashes, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alive import gone, state

from graphkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched on Linux only")

PROGRAM = """
import ctypes, mmap, os, pathlib, signal, subprocess, sys, time
from graphkit.cli import main, ops
from graphkit.errors import InputError

def alive():
    print(os.getpid(), flush=True)

def command(**_options):
{body}

ops.COMMAND.callback = command
sys.argv[1:1] = ["ops"]
main()
"""
"""The command line, with a command that does as a test says."""


def heed() -> None:
    """Heed what a shell may have had the tests ignore, with nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def started(body: str, *options: str, **how) -> Iterator[subprocess.Popen[str]]:
    code = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GRAPHKIT_")}
    environment |= how.pop("env", {})
    how.setdefault("preexec_fn", heed)
    with subprocess.Popen(
        [sys.executable, "-c", code, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **how,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(body: str, *options: str, **how) -> tuple[int, str, str]:
    """Exit status, stdout, and stderr in one line."""
    with started(body, *options, **how) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, " ".join(err.split())


def test_what_a_command_prints_and_returns_is_its_own() -> None:
    assert ended("print('fine')") == (0, "fine\n", "")
    assert ended("print(sys.stdin.read()); return 1", stdin=subprocess.DEVNULL) == (1, "\n", "")
    assert ended("raise InputError('No such thing.')") == (2, "", "graphkit: error: No such thing.")


def test_the_command_runs_in_a_child_unless_it_is_told_not_to() -> None:
    with started("print(os.getpid())") as process:
        assert int(process.communicate(timeout=60)[0]) != process.pid
    with started("print(os.getpid())", env={"GRAPHKIT_SUPERVISE": "0"}) as process:
        assert int(process.communicate(timeout=60)[0]) == process.pid


def test_a_crash_is_an_error_like_others() -> None:
    status, out, err = ended("print('before', flush=True); ctypes.string_at(0)")
    assert (status, out) == (2, "before\n")
    assert err.startswith("graphkit: error: graphkit's process crashed (SIGSEGV)")
    assert "Fatal Python error" not in err
    _, _, err = ended("ctypes.string_at(0)", "--debug")
    assert "Fatal Python error: Segmentation fault" in err


def test_a_crash_names_the_library_and_who_called_it() -> None:
    from graphkit.cli.crashes import crash

    home = Path(main.__code__.co_filename).parents[1]
    stack = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n"
        '  File "/x/site-packages/onnxruntime/capi/session.py", line 12 in run\n'
        f'  File "{home}/frameworks/onnx/run.py", line 34 in forward\n'
    )
    told = crash(signal.SIGSEGV, stack.encode(), debug=False)
    assert "crashed (SIGSEGV) in ONNX Runtime, which graphkit/frameworks/onnx/run.py, line 34 (forward) had" in told
    assert "(SIGBUS) in ONNX Runtime" in crash(signal.SIGBUS, stack.encode(), debug=False)
    assert crash(40, b"\xff", debug=False).startswith("graphkit's process crashed (signal 40). ")


def test_a_process_that_is_killed_from_outside_is_told() -> None:
    status, _, err = ended("os.kill(os.getpid(), signal.SIGKILL)")
    assert status == 2
    assert "was killed (SIGKILL), most likely by the system for want of memory" in err


def test_a_process_that_ends_itself_half_way_is_no_success() -> None:
    status, _, err = ended("os._exit(0)")
    assert status == 2
    assert "ended itself with exit status 0 before the command was over" in err


def test_what_takes_too_long_ends_in_order(tmp_path: Path) -> None:
    body = f"""
        try:
            time.sleep(60)
        finally:
            pathlib.Path({str(tmp_path / "cleared")!r}).touch()
    """
    status, out, err = ended(body, "--timeout", "0.3")
    assert (status, out) == (2, "")
    assert err.startswith("graphkit: error: `graphkit ops` was ended because it took longer than 0.3 seconds")
    assert "terminated" not in err
    assert (tmp_path / "cleared").exists()


def test_what_python_cannot_interrupt_is_killed_at_a_bound() -> None:
    start = time.monotonic()
    status, _, err = ended("ctypes.PyDLL(None).sleep(60)", "--timeout", "0.3")  # holds Python's lock
    assert status == 2
    assert "took longer than 0.3 seconds" in err
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("given", "told"), [("1m", "1 minute"), ("90", "90 seconds"), ("1h30m", "90 minutes"), ("2h", "2 hours")]
)
def test_times_are_written_as_people_write_them(given: str, told: str) -> None:
    from graphkit.cli.bounds import _Duration, _spelled

    assert _spelled(_Duration().convert(given, None, None)) == told


@pytest.mark.parametrize("option", ["--timeout=0", "--timeout=-3", "--timeout=x", "--timeout=", "--timeout=nan"])
def test_what_is_no_time_is_refused(option: str) -> None:
    status, out, err = ended("print('ran')", option)
    assert (status, out) == (2, "")
    assert "Invalid value for '--timeout'" in err


TAKES = "held = b'x' * (400 << 20); print('has it', flush=True); time.sleep(60)"


def test_what_takes_too_much_memory_is_ended() -> None:
    status, _, err = ended(TAKES, "--max-memory", "200MB")
    assert status == 2
    assert "`graphkit ops` was ended because its processes held " in err
    assert "more than the 200.0 MB of --max-memory" in err


def test_memory_of_processes_that_were_started_counts() -> None:
    body = f"subprocess.run([sys.executable, '-c', {('import time; ' + TAKES)!r}], start_new_session=True)"
    status, _, err = ended(body, "--max-memory", "200MB")
    assert status == 2
    assert "held" in err


def test_what_is_mapped_from_files_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.truncate(400 << 20)
    body = f"""
        with open({str(path)!r}, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        print(sum(data[at] for at in range(0, len(data), 4096)))
        time.sleep(0.2)
    """
    assert ended(body, "--max-memory", "200MB") == (0, "0\n", "")


def test_pipelines_set_bounds_by_the_environment_and_options_win() -> None:
    settings = {"GRAPHKIT_TIMEOUT": "0.3"}
    assert ended("time.sleep(60)", env=settings)[0] == 2
    assert ended("time.sleep(0.6)", "--timeout", "1m", env=settings)[0] == 0
    assert ended(TAKES, env={"GRAPHKIT_MAX_MEMORY": "200MB"})[0] == 2
    assert "'soon' is no time" in ended("pass", env={"GRAPHKIT_TIMEOUT": "soon"})[2]


def test_a_thread_watches_where_no_process_is_to_be_forked(tmp_path: Path) -> None:
    settings = {"GRAPHKIT_SUPERVISE": "0"}
    body = f"""
        try:
            time.sleep(60)
        finally:
            pathlib.Path({str(tmp_path / "cleared")!r}).touch()
    """
    status, _, err = ended(body, "--timeout", "0.3", env=settings)
    assert status == 2
    assert err.startswith("graphkit: error: `graphkit ops` was ended because it took longer than 0.3 seconds")
    assert "terminated" not in err
    assert (tmp_path / "cleared").exists()
    status, _, err = ended(TAKES, "--max-memory", "200MB", env=settings)
    assert (status, "of --max-memory" in err) == (2, True)


def test_a_command_that_python_calls_has_no_bounds(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["ops", "--timeout", "5"])
    assert left.value.code == 2
    assert "is not its own here; start graphkit as a program" in " ".join(capfd.readouterr().err.split())


WAITS = "alive(); time.sleep(60)"


@pytest.mark.parametrize(
    ("whom", "body"),
    [
        ("the process", WAITS),
        ("the process", "alive()\nctypes.CDLL(None).sleep(60)"),
        ("both", WAITS),
        ("both twice", WAITS),
    ],
    ids=["the process", "the process, in native code", "both", "both twice"],
)
@pytest.mark.parametrize(
    ("number", "status", "told"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminated")],
)
def test_signals_end_the_command_once(number: int, status: int, told: str, whom: str, body: str) -> None:
    with started(body, process_group=0) as process:
        child = int(process.stdout.readline())
        if whom == "the process":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
            if "twice" in whom:
                time.sleep(0.01)
                os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (status, "", f"graphkit: {told}.\n")
    assert gone(child)


EXECUTES = """
    alive()
    exec("import time; time.sleep(60)")
"""
LOSES = """
    class Loses:
        def __del__(self):
            alive()
            time.sleep(1)

    held = Loses()
    del held
    time.sleep(60)
"""
SHOWN = """
    alive()
    try:
        time.sleep(60)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # as PyErr_Print does
    time.sleep(60)
"""
MAKES_ANOTHER = """
    alive()
    try:
        time.sleep(60)
    except BaseException as error:
        raise InputError("A library says that it failed.") from error
"""
KEEPS_ON = """
    alive()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
IGNORES = """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    alive()
    time.sleep(60)
"""
SLOW_TO_END = """
    try:
        alive()
        time.sleep(60)
    finally:
        time.sleep(0.5)
        print("cleared")
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (EXECUTES, ""),
        (LOSES, ""),
        (SHOWN, ""),
        (MAKES_ANOTHER, ""),
        (KEEPS_ON, ""),
        (IGNORES, ""),
        (SLOW_TO_END, "cleared\n"),
    ],
    ids=[
        "through exec",
        "lost in a destructor",
        "shown by native code",
        "made another error",
        "caught",
        "ignored",
        "while clearing up",
    ],
)
def test_an_interrupt_ends_the_command_whatever_it_meets(body: str, said: str) -> None:
    with started(body, process_group=0) as process:
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, said, "graphkit: interrupted.\n")


def test_an_interrupt_passes_through_exec_without_a_watcher_too() -> None:
    with started(EXECUTES, env={"GRAPHKIT_SUPERVISE": "0"}) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "graphkit: interrupted.\n")


def test_an_interrupt_while_an_error_is_told_is_heard() -> None:
    body = """
        class SlowError(Exception):
            def __str__(self):
                alive()
                time.sleep(60)
                return "told"

        raise SlowError
    """
    with started(body) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "graphkit: interrupted.\n")


def test_signals_that_the_shell_has_ignored_stay_so() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with started("alive(); time.sleep(0.5); print('fine')", preexec_fn=nohup) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=60) == ("fine\n", "")
    assert process.returncode == 0


def test_the_command_does_not_outlive_the_process_that_watches_it() -> None:
    with started("alive()\nctypes.PyDLL(None).sleep(60)") as process:
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert gone(child)


ORPHAN = """
    told, tell = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print(os.getpid(), flush=True)
            os.write(tell, b".")
            sys.stdout.close()
            os.close(1)
            os.close(2)
            time.sleep(60)
        os._exit(0)
    os.wait()
    os.read(told, 1)
"""


@pytest.mark.parametrize("end", ["ctypes.string_at(0)", "time.sleep(60)"], ids=["crash", "time"])
def test_nothing_is_left_of_a_command_that_did_not_end_by_itself(end: str) -> None:
    with started(f"{textwrap.dedent(ORPHAN)}\n{end}", "--timeout", "3") as process:
        orphan = int(process.stdout.readline())
        process.communicate(timeout=60)
    assert process.returncode == 2
    assert gone(orphan)


def test_programs_of_the_users_own_go_on(tmp_path: Path) -> None:
    body = f"""
        os.environ["GRAPHKIT_DETACHED"] = "1"
        browser = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(browser.pid))
        time.sleep(60)
    """
    assert ended(body, "--timeout", "0.5")[0] == 2
    browser = int((tmp_path / "pid").read_text())
    assert state(browser) in "RSD"
    os.kill(browser, signal.SIGKILL)


def test_a_stopped_command_goes_on_and_its_time_with_it() -> None:
    with started("alive(); time.sleep(0.5); print('fine')", "--timeout", "5", process_group=0) as process:
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGTSTP)
        end = time.monotonic() + 10
        while (state(process.pid), state(child)) != ("T", "T") and time.monotonic() < end:
            time.sleep(0.01)
        assert (state(process.pid), state(child)) == ("T", "T")
        os.killpg(process.pid, signal.SIGCONT)
        assert process.communicate(timeout=60) == ("fine\n", "")
    assert process.returncode == 0
