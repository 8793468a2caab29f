"""The near end of ``worker.py``: starts the process that loads a TorchScript archive, and takes what it captures."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from graphkit import errors
from graphkit.errors import ExecutionError, FormatError, UnsupportedError, UnsupportedNode
from graphkit.files import scratch, sized
from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.explain import sentence
from graphkit.frameworks.torch.guards import Guard, remember
from graphkit.frameworks.torch.scripted.code import check_code
from graphkit.frameworks.torch.stored_program import load_mapped
from graphkit.limits import current
from graphkit.processes import LastWords, end_group, ending

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from graphkit.frameworks.base import InputSpec, ReadOptions

__all__ = ["captured"]

_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from graphkit.frameworks.torch.scripted.worker import main; main()"
)
_SHARE: Final = 4
"""Times the size of the archive that may be taken beside the limit of memory: its weights, some times."""
_KINDS: Final = {
    kind.__name__: kind for kind in (errors.InputError, errors.FormatError, errors.MissingError, errors.ExecutionError)
}


def captured(path: Path, options: ReadOptions) -> torch.export.ExportedProgram:
    """The program that torch captures of a TorchScript archive, in a process that can do no harm to this one.

    Args:
        path: The archive.
        options: How to read it.

    Raises:
        InputError: Its code does something else than to compute, or it cannot be captured with the given inputs.
        FormatError: torch cannot read it.
        UnsupportedError: TorchScript constructs that have no counterpart in a graph.
        MissingError: This torch does not convert TorchScript.
        ExecutionError: It took more time or memory than the limits allow, or torch crashed.
    """
    check_code(path)
    with scratch() as folder:
        answer = _answer(path, folder, options)
        for warning in answer["warnings"]:
            options.warn(warning)
        program = _handed_back(folder / "program.pt2", path)
        remember(program, [Guard(*guard) for guard in answer["guards"]])
        return program


def _handed_back(program: Path, path: Path) -> torch.export.ExportedProgram:
    try:
        return load_mapped(program)
    except HarmfulError as error:
        raise UnsupportedError("a graph", [UnsupportedNode("TorchScript", "forward", str(error))]) from error
    except Exception as error:
        raise FormatError(
            f"{path} gives a program that cannot be read: {sentence(error)}. Save the module with torch.export.save "
            f"instead."
        ) from error


def _answer(path: Path, folder: Path, options: ReadOptions) -> Mapping[str, Any]:
    limits = current()
    memory = limits.memory + _SHARE * path.stat().st_size
    job = {
        "path": str(path.absolute()),
        "label": path.name,
        "folder": str(folder),
        "inputs": [_told(spec) for spec in options.inputs],
        "dynamic_batch": options.dynamic_batch,
        "memory": memory,
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-W", "ignore", "-c", _START, json.dumps(sys.path), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    words = LastWords(process.stderr)
    start = time.monotonic()
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(job, default=str).encode())
        process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        raise ExecutionError(
            f"{path} was not captured: its TorchScript ran for more than {limits.seconds} seconds, and was ended. A "
            f"hostile model may run for ever; if you trust it, give it more time: --limit seconds="
            f"{2 * limits.seconds}, or graphkit.limited(seconds={2 * limits.seconds})."
        ) from None
    finally:
        end_group(process.pid)
        process.wait()
    words.join(1.0)
    told = folder / "answer.json"
    if not told.is_file():
        raise ExecutionError(_death(path, process.returncode, words, memory, time.monotonic() - start))
    answer: Mapping[str, Any] = json.loads(told.read_text("utf-8"))
    if "error" in answer:
        _raise(path, answer["error"], memory)
    return answer


def _told(spec: InputSpec) -> dict[str, Any]:
    constant = None if spec.constant is None else {"value": spec.constant.value}
    return {"name": spec.name, "shape": spec.shape, "dtype": spec.dtype, "constant": constant}


def _raise(path: Path, told: Mapping[str, Any], memory: int) -> None:
    if told["kind"] == "UnsupportedError":
        nodes = [UnsupportedNode(node["op"], node["name"], node["reason"]) for node in told["nodes"]]
        raise UnsupportedError(told["target"], nodes)
    if told["kind"] == "MemoryError":
        raise ExecutionError(_starved(path, memory))
    raise _KINDS.get(told["kind"], ExecutionError)(told["message"])


def _death(path: Path, status: int, words: LastWords, memory: int, seconds: float) -> str:
    said = words.told()
    if "bad_alloc" in said or "allocate memory" in said or "MemoryError" in said:
        return _starved(path, memory)
    return (
        f"{path} was not captured: the process that runs its TorchScript {ending(status)} after {seconds:.0f} seconds. "
        f"The archive may be damaged; export the model again with torch.export.save.{said}"
    )


def _starved(path: Path, memory: int) -> str:
    given = current().memory
    return (
        f"{path} was not captured: its TorchScript wants more memory than the {sized(memory)} that it is given. A "
        f"hostile model may take all there is; if you trust it, give it more: --limit memory={2 * given}, or "
        f"graphkit.limited(memory={2 * given})."
    )
