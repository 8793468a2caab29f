"""ONNX files on ONNX Runtime as it comes, the way their users run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.errors import ExecutionError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

__all__ = ["PlainFile"]

_QUIET = 3
"""ONNX Runtime's log level that prints errors only: each default of an input is a warning."""


class PlainFile:
    """An ONNX file opened in ``onnxruntime.InferenceSession`` on the CPU.

    Raises:
        MissingError: ONNX Runtime is not installed.
        ExecutionError: It refuses the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingError("ONNX Runtime is not installed; run: pip install 'graphkit[ort]'.") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        self._name = path.name
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ExecutionError(f"ONNX Runtime refuses {path}: {' '.join(str(error).split())}") from error

    def run(self, feeds: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs by name; inputs that have a default need not be fed.

        Raises:
            ExecutionError: ONNX Runtime refused or crashed.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        except Exception as error:
            raise ExecutionError(f"ONNX Runtime failed to run {self._name}: {' '.join(str(error).split())}") from error
