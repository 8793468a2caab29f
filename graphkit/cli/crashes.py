"""What is said of a process that a signal ended, from the stack that :mod:`faulthandler` wrote before that."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import Final

from graphkit.processes import signal_name

__all__ = ["crash"]

_FRAME: Final = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_LIBRARIES: Final = {
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
    "functorch": "PyTorch",
    "torchvision": "torchvision",
    "onnx": "ONNX's own library",
    "onnxscript": "ONNX Script",
    "google": "protobuf",
    "numpy": "NumPy",
    "safetensors": "safetensors",
    "pygraphviz": "Graphviz",
}
"""How people call packages that have native code, by their folders."""
_OWN: Final = Path(__file__).parents[1]


def crash(number: int, words: bytes, *, debug: bool) -> str:
    """Say that the process of a command was ended by a signal.

    Args:
        number: Number of the signal.
        words: What faulthandler wrote; empty if nothing.
        debug: Whether to print that, too.
    """
    text = words.decode(errors="replace")
    if debug and text:
        sys.stderr.write(text)
    name = signal_name(number)
    if number == signal.SIGKILL:
        return (
            "graphkit's process was killed (SIGKILL), most likely by the system for want of memory. Nothing was left "
            "half written. Close other programs, or use a machine with more memory; --max-memory ends a command before "
            "it takes too much."
        )
    where = _where(text)
    if number == getattr(signal, "SIGBUS", None):
        return (
            f"graphkit's process crashed ({name}){where}: a file that it had mapped into memory was shortened "
            f"meanwhile, or its disk failed or is full. Nothing was left half written. Let nobody write to the model's "
            f"files meanwhile, and make room in the folder for temporary files (TMPDIR)."
        )
    return (
        f"graphkit's process crashed ({name}){where}. Nothing was left half written. Native code has a defect there, "
        f"which a file may be made to meet: do not use one from a stranger. Otherwise try another version of that "
        f"library, or another runtime (--on, where the command has it), and report it with the output of the same "
        f"command and --debug."
    )


def _where(text: str) -> str:
    """In which library, and what of graphkit had called it, as far as the stack tells."""
    frames = [(Path(path), line, function) for path, line, function in _FRAME.findall(text)]
    if not frames:
        return ""
    own = next((frame for frame in frames if frame[0].is_relative_to(_OWN)), None)
    called = ""
    if own is not None:
        path, line, function = own
        called = f"graphkit/{path.relative_to(_OWN).as_posix()}, line {line} ({function})"
    library = _library(frames[0][0])
    if library:
        return f" in {library}" + (f", which {called} had called" if called else "")
    return f" in what {called} called" if called else f" in what {frames[0][0].name}, line {frames[0][1]}, called"


def _library(path: Path) -> str:
    parts = path.parts
    for home in ("site-packages", "dist-packages"):
        if home in parts[:-1]:
            package = parts[parts.index(home) + 1]
            return _LIBRARIES.get(package, package.removesuffix(".py"))
    return ""
