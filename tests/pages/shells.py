"""Where a page's commands and code run: in processes of their own, made quickly from one that has imported all.

``graphkit …`` runs in a fork of a process that has imported graphkit and PyTorch, and does there what the program does;
any other command runs in bash.
"""

from __future__ import annotations

import glob
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pages.listing import ROOT

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from multiprocessing.process import BaseProcess

__all__ = ["Interpreter", "command"]

_SPECIAL: Final = re.compile(r"[|&;<>$`(){}\n~]")
_UNSET: Final = re.compile(r"COLUMNS|LINES|GRAPHKIT_.*|PYTEST_.*|GITHUB_.*|CI|NO_COLOR|FORCE_COLOR|PYTHONPATH")

_IMPORTED: Final = (
    *("graphkit.cli", "graphkit.frameworks.convert", "graphkit.frameworks.torch.read", "graphkit.parity.verify"),
    *("torch", "torch.export", "torch._dynamo", "torch._functorch.aot_autograd", "torch.onnx._internal.exporter._core"),
    *("onnx", "onnx.reference", "onnxscript", "onnxruntime"),
)
"""What most commands need, and what exporting a module imports, which takes two seconds; missing ones are passed by."""


@cache
def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def command(text: str, folder: Path, *, columns: int | None = None) -> tuple[str, int]:
    """Run a command in a folder.

    Args:
        text: The command, as it is typed.
        folder: Where it runs.
        columns: Width of the terminal that it sees, one with colours; none if it prints to a file.

    Returns:
        What it printed, to stdout and stderr as they came, and its exit status.
    """
    words = _words(text, folder)
    if words[:2] == ["graphkit", "doctor"] and columns is None:
        return _examined(" ".join(words))
    return _run(text, words, folder, _environment(columns))


@cache
def _examined(text: str) -> tuple[str, int]:
    """What ``graphkit doctor`` says, asked once: nothing is installed meanwhile."""
    return _run(text, text.split(), Path.cwd(), _environment())


def _words(text: str, folder: Path) -> list[str]:
    """A command's words as bash would have them; none where they need bash."""
    text = text.replace("\\\n", " ")
    if _SPECIAL.search(re.sub(r"'[^']*'|#.*", "", text)):
        return []
    words = shlex.split(text, comments=True)
    return [] if any(glob.glob(word, root_dir=folder) for word in words if set(word) & set("?*[")) else words


def _run(text: str, words: list[str], folder: Path, environment: dict[str, str]) -> tuple[str, int]:
    with tempfile.TemporaryFile() as file:
        if words[:1] == ["graphkit"]:
            status = _in_fork(words[1:], folder, file.fileno(), environment)
        else:
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-o", "pipefail", "-c", text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                check=False,
            )
            status = done.returncode
        file.seek(0)
        return file.read().decode(), status


def _in_fork(words: list[str], folder: Path, output: int, environment: dict[str, str]) -> int:
    from multiprocessing.reduction import DupFd

    process = _forks().Process(target=_graphkit, args=(words, str(folder), DupFd(output), environment))
    _start(process)
    process.join()
    return process.exitcode if process.exitcode is not None else -1


def _start(process: BaseProcess) -> None:
    main = sys.modules["__main__"]
    if not hasattr(main, "__spec__"):  # a shell of IPython's, which tests open, leaves such a one behind
        main.__spec__ = None
    process.start()


def _graphkit(words: list[str], folder: str, output: Any, environment: dict[str, str]) -> None:
    handle = output.detach()
    _settle(folder, handle, handle, environment)
    from graphkit.cli import main

    sys.argv = ["graphkit", *words]
    main()


def _settle(folder: str, output: int, errors: int, wanted: dict[str, str]) -> None:
    """Make a new process look like one that a shell started."""
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.chdir(folder)
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # for the life of the process
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115  # as above


def _environment(columns: int | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not _UNSET.fullmatch(name)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    seen = {"FORCE_COLOR": "1", "COLUMNS": str(columns)} if columns else {}
    return {**kept, "PATH": path, "CLONE": str(ROOT), "MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore", **seen}


class Interpreter:
    """A Python of its own that runs a page's code, block after block, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Any = None
        self._line: Connection | None = None

    def run(self, code: str, name: str) -> tuple[str, str | None]:
        """Run code.

        Args:
            code: Statements.
            name: What tracebacks call it.

        Returns:
            What it printed to stdout, and the traceback if it raised.
        """
        if self._line is None:
            self._line, other = _forks().Pipe()
            self._process = _forks().Process(target=_interpret, args=(other, str(self._folder)), daemon=False)
            _start(self._process)
            other.close()
        self._line.send((code, name))
        try:
            printed, problem = self._line.recv()
        except EOFError:
            self._process.join()
            return "", f"the interpreter ended with status {self._process.exitcode}"
        return printed, problem

    def close(self) -> None:
        """End it."""
        if self._line is not None:
            self._line.close()
            self._process.join(20)
            with suppress(AttributeError, ProcessLookupError):
                self._process.kill()


def _interpret(line: Connection, folder: str) -> None:
    import linecache
    import warnings

    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        _settle(folder, printed.fileno(), errors.fileno(), _environment())
        warnings.simplefilter("ignore")
        sys.path.insert(0, folder)
        names: dict[str, Any] = {"__name__": "__main__"}
        while True:
            try:
                code, name = line.recv()
            except EOFError:
                return
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
            problem = None
            try:
                exec(compile(code, name, "exec"), names)
            except BaseException:  # whatever the page's code raises is told
                problem = traceback.format_exc()
            sys.stdout.flush()
            printed.seek(0)
            text = printed.read().decode()
            printed.seek(0)
            printed.truncate()
            line.send((text, problem))
