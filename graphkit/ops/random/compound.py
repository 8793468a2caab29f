"""What MXNet draws of exponential, gamma, Poisson and negative binomial distributions.

Each distribution comes with its parameters as numbers and a shape (``_random_…``), with them and the shape of an array
(``_random_…_like``), or with arrays of parameters (``_sample_…``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import FLOAT
from graphkit.ops.random.drawing import Drawing, like_data, sized, spread
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


@dataclass(frozen=True)
class Distribution:
    """One of MXNet's distributions.

    Attributes:
        name: What its operators are called.
        defaults: Its parameters with their defaults.
        positive: Those that have to be more than 0.
        draw: Gives variates; the parameters are scalars, or have the shape that is drawn.
        numbers: Parameters that tests use.
    """

    name: str
    defaults: Mapping[str, float]
    positive: tuple[str, ...]
    draw: Callable[..., ir.Value]
    numbers: tuple[tuple[float, float], ...]


def _exponential(draw: Drawing, rate: ir.Value) -> ir.Value:
    return draw.over(draw.exponential(), rate)


def _gamma(draw: Drawing, alpha: ir.Value, scale: ir.Value) -> ir.Value:
    return draw.times(draw.variates("RandomGamma", alpha), scale)


def _poisson(draw: Drawing, mean: ir.Value) -> ir.Value:
    return draw.variates("RandomPoisson", mean)


def _negative_binomial(draw: Drawing, count: ir.Value, chance: ir.Value) -> ir.Value:
    """Failures before a number of successes: Poisson with gamma means."""
    b = draw.b
    scale = b.op("Div", b.op("Sub", draw.number(1), chance), chance)
    return _poisson(draw, _gamma(draw, count, scale))


def _generalized_negative_binomial(draw: Drawing, mean: ir.Value, dispersion: ir.Value) -> ir.Value:
    """Poisson with gamma means of variance dispersion · mean²; plainly Poisson where that is 0."""
    b = draw.b
    known = b.value(dispersion)
    if known is not None and not known.any():
        return _poisson(draw, mean)
    if known is not None and known.all():
        return _poisson(draw, _gamma(draw, b.op("Reciprocal", dispersion), b.op("Mul", dispersion, mean)))
    plain = b.op("Equal", dispersion, draw.number(0))
    spread_out = b.op("Where", plain, draw.number(1), dispersion)
    means = _gamma(draw, b.op("Reciprocal", spread_out), b.op("Mul", spread_out, mean))
    return _poisson(draw, b.op("Where", plain, mean, means))


_DISTRIBUTIONS = (
    Distribution("exponential", {"lam": 1}, ("lam",), _exponential, ((4.0, 0.5),)),
    Distribution("gamma", {"alpha": 1, "beta": 1}, ("alpha", "beta"), _gamma, ((0.3, 4.5), (2.0, 0.5))),
    Distribution("poisson", {"lam": 1}, (), _poisson, ((3.5, 20.0),)),
    Distribution("negative_binomial", {"k": 1, "p": 1}, ("k", "p"), _negative_binomial, ((3.0, 8.0), (0.4, 0.9))),
    Distribution(
        "generalized_negative_binomial",
        {"mu": 1, "alpha": 1},
        (),
        _generalized_negative_binomial,
        ((2.0, 6.0), (0.3, 0.0)),
    ),
)


def _drawn(distribution: Distribution, draw: Drawing, parameters: Sequence[ir.Value]) -> ir.Value:
    """Variates; half precision is drawn in single, and rounded."""
    b = draw.b
    if draw.dtype.itemsize >= 4:
        return distribution.draw(draw, *parameters)
    single = [b.op("Cast", value, to=int(ir.DataType.FLOAT)) for value in parameters]
    found = distribution.draw(replace(draw, dtype=np.dtype(np.float32)), *single)
    return b.op("Cast", found, to=int(ir.DataType.from_numpy(draw.dtype)))


def _numbers(distribution: Distribution, draw: Drawing, node: MxNode) -> list[ir.Value] | Refusal:
    found = {name: FLOAT.parse(node.attrs.get(name, str(number))) for name, number in distribution.defaults.items()}
    for name, number in found.items():
        if number < 0 or (number == 0 and name in distribution.positive):
            return Refusal(f"{name}={node.attrs[name]} is not {'positive' if name in distribution.positive else '≥ 0'}")
    return [draw.number(number) for number in found.values()]


def _form(distribution: Distribution) -> MxForm:
    def read(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        draw = sized(b, node)
        if isinstance(draw, Refusal):
            return draw
        parameters = _numbers(distribution, draw, node)
        return parameters if isinstance(parameters, Refusal) else _drawn(distribution, draw, parameters)

    attrs = {name: values[0] for name, values in zip(distribution.defaults, distribution.numbers, strict=True)}
    whole = {name: int(value) if name == "k" else value for name, value in attrs.items()}
    default = {"p": 0.5} if "p" in attrs else {}
    return MxForm(
        f"_random_{distribution.name}",
        read=read,
        reads=(*distribution.defaults, "shape", "dtype"),
        ignore=("ctx",),
        direction="read",
        cases=(
            Case("default", (), {"shape": (_MANY,), **default}, random=True),
            Case("given", (), {**whole, "shape": (2, _MANY), "dtype": "float64", "ctx": "cpu(0)"}, random=True),
        ),
    )


def _like_form(distribution: Distribution) -> MxForm:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        draw = like_data(b, some(x[0]))
        if isinstance(draw, Refusal):
            return draw
        parameters = _numbers(distribution, draw, node)
        return parameters if isinstance(parameters, Refusal) else _drawn(distribution, draw, parameters)

    attrs = {name: values[0] for name, values in zip(distribution.defaults, distribution.numbers, strict=True)}
    whole = {name: int(value) if name == "k" else value for name, value in attrs.items()}
    return MxForm(
        f"_random_{distribution.name}_like",
        read=read,
        reads=tuple(distribution.defaults),
        direction="read",
        cases=(Case("given", (arr(2, _MANY),), whole, random=True),),
    )


def _sample_form(distribution: Distribution) -> MxForm:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        found = spread(b, node, [some(value) for value in x])
        return found if isinstance(found, Refusal) else _drawn(distribution, *found)

    few = tuple(given(values, "float32") for values in distribution.numbers)
    many = tuple(given([[number] * _MANY for number in values], "float32") for values in distribution.numbers)
    return MxForm(
        f"_sample_{distribution.name}",
        read=read,
        reads=("shape", "dtype"),
        direction="read",
        cases=(
            Case("many of each", few, {"shape": (_MANY,)}, random=True),
            Case("one of each", many, random=True),
        ),
    )


_MANY = 20_000

OP = Op(
    "",
    mx=tuple(form(distribution) for distribution in _DISTRIBUTIONS for form in (_form, _like_form, _sample_form)),
)
