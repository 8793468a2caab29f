"""PyTorch programs as models to be looked at."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.errors import InputError, UnsupportedError
from graphkit.ir.dims import dims_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions

__all__ = ["look"]


def look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    """Read a model of which no node is refused; see :class:`graphkit.frameworks.base.Framework`.

    A file that holds an exported program is read as it is, without PyTorch: its batch is free where it was exported so.
    Anything else is captured by PyTorch, and read as conversion reads it as far as that can.
    """
    from graphkit.frameworks.torch import FRAMEWORK
    from graphkit.frameworks.torch.program.read import read_program

    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and path.is_file():
        model = read_program(path, raw=raw, warn=options.warn)
        if model is not None:
            _check_inputs(model, options, path.name)
            return model
        from graphkit.frameworks.torch.archive import kind_of_file

        kind_of_file(path)  # refuses what is no file of PyTorch's
    if not raw:
        try:
            return FRAMEWORK.read(source, options)
        except UnsupportedError:
            pass
    return _captured(source, options, raw)


def _captured(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    """The program that PyTorch captures, in the form that a file of it has."""
    from graphkit.frameworks.torch import require_torch

    require_torch()
    import torch

    from graphkit.frameworks.torch.load import load
    from graphkit.frameworks.torch.program.read import read_bytes
    from graphkit.frameworks.torch.quiet import quiet

    program, label, _ = load(source, options)
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(program, buffer)
    warn: Callable[[str], None] = options.warn
    model = read_bytes(memoryview(buffer.getvalue()), label, label, raw=raw, warn=warn)
    assert model is not None
    return model


def _check_inputs(model: ir.Model, options: ReadOptions, label: str) -> None:
    """Refuse given inputs that the program does not have; its own shapes stay what they are."""
    inputs = {value.name or "": dims_of(value) or () for value in model.graph.inputs}
    unnamed = iter(inputs)
    for spec in options.inputs:
        name = spec.name or next(unnamed, "")
        if name not in inputs:
            told = repr(spec.name) if spec.name else f"number {len(options.inputs)}"
            raise InputError(f"{label} has no input {told}; its inputs are {', '.join(inputs) or 'none'}.")
        own = inputs[name]
        if len(own) != len(spec.shape) or any(
            isinstance(size, int) and given not in (None, size) and axis
            for axis, (size, given) in enumerate(zip(own, spec.shape, strict=True))
        ):
            raise InputError(
                f"Input {name!r} of {label} has shape {shown(own)}, not {shown(spec.shape)}; give its own, or none."
            )
