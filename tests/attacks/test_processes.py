"""Models that harm the process that has them, and processes that harm the one that started them."""

from __future__ import annotations

import contextlib
import json
import resource
import struct
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from alive import gone

from attacks.catalogue import attack, beside
from graphkit.errors import ExecutionError
from graphkit.frameworks.frames import Frames
from graphkit.frameworks.mxnet.worker.client import Worker
from graphkit.frameworks.process import TimedProcess
from graphkit.processes import Family

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched on Linux only")

LIMIT = 20.0
WORKER = f"""#!{sys.executable} -S
import json, os, struct, subprocess, sys, time

def send(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    os.write(1, struct.pack("<4sI", b"GKMX", len(text)) + text)
    os.write(1, payload)

def asked():
    length = struct.unpack("<4sI", sys.stdin.buffer.read(8))[1]
    return json.loads(sys.stdin.buffer.read(length))

def answer(arrays, payload=b"", **more):
    send({{"ok": True, "number": request["number"], "arrays": arrays, **more}}, payload)

versions = dict.fromkeys(("python", "numpy", "mxnet", "blas"), "1")
send({{"ok": True, "number": 0, "repairs": [], "fast": False, "arrays": [], **versions}})
request = asked()
"""
"""What starts as MXNet's process does, and then does as a test says when it is asked to run a model."""


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], Worker]:
    found = []

    def start(body: str) -> Worker:
        path = tmp_path / "python"
        path.write_text(WORKER + textwrap.dedent(body))
        path.chmod(0o755)
        found.append(Worker(str(path), start_limit=LIMIT))
        return found[-1]

    yield start
    for process in found:
        process.close()


def refused(process: Worker, told: str, limit: float = LIMIT) -> str:
    with pytest.raises(ExecutionError, match=told) as caught:
        process.request("forward", limit=limit)
    assert not process.alive
    assert gone(process.pid)
    return str(caught.value)


@attack("MXNet's process announces an array of 2^62 bytes", "refused before memory is taken")
def test_an_array_that_no_machine_holds(worker):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(worker(f'answer([["0", "float64", [{1 << 59}]]])'), r"answer that is none.*this machine has")
    refused(worker(f'answer([["{"0"}", "int8", [{1 << 40}]], ["1", "int8", [{1 << 40}]]])'), "answer that is none")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@attack(
    "MXNet's process announces arrays of shapes, types and names that are none, objects among them",
    "refused; no type is looked up by a name from outside",
)
@pytest.mark.parametrize(
    "arrays",
    [
        '[["0", "float32", [-1]]]',
        '[["0", "float32", [2.5]]]',
        '[["0", "float32", [True]]]',
        '[["0", "float32", [0, 1 << 61, 1 << 61]]]',
        '[["0", "float32", [1] * 1000]]',
        '[["0", "object", [1]]]',
        '[["0", "finfo", [1]]]',
        '[["0", "V8", [1]]]',
        '[["0", "float32", [1]], ["0", "float32", [1]]]',
        '[[{"a": 1}, "float32", [1]]]',
        '[["0"]]',
        "None",
        '{"0": 1}',
    ],
)
def test_arrays_that_are_none(worker, arrays):
    refused(worker(f"answer({arrays}, bytes(64))"), "gave an answer that is none")


@attack("MXNet's process announces a header of 4 GB", "refused before it is read")
def test_a_header_without_end(worker):
    refused(worker('os.write(1, struct.pack("<4sI", b"GKMX", 0xFFFFFFFF)); time.sleep(60)'), "its header has 4.3 GB")


@attack("MXNet's process answers lists within lists, a million deep", "refused; Python's stack holds")
def test_a_header_that_is_deep(worker):
    refused(worker('send(b"[" * 1_000_000)'), "its header is too deep")


@attack(
    "MXNet's process answers something of another kind: a list, no status, other fields, other types",
    "refused; what callers read is checked first",
)
@pytest.mark.parametrize(
    ("command", "sent"),
    [
        ("forward", "[]"),
        ("forward", "{}"),
        ("forward", '{"ok": "yes", "number": 1, "arrays": []}'),
        ("forward", '{"ok": true, "number": "1", "arrays": []}'),
        ("forward", "{"),
        ("open", '{"ok": true, "number": 1, "arrays": []}'),
        ("open", '{"ok": true, "number": 1, "arrays": [], "model": "1"}'),
        ("measure", '{"ok": true, "number": 1, "arrays": [], "calls": true}'),
    ],
)
def test_an_answer_of_another_kind(worker, command, sent):
    process = worker(f"send({sent.encode()!r}); time.sleep(60)")
    with pytest.raises(ExecutionError, match="gave an answer that is none"):
        process.request(command, limit=LIMIT)
    assert gone(process.pid)


@attack("MXNet's process leaves outputs out of its answer", "an error says which")
def test_an_answer_without_outputs(worker):
    _, found = worker("answer([]); time.sleep(60)").request("forward", limit=LIMIT)
    with pytest.raises(ExecutionError, match="left '0' out of its answer"):
        found["0"]


@attack("MXNet's process answers twice, to pass one model's outputs for another's", "the second answer is refused")
def test_an_answer_to_nobody(worker):
    process = worker("answer([]); answer([]); asked(); time.sleep(60)")
    process.request("forward", limit=LIMIT)
    refused(process, "it answers another request")


@attack("MXNet's process answers byte by byte, for ever", "ended at the limit of the whole answer")
def test_an_answer_that_drips(worker):
    body = """
        os.write(1, struct.pack("<4sI", b"GKMX", 1000))
        while True:
            os.write(1, b"[")
            time.sleep(0.05)
    """
    start = time.monotonic()
    refused(worker(body), "within 1 seconds", limit=1)
    assert time.monotonic() - start < 15


@attack("MXNet's process sends half of an array and ends, or closes its end and lives on", "told, and ended")
@pytest.mark.parametrize(
    ("after", "told"),
    [("sys.exit(3)", "ended with exit status 3"), ("os.close(1); time.sleep(60)", "fell silent")],
)
def test_half_an_answer(worker, after, told):
    refused(worker(f'answer([["0", "int8", [1000]]], bytes(500)); {after}'), told)


@attack("MXNet's process writes 200 MB to stderr without a line's end", "its last words are kept, and no more")
def test_a_flood_of_words(worker):
    body = """
        for _ in range(200):
            sys.stderr.write("x" * (1 << 20))
        sys.stderr.write("\\nthe last words\\n")
        sys.exit(3)
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(refused(worker(body), "exit status 3.*the last words")) < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@attack("MXNet's process starts others that hold its streams, and crashes", "they are ended with it")
def test_processes_of_a_process(worker, tmp_path):
    body = f"""
        child = subprocess.Popen(["sleep", "60"])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
        os.kill(os.getpid(), 11)
    """
    start = time.monotonic()
    refused(worker(body), "SIGSEGV")
    assert time.monotonic() - start < 10
    assert gone(int((tmp_path / "pid").read_text()))


PICKLES = """
import os, pickle, sys, time

class Evil:
    def __reduce__(self):
        return os.mkdir, ({folder!r},)

def imports(job):
    pass

def prepare(job):
    channel = int(sys.argv[1])
    text = pickle.dumps((True, Evil()))
    import struct
    os.write(channel, {prefix} + text)
    time.sleep(60)
"""


@attack("A model that is timed sends a pickle to the process that times it", "refused; nothing unpickles it")
@pytest.mark.parametrize("prefix", ['struct.pack("!i", len(text))', 'struct.pack("<4sI", b"GKMX", len(text))'])
def test_a_pickle_as_an_answer(tmp_path, monkeypatch, prefix):
    (tmp_path / "evil.py").write_text(PICKLES.format(folder=str(tmp_path / "made"), prefix=prefix))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ExecutionError, match="gave an answer that is none when it was to load the model"):
        TimedProcess("Evil", "evil", {}, {})
    assert not (tmp_path / "made").exists()


NETWORK = """
import ctypes, os, signal, subprocess, sys, time

def make():
{body}
"""
COMMAND = """
import sys
from graphkit.cli import main, ops
sys.path.insert(0, {folder!r})

def read(**_options):
    import evil
    evil.make()

ops.COMMAND.callback = read
sys.argv[1:1] = ["ops"]
main()
"""


def command(folder: Path, body: str, *options: str) -> tuple[int, str]:
    """Run a command that reads what does as the body says; its status, and what it says in one line."""
    (folder / "evil.py").write_text(NETWORK.format(body=textwrap.indent(textwrap.dedent(body), "    ")))
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(folder=str(folder)), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, " ".join(done.stderr.split())


@attack("A file that makes native code crash in graphkit's own process", "an error says so, with status 2")
def test_a_crash(tmp_path):
    status, err = command(tmp_path, "ctypes.string_at(0)")
    assert status == 2
    assert err.startswith("graphkit: error: graphkit's process crashed (SIGSEGV)")


@attack("A model that computes for ever in native code that holds Python's lock", "ended by --timeout")
def test_native_code_that_never_returns(tmp_path):
    status, err = command(tmp_path, "ctypes.PyDLL(None).pause()", "--timeout", "0.5")
    assert (status, "longer than 0.5 seconds" in err) == (2, True)


@attack("A model that ignores all signals, or stops its own process", "killed when its time is over")
@pytest.mark.parametrize(
    "body",
    [
        "for number in set(range(1, 32)) - {9, 19}: signal.signal(number, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: time.sleep(1)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["ignores", "blocks", "stops"],
)
def test_a_process_that_hears_nothing(tmp_path, body):
    status, err = command(tmp_path, body, "--timeout", "0.5")
    assert (status, "longer than 0.5 seconds" in err) == (2, True)


@attack("A model that starts processes which leave its session and outlive it", "ended with the command's")
def test_processes_that_hide(tmp_path):
    body = f"""
        for _ in range(3):
            if not os.fork():
                os.setsid()
                if os.fork():
                    os._exit(0)
                for number in (0, 1, 2):
                    os.close(number)
                with open({str(tmp_path / "pids")!r}, "a") as file:
                    file.write(f"{{os.getpid()}}\\n")
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(60)
        time.sleep(60)
    """
    status, _ = command(tmp_path, body, "--timeout", "1")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert (status, len(pids)) == (2, 3)
    assert all(map(gone, pids))


@attack("A model that takes memory, in ten processes, each of little", "ended by --max-memory, which counts them all")
def test_memory_in_many_processes(tmp_path):
    body = """
        for _ in range(10):
            if not os.fork():
                held = b"x" * (40 << 20)
                time.sleep(60)
        time.sleep(60)
    """
    status, err = command(tmp_path, body, "--max-memory", "200MB", "--timeout", "30")
    assert (status, "more than the 200.0 MB of --max-memory" in err) == (2, True)


@attack("Code of a source that ends the process half-way as if all were well", "told, with status 2")
@pytest.mark.parametrize("body", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"])
def test_an_end_that_looks_well(tmp_path, body):
    status, err = command(tmp_path, body)
    assert status in (2, 143)
    assert err


@beside
def test_frames_carry_what_they_are_given() -> None:
    import socket

    near, far = socket.socketpair()
    with near, far:
        here, there = (Frames(end.fileno(), end.fileno()) for end in (near, far))
        arrays: dict[str, np.ndarray[Any, Any]] = {"a": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 2), "i1")}
        here.send({"x": [1, None]}, arrays)
        header, found = there.receive(time.monotonic() + LIMIT)
        assert header == {"x": [1, None]}
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
        with pytest.raises(TimeoutError):
            there.receive(time.monotonic() + 0.05)
        text = json.dumps({"arrays": []}).encode()
        near.sendall(struct.pack("<4sI", b"GKMY", len(text)) + text)
        with pytest.raises(ValueError, match="it starts with b'GKMY"):
            there.receive(time.monotonic() + LIMIT)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)


LAYOUT = """
from graphkit.render.engine import lay_out
edges = "".join(f"n{i} -> n{(i * 7919 + j * 104729) % 1500};" for i in range(1500) for j in range(4))
print("starts", flush=True)
lay_out(f"digraph {{{edges}}}", "svg")
"""


@attack("A graph whose layout takes for ever, and a command that is killed meanwhile", "Graphviz ends with it")
def test_a_layout_without_end():
    pytest.importorskip("pygraphviz")
    with subprocess.Popen([sys.executable, "-c", LAYOUT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        family = Family(process.pid)
        end = time.monotonic() + LIMIT
        while not (members := family.members()) and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)
        assert process.poll() is None, "the layout is over"
        process.kill()
    assert members
    assert all(map(gone, members))
