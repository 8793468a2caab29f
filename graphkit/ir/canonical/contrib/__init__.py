"""Operators of other domains than ONNX's own, expressed in ONNX's own.

ONNX Runtime's ``com.microsoft``, ``ai.onnx.ml`` and ``ai.onnx.preview.training`` hold operators that exporters and
optimizers write. Each module of this package expands a family of them: it has a table ``EXPANSIONS`` of functions by
(domain, operator) that emit what the node computes through an :class:`~graphkit.ir.edit.Editor` and replace it. Being
there is being registered.

A node that cannot be expanded stays as it is, and remembers why (:func:`why_kept`).
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Final

from graphkit.ir.canonical.contrib.parts import UnsuitableError
from graphkit.ir.edit import Editor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion

__all__ = ["contrib_operators", "is_contrib", "rewrite", "why_kept"]

_WHY: Final = "graphkit.kept"
"""Key in a node's ``meta`` of the reason why it stays."""


@cache
def _expansions() -> Mapping[tuple[str, str], Expansion]:
    found: dict[tuple[str, str], Expansion] = {}
    for module in pkgutil.iter_modules(__path__):
        family = importlib.import_module(f"{__name__}.{module.name}")
        for key, expansion in getattr(family, "EXPANSIONS", {}).items():
            if key in found:
                raise ValueError(f"{key[1]} of {key[0]} is expanded twice")
            found[key] = expansion
    return found


def contrib_operators() -> frozenset[tuple[str, str]]:
    """Domain and type of every operator that is expanded."""
    return frozenset(_expansions())


def is_contrib(node: ir.Node) -> bool:
    """Whether a node is of an operator that is expanded."""
    return (node.domain, node.op_type) in _expansions()


def rewrite(model: ir.Model, node: ir.Node) -> bool:
    """Put ONNX's own operators in place of a node; dtypes and ranks of its inputs are known as far as they follow.

    Returns:
        Whether it was replaced. Otherwise the node remembers the reason.

    Raises:
        FormatError: The node's inputs contradict its operator.
    """
    try:
        _expansions()[node.domain, node.op_type](Editor(model, node))
    except UnsuitableError as reason:
        node.meta[_WHY] = str(reason)
        return False
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        node.meta[_WHY] = f"its attributes and inputs do not fit each other ({said}); the model is damaged"
        return False
    return True


def why_kept(node: ir.Node) -> str | None:
    """Why a node was not expanded, as a clause; None where it was never tried."""
    reason = node.meta.get(_WHY)
    return None if reason is None else str(reason)
