"""The readers of files that are fuzzed.

A reader has a module in this folder with

- ``seeds() -> list[bytes]``: real files, small ones, and files that graphkit makes;
- ``mutated(rng, data, others) -> bytes``: a file made hostile, which knows the format;
- ``read(data) -> object``: reads such a file as a user would have it read.

What fuzzing once found lies in ``regressions/NAME/`` and is read by every run of the tests.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ["READERS", "Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader.

    Attributes:
        name: What the command line calls it.
        home: Its module in this folder, imported when it is needed.
        instruments: Modules and packages of graphkit whose coverage guides what is tried.
        short: Executions in a run of the tests.
    """

    name: str
    home: str
    instruments: tuple[str, ...]
    short: int

    def prepare(self) -> None:
        """Import what reading needs, which is no part of what reading a file costs."""
        self._module()

    def seeds(self) -> list[bytes]:
        """Files to start from."""
        return list(self._module().seeds())

    def mutated(self, rng: Random, data: bytes, others: list[bytes]) -> bytes:
        """A changed file."""
        changed: bytes = self._module().mutated(rng, data, others)
        return changed

    def read(self, data: bytes) -> object:
        """Read a file."""
        return self._module().read(data)

    def regressions(self) -> list[Path]:
        """Files that were once found."""
        folder = Path(__file__).parent / "regressions" / self.name
        return sorted(path for path in folder.glob("*") if path.is_file())

    def _module(self) -> Any:
        return importlib.import_module(f"hostile.{self.home}")


_MXNET: Final = "graphkit.frameworks.mxnet"
_ONNX: Final = "graphkit.frameworks.onnx"
_TORCH: Final = "graphkit.frameworks.torch"
_ROWS: Final = (
    Reader("params", "params_files", (f"{_MXNET}.params", f"{_MXNET}.npz", f"{_MXNET}.arrays"), 1500),
    Reader("symbol", "symbol_files", (f"{_MXNET}.symbol", f"{_MXNET}.schema", f"{_MXNET}.upgrade"), 1000),
    Reader("onnx", "onnx_files", (f"{_ONNX}.load", f"{_ONNX}.validate", f"{_ONNX}.wire", f"{_ONNX}.external"), 100),
    Reader("pt2", "pt2_files", (f"{_TORCH}.program",), 100),
    Reader("safetensors", "safetensors_files", (f"{_TORCH}.shards",), 500),
    Reader("checkpoint", "checkpoint_files", (_MXNET, "graphkit.ops.codec"), 150),
)
READERS: Final = {row.name: row for row in _ROWS}
