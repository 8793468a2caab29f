"""Recurrent layers for the reference evaluator, whose own know neither lengths nor other activations.

What they compute follows the operator texts of opset 22, which ONNX Runtime follows too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Function = Callable[[Array], Array]
    Step = Callable[[Array, Sequence[Array]], Sequence[Array]]

__all__ = ["GRU", "LSTM", "RNN"]


def _sigmoid(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found


_PLAIN: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "softplus": lambda x: np.logaddexp(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
}
_SCALED: dict[str, tuple[tuple[float, ...], Callable[..., Array]]] = {
    "affine": ((1.0, 0.0), lambda x, alpha, beta: alpha * x + beta),
    "elu": ((1.0,), lambda x, alpha: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)),
    "hardsigmoid": ((0.2, 0.5), lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)),
    "leakyrelu": ((0.01,), lambda x, alpha: np.where(x < 0, alpha * x, x)),
    "scaledtanh": ((1.0, 1.0), lambda x, alpha, beta: alpha * np.tanh(beta * x)),
    "thresholdedrelu": ((1.0,), lambda x, alpha: np.where(x > alpha, x, 0)),
}
"""Activations with parameters: the default values of alpha and beta."""


def _functions(names: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None) -> list[Function]:
    """The activations; those that have parameters take the next of the given ones."""
    found: list[Function] = []
    given: list[Iterator[float]] = [iter(alphas or ()), iter(betas or ())]
    for name in names:
        plain = _PLAIN.get(name.lower())
        if plain is None:
            defaults, scaled = _SCALED[name.lower()]
            numbers = [next(values, default) for values, default in zip(given, defaults, strict=False)]
            plain = _bound(scaled, numbers)
        found.append(plain)
    return found


def _bound(function: Callable[..., Array], numbers: Sequence[float]) -> Function:
    return lambda x: function(x, *numbers)


def _clipped(limit: float | None) -> Function:
    return (lambda x: x) if limit is None else (lambda x: np.clip(x, -limit, limit))


def _scan(step: Step, x: Array, states: Sequence[Array], lengths: Array, backward: bool) -> tuple[Array, list[Array]]:
    """Outputs (T, N, H), zero beyond each sequence's end, and the states after its last step, zero if it has none."""
    held = list(states)
    outputs = np.zeros((len(x), *held[0].shape), x.dtype)
    rows = np.arange(x.shape[1])
    for time in range(int(lengths.max(initial=0))):
        active = time < lengths
        place = np.where(active, lengths - 1 - time if backward else time, 0)
        after = step(x[place, rows], held)
        held = [np.where(active[:, None], new, old).astype(x.dtype) for new, old in zip(after, held, strict=True)]
        outputs[place[active], rows[active]] = held[0][active]
    return outputs, [state * (lengths > 0).astype(x.dtype)[:, None] for state in held]


class _Recurrent(OpRun):
    """What the three have in common: directions, layouts, lengths and initial states."""

    op_domain = ""
    gates = 1
    defaults: tuple[str, ...] = ("Tanh",)
    states = 1

    def step(self, w: Array, r: Array, b: Array, functions: Sequence[Function], clip: Function, **attrs: Any) -> Step:
        """The step of one direction."""
        raise NotImplementedError

    def _layer(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None,
        lengths: Array | None,
        initial: Sequence[Array | None],
        **attrs: Any,
    ) -> tuple[Array, ...]:
        directions, hidden = w.shape[0], r.shape[2]
        batch_first = attrs.pop("layout", 0)
        if batch_first:
            x = x.swapaxes(0, 1)
            initial = [None if state is None else state.swapaxes(0, 1) for state in initial]
        lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
        biases = np.zeros((directions, 2 * self.gates * hidden), x.dtype) if b is None else b
        zeros = np.zeros((directions, x.shape[1], hidden), x.dtype)
        starts = [zeros if state is None else state for state in initial]
        names = attrs.pop("activations", None) or self.defaults * directions
        functions = _functions(names, attrs.pop("activation_alpha", None), attrs.pop("activation_beta", None))
        direction, clip = attrs.pop("direction", None), _clipped(attrs.pop("clip", None))
        peepholes = attrs.pop("peepholes", None)
        outputs, last = [], []
        for n in range(directions):
            own = functions[n * len(self.defaults) : (n + 1) * len(self.defaults)]
            holes = None if peepholes is None else peepholes[n]
            step = self.step(w[n], r[n], biases[n], own, clip, peepholes=holes, **attrs)
            backward = n == 1 or direction == "reverse"
            found, states = _scan(step, x, [start[n] for start in starts], lengths, backward)
            outputs.append(found)
            last.append(states)
        y = np.stack(outputs, 1)
        ends = [np.stack(parts) for parts in zip(*last, strict=True)]
        if batch_first:
            y, ends = y.transpose(2, 0, 1, 3), [state.swapaxes(0, 1) for state in ends]
        return (y, *ends)[: len(self.onnx_node.output)]


class _OneState(_Recurrent):
    """What has no cell besides its state."""

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        h: Array | None = None,
        hidden_size: int | None = None,  # noqa: ARG002  # the weights tell
        **attrs: Any,
    ) -> tuple[Array, ...]:
        return self._layer(x, w, r, b, lengths, [h], **attrs)


class RNN(_OneState):
    """A layer without gates."""

    def step(self, w: Array, r: Array, b: Array, functions: Sequence[Function], clip: Function, **_attrs: Any) -> Step:
        """The step of one direction."""
        bias = b[: len(w)] + b[len(w) :]
        return lambda x, states: [functions[0](clip(x @ w.T + states[0] @ r.T + bias))]


class GRU(_OneState):
    """Gated recurrent units, the reset gate before or after the product with the recurrent weight."""

    gates = 3
    defaults = ("Sigmoid", "Tanh")

    def step(
        self,
        w: Array,
        r: Array,
        b: Array,
        functions: Sequence[Function],
        clip: Function,
        linear_before_reset: int | None = 0,
        **_attrs: Any,
    ) -> Step:
        """The step of one direction."""
        gate, new = functions
        size = r.shape[1]
        own, recurrent = b[: len(w)], b[len(w) :]
        split = 2 * size

        def step(x: Array, states: Sequence[Array]) -> Sequence[Array]:
            (state,) = states
            both = gate(clip(x @ w[:split].T + state @ r[:split].T + own[:split] + recurrent[:split]))
            update, reset = both[:, :size], both[:, size:]
            if linear_before_reset:
                inner = reset * (state @ r[split:].T + recurrent[split:])
            else:
                inner = (reset * state) @ r[split:].T + recurrent[split:]
            fresh = new(clip(x @ w[split:].T + own[split:] + inner))
            return [(1 - update) * fresh + update * state]

        return step


class LSTM(_Recurrent):
    """Long short-term memory."""

    gates = 4
    defaults = ("Sigmoid", "Tanh", "Tanh")

    def step(
        self,
        w: Array,
        r: Array,
        b: Array,
        functions: Sequence[Function],
        clip: Function,
        peepholes: Array | None = None,
        input_forget: int | None = 0,
        **_attrs: Any,
    ) -> Step:
        """The step of one direction."""
        gate, inner, outer = functions
        bias = b[: len(w)] + b[len(w) :]
        holes = np.split(np.zeros(3 * r.shape[1], w.dtype) if peepholes is None else peepholes, 3)

        def step(x: Array, states: Sequence[Array]) -> Sequence[Array]:
            state, cell = states
            i, o, f, c = np.split(x @ w.T + state @ r.T + bias, 4, axis=1)
            i = gate(clip(i + holes[0] * cell))
            f = 1 - i if input_forget else gate(clip(f + holes[2] * cell))
            cell = f * cell + i * inner(clip(c))
            o = gate(clip(o + holes[1] * cell))
            return [o * outer(cell), cell]

        return step

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        h: Array | None = None,
        c: Array | None = None,
        p: Array | None = None,
        hidden_size: int | None = None,  # noqa: ARG002  # the weights tell
        **attrs: Any,
    ) -> tuple[Array, ...]:
        return self._layer(x, w, r, b, lengths, [h, c], peepholes=p, **attrs)
