"""What training makes small, given to a model as an output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.params import set_kind
from graphkit.ir.training import losses, set_losses, set_targets
from graphkit.passes.gradient.builder import Builder
from graphkit.passes.gradient.pulling import is_differentiable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Loss", "LossKind", "add_default", "add_loss"]

LossKind: TypeAlias = Literal["given", "mse", "cross-entropy"]
"""The model's own losses, or what :class:`graphkit.frameworks.base.Batch` says of targets."""
_HALVES: Final = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss that a model was given.

    Attributes:
        value: The loss.
        seed: What its gradient is to be taken times.
        targets: Name of the input that gives each output's target, by the output's.
        scales: Name of the input that each output is multiplied by, by the output's.
        weight: Name of the input that the loss is taken times; empty for none.
    """

    value: ir.Value
    seed: ir.Value
    targets: dict[str, str] = field(default_factory=dict)
    scales: dict[str, str] = field(default_factory=dict)
    weight: str = ""


class _Builder(Builder):
    """Emits nodes of the forward pass, named after the loss."""

    backward = False

    def name(self, stem: str) -> str:
        return self.free(f"loss.{stem}")


def add_loss(model: ir.Model, kind: LossKind, outputs: Sequence[str] | None = None, *, weighed: bool = False) -> Loss:
    """Give a model an output that is its loss, in place: a scalar called ``loss``, or by a free name like it.

    For ``"mse"`` that is half the mean of (y - target)², for ``"cross-entropy"`` the mean of -log softmax(y)[target]
    along axis 1, summed over the outputs y; each has an input ``y.target``, of its own shape and dtype, or an int64
    class for each place, of its shape without axis 1. For ``"given"`` it is the sum of the model's own losses.

    Args:
        model: A canonical model.
        kind: What the loss is.
        outputs: Names of the outputs that have a target; None for all that can have one. Not for ``"given"``.
        weighed: Whether the loss is taken times an input ``loss.weight``, for ``"given"`` its gradient only, and each
            output times an input ``y.scale``; both are 1 if they are not fed.

    Raises:
        InputError: The model has no losses of its own, or is to be trained on another; no output can have such a
            target, or an output named cannot.
    """
    if kind != "given" and (own := losses(model)):
        told = "losses" if len(own) > 1 else "a loss"
        raise InputError(
            f"The model has {told} of its own ({', '.join(map(repr, own))}), so it is not trained on {kind}. "
            f"Leave the loss out to train its own, or read an MXNet symbol without --train."
        )
    b = _Builder(model)
    targets: dict[str, str] = {}
    scales: dict[str, str] = {}
    known = {value.name or "": value for value in model.graph.outputs}
    if kind == "given":
        parts = [known[name] for name in _own(model)]
    else:
        parts = []
        for name in _ends(known, kind, outputs):
            data = _single(b, known[name])
            if weighed:
                scales[name] = b.free(f"{name}.scale")
                data = b.op("Mul", data, add_default(model, scales[name], np.asarray(1.0, b.dtype(data))))
            targets[name] = b.free(f"{name}.target")
            parts.append(
                (_entropy if kind == "cross-entropy" else _distance)(b, model, known[name], data, targets[name])
            )
    total = parts[0]
    for part in parts[1:]:
        total = b.op("Add", total, part if part.dtype == total.dtype else b.op("Cast", part, to=int(total.dtype or 0)))
    if total in known.values():
        total = b.op("Identity", total)
    seed, weight = b.scalar(1.0, total), ""
    if weighed:
        weight = b.free("loss.weight")
        factor = add_default(model, weight, np.asarray(1.0, b.dtype(total)))
        seed, total = (factor, total) if kind == "given" else (seed, b.op("Mul", total, factor))
    model.graph.extend(b.nodes)
    total.name = b.free("loss")
    total.shape = ir.Shape(())
    model.graph.outputs.append(total)
    if kind != "given":
        set_losses(model, [total.name])
    set_targets(model, targets)
    return Loss(total, seed, targets, scales, weight)


def add_default(model: ir.Model, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
    """Give a model an input that need not be fed: an initializer that is an input, too."""
    tensor = ir.tensor(array, name=name)
    value = ir.val(name, tensor.dtype, array.shape, const_value=tensor)
    set_kind(value, "buffer")
    model.graph.register_initializer(value)
    model.graph.inputs.append(value)
    return value


def _ends(known: dict[str, ir.Value], kind: LossKind, outputs: Sequence[str] | None) -> list[str]:
    """Names of the outputs that have a target."""
    reasons = {name: _unfit(value, kind) for name, value in known.items()}
    if outputs is None:
        if found := [name for name, reason in reasons.items() if not reason]:
            return found
        listed = "; ".join(f"{name!r} {reason}" for name, reason in reasons.items())
        raise InputError(f"No output can have a target of the loss {kind}: {listed}. Choose another loss.")
    for name in outputs:
        if name not in known:
            raise InputError(f"The model has no output {name!r}; its outputs are {', '.join(map(repr, known))}.")
        if reasons[name]:
            raise InputError(f"Output {name!r} cannot have a target of the loss {kind}: it {reasons[name]}.")
    return list(dict.fromkeys(outputs))


def _unfit(value: ir.Value, kind: LossKind) -> str:
    """Why an output can have no target, as a clause; empty where it can have one."""
    if not isinstance(value.type, ir.TensorType) or value.dtype is None or not is_differentiable(value):
        return "is no tensor of floats"
    if kind == "cross-entropy":
        if value.shape is None:
            return "is of unknown rank"
        if len(value.shape) < 2:
            return "has no axis 1 of classes"
    return ""


def _own(model: ir.Model) -> list[str]:
    """Names of the losses that a model has."""
    if found := losses(model):
        return found
    raise InputError(
        "The model has no losses of its own. Read those of an MXNet symbol's output layers with --train, or choose the "
        "loss mse or cross-entropy."
    )


def _single(b: Builder, value: ir.Value) -> ir.Value:
    """A value in float32 if it has fewer digits."""
    return b.op("Cast", value, to=int(ir.DataType.FLOAT)) if value.dtype in _HALVES else value


def _distance(b: Builder, model: ir.Model, value: ir.Value, data: ir.Value, name: str) -> ir.Value:
    """Half the mean of (data - target)²."""
    target = ir.Value(name=name, type=value.type, shape=value.shape)
    model.graph.inputs.append(target)
    fitting = _single(b, target)
    if not _is_fixed(value):  # else a target of another size might be stretched
        fitting = b.op("Reshape", fitting, b.shape_of(value))
        fitting.shape = value.shape
    distance = b.op("Sub", data, fitting)
    mean = b.op("ReduceMean", b.op("Mul", distance, distance), keepdims=0)
    return b.op("Mul", mean, b.scalar(0.5, mean))


def _entropy(b: Builder, model: ir.Model, value: ir.Value, data: ir.Value, name: str) -> ir.Value:
    """The mean of -log softmax(data)[target]."""
    dims = list(value.shape or ())
    places = ir.Shape([dims[0], *dims[2:]])
    target = ir.val(name, ir.DataType.INT64, places)
    model.graph.inputs.append(target)
    fitting = target
    if not _is_fixed(target):
        sizes = b.op("Gather", b.shape_of(value), [0, *range(2, len(dims))], axis=0)
        fitting = b.op("Reshape", target, sizes)
        fitting.shape = places
    return b.op("SoftmaxCrossEntropyLoss", data, fitting)


def _is_fixed(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(dim, int) for dim in value.shape)
