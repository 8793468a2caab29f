"""PyTorch programs and modules, and PyTorch as a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.errors import MissingError
from graphkit.frameworks.base import About, Framework, ReadOptions, WriteOptions
from graphkit.frameworks.torch.load import recognises
from graphkit.frameworks.torch.run import RUNTIME

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.support import Support
    from graphkit.frameworks.timing import Timer

__all__ = ["FRAMEWORK", "require_torch"]


def require_torch() -> None:
    """Refuse to read what only PyTorch can read where it is not installed.

    Raises:
        MissingError: It is not.
    """
    if (problem := RUNTIME.missing()) is not None:
        raise MissingError(f"PyTorch models are read with PyTorch: {problem}.")


def _read(source: Any, options: ReadOptions) -> ir.Model:
    require_torch()
    from graphkit.frameworks.torch.read import read

    return read(source, options)


def _look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    from graphkit.frameworks.torch.look import look

    return look(source, options, raw)


def _about(source: Any, options: ReadOptions, model: ir.Model) -> About:
    from graphkit.frameworks.torch.about import about

    return about(source, options, model)


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
    about=_about,
    write=_write,
    check=_check,
    runtimes=(RUNTIME,),
    operators=_operators,
    timers=_timers,
)
