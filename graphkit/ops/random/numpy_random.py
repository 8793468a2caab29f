"""Random numbers of MXNet's NumPy interface.

A parameter is a number of the symbol or, where that is None, the next input. What is drawn has the given size, or that
of the inputs together; ``_npi_…_n`` draws the size for each element of these. Numbers move with their parameters: the
gradients that MXNet gives these are the derivatives, except in uniform, power and gamma variates, where it gives none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, FLOAT, ints
from graphkit.ops.random.discrete import integers
from graphkit.ops.random.drawing import Drawing, flat
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _size(node: MxNode) -> tuple[int, ...] | None:
    text = node.attrs.get("size", "None")
    return None if text == "None" else () if text in ("()", "[]") else ints(text)


def _parameters(node: MxNode, x: Sequence[ir.Value | None], defaults: dict[str, str]) -> list[ir.Value | float]:
    """Numbers, and the inputs in the places of those that are None."""
    arrays = iter(x)
    texts = (node.attrs.get(name, default) for name, default in defaults.items())
    return [some(next(arrays)) if text == "None" else float(FLOAT.parse(text)) for text in texts]


def _drawing(b: OnnxBuilder, node: MxNode, parameters: Sequence[ir.Value | float], dtype: str) -> Drawing | Refusal:
    """Draws of the size that a node gives, or its parameters have."""
    arrays = [each for each in parameters if isinstance(each, ir.Value)]
    size, kind = _size(node), np.dtype(dtype)
    inner = None if size is None or node.op.endswith("_n") else size
    if inner is not None or not arrays:
        for array in arrays:
            own_sizes = [dim if isinstance(dim, int) else 1 for dim in b.shape(array)]
            pairs = zip(reversed(own_sizes), reversed(inner or ()), strict=False)
            if len(own_sizes) > len(inner or ()) or any(own not in (1, wanted) for own, wanted in pairs):
                return Refusal(f"a parameter of shape {b.shape(array)} does not stretch to size={node.attrs['size']}")
        return Drawing(b, kind, inner or size or ())
    shapes = [b.shape(array) for array in arrays]
    if all(isinstance(dim, int) for shape in shapes for dim in shape):
        known = [tuple(int(str(dim)) for dim in shape) for shape in shapes]
        try:
            joint = np.broadcast_shapes(*known)
        except ValueError:
            return Refusal(f"its parameters of shapes {' and '.join(map(str, known))} do not fit together")
        return Drawing(b, kind, (*(size or ()), *joint))
    like = arrays[0] if len(arrays) == 1 else b.op("Add", *arrays)
    if size:
        like = b.op("Expand", b.op("Unsqueeze", like, list(range(len(size)))), [*size, *[1] * b.rank(like)])
    return Drawing(b, kind, like=like)


def _normal(draw: Drawing, loc: ir.Value, scale: ir.Value) -> ir.Value:
    return draw.plus(loc, draw.times(scale, draw.normal()))


def _uniform(draw: Drawing, low: ir.Value, high: ir.Value) -> ir.Value:
    return draw.plus(low, draw.times(draw.b.op("Sub", high, low), draw.uniform()))


def _gumbel(draw: Drawing, loc: ir.Value, scale: ir.Value) -> ir.Value:
    return draw.minus(loc, draw.times(scale, draw.b.op("Log", draw.exponential())))


def _logistic(draw: Drawing, loc: ir.Value, scale: ir.Value) -> ir.Value:
    b, uniform = draw.b, draw.open()
    odds = b.op("Div", uniform, b.op("Sub", draw.number(1), uniform))
    return draw.plus(loc, draw.times(scale, b.op("Log", odds)))


def _exponential(draw: Drawing, scale: ir.Value) -> ir.Value:
    return draw.times(scale, draw.exponential())


def _rayleigh(draw: Drawing, scale: ir.Value) -> ir.Value:
    b = draw.b
    return draw.times(scale, b.op("Sqrt", b.op("Mul", draw.number(2), draw.exponential())))


def _pareto(draw: Drawing, power: ir.Value) -> ir.Value:
    b = draw.b
    return b.op("Sub", b.op("Exp", b.op("Div", draw.exponential(), power)), draw.number(1))


def _power(draw: Drawing, power: ir.Value) -> ir.Value:
    b = draw.b
    return b.op("Exp", b.op("Neg", b.op("Div", draw.exponential(), power)))


def _weibull(draw: Drawing, power: ir.Value) -> ir.Value:
    return draw.b.op("Pow", draw.exponential(), draw.b.op("Reciprocal", power))


def _gamma(draw: Drawing, alpha: ir.Value, scale: ir.Value) -> ir.Value:
    b = draw.b
    if b.rank(alpha):
        target = draw.like
        shape = b.op("Shape", target) if target is not None else b.const(np.asarray(draw.shape, np.int64))
        alpha = b.op("Expand", alpha, shape)
    return draw.times(draw.variates("RandomGamma", alpha), scale)


def _form(
    name: str,
    rule: Callable[..., ir.Value],
    defaults: dict[str, str],
    numbers: Sequence[Sequence[float]],
    *,
    stopped: bool = False,
    typed: bool = False,
    placed: bool = True,
) -> MxForm:
    """How a distribution is read.

    Args:
        name: Its operator.
        rule: Gives numbers; the parameters are scalars, or stretch to what is drawn.
        defaults: Its parameters with their defaults.
        numbers: For each parameter two values, which tests use.
        stopped: Whether no gradient flows back into the parameters.
        typed: Whether the operator can be told an element type.
        placed: Whether it can be told a device.
    """

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        parameters = _parameters(node, x, defaults)
        for key, each in zip(defaults, parameters, strict=True):
            if isinstance(each, float) and (each < 0 or (each == 0 and key in ("a", "shape"))) and key in _POSITIVE:
                return Refusal(f"{key}={node.attrs[key]} is not {'positive' if key in ('a', 'shape') else '0 or more'}")
        draw = _drawing(b, node, parameters, node.attrs.get("dtype", "float32"))
        if isinstance(draw, Refusal):
            return draw
        if draw.dtype.itemsize < 4:
            return Refusal("graphkit draws no half-precision numbers of NumPy's interface; draw float32 ones and cast")
        if rule in (_normal, _uniform) and all(isinstance(each, float) for each in parameters):
            first, second = (each for each in parameters if isinstance(each, float))
            return draw.normal(first, second) if rule is _normal else draw.uniform(first, second)
        values = [draw.number(each) if isinstance(each, float) else each for each in parameters]
        kind = int(ir.DataType.from_numpy(draw.dtype))
        values = [value if b.dtype(value) == draw.dtype else b.op("Cast", value, to=kind) for value in values]
        return rule(draw, *(b.stopped(value) if stopped else value for value in values))

    none = dict.fromkeys(defaults, "None")
    scalars = {key: values[1] for key, values in zip(defaults, numbers, strict=True)}
    rows = tuple(given([[number] * _MANY for number in values], "float32") for values in numbers)
    columns = tuple(given([[number] for number in values], "float32") for values in numbers)
    ctx = {"ctx": "cpu(0)"} if placed else {}
    cases = [
        Case("numbers", (), {**scalars, **ctx, "size": (2, _MANY)}, random=True),
        Case("arrays", rows, {**none, **ctx}, random=True),
        Case("stretched arrays", columns, {**none, **ctx, "size": (2, _MANY)}, random=True),
    ]
    if typed:
        cases.append(Case("double", (), {**scalars, **ctx, "size": _MANY, "dtype": "float64"}, random=True))
    if len(defaults) == 2:
        second = {**none, **ctx, next(iter(defaults)): numbers[0][0]}
        cases.append(Case("a number and an array", rows[1:], second, random=True))
    if name.endswith("_n"):
        each = tuple(given([values[1]] * _MANY, "float32") for values in numbers)
        cases[1:] = [Case("two for each", each, {**none, **ctx, "size": (2,)}, random=True)]
    return MxForm(
        f"_npi_{name}",
        read=read,
        reads=(*defaults, "size", *(("dtype",) if typed else ())),
        ignore=("ctx",) if placed else (),
        direction="read",
        cases=tuple(cases),
    )


def _read_bernoulli(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    name = "logit" if BOOL.parse(node.attrs["is_logit"]) else "prob"
    (chance,) = _parameters(node, x, {name: "None"})
    if name == "prob" and isinstance(chance, float) and not 0 <= chance <= 1:
        return Refusal(f"prob={node.attrs['prob']} is no probability: it lies between 0 and 1")
    draw = _drawing(b, node, [chance], "float32")
    if isinstance(draw, Refusal):
        return draw
    value = draw.number(chance) if isinstance(chance, float) else chance
    if b.dtype(value) != np.float32:
        value = b.op("Cast", value, to=int(ir.DataType.FLOAT))
    truths = b.op("Less", draw.uniform(), b.op("Sigmoid", value) if name == "logit" else value)
    kind = np.dtype(node.attrs.get("dtype", "float32"))
    return truths if kind.kind == "b" else b.op("Cast", truths, to=int(ir.DataType.from_numpy(kind)))


def _read_choice(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """Places, with or without the same one twice; the latter are those of the largest of random keys."""
    size, text = _size(node) or (), node.attrs["a"]
    weights = some(x[-1]) if BOOL.parse(node.attrs.get("weighted", "False")) else None
    if text == "None":
        return Refusal("MXNet chooses among a number of places only; take them from the array afterwards")
    places = int(text)
    if places < 1:
        return Refusal(f"a={text}: there is nothing to choose from")
    count = flat(size)
    if not BOOL.parse(node.attrs.get("replace", "True")):
        if count > places:
            return Refusal(f"{count} of {places} places cannot be chosen without choosing one twice")
        draw = Drawing(b, np.dtype(np.float64), (places,))
        keys = draw.uniform()
        if weights is not None:  # the largest of Gumbel variates moved by the weights' logarithms
            doubles = b.op("Cast", weights, to=int(ir.DataType.DOUBLE))
            keys = _gumbel(draw, b.op("Log", doubles), draw.number(1))
        return b.op("Reshape", b.ops("TopK", 2, keys, [count])[1], list(size))
    if weights is None:
        return integers(Drawing(b, np.dtype(np.float32), size), 0, places, np.dtype(np.int64))
    logarithms = b.op("Log", b.op("Unsqueeze", weights, [0]))
    drawn = b.op("Multinomial", logarithms, sample_size=count, dtype=int(ir.DataType.INT64))
    return b.op("Reshape", drawn, list(size))


def _read_multinomial(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """How often each class comes in a number of draws."""
    size, count = _size(node) or (), int(node.attrs["n"])
    text = node.attrs.get("pvals", "None")
    chances = some(x[0]) if text == "None" else b.const(np.asarray(_floats(text), np.float32))
    classes = b.shape(chances)[0]
    if not isinstance(classes, int) or count < 1:
        return Refusal("it draws nothing" if count < 1 else "the number of its classes is not known; give fixed sizes")
    logarithms = b.op("Log", b.op("Unsqueeze", b.stopped(chances), [0]))
    drawn = b.op("Multinomial", logarithms, sample_size=flat(size) * count)
    each = b.op("Reshape", drawn, [*size, count])
    hits = b.op("OneHot", each, b.const(np.asarray(classes, np.int64)), b.const(np.asarray([0, 1], np.int64)))
    return b.op("ReduceSum", hits, [len(size)], keepdims=0)


def _floats(text: str) -> list[float]:
    return [float(part) for part in text.strip("()[] ,").split(",")]


_POSITIVE = frozenset({"a", "scale", "shape"})
_MANY = 20_000
_LOCATION = {"loc": "None", "scale": "None"}
_PLACES = ((0.0, 10.0), (1.0, 0.5))
_SCALES = ((0.5, 3.0),)
_POWERS = ((3.0, 8.0),)


def _bernoulli(name: str, inputs: tuple[Any, ...], **attrs: Any) -> Case:
    filled = {"prob": "None", "logit": "None", "is_logit": "logit" in attrs, "ctx": "cpu(0)", **attrs}
    return Case(name, inputs, filled, random=True)


def _choice(name: str, inputs: tuple[Any, ...] = (), **attrs: Any) -> Case:
    return Case(name, inputs, {"ctx": "cpu(0)", "size": (_MANY,), **attrs}, random=True)


_CHANCES = given([[0.2] * _MANY, [0.9] * _MANY], "float32")
_WEIGHTS = given([0.1, 0.2, 0.7], "float32")

OP = Op(
    "",
    mx=(
        *(
            _form(name, rule, {first: "None", second: "None"}, numbers, stopped=stopped, typed=True)
            for name, rule, first, second, numbers, stopped in (
                ("normal", _normal, "loc", "scale", _PLACES, False),
                ("normal_n", _normal, "loc", "scale", _PLACES, False),
                ("uniform", _uniform, "low", "high", ((0.0, -3.0), (1.0, 8.0)), True),
                ("uniform_n", _uniform, "low", "high", ((0.0, -3.0), (1.0, 8.0)), True),
                ("gamma", _gamma, "shape", "scale", ((0.3, 4.0), (1.0, 0.5)), True),
            )
        ),
        _form("gumbel", _gumbel, _LOCATION, _PLACES),
        _form("logistic", _logistic, _LOCATION, _PLACES),
        _form("exponential", _exponential, {"scale": "1"}, _SCALES),
        _form("rayleigh", _rayleigh, {"scale": "1"}, _SCALES),
        _form("pareto", _pareto, {"a": "None"}, _POWERS),
        _form("powerd", _power, {"a": "None"}, _POWERS, stopped=True, placed=False),
        _form("weibull", _weibull, {"a": "None"}, _POWERS),
        MxForm(
            "_npi_bernoulli",
            read=_read_bernoulli,
            reads=("prob", "logit", "is_logit", "size", "dtype"),
            ignore=("ctx",),
            direction="read",
            cases=(
                _bernoulli("number", (), prob=0.3, size=(2, _MANY)),
                _bernoulli("logit", (), logit=0.5, size=(_MANY,), dtype="int32"),
                _bernoulli("array", (_CHANCES,), dtype="bool"),
                _bernoulli("stretched logits", (arr(2, 1),), logit="None", is_logit=True, size=(2, _MANY)),
            ),
        ),
        MxForm(
            "_npi_choice",
            read=_read_choice,
            reads=("a", "size", "replace", "weighted"),
            ignore=("ctx",),
            direction="read",
            cases=(
                _choice("of numbers", a=5),
                _choice("weighted", (_WEIGHTS,), a=3, weighted=True),
                _choice("all in an order", a=_MANY, replace=False),
                _choice(
                    "weighted, none twice",
                    (given(np.arange(1, 2 * _MANY + 1) / (_MANY * (2 * _MANY + 1)), "float32"),),
                    a=2 * _MANY,
                    replace=False,
                    weighted=True,
                ),
            ),
        ),
        MxForm(
            "_npi_multinomial",
            read=_read_multinomial,
            reads=("n", "pvals", "size"),
            direction="read",
            cases=(
                Case("of an array", (_WEIGHTS,), {"n": 5, "size": (_MANY,)}, random=True),
                Case("of numbers", (), {"n": 3, "pvals": (0.25, 0.25, 0.5), "size": (_MANY,)}, random=True),
            ),
        ),
    ),
)
