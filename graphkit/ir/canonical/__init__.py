"""The one form in which models flow: see :func:`canonical`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx_ir.passes.common import RemoveInitializersFromInputsPass

from graphkit.ir.canonical.aliases import drop_identities, drop_unused
from graphkit.ir.canonical.drop_neutral import drop_neutral
from graphkit.ir.canonical.fold_branches import fold_branches
from graphkit.ir.canonical.fold_constants import fold_constants
from graphkit.ir.canonical.fold_sequences import fold_sequences
from graphkit.ir.canonical.fold_shapes import fold_shapes
from graphkit.ir.canonical.functions import inline_functions
from graphkit.ir.canonical.fusing import fuse
from graphkit.ir.canonical.kinds import classify
from graphkit.ir.canonical.literals import lift_constants
from graphkit.ir.canonical.names import fix_names
from graphkit.ir.canonical.raising import raise_opset
from graphkit.ir.canonical.sorting import sort_nodes
from graphkit.ir.canonical.spelling import spell
from graphkit.ir.opset import OPSET
from graphkit.ir.shapes import infer_shapes

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.keeping import Keeping

__all__ = ["OPSET", "canonical"]

_IR_VERSION = 11
"""ONNX IR version that belongs to the canonical opset, the lowest that models get."""
_ROUNDS = 8
"""Folding reveals what can be folded next; real models settle after two or three rounds."""


def canonical(model: ir.Model, keeping: Keeping | None = None, *, fusing: bool = True) -> ir.Model:
    """Bring a model into canonical form, in place.

    The steps, each in a module of this package: functions inlined; constants as initializers; every initializer has its
    kind; the canonical opset, or the one that an operator needs which came later and has no function body; one
    spelling; no Identity, nothing unused; constants, shape arithmetic, known branches and sequences folded, neutral
    nodes gone, operations that are spelled out fused into one node; unique names; dtype and shape of every value, with
    symbolic dimensions.

    Args:
        model: The model. Kinds, exact numbers and origins that a reader noted are kept; an
            initializer that is also an input (a default value) becomes an initializer only.
        keeping: Keeps the nodes that have no canonical form, for a model that is only looked at; None refuses them.
        fusing: Whether operations that are spelled out become one node; not where one node was just spelled out.

    Returns:
        The same model.

    Raises:
        FormatError: The model contradicts itself; where nodes are kept: it has a cycle.
        UnsupportedError: Nodes have no equal in canonical form.
    """
    inline_functions(model, keeping)
    RemoveInitializersFromInputsPass()(model)
    sort_nodes(model)
    fix_names(model)
    lift_constants(model, keeping)
    drop_identities(model)
    drop_unused(model)
    classify(model)
    raise_opset(model, keeping)
    spell(model, keeping)
    opset = onnx.helper.make_opsetid("", model.opset_imports[""])
    model.ir_version = max(_IR_VERSION, onnx.helper.find_min_ir_version_for([opset]))
    steps = [fold_constants, fold_shapes, fold_branches, fold_sequences, drop_neutral, *([fuse] if fusing else [])]
    for _ in range(_ROUNDS):
        infer_shapes(model, keeping)
        changed = [step(model) for step in steps]
        drop_identities(model)
        drop_unused(model)
        if not any(changed):
            break
    fix_names(model)
    return model
