"""A graph that makes one step of training: parameters in, parameters out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.origin import drop_source
from graphkit.ir.params import of_kind
from graphkit.ir.training import set_gradients, set_updates
from graphkit.passes.gradient.builder import Builder
from graphkit.passes.gradient.loss import add_default, add_loss
from graphkit.passes.gradient.model import differentiate
from graphkit.passes.gradient.optimizers import Adam, Sgd
from graphkit.passes.training_form import training_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.passes.gradient.loss import Loss, LossKind

__all__ = ["StepModel", "step_model", "trainable"]


@dataclass(frozen=True, slots=True)
class StepModel:
    """A model that makes a step of training, and what its inputs and outputs are.

    Attributes:
        model: The model.
        loss: The loss, and the names of what it reads.
        rate: Name of the input that is the learning rate.
        epsilon: Name of the input that is Adam's ε; empty for none.
        updates: Name of the output that is to be fed back, by that of the input: of parameters, running statistics,
            the state of the optimizer and its count of steps.
        parameters: Names of the parameters that are trained.
    """

    model: ir.Model
    loss: Loss
    rate: str
    epsilon: str
    updates: Mapping[str, str]
    parameters: tuple[str, ...]


def trainable(model: ir.Model) -> list[str]:
    """Names of the parameters that gradients move: those of floats, in the model's order."""
    return [
        value.name or ""
        for value in of_kind(model, "parameter")
        if value.const_value is not None and value.const_value.dtype.is_floating_point()
    ]


def step_model(
    model: ir.Model,
    rule: Sgd | Adam,
    loss: LossKind,
    *,
    outputs: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    training: bool = True,
    dropout: bool = False,
    unbiased: bool = True,
    weighed: bool = False,
) -> StepModel:
    """A model that computes a model's outputs and its loss, and its parameters after one step of training.

    Parameters that are trained, the state of the optimizer and running statistics are inputs with a default: the
    model's own arrays, and zeros. ``w.next`` is what an input ``w`` is to be fed as in the next step.

    Args:
        model: A canonical model; it is left as it is.
        rule: The optimizer. Its learning rate is an input ``lr`` with a default, its other numbers are constants.
        loss: What is made smaller, as :func:`graphkit.passes.gradient.loss.add_loss` says.
        outputs: Names of the outputs that have a target.
        parameters: Names of the parameters to train; None for all of floats.
        training: Whether BatchNormalization takes the batch's statistics and moves the running ones.
        dropout: Whether Dropout drops.
        unbiased: Whether running variances are moved towards the batch's unbiased variance, as torch moves them.
        weighed: Whether the weight of the loss, the scales of outputs and Adam's ε are inputs too.

    Raises:
        InputError: There is nothing to train, or no such loss.
        UnsupportedError: Nodes through which no gradient can be expressed, or that have no training form.
    """
    copy = model.clone()
    copy.meta.update(model.meta)
    drop_source(copy)
    wanted = trainable(copy) if parameters is None else list(parameters)
    if not wanted:
        raise InputError("There is nothing to train: the model has no parameters of floats that are not frozen.")
    moved = training_form(copy, dropout=dropout, statistics=True, unbiased=unbiased) if training else {}
    added = add_loss(copy, loss, outputs, weighed=weighed)
    held = copy.graph.initializers
    for name in (*wanted, *moved):  # before rules look at what is known of them
        copy.graph.inputs.append(held[name])
    slopes = _gradients(copy, added, wanted)
    b = _Builder(copy)
    law = _Moments(b, copy, rule, weighed) if isinstance(rule, Adam) else _Momentum(b, copy, rule)
    for name in wanted:
        b.about = name
        law.move(held[name], slopes[name])
    for name, value in moved.items():
        value.name = law.updates[name] = b.free(f"{name}.next")
        copy.graph.outputs.append(value)
    copy.graph.extend(b.nodes)
    set_updates(copy, law.updates)
    drop_unused(copy)
    return StepModel(copy, added, law.rate.name or "", law.epsilon, law.updates, tuple(wanted))


def _gradients(model: ir.Model, loss: Loss, wanted: Sequence[str]) -> dict[str, ir.Value]:
    """The gradients of a loss in parameters, which are no outputs."""
    before = len(model.graph.outputs)
    differentiate(model, {loss.value.name or "": loss.seed}, wanted)
    found = list(model.graph.outputs)[before:]
    del model.graph.outputs[before:]
    set_gradients(model, {})
    return dict(zip(wanted, found, strict=True))


class _Builder(Builder):
    """Emits nodes that are named after the parameter that they move."""

    about = ""

    def name(self, stem: str) -> str:
        return self.free(f"{self.about}.step.{stem}" if self.about else f"step.{stem}")


@dataclass(slots=True)
class _Law:
    """What optimizers have in common.

    Attributes:
        b: What is emitted into.
        model: The model.
        rule: The optimizer's numbers.
        rate: The learning rate.
        updates: What is to be fed back.
        epsilon: Name of the input that is ε.
    """

    b: _Builder
    model: ir.Model
    rule: Sgd | Adam
    rate: ir.Value = field(init=False)
    updates: dict[str, str] = field(default_factory=dict)
    epsilon: str = ""
    _cast: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = [value.dtype for value in of_kind(self.model, "parameter")]
        kind = np.float64 if ir.DataType.DOUBLE in kinds else np.float32
        self.rate = add_default(self.model, self.b.free("lr"), np.asarray(self.rule.lr, kind))

    def decayed(self, w: ir.Value, slope: ir.Value) -> ir.Value:
        """A gradient, and weight_decay · w."""
        if not self.rule.weight_decay:
            return slope
        return self.b.op("Add", slope, self.b.op("Mul", w, self.b.scalar(self.rule.weight_decay, w)))

    def state(self, w: ir.Value, called: str) -> ir.Value:
        """A part of the optimizer's state of the parameter's shape, zeros at first."""
        assert w.const_value is not None
        zeros = np.zeros(w.const_value.shape.numpy(), self.b.dtype(w))
        return add_default(self.model, self.b.free(f"{w.name}.{called}"), zeros)

    def next(self, before: ir.Value, after: ir.Value) -> None:
        """Make the value of an input in the next step an output."""
        after.name = self.updates[before.name or ""] = self.b.free(f"{before.name}.next")
        after.type, after.shape = before.type, before.shape
        self.model.graph.outputs.append(after)

    def like(self, value: ir.Value, w: ir.Value) -> ir.Value:
        """A scalar that all parameters share in the dtype of one of them."""
        assert w.dtype is not None
        if value.dtype == w.dtype:
            return value
        if (value, w.dtype) not in self._cast:
            about, self.b.about = self.b.about, ""
            self._cast[value, w.dtype] = self.b.op("Cast", value, to=int(w.dtype))
            self.b.about = about
        return self._cast[value, w.dtype]


class _Momentum(_Law):
    """SGD, as :class:`graphkit.passes.gradient.optimizers.Sgd` says."""

    def move(self, w: ir.Value, slope: ir.Value) -> None:
        """Emit the step of one parameter."""
        assert isinstance(self.rule, Sgd)
        b = self.b
        velocity = self.decayed(w, slope)
        if self.rule.momentum:
            before = self.state(w, "momentum")
            velocity = b.op("Add", b.op("Mul", before, b.scalar(self.rule.momentum, w)), velocity)
        self.next(w, b.op("Sub", w, b.op("Mul", velocity, self.like(self.rate, w))))
        if self.rule.momentum:
            self.next(before, velocity)


class _Moments(_Law):
    """Adam, as :class:`graphkit.passes.gradient.optimizers.Adam` says.

    What depends on the number of the step is computed in float64: float32 leaves four digits of 1 - β₂ᵗ.
    """

    def __init__(self, b: _Builder, model: ir.Model, rule: Adam, weighed: bool) -> None:
        super().__init__(b, model, rule)
        step = add_default(model, b.free("step"), np.asarray(0, np.int64))
        self.next(step, after := b.op("Add", step, b.const(np.asarray(1, np.int64))))
        count = b.op("Cast", after, to=int(ir.DataType.DOUBLE))
        one = b.const(np.asarray(1.0), np.float64)
        first, second = (
            b.op("Sub", one, b.op("Pow", b.const(np.asarray(beta), np.float64), count))
            for beta in (rule.beta1, rule.beta2)
        )
        double = b.op("Cast", self.rate, to=int(ir.DataType.DOUBLE))
        self._pace = b.op("Div", double, first)
        self._spread = b.op("Sqrt", second)
        self._epsilon: ir.Value | None = None
        if weighed:
            self._epsilon = add_default(model, b.free("epsilon"), np.asarray(rule.epsilon, b.dtype(self.rate)))
            self.epsilon = self._epsilon.name or ""

    def move(self, w: ir.Value, slope: ir.Value) -> None:
        """Emit the step of one parameter."""
        assert isinstance(self.rule, Adam)
        b, rule = self.b, self.rule
        slope = self.decayed(w, slope)
        moment1, moment2 = self.state(w, "moment1"), self.state(w, "moment2")
        mean = self._average(moment1, slope, rule.beta1)
        square = self._average(moment2, b.op("Mul", slope, slope), rule.beta2)
        epsilon = b.scalar(rule.epsilon, w) if self._epsilon is None else self.like(self._epsilon, w)
        spread = b.op("Add", b.op("Div", b.op("Sqrt", square), self.like(self._spread, w)), epsilon)
        self.next(w, b.op("Sub", w, b.op("Mul", b.op("Div", mean, spread), self.like(self._pace, w))))
        self.next(moment1, mean)
        self.next(moment2, square)

    def _average(self, before: ir.Value, new: ir.Value, beta: float) -> ir.Value:
        b = self.b
        old = b.op("Mul", before, b.scalar(beta, before))
        return b.op("Add", old, b.op("Mul", new, b.scalar(1 - beta, before)))
