"""Densities and probabilities of samples, ``_random_pdf_…``: MXNet's formulas, defined beyond what can be drawn, too.

A distribution's parameters have the first axes of the sample, which share them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Arr, Case, Limit, MxForm, Op, Refusal, Tol, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


@dataclass(frozen=True)
class _Terms:
    """Arithmetic on values of one element type."""

    b: OnnxBuilder
    like: ir.Value

    def number(self, number: float) -> ir.Value:
        return self.b.scalar(number, self.like)

    def sum(self, first: ir.Value, *rest: ir.Value) -> ir.Value:
        for each in rest:
            first = self.b.op("Add", first, each)
        return first

    def minus(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self.b.op("Sub", left, right)

    def times(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self.b.op("Mul", left, right)

    def over(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self.b.op("Div", left, right)

    def log(self, x: ir.Value) -> ir.Value:
        return self.b.op("Log", x)

    def lgamma(self, x: ir.Value) -> ir.Value:
        return self.b.op("Lgamma", x, domain=DOMAIN)


def _normal(t: _Terms, x: ir.Value, mean: ir.Value, deviation: ir.Value) -> ir.Value:
    z = t.over(t.minus(x, mean), deviation)
    peak = t.sum(t.log(deviation), t.number(math.log(math.sqrt(2 * math.pi))))
    return t.minus(t.times(t.times(z, z), t.number(-0.5)), peak)


def _uniform(t: _Terms, x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    flat = t.b.op("Neg", t.log(t.minus(high, low)))
    return t.b.op("Expand", flat, t.b.op("Shape", x))


def _gamma(t: _Terms, x: ir.Value, alpha: ir.Value, rate: ir.Value) -> ir.Value:
    powers = t.sum(t.times(alpha, t.log(rate)), t.times(t.minus(alpha, t.number(1)), t.log(x)))
    return t.minus(t.minus(powers, t.times(rate, x)), t.lgamma(alpha))


def _exponential(t: _Terms, x: ir.Value, rate: ir.Value) -> ir.Value:
    return t.minus(t.log(rate), t.times(rate, x))


def _poisson(t: _Terms, x: ir.Value, mean: ir.Value) -> ir.Value:
    return t.minus(t.minus(t.times(x, t.log(mean)), mean), t.lgamma(t.sum(x, t.number(1))))


def _negative_binomial(t: _Terms, x: ir.Value, count: ir.Value, chance: ir.Value) -> ir.Value:
    ways = t.minus(t.lgamma(t.sum(x, count)), t.sum(t.lgamma(t.sum(x, t.number(1))), t.lgamma(count)))
    powers = t.sum(t.times(count, t.log(chance)), t.times(x, t.log(t.minus(t.number(1), chance))))
    return t.sum(ways, powers)


def _generalized_negative_binomial(t: _Terms, x: ir.Value, mean: ir.Value, dispersion: ir.Value) -> ir.Value:
    chance = t.b.op("Reciprocal", t.sum(t.times(mean, dispersion), t.number(1)))
    return _negative_binomial(t, x, t.b.op("Reciprocal", dispersion), chance)


def _dirichlet(t: _Terms, x: ir.Value, alpha: ir.Value) -> ir.Value:
    b = t.b

    def total(value: ir.Value) -> ir.Value:
        return b.op("ReduceSum", value, [-1], keepdims=0)

    scale = t.minus(t.lgamma(total(alpha)), total(t.lgamma(alpha)))
    return t.sum(scale, total(t.times(t.minus(alpha, t.number(1)), t.log(x))))


def _form(
    name: str,
    rule: Callable[..., ir.Value],
    parameters: Sequence[Arr],
    sample: Arr,
    *,
    whole: bool = False,
    events: int = 0,
    tol: Tol | None = None,
) -> MxForm:
    """How a distribution's density is read.

    Args:
        name: Its name.
        rule: The logarithm of the density.
        parameters: Parameters for tests.
        sample: A sample for tests.
        whole: Whether a sample is counted, so that no gradient flows back into it.
        events: Axes that one event of the sample has.
        tol: How near MXNet comes.
    """

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data, *given_ones = (some(value) for value in x)
        rank, own = b.rank(data), b.rank(given_ones[0])
        if own < events:
            return Refusal("its parameters are single numbers; give an axis of classes")
        if own > rank:
            return Refusal(f"its parameters have {own} axes and its sample {rank}; give each parameter a sample")
        between = list(range(own - events, rank - events))
        shared = [b.op("Unsqueeze", value, between) if between else value for value in given_ones]
        terms = _Terms(b, data)
        found = rule(terms, b.stopped(data) if whole else data, *shared)
        return found if BOOL.parse(node.attrs.get("is_log", "False")) else b.op("Exp", found)

    bound = tol or Tol()
    inputs = (sample, *parameters)
    return MxForm(
        f"_random_pdf_{name}",
        read=read,
        reads=("is_log",),
        direction="read",
        cases=(
            Case("density", inputs, grad=not whole, tol=bound),
            Case("logarithm", inputs, {"is_log": True}, grad=not whole, tol=bound),
        ),
    )


_X = arr(2, 3, 4, low=0.5, high=3)
_COUNTS = given([[0, 2, 5], [1, 7, 3]], "float32")
_CHANCE = arr(2, low=0.2, high=0.8)
_PARTS = given([[[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]], [[0.6, 0.1, 0.3], [0.4, 0.4, 0.2]]], "float32")
_SINGLE = Tol(float64=1e-6, reason="MXNet holds √(2π) in float32")


def _positive(*shape: int) -> Arr:
    return arr(*shape, low=0.5, high=3)


OPS = (
    Op(
        "",
        mx=(
            _form("normal", _normal, (arr(2), _positive(2)), _X, tol=_SINGLE),
            _form("uniform", _uniform, (arr(2, low=-2, high=0), _positive(2)), _X),
            _form("gamma", _gamma, (_positive(2, 3), _positive(2, 3)), _X),
            _form("exponential", _exponential, (_positive(2),), _X),
            _form("poisson", _poisson, (_positive(2),), _COUNTS, whole=True),
            _form("negative_binomial", _negative_binomial, (_positive(2), _CHANCE), _COUNTS, whole=True),
            _form(
                "generalized_negative_binomial",
                _generalized_negative_binomial,
                (_positive(2), _positive(2)),
                _COUNTS,
                whole=True,
            ),
        ),
    ),
    Op(
        "",
        mx=(_form("dirichlet", _dirichlet, (_positive(2, 3),), _PARTS, events=1),),
        limits=(Limit("read-backward", "MXNet evaluates the digamma function in float32", "logarithm"),),
    ),
)
