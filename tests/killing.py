"""Conversions that are killed at a moment of their lives, and what is in their folder when all has settled.

A process that has imported everything forks for each conversion, which then runs as a command does; what is killed is
killed with SIGKILL. The target holds an older, different output. Afterwards it has to hold all of the old files or all
of the new ones, byte for byte, and neither drafts nor processes may be left.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

import graphkit
from graphkit.files import mover, rooms

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

__all__ = ["SCENES", "Killed", "Scene", "prepared"]

MARK = "GRAPHKIT_KILLED"
SETTLED = 15.0
"""Seconds after which what is left is left for good."""
SLOW = """
import os, sys, time
sys.path.insert(0, {folder!r})
import mover
for name in ("rename", "replace", "unlink"):
    def slowly(*args, call=getattr(os, name)):
        time.sleep({pause})
        call(*args)
        time.sleep({pause})
    setattr(os, name, slowly)
mover._main(0, 1)
"""
"""The mover, which takes its time."""


@dataclass(frozen=True)
class Scene:
    """A conversion.

    Attributes:
        name: What it is called.
        source: Makes what is converted, of an ONNX file, in a folder.
        options: Arguments of ``graphkit convert`` besides the source.
        slow: Whether MXNet is run, too.
    """

    name: str
    source: Callable[[Path, Path], Path]
    options: tuple[str, ...]
    slow: bool = False


def _pair(model: Path, folder: Path) -> Path:
    return graphkit.save(graphkit.load(model), folder / model.stem, to="mxnet")[0]


def _program(model: Path, folder: Path) -> Path:
    import torch

    class Layers(torch.nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(512, 512, bias=False) for _ in range(count))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return x

    count = len(ir.load(model).graph.initializers)
    torch.manual_seed(count)
    path = folder / f"{model.stem}.pt2"
    torch.export.save(torch.export.export(Layers(count).eval(), (torch.zeros(2, 512),)), path)
    return path


SCENES = {
    scene.name: scene
    for scene in (
        Scene("torch", _pair, ("--to", "torch", "-o", "out", "--shard-size", "6MB")),
        Scene("mxnet", lambda model, _folder: model, ("--to", "mxnet", "-o", "net")),
        Scene("onnx", _program, ("--to", "onnx", "-o", "net.onnx")),
        Scene("worker", lambda model, _folder: model, ("--to", "mxnet", "-o", "net", "--verify"), slow=True),
    )
}


def _model(path: Path, layers: int) -> Path:
    """A chain of matrices of about 1 MiB each."""
    draw, sizes = np.random.default_rng(layers), [512 - 4 * (i % 2) for i in range(layers + 1)]
    shapes = list(pairwise(sizes))
    weights = [
        ir.tensor(draw.normal(0, 0.04, shape).astype(np.float32), name=f"w{i}") for i, shape in enumerate(shapes)
    ]
    lines = [f"h{i + 1} = MatMul(h{i}, w{i})" for i in range(layers)]
    text = " ".join(lines)
    head = '<ir_version: 10, opset_import: ["" : 21]> g (float[2, 512] h0) => (float[2, '
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # which warns that there are no weights yet
    ir.save(ir.from_onnx_text(f"{head}{sizes[-1]}] h{layers}) {{ {text} }}", initializers=weights), path)
    return path


def contents(folder: Path) -> dict[str, str]:
    """What a folder holds, hidden files too: digests by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@dataclass
class Killed:
    """What became of one conversion.

    Attributes:
        outcome: ``"old"``, ``"new"``, or what is wrong.
        status: Exit status of the command, negative where it was killed.
        wrong: Whether something is.
    """

    outcome: str
    status: int
    wrong: bool


@dataclass
class Stage:
    """A conversion with its folders, ready to be run again and again.

    Attributes:
        scene: The conversion.
        folder: Its working directory, which holds the target.
        new, old: What the target holds afterwards, and before.
        lasting: Seconds that it takes.
    """

    scene: Scene
    source: Path
    folder: Path
    kept: Path
    old: dict[str, str]
    new: dict[str, str]
    lasting: float

    def start(self, pause: float = 0.0) -> int:
        """Fork a command, its own process group; its process id."""
        child = os.fork()
        if child:
            return child
        try:
            os.setsid()
            os.chdir(self.folder)
            os.environ[MARK] = str(self.folder)
            with open(self.folder.parent / "said", "wb") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
            if pause:
                _slow(pause)
            from graphkit.cli import main

            sys.argv = ["graphkit", "convert", str(self.source), *self.scene.options]
            main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        finally:
            os._exit(70)

    def reset(self) -> None:
        """Put the old output there."""
        if contents(self.folder) != self.old:
            shutil.rmtree(self.folder)
            shutil.copytree(self.kept, self.folder)

    def killed(self, kill: Callable[[int], None], pause: float = 0.0) -> Killed:
        """Run the command, have it killed, and see what is left.

        Args:
            kill: Is given the process id, waits for the moment and kills.
            pause: Seconds that the mover waits before and after each file that it moves.
        """
        self.reset()
        child = self.start(pause)
        kill(child)
        end = time.monotonic() + 120
        status = None
        while status is None:
            found, code = os.waitpid(child, os.WNOHANG)
            if found:
                status = os.waitstatus_to_exitcode(code)
            elif time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                return Killed("it hangs", -9, True)
            time.sleep(0.002)
        end = time.monotonic() + SETTLED
        while (left := self._left(child)) and time.monotonic() < end:
            time.sleep(0.01)
        if left:
            return Killed(f"{left} is left", status, True)
        found_there = contents(self.folder)
        if found_there == self.old:
            return Killed("old", status, status == 0 or not self._due(status))
        if found_there == self.new:
            return Killed("new", status, not self._due(status))
        return Killed(f"neither old nor new: {sorted(found_there)}", status, True)

    def _left(self, leader: int) -> str:
        """A draft or a process that is still there."""
        if found := _rooms(self.folder):
            return found[0]
        return next((f"process {pid}" for pid in processes(self.folder, leader)), "")

    def _due(self, status: int) -> bool:
        """Whether the command failed because something was killed, if it did."""
        return status <= 0 or self.scene.slow or "was killed (SIGKILL)" in self.said()

    def said(self) -> str:
        """What the command printed."""
        return (self.folder.parent / "said").read_text()


def _rooms(folder: Path) -> list[str]:
    return [
        os.path.join(place, name)
        for place, names, _ in os.walk(folder)  # which passes over what is removed meanwhile
        for name in names
        if name.startswith(".graphkit-")
    ]


def processes(folder: Path, leader: int) -> list[int]:
    """Processes of a command, those in other sessions that it started too."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            state, _, _, session = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            mark = f"{MARK}={folder}\0".encode()
            if state != "Z" and (int(session) == leader or mark in Path(f"/proc/{name}/environ").read_bytes()):
                found.append(int(name))
    return found


def _slow(pause: float) -> None:
    text = SLOW.format(folder=str(Path(mover.__file__).parent), pause=pause)
    started = subprocess.Popen

    def popen(command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        given = [command[0], "-S", "-c", text] if command[-1] == mover.__file__ else command
        return started(given, **options)  # type: ignore[call-overload,no-any-return]  # as they were given

    rooms.subprocess.Popen = popen  # type: ignore[misc,assignment]  # in this process, which ends soon


def prepared(scene: Scene, place: Path, size: int = 32) -> Stage:
    """Make the sources, the old output and the new one.

    Args:
        scene: The conversion.
        place: An empty folder.
        size: Size of what is converted in MiB.
    """
    from graphkit.frameworks.onnx import write

    write.INLINE_LIMIT = 1 << 20  # type: ignore[misc]  # so that weights go into a file of their own
    kept, folder = place / "kept", place / "folder"
    sources = [scene.source(_model(place / f"{name}.onnx", count), place) for name, count in (("x", 5), ("y", size))]
    kept.mkdir()
    folder.mkdir()
    stage = Stage(scene, sources[0], folder, kept, {}, {}, 0.0)
    _run(stage)
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    stage.old = contents(folder)
    stage.source = sources[1]
    _run(stage)
    start = time.monotonic()
    _run(stage)  # again, with the system's caches warm
    stage.lasting = time.monotonic() - start
    stage.new = contents(folder)
    assert stage.old != stage.new
    return stage


def _run(stage: Stage) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(stage.start(), 0)[1])
    assert status == 0, stage.said()


def command(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill the command, at any moment."""
    return _later(draw.uniform(0, 1.1 * stage.lasting), lambda child: os.kill(child, signal.SIGKILL))


def group(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill the process group of the command, at any moment."""
    return _later(draw.uniform(0, 1.1 * stage.lasting), lambda child: os.killpg(child, signal.SIGKILL))


def inner(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill what works for the command in a process below it, at any moment."""

    def kill(child: int) -> None:
        below = [pid for pid in processes(stage.folder, child) if pid != child and _parent(pid) == child]
        for pid in below or [child]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return _later(draw.uniform(0, 1.1 * stage.lasting), kill)


def writing(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill the process group while drafts are written, or just before or after they are moved."""
    after = draw.uniform(0, 0.4)

    def kill(child: int) -> None:
        while not _ended(child) and not _rooms(stage.folder):
            time.sleep(0.001)
        time.sleep(after)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    return kill


def moving(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill the process group while files are moved."""
    after = draw.uniform(0, 0.25)

    def kill(child: int) -> None:
        _wait_for_moves(stage, child)
        time.sleep(after)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    return kill


def mover_itself(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill the process that moves files, while it does."""
    after = draw.uniform(0, 0.25)

    def kill(child: int) -> None:
        _wait_for_moves(stage, child)
        time.sleep(after)
        for pid in processes(stage.folder, child):
            with suppress(OSError):
                if b"mover._main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    return kill


def worker(stage: Stage, draw: random.Random) -> Callable[[int], None]:
    """Kill MXNet's worker, at any moment of the command, or the next one that there is."""
    after = draw.uniform(0, 0.9 * stage.lasting)

    def kill(child: int) -> None:
        time.sleep(after)
        while not _ended(child):
            for pid in processes(stage.folder, child):
                with suppress(OSError):
                    if b"worker/main.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
                        return
            time.sleep(0.01)

    return kill


def _later(seconds: float, kill: Callable[[int], None]) -> Callable[[int], None]:
    def wait(child: int) -> None:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            kill(child)

    return wait


def _wait_for_moves(stage: Stage, child: int) -> None:
    while not _ended(child):
        for room in _rooms(stage.folder):
            with suppress(OSError):
                if os.listdir(f"{room}/{mover.OLD}"):
                    return
        time.sleep(0.001)


def _ended(child: int) -> bool:
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


KILLS = {kill.__name__: kill for kill in (command, group, inner, writing, moving, mover_itself, worker)}
"""Ways to kill, by name."""
SLOWLY = {"moving": 0.02, "mover_itself": 0.02}
"""Seconds by which the mover is slowed down."""
