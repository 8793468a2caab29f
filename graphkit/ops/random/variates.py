"""Gamma and Poisson variates, which have no ONNX operator, and what MXNet draws with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.gradients import flat
from graphkit.ops.random.drawing import torch_parameters
from graphkit.ops.spec import Case, MxForm, Op, Refusal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.spec import Write
    from graphkit.ops.torchprogram import Arg

_TRIES = 100
"""One in twenty candidates is rejected at most, so that a hundred suffice for certain."""
_COUNTED = 1_000_000
"""Largest Poisson variate that is counted up to; beyond it NaN is drawn, before which people wait for hours."""


def _stretched(b: BodyBuilder, node: ir.Node, parameter: ir.Value) -> ir.Value:
    """The parameter of each number that is drawn."""
    inner = list(node.attributes.get_ints("shape", ()) or ())
    if not inner:
        return parameter
    rank = b.rank(parameter)
    spaced = b.op("Unsqueeze", parameter, list(range(rank, rank + len(inner))))
    return b.op("Expand", spaced, [1] * rank + inner)


def _any(b: BodyBuilder, truths: ir.Value) -> ir.Value:
    count = b.op("ReduceSum", b.op("Cast", truths, to=int(ir.DataType.INT32)), keepdims=0)
    return b.op("Greater", count, b.const(np.asarray(0, np.int32)))


def _body_gamma(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    """Marsaglia and Tsang: A simple method for generating gamma variables, ACM TOMS 26 (2000), all numbers at once."""
    alpha = _stretched(b, node, x[0])

    def number(value: float) -> ir.Value:
        return b.scalar(value, alpha)

    small = b.op("Less", alpha, number(1))
    d = b.op("Sub", b.op("Where", small, b.op("Add", alpha, number(1)), alpha), number(1 / 3))
    c = b.op("Reciprocal", b.op("Sqrt", b.op("Mul", d, number(9))))

    def step(states: tuple[ir.Value, ...]) -> tuple[ir.Value, Sequence[ir.Value]]:
        found, missing = states
        normal = b.op("RandomNormalLike", alpha)
        uniform = b.op("Sub", number(1), b.op("RandomUniformLike", alpha))
        root = b.op("Add", number(1), b.op("Mul", c, normal))
        positive = b.op("Greater", root, number(0))
        cube = b.op("Pow", b.op("Where", positive, root, number(1)), number(3))
        growth = b.op("Add", b.op("Sub", number(1), cube), b.op("Log", cube))
        half = b.op("Mul", b.op("Mul", normal, normal), number(0.5))
        fits = b.op("Less", b.op("Log", uniform), b.op("Add", half, b.op("Mul", d, growth)))
        taken = b.op("And", b.op("And", missing, positive), fits)
        left = b.op("And", missing, b.op("Not", taken))
        return _any(b, left), [b.op("Where", taken, b.op("Mul", d, cube), found), left]

    none = b.op("Expand", number(np.nan), b.op("Shape", alpha))
    found, _ = b.repeat(step, [none, _all(b, alpha)], _TRIES)
    boost = b.op("Pow", b.op("Sub", number(1), b.op("RandomUniformLike", alpha)), b.op("Reciprocal", alpha))
    return b.op("Where", small, b.op("Mul", found, boost), found)


def _all(b: BodyBuilder, like: ir.Value) -> ir.Value:
    """Truths of a value's shape."""
    return b.op("Expand", b.const(np.asarray(True)), b.op("Shape", like))


def _body_poisson(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    """How many exponential waiting times of mean 1 fit into the rate; in doubles, so that large counts are right."""
    rate = b.op("Cast", _stretched(b, node, x[0]), to=int(ir.DataType.DOUBLE))
    one = b.scalar(1, rate)

    def step(states: tuple[ir.Value, ...]) -> tuple[ir.Value, Sequence[ir.Value]]:
        passed, count, _ = states
        wait = b.op("Neg", b.op("Log", b.op("Sub", one, b.op("RandomUniformLike", rate))))
        passed = b.op("Add", passed, wait)
        going = b.op("LessOrEqual", passed, rate)
        return _any(b, going), [passed, b.op("Add", count, b.op("CastLike", going, rate)), going]

    start = b.op("Expand", b.scalar(0, rate), b.op("Shape", rate))
    _, count, going = b.repeat(step, [start, start, _all(b, rate)], _COUNTED)
    proper = b.op("And", b.op("GreaterOrEqual", rate, b.scalar(0, rate)), b.op("Not", going))
    return b.op("CastLike", b.op("Where", proper, count, b.scalar(np.nan, rate)), x[0])


def _write(one: str, many: str, parameter: str, *, scaled: bool) -> Write:
    """MXNet's operator of a number, or that of arrays; the scale of gamma variates is 1."""

    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
        source, data = some(node.inputs[0]), some(x[0])
        inner = tuple(node.attributes.get_ints("shape", ()) or ())
        dtype = b.dtype(source).name
        number = b.number(source)
        other = None if dtype == "float32" else dtype
        if 0 in inner:
            return Refusal("it draws an array without elements, which MXNet does not have")
        if number is not None and not b.rank(source):
            attrs: dict[str, Any] = {parameter: None if number == 1 else number}
            return b.op(one, shape=inner or (1,), dtype=other, **attrs)
        operands = (data, b.op("ones_like", data)) if scaled else (data,)
        drawn = b.op(many, *operands, shape=inner or None, dtype=other)
        return drawn if b.rank(source) or not inner else b.op("Reshape", drawn, shape=inner)

    return write


def _torch_gamma(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.method("sample", b.call("torch.distributions.Gamma", torch_parameters(b, node, x[0]), 1.0))


def _torch_poisson(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.call("torch.poisson", torch_parameters(b, node, x[0]))


_MANY = 20_000


def _cases(first: Sequence[float]) -> tuple[Case, ...]:
    rows = given([[number] * _MANY for number in first], "float32")
    return (
        Case("for each number", (rows,), random=True, dynamic=(0,)),
        Case("many for each", (given(first, "float32"),), {"shape": [_MANY]}, random=True, dynamic=(0,)),
        Case("a table for each", (given(first, "float32"),), {"shape": [100, 200]}, random=True),
        Case("of one number", (given(first[0], "float32"),), {"shape": [2, _MANY]}, const=(0,), random=True),
        Case("of a computed number", (given(first[0], "float32"),), {"shape": [2, _MANY]}, random=True),
        Case("double", (given(first, "float64"),), {"shape": [_MANY]}, random=True),
    )


OPS = (
    Op(
        "RandomGamma",
        domain=DOMAIN,
        body=_body_gamma,
        mx=(
            MxForm(
                "_sample_gamma",
                write=_write("_random_gamma", "_sample_gamma", "alpha", scaled=True),
                direction="write",
            ),
        ),
        torch=_torch_gamma,
        gradient=flat,
        cases=_cases([0.3, 1.0, 4.5]),
    ),
    Op(
        "RandomPoisson",
        domain=DOMAIN,
        body=_body_poisson,
        mx=(
            MxForm(
                "_sample_poisson",
                write=_write("_random_poisson", "_sample_poisson", "lam", scaled=False),
                direction="write",
            ),
        ),
        torch=_torch_poisson,
        gradient=flat,
        cases=_cases([0.2, 3.5, 30.0]),
    ),
)
