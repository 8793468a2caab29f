"""TorchScript archives (`.pt`), whose code loading them already runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import graphkit
from attacks.catalogue import attack, beside
from graphkit.errors import ExecutionError, FormatError, InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Loads(nn.Module):
    """Does something when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(3))

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.scale, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.scale = state[0] + 1
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


class Loops(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.isfinite().all()):
            x = x * 0.5
        return x


class Grows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = [x]
        while bool(x.isfinite().all()):
            held.append(torch.cat([held[-1], held[-1]]))
        return held[0]


def stored(module: nn.Module, path: Path, **changes: str) -> Path:
    """An archive of the module, with some words of its code changed."""
    torch.jit.save(torch.jit.script(module), path)
    if changes:
        with zipfile.ZipFile(path) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in held.items():
                if name.endswith(".py"):
                    for old, new in changes.items():
                        data = data.replace(old.encode(), new.encode())
                archive.writestr(name, data)
    return path


@attack("TorchScript that writes a file as soon as it is loaded (aten::save in __setstate__)", "refused before it is")
@pytest.mark.parametrize(
    "call",
    [
        'torch.save(torch.ones([2]), "{mark}")',
        'torch . save(torch.ones([2]), "{mark}")',
        'torch.\\\n  save(torch.ones([2]), "{mark}")',
        'ops.aten.save(torch.ones([2]), "{mark}")',
        'torch.from_file("{mark}", True, 16)',
    ],
)
def test_a_file_is_written_by_loading(call: str, tmp_path: Path) -> None:
    mark = tmp_path / "written"
    path = stored(Loads(), tmp_path / "net.pt")
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held.items():
            line = b"    self.training = "
            if name.endswith(".py"):
                assert line in data
                data = data.replace(line, f"    {call.format(mark=mark)}\n".encode() + line)
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"save|from_file"):
        graphkit.load(path, inputs=["2x3"])
    assert not mark.exists()


@attack("TorchScript that never ends", "ended after the time of --limit seconds")
def test_a_program_that_never_ends(tmp_path: Path) -> None:
    path = stored(Loops(), tmp_path / "loops.pt")
    start = time.monotonic()
    with graphkit.limited(seconds=4), pytest.raises(ExecutionError, match=r"4 seconds.*--limit seconds=8"):
        graphkit.load(path, inputs=["2x3"])
    assert time.monotonic() - start < 20


@attack("TorchScript that takes memory without end", "ended at the memory of --limit memory")
def test_a_program_that_takes_all_memory(tmp_path: Path) -> None:
    path = stored(Grows(), tmp_path / "grows.pt")
    with graphkit.limited(memory=4 << 30), pytest.raises(ExecutionError, match=r"memory.*--limit memory=8589934592"):
        graphkit.load(path, inputs=["2x3"])


@attack("TorchScript that is running while the command is killed", "its process is gone at once, and leaves nothing")
def test_nothing_is_left_of_what_is_killed(tmp_path: Path) -> None:
    path = stored(Loops(), tmp_path / "loops.pt")
    code = f"import graphkit; graphkit.load({str(path)!r}, inputs=['2x3'])"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        end = time.monotonic() + 30
        while not (children := _children(process.pid)) and time.monotonic() < end:
            time.sleep(0.05)
        assert children
        time.sleep(2)  # so that it has asked to be killed with its parent
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    end = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@attack("An attribute of TorchScript called as Python code, which torch writes into a graph", "refused")
def test_an_attribute_that_is_called_as_code(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = stored(Loads(), tmp_path / "net.pt", **{"  scale : Tensor\n": '  __annotations__["a\\" b"] = Tensor\n'})
    with pytest.raises((InputError, FormatError), match="annotations"):
        graphkit.load(path, inputs=["2x3"])
    assert not mark.exists()


@attack("A TorchScript archive that crashes torch", "the command ends with its last words")
def test_a_crash_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphkit.frameworks.torch.scripted import client

    path = stored(Loads(), tmp_path / "net.pt")
    crash = "import ctypes, sys; sys.stderr.write('what it said'); sys.stderr.flush(); ctypes.string_at(1)"
    monkeypatch.setattr(client, "_START", crash)
    with pytest.raises(ExecutionError, match=r"crashed \(SIGSEGV\).*what it said"):
        graphkit.load(path, inputs=["2x3"])


@beside
def test_loading_may_compute(tmp_path: Path) -> None:
    model = graphkit.load(stored(Loads(), tmp_path / "net.pt"), inputs=["2x3"])
    stored_scale = model.graph.initializers["scale"].const_value
    assert stored_scale is not None
    assert stored_scale.numpy().tolist() == [2, 2, 2]
