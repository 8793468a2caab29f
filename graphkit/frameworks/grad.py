"""Models of any framework to models that compute their gradients, or make steps of training."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.frameworks.convert import loaded
from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.origin import drop_source, source_of
from graphkit.ir.params import of_kind
from graphkit.ir.training import losses
from graphkit.passes.gradient.loss import add_loss
from graphkit.passes.gradient.model import differentiate, gradient_model, trained_values
from graphkit.passes.gradient.step import step_model, trainable
from graphkit.passes.training_form import in_training
from graphkit.provenance import derive

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphkit.frameworks.base import Rule
    from graphkit.passes.gradient.loss import LossKind

    Objective: TypeAlias = Literal["none"] | LossKind

__all__ = ["grad", "takes_biased"]

_GLOB = frozenset("*?[")


def grad(
    source: Any,
    *,
    loss: Objective | None = None,
    wrt: Sequence[str] = (),
    freeze: Sequence[str] = (),
    outputs: Sequence[str] = (),
    mode: Literal["eval", "train"] | None = None,
    dropout: bool | None = None,
    step: Rule | None = None,
    **reading: Any,
) -> ir.Model:
    """A model that computes a model's gradients, or that makes a step of training, in ONNX's own operators.

    With a loss it computes the outputs, the loss and its gradient in every x, called ``x.grad``. Without one it takes a
    cotangent ``y.grad`` of each output y and gives the gradients of Σ⟨y.grad, y⟩. With ``step`` it gives parameters and
    what else is to be fed back, ``w.next`` for each input ``w``; these inputs have the model's own arrays as defaults.
    :func:`graphkit.ir.training.gradients_of` and :func:`graphkit.ir.training.updates_of` name them.

    Args:
        source: A canonical model, or what :func:`graphkit.load` reads.
        loss: ``"given"`` for the model's own losses, summed; ``"mse"`` or ``"cross-entropy"`` of targets, which are
            inputs ``y.target`` (:func:`graphkit.passes.gradient.loss.add_loss`); ``"none"`` for cotangents. None for
            its own losses if it has some, else cotangents.
        wrt: Names, or patterns as the shell's, of inputs and parameters to differentiate in, or of values between
            nodes; with ``step``, of parameters to train. Empty for all float inputs and parameters.
        freeze: Names or patterns of inputs and parameters to leave out.
        outputs: Names of the outputs that have a cotangent or target; empty for all that can have one.
        mode: Whether BatchNorm takes its running statistics (``"eval"``) or the batch's (``"train"``). None for
            ``"train"`` with ``step``, else ``"eval"``.
        dropout: Whether Dropout drops; None for whether ``mode`` is ``"train"``.
        step: The optimizer that makes a step; None for gradients.
        **reading: Arguments of :func:`graphkit.load`.

    Raises:
        InputError: A name is of nothing, of integers or of nothing that can be trained; there is no such loss, or no
            loss to make a step with; or as :func:`graphkit.load`.
        UnsupportedError: Nodes through which no gradient can be expressed, all of them.
    """
    model = loaded(source, **reading)
    if isinstance(source, ir.Model) and reading:
        raise InputError(f"A model that has been read cannot be read otherwise; leave {', '.join(reading)} out.")
    kind = _objective(model, loss)
    training = (mode or ("eval" if step is None else "train")) == "train"
    if dropout and not training:
        raise InputError("Dropout drops in training only; choose the mode train, or leave dropout out.")
    drops = training if dropout is None else dropout
    if kind == "given" and outputs:
        raise InputError(
            "The model's own losses are what is differentiated; choose no outputs, or read it without them."
        )
    ends = list(outputs) or None
    if step is not None:
        if kind == "none":
            raise InputError(
                "A step of training makes a loss smaller, and the model has none of its own. Choose the loss mse or "
                "cross-entropy."
            )
        wanted = _chosen(model, wrt, freeze, [model.graph.initializers[name] for name in trainable(model)], "train")
        made = step_model(
            model,
            step,
            kind,
            outputs=ends,
            parameters=wanted,
            training=training,
            dropout=drops,
            unbiased=not takes_biased(model),
        ).model
    else:
        wanted = _chosen(model, wrt, freeze, trained_values(model), "differentiate in")
        prepared = in_training(model, dropout=drops) if training else model
        made = gradient_model(prepared, wanted, ends) if kind == "none" else _of_loss(prepared, kind, wanted, ends)
    drop_unused(made)
    derive(
        made,
        model,
        gradients="step" if step is not None else "yes",
        loss=kind,
        wrt=", ".join(wrt) or None,
        freeze=", ".join(freeze) or None,
        differentiated=", ".join(outputs) or None,
        mode="train" if training else "eval",
        dropout=drops,
        step=None if step is None else repr(step),
    )
    return made


def takes_biased(model: ir.Model) -> bool:
    """Whether the framework that a model comes from moves running variances towards the batch's biased variance."""
    found = source_of(model)
    return found is not None and found.framework == "mxnet"


def _objective(model: ir.Model, loss: Objective | None) -> Objective:
    """What is differentiated: what was asked for, else the model's own losses if it has some, else nothing.

    Raises:
        InputError: There is no such loss.
    """
    known = ("none", "given", "mse", "cross-entropy")
    if loss is not None and loss not in known:
        raise InputError(f"No loss is called {loss!r}; there are {', '.join(known)}.")
    return loss or ("given" if losses(model) else "none")


def _of_loss(model: ir.Model, kind: LossKind, wanted: Sequence[str], outputs: Sequence[str] | None) -> ir.Model:
    """A model that computes its outputs, a loss and the gradients of that."""
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    added = add_loss(copy, kind, outputs)
    differentiate(copy, {added.value.name or "": added.seed}, wanted)
    return copy


def _chosen(
    model: ir.Model, wrt: Sequence[str], freeze: Sequence[str], candidates: Sequence[ir.Value], what: str
) -> list[str]:
    """Names of the values that patterns mean, in the model's order."""
    names = [value.name or "" for value in candidates]
    found = list(names)
    if wrt:
        inner = {} if what == "train" else _inner(model)
        meant = [_meant(model, pattern, names, inner, what) for pattern in wrt]
        picked = {name for group in meant for name in group}
        found = [name for name in (*names, *inner) if name in picked]
    frozen = {name for pattern in freeze for name in _meant(model, pattern, names, (), "freeze")}
    kept = [name for name in found if name not in frozen]
    if not kept:
        why = "all of it is frozen" if found else "the model has no inputs or parameters of floats"
        raise InputError(f"There is nothing to {what}: {why}.")
    return kept


def _inner(model: ir.Model) -> dict[str, ir.Value]:
    """The float values between nodes, by name."""
    values = (value for node in model.graph for value in node.outputs if value.name)
    return {value.name or "": value for value in values if value.dtype is None or value.dtype.is_floating_point()}


def _meant(model: ir.Model, pattern: str, names: Sequence[str], inner: Iterable[str], what: str) -> list[str]:
    """Names that one pattern means; values between nodes are meant by their full name only."""
    if pattern in names or pattern in inner:
        return [pattern]
    if found := [name for name in names if _GLOB & set(pattern) and fnmatchcase(name, pattern)]:
        return found
    others = [*model.graph.inputs, *of_kind(model, "parameter", "buffer", "constant")]
    whole = {value.name or "": value for value in others}
    if (value := whole.get(pattern)) is not None and value.dtype is not None:
        if not value.dtype.is_floating_point():
            raise InputError(
                f"{pattern!r} is of {value.dtype.name.lower()} numbers, in which there is no gradient; name floats."
            )
        told = "an input" if value.is_graph_input() else "no parameter"
        raise InputError(f"{pattern!r} is {told}, which is nothing to {what}; parameters are {_listed(names)}.")
    near = difflib.get_close_matches(pattern, [*names, *inner], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {_listed(names)}."
    kind = "matches nothing" if _GLOB & set(pattern) else "is the name of nothing"
    raise InputError(f"{pattern!r} {kind} to {what}; {hint}")


def _listed(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
