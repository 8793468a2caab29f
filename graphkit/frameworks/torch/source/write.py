"""Canonical models to torch source and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.flat import flat

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.torch.source.flat import Source
    from graphkit.ops.torchprogram import TorchProgram

__all__ = ["to_source"]


def to_source(program: TorchProgram, _model: ir.Model) -> Source:
    """The source of a module that computes what the program does."""
    return flat(program, ())
