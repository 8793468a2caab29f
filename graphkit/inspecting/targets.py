"""Which operators of a model a framework does not take: what its writer refuses, and what has no canonical form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import GraphkitError, MissingError, ShapeNeededError, UnsupportedError
from graphkit.inspecting.operators import operator_of, walk
from graphkit.ir.untranslated import conversion_of, untranslated
from graphkit.ir.weights import check_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Refused", "Verdict", "judged", "verdicts"]

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
        operators: Number of operators that were asked about.
        refused: Nodes that it does not take, or that have no canonical form and so no way to any target.
        unknown: Nodes of which it is not known: what they read comes from one without canonical form, or only the
            framework that they are from can tell what they are in canonical form.
        problem: What keeps the model from being written as a whole, as a sentence, and what to do; empty for nothing.
        warnings: What differs in what would be written.
    """

    target: str
    label: str
    takes: bool
    operators: int = 0
    refused: tuple[Refused, ...] = ()
    unknown: tuple[Refused, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()


def verdicts(
    model: ir.Model, targets: Sequence[str], load: Callable[[], ir.Model] | None = None
) -> tuple[Verdict, ...]:
    """Ask targets whether they take a model.

    Args:
        model: A model that was read to be looked at, not raw.
        targets: Names of frameworks.
        load: Reads the source to be converted; it is called only where nothing is refused, and the answer hangs on
            nodes of which only their own framework can tell what they are in canonical form. None for no source.

    Raises:
        InputError: There is no such framework that models are written for.
    """
    known = {conversion_of(node) for node, _ in walk(model.graph) if untranslated(node)}
    found = tuple(judged(model, target) for target in targets)
    if load is None or not known or "refused" in known:
        return found
    try:
        whole = load()
    except MissingError:
        return found
    except UnsupportedError as error:
        refused = tuple(Refused(node.op, node.name, node.reason, node.fix) for node in error.nodes)
        return tuple(replace(each, takes=False, refused=refused, unknown=(), problem=_REST) for each in found)
    except GraphkitError as error:
        return tuple(replace(each, takes=False, problem=str(error)) for each in found)
    return tuple(judged(whole, target) for target in targets)


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
    nodes = [node for node, _ in walk(model.graph)]
    kept = dict.fromkeys(node for node in nodes if untranslated(node))
    refused, unknown = _without_form(kept, target)
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
        blind = _blind(model, kept)
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
    return Verdict(
        target,
        writer.label,
        takes,
        len(nodes),
        tuple(refused),
        tuple(unknown),
        problem,
        tuple(dict.fromkeys(warnings)),
    )


def _without_form(kept: Collection[ir.Node], target: str) -> tuple[list[Refused], list[Refused]]:
    """Those of the nodes without canonical form that are refused, and those of which it is not known here.

    What its framework takes apart into ONNX's operators can be written as ONNX.
    """
    refused, unknown = [], []
    for node in kept:
        found = Refused(operator_of(node), node.name or "", untranslated(node))
        match conversion_of(node):
            case "refused":
                refused.append(found)
            case "unknown":
                unknown.append(found)
            case "made":
                if target != "onnx":
                    unknown.append(found)
    return refused, unknown


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


def _blind(model: ir.Model, kept: Collection[ir.Node]) -> set[tuple[str, str]]:
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
