"""The far end of ``client.py``: loads a TorchScript archive, runs it, and writes the program that torch captures of it.

The job comes on stdin, as JSON. What is found goes into the folder that it names: ``program.pt2`` and ``answer.json``,
which is written last.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import GraphkitError, InputError, UnsupportedError
from graphkit.processes import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["main"]

_STARVED: Final = ("can't allocate memory", "bad_alloc", "Cannot allocate memory", "not enough memory")
"""What torch says where it gets no memory."""
_HARMFUL: Final = frozenset("\"'\\") | {chr(code) for code in (*range(32), 127)}
"""Characters that torch does not escape where it writes names of attributes into the source of a graph."""


def main() -> None:
    """Do the job that is told on stdin, for the process whose id is the second argument."""
    end_with_parent(int(sys.argv[2]))
    job = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_DATA, (job["memory"], job["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(job["folder"])
    os.chdir(folder)
    try:
        answer = _captured(job, folder)
    except GraphkitError as error:
        answer = {"error": _told(error)}
    except MemoryError:
        answer = {"error": {"kind": "MemoryError"}}
    partial = folder / "answer.partial"
    partial.write_text(json.dumps(answer), "utf-8")
    partial.rename(folder / "answer.json")
    sys.stderr.flush()
    os._exit(0)  # threads of TorchScript may never end


def _captured(job: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    import torch

    from graphkit.frameworks.base import Constant, InputSpec
    from graphkit.frameworks.torch.capture import capture
    from graphkit.frameworks.torch.guards import remembered
    from graphkit.frameworks.torch.quiet import quiet
    from graphkit.frameworks.torch.torchscript import as_module, load_archive, sample_of

    warnings: list[str] = []
    inputs = [
        InputSpec(
            told["name"],
            tuple(told["shape"]),
            told["dtype"],
            None if told["constant"] is None else Constant(told["constant"]["value"]),
        )
        for told in job["inputs"]
    ]
    label, free = job["label"], job["dynamic_batch"]
    module = load_archive(Path(job["path"]))
    _check_names(module, label)
    sample = sample_of(module, inputs, label)
    plain = as_module(module, sample, dynamic_batch=free, label=label)
    program = capture(plain, sample, dynamic_batch=free, warn=warnings.append, label=label)
    with quiet():
        torch.export.save(program, folder / "program.pt2")
    guards = [(guard.condition, guard.line, guard.chosen) for guard in remembered(program)]
    return {"warnings": warnings, "guards": guards}


def _check_names(module: Any, label: str) -> None:
    named = (module.named_modules(), module.named_parameters(), module.named_buffers())
    for name in (name for names in named for name, _ in names):
        if not _HARMFUL.isdisjoint(name):
            raise InputError(
                f"{label} is not captured: it has an attribute called {name[:80]!r}, and torch writes names into code "
                f"that it runs. Rename it, and save the model again."
            )


def _told(error: GraphkitError) -> dict[str, Any]:
    chained: BaseException | None = error
    while chained is not None:
        if isinstance(chained, MemoryError) or any(words in str(chained) for words in _STARVED):
            return {"kind": "MemoryError"}
        chained = chained.__cause__ or chained.__context__
    if isinstance(error, UnsupportedError):
        nodes = [{"op": node.op, "name": node.name, "reason": node.reason} for node in error.nodes]
        return {"kind": "UnsupportedError", "target": error.target, "nodes": nodes}
    return {"kind": type(error).__name__, "message": str(error)}
