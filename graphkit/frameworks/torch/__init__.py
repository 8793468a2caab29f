"""PyTorch programs and modules, and PyTorch as a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.errors import MissingError
from graphkit.frameworks.base import Framework, ReadOptions, WriteOptions
from graphkit.frameworks.torch.load import recognises
from graphkit.frameworks.torch.run import RUNTIME

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.support import Support
    from graphkit.frameworks.timing import Timer

__all__ = ["FRAMEWORK"]


def _read(source: Any, options: ReadOptions) -> ir.Model:
    if (problem := RUNTIME.missing()) is not None:
        raise MissingError(f"PyTorch models are read with PyTorch: {problem}.")
    from graphkit.frameworks.torch.read import read

    return read(source, options)


def _look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    from graphkit.frameworks.torch.look import look

    return look(source, options, raw)


def _write(model: ir.Model, output: Path, options: WriteOptions) -> list[Path]:
    from graphkit.frameworks.torch.write import write

    return write(model, output, options)


def _check(model: ir.Model, options: WriteOptions) -> None:
    from graphkit.frameworks.torch.write import check

    check(model, options)


def _operators() -> list[Support]:
    from graphkit.frameworks.torch.support import operators

    return operators()


def _timers() -> tuple[Timer, ...]:
    from graphkit.frameworks.torch.timing import TIMERS

    return TIMERS


FRAMEWORK = Framework(
    name="torch",
    label="PyTorch",
    recognises=recognises,
    read=_read,
    look=_look,
    write=_write,
    check=_check,
    runtimes=(RUNTIME,),
    operators=_operators,
    timers=_timers,
)
