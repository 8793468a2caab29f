"""What the gates of ONNX's recurrent layers go through."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphkit.ops.spec import Refusal, decimal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import onnx_ir as ir

    from graphkit.ops.gradients import GradientBuilder

__all__ = ["Activation", "activations_of", "applied"]

_DEFAULTS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_SETTINGS: Mapping[str, tuple[float | None, float | None]] = {
    "affine": (1.0, 0.0),
    "elu": (1.0, None),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, None),
    "relu": (None, None),
    "scaledtanh": (1.0, 1.0),
    "sigmoid": (None, None),
    "softplus": (None, None),
    "softsign": (None, None),
    "tanh": (None, None),
    "thresholdedrelu": (1.0, None),
}
"""Defaults of alpha and beta; None for activations without."""


class Activation(NamedTuple):
    """An activation of a layer.

    Attributes:
        name: ONNX's name of it in lower case.
        alpha: Its first setting, None where it has none.
        beta: Its second one.
    """

    name: str
    alpha: float | None
    beta: float | None


def activations_of(node: ir.Node) -> list[tuple[Activation, ...]] | Refusal:
    """The activations of each direction of an LSTM, GRU or RNN node."""
    defaults = _DEFAULTS[node.op_type]
    directions = 2 if node.attributes.get_string("direction", "forward") == "bidirectional" else 1
    count = len(defaults)
    names = list(node.attributes.get_strings("activations", ())) or [*defaults * directions]
    if len(names) != count * directions:
        return Refusal(f"it has {len(names)} activations; {count * directions} are needed")
    alphas, betas = (iter(node.attributes.get_floats(f"activation_{name}", ())) for name in ("alpha", "beta"))
    found: list[Activation] = []
    for name in names:
        if name.lower() not in _SETTINGS:
            return Refusal(f"its activation {name} is none of ONNX's")
        alpha, beta = _SETTINGS[name.lower()]
        found.append(Activation(name.lower(), _next(alphas, alpha), _next(betas, beta)))
    return [tuple(found[n * count : (n + 1) * count]) for n in range(directions)]


def _next(numbers: Iterator[float], default: float | None) -> float | None:
    """A setting of an activation; those without any take none."""
    return None if default is None else decimal(next(numbers, default))


def applied(b: GradientBuilder, activation: Activation, x: ir.Value) -> ir.Value:
    """What an activation makes of a value."""
    return _EMITTED[activation.name](b, activation, x)


def _node(op_type: str, *settings: str) -> Callable[[GradientBuilder, Activation, ir.Value], ir.Value]:
    def emit(b: GradientBuilder, activation: Activation, x: ir.Value) -> ir.Value:
        return b.op(op_type, x, **{name: getattr(activation, name) for name in settings})

    return emit


def _affine(b: GradientBuilder, activation: Activation, x: ir.Value) -> ir.Value:
    scaled = b.op("Mul", x, b.scalar(activation.alpha or 0.0, x))
    return b.op("Add", scaled, b.scalar(activation.beta or 0.0, x))


def _scaled_tanh(b: GradientBuilder, activation: Activation, x: ir.Value) -> ir.Value:
    inner = b.op("Tanh", b.op("Mul", x, b.scalar(activation.beta or 0.0, x)))
    return b.op("Mul", inner, b.scalar(activation.alpha or 0.0, x))


_EMITTED: Mapping[str, Callable[[GradientBuilder, Activation, ir.Value], ir.Value]] = {
    "affine": _affine,
    "elu": _node("Elu", "alpha"),
    "hardsigmoid": _node("HardSigmoid", "alpha", "beta"),
    "leakyrelu": _node("LeakyRelu", "alpha"),
    "relu": _node("Relu"),
    "scaledtanh": _scaled_tanh,
    "sigmoid": _node("Sigmoid"),
    "softplus": _node("Softplus"),
    "softsign": _node("Softsign"),
    "tanh": _node("Tanh"),
    "thresholdedrelu": _node("ThresholdedRelu", "alpha"),
}
