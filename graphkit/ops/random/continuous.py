"""Normal and uniform random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import FLOAT
from graphkit.ops.gradients import flat
from graphkit.ops.random.drawing import Drawing, like_data, mx_drawn, seedless, sized, spread, torch_drawn
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given, torch_float, whole
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch, Write
    from graphkit.ops.torchprogram import Arg

_NORMAL = (("mean", "loc", 0.0), ("scale", "scale", 1.0))
_UNIFORM = (("low", "low", 0.0), ("high", "high", 1.0))
"""Parameters: what ONNX and MXNet call them, and the default of both."""
_MANY = 20_000


def _write(op: str, parameters: tuple[tuple[str, str, float], ...]) -> Write:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
        attrs = {theirs: torch_float(node, ours, default) for ours, theirs, default in parameters}
        if op == "_random_normal":
            attrs["scale"] = abs(attrs["scale"])
        if attrs.get("scale") == 0 or attrs.get("low", 0) > attrs.get("high", 1):
            return Refusal(f"MXNet draws only with scale > 0 and low ≤ high, and it has {attrs}")
        different = {name: None if attrs[name] == default else attrs[name] for _, name, default in parameters}
        return mx_drawn(b, node, op, x, **different)

    return write


def _numbers(node: MxNode, parameters: tuple[tuple[str, str, float], ...]) -> list[float] | Refusal:
    found = {name: FLOAT.parse(node.attrs.get(name, str(default))) for _, name, default in parameters}
    if found.get("scale", 1) <= 0:
        return Refusal(f"scale={node.attrs['scale']} is not positive")
    if found.get("low", 0) > found.get("high", 0):
        return Refusal(f"low={found['low']} is more than high={found['high']}")
    return list(found.values())


def _base(draw: Drawing, op: str, numbers: Sequence[float]) -> ir.Value:
    first, second = numbers
    return draw.normal(first, second) if "normal" in op else draw.uniform(first, second)


def _read(op: str, parameters: tuple[tuple[str, str, float], ...]) -> Read:
    def read(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        draw, numbers = sized(b, node), _numbers(node, parameters)
        if isinstance(draw, Refusal):
            return draw
        return numbers if isinstance(numbers, Refusal) else _base(draw, op, numbers)

    return read


def _read_like(op: str, parameters: tuple[tuple[str, str, float], ...]) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        draw, numbers = like_data(b, some(x[0])), _numbers(node, parameters)
        if isinstance(draw, Refusal):
            return draw
        return numbers if isinstance(numbers, Refusal) else _base(draw, op, numbers)

    return read


def _read_sample_normal(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    found = spread(b, node, [some(x[0]), some(x[1])])
    if isinstance(found, Refusal):
        return found
    draw, (mean, deviation) = found
    return b.op("Add", mean, b.op("Mul", deviation, draw.normal()))


def _read_sample_uniform(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    found = spread(b, node, [some(x[0]), some(x[1])])
    if isinstance(found, Refusal):
        return found
    draw, (low, high) = found
    return b.op("Add", low, b.op("Mul", b.op("Sub", high, low), draw.uniform()))


def _torch(function: str) -> Torch:
    def emit(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
        seedless(b, node)
        drawn: Arg = torch_drawn(b, node, function, x)
        if function == "torch.randn":
            shift, scale = torch_float(node, "mean", 0.0), torch_float(node, "scale", 1.0)
        else:
            shift, high = torch_float(node, "low", 0.0), torch_float(node, "high", 1.0)
            scale = float(f"{high - shift:.12g}")
        drawn = drawn if scale == 1 else b.infix("*", drawn, whole(scale))
        if shift == 0:
            return drawn
        return b.infix("+", drawn, whole(shift)) if shift > 0 else b.infix("-", drawn, whole(-shift))

    return emit


_SHAPE = {"shape": [2, _MANY]}
_X = arr(2, _MANY)
_DOUBLE = 11
"""ONNX's number of float64."""


def _drawn(name: str, **attrs: Any) -> Case:
    return Case(name, (), {**_SHAPE, **attrs}, random=True)


def _like(name: str, data: Any = _X, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    return Case(name, (data,), attrs, random=True, dynamic=dynamic)


def _mx_cases(**attrs: Any) -> tuple[Case, ...]:
    shape = {"shape": (2, _MANY)}
    return (
        Case("default", (), shape, random=True),
        Case("moved", (), {**shape, **attrs, "dtype": "float64", "ctx": "cpu(0)"}, random=True),
    )


def _sample_cases(first: Any, second: Any) -> tuple[Case, ...]:
    parameters = (given(first, "float32"), given(second, "float32"))
    many = tuple(given([[row] * _MANY for row in values], "float32") for values in (first, second))
    return (
        Case("many of each", parameters, {"shape": (_MANY,)}, random=True),
        Case("a table of each", parameters, {"shape": (100, 200), "dtype": "float32"}, random=True),
        Case("one of each", many, random=True),
    )


OPS = (
    Op(
        "RandomNormal",
        mx=(
            MxForm(
                "_random_normal",
                read=_read("_random_normal", _NORMAL),
                reads=("loc", "scale", "shape", "dtype"),
                ignore=("ctx",),
                write=_write("_random_normal", _NORMAL),
                cases=_mx_cases(loc=-1, scale=0.5),
            ),
        ),
        torch=_torch("torch.randn"),
        gradient=flat,
        cases=(
            _drawn("default"),
            _drawn("moved", mean=3.0, scale=0.5),
            _drawn("double", dtype=_DOUBLE, mean=-1.0),
            Case("one axis", (), {"shape": [_MANY], "scale": 2.0}, random=True),
        ),
    ),
    Op(
        "RandomUniform",
        mx=(
            MxForm(
                "_random_uniform",
                read=_read("_random_uniform", _UNIFORM),
                reads=("low", "high", "shape", "dtype"),
                ignore=("ctx",),
                write=_write("_random_uniform", _UNIFORM),
                cases=_mx_cases(low=-1, high=4),
            ),
        ),
        torch=_torch("torch.rand"),
        gradient=flat,
        cases=(_drawn("default"), _drawn("moved", low=-1.0, high=0.3), _drawn("double", dtype=_DOUBLE, high=5.0)),
    ),
    Op(
        "RandomNormalLike",
        mx=(
            MxForm(
                "_random_normal_like",
                read=_read_like("_random_normal", _NORMAL),
                reads=("loc", "scale"),
                write=_write("_random_normal", _NORMAL),
                cases=(Case("moved", (_X,), {"loc": 2, "scale": "0.5"}, random=True),),
            ),
        ),
        torch=_torch("torch.randn"),
        gradient=flat,
        cases=(
            _like("default", dynamic=(0,)),
            _like("moved", mean=3.0, scale=0.5),
            _like("double", dtype=_DOUBLE),
            _like("of integers", arr(2, _MANY, low=0, high=9, dtype="int64"), dtype=1),
        ),
    ),
    Op(
        "RandomUniformLike",
        mx=(
            MxForm(
                "_random_uniform_like",
                read=_read_like("_random_uniform", _UNIFORM),
                reads=("low", "high"),
                write=_write("_random_uniform", _UNIFORM),
                cases=(Case("moved", (_X,), {"low": -2, "high": "0.5"}, random=True),),
            ),
        ),
        torch=_torch("torch.rand"),
        gradient=flat,
        cases=(_like("default", dynamic=(0,)), _like("moved", low=-1.0, high=0.3), _like("double", dtype=_DOUBLE)),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_sample_normal",
                read=_read_sample_normal,
                reads=("shape", "dtype"),
                direction="read",
                cases=_sample_cases([0.0, 10.0], [1.0, 0.5]),
            ),
            MxForm(
                "_sample_uniform",
                read=_read_sample_uniform,
                reads=("shape", "dtype"),
                direction="read",
                cases=_sample_cases([0.0, 10.0], [1.0, 12.0]),
            ),
        ),
    ),
)
