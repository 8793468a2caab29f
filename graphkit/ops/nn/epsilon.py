"""What normalisations add to a variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import torch_float

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["epsilon", "torch_epsilon"]

_DEFAULT = 1e-5
"""ONNX's default and torch's."""


def epsilon(node: ir.Node) -> float:
    """What a normalisation adds to the variance."""
    return torch_float(node, "epsilon", _DEFAULT)


def torch_epsilon(node: ir.Node) -> float | None:
    """The ``eps`` that torch must be given, None where it is torch's default."""
    eps = epsilon(node)
    return None if eps == _DEFAULT else eps
