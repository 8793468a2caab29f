"""Which operators of a model a framework does not take: what its writer refuses, and what has no canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import GraphkitError, ShapeNeededError, UnsupportedError
from graphkit.inspecting.operators import operator_of, walk
from graphkit.ir.untranslated import untranslated
from graphkit.ir.weights import check_weights

__all__ = ["Refused", "Verdict", "judged"]

_REST: Final = "Whether it takes the others is not known, since what some of them read is not."


@dataclass(frozen=True, slots=True)
class Refused:
    """A node that a target does not take, or of which that is not known.

    Attributes:
        op: Its operator.
        name: Its name.
        reason: Why, and what would help, as a clause.
        fix: Inputs of the model that it would be converted with if they were constants.
    """

    op: str
    name: str
    reason: str
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target takes a model.

    Attributes:
        target: Name of the framework.
        label: What people call it.
        takes: Whether the model can be written for it, which is known only if there is nothing in the rest.
        refused: Nodes that it does not take, or that have no canonical form and so no way to any target.
        unknown: Nodes that are not known to be taken, since what they read is not known: it comes from one of those.
        problem: What keeps the model from being written as a whole, as a sentence, and what to do; empty for nothing.
        warnings: What differs in what would be written.
    """

    target: str
    label: str
    takes: bool
    refused: tuple[Refused, ...] = ()
    unknown: tuple[Refused, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()


def judged(model: ir.Model, target: str) -> Verdict:
    """Ask a framework's writer whether it takes a model; nothing is written.

    Args:
        model: A model that was read to be looked at, not raw.
        target: Name of the framework.

    Raises:
        InputError: There is no such framework that models are written for.
    """
    from graphkit.frameworks.base import WriteOptions
    from graphkit.frameworks.convert import writer_of

    writer = writer_of(target)
    assert writer.check is not None
    kept = {node: reason for node, _ in walk(model.graph) if (reason := untranslated(node))}
    refused = [Refused(operator_of(node), node.name or "", reason) for node, reason in kept.items()]
    unknown: list[Refused] = []
    problem = ""
    warnings: list[str] = []
    complete, absent = _filled(model)
    if absent:
        warnings.append(f"{absent:,} of its weights have no values, which the conversion will need.")
    try:
        _check_shapes(complete)
        check_weights(complete)
        writer.check(complete, WriteOptions(warn=warnings.append))
    except UnsupportedError as error:
        told = {(node.op_type, node.name or "") for node in kept}
        blind = _blind(model, set(kept))
        for node in error.nodes:
            if (node.op, node.name) not in told:
                found = Refused(node.op, node.name, node.reason, node.fix)
                (unknown if (node.op, node.name) in blind else refused).append(found)
    except ShapeNeededError as error:
        problem = _REST if kept else str(error)
    except GraphkitError as error:
        problem = str(error)
    except Exception:
        if not kept:
            raise
        problem = _REST
    takes = not (refused or unknown or problem)
    return Verdict(target, writer.label, takes, tuple(refused), tuple(unknown), problem, tuple(dict.fromkeys(warnings)))


def _filled(model: ir.Model) -> tuple[ir.Model, int]:
    """The model with zeros for weights that it was read without, which take no memory, and how many there are."""
    if not any(_is_absent(value) for value in model.graph.initializers.values()):
        return model, 0
    model = model.clone()
    absent = [value for value in model.graph.initializers.values() if _is_absent(value)]
    for value in absent:
        assert value.shape is not None
        assert value.dtype is not None
        zeros = np.broadcast_to(np.zeros((), value.dtype.numpy()), value.shape.numpy())
        value.const_value = ir.Tensor(zeros, dtype=value.dtype, name=value.name)
    return model, len(absent)


def _check_shapes(model: ir.Model) -> None:
    """Refuse a model with weights that have neither values nor shapes: what reads them cannot be told."""
    values = [value.name for value in model.graph.initializers.values() if value.const_value is None]
    if values:
        raise ShapeNeededError(
            f"Whether it takes the model is not known: {len(values):,} of its weights (the first is {values[0]!r}) "
            f"have neither values nor shapes. Give the parameter file with --params, or shapes of inputs with --input."
        )


def _is_absent(value: ir.Value) -> bool:
    return value.const_value is None and value.dtype is not None and value.shape is not None and value.shape.is_static()


def _blind(model: ir.Model, kept: set[ir.Node]) -> set[tuple[str, str]]:
    """Type and name of nodes that read something of unknown type or shape, which depends on a node kept as it was."""
    after: set[ir.Value] = set()
    blind = set()
    for node, _ in walk(model.graph):
        behind = [value for value in node.inputs if value is not None and value in after]
        if node in kept or behind:
            after.update(node.outputs)
        if any(value.shape is None or value.dtype is None for value in behind):
            blind.add((node.op_type, node.name or ""))
    return blind
