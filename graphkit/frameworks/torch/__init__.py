"""PyTorch programs and modules, and PyTorch as a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.errors import MissingError
from graphkit.frameworks.base import Framework, ReadOptions
from graphkit.frameworks.torch.load import recognises
from graphkit.frameworks.torch.run import RUNTIME

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["FRAMEWORK"]


def _read(source: Any, options: ReadOptions) -> ir.Model:
    if (problem := RUNTIME.missing()) is not None:
        raise MissingError(f"PyTorch models are read with PyTorch: {problem}.")
    from graphkit.frameworks.torch.read import read

    return read(source, options)


FRAMEWORK = Framework(name="torch", label="PyTorch", recognises=recognises, read=_read, write=None, runtimes=(RUNTIME,))
