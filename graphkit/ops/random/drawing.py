"""What the rooms of random operators share: base draws of a shape, and parameters that fit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import ints
from graphkit.ops.spec import Refusal, decimal, is_float
from graphkit.ops.tensor.cast import DTYPES
from graphkit.ops.tensor.torch_sizes import device_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Code

__all__ = [
    "Drawing",
    "dtype_given",
    "flat",
    "like_data",
    "mx_drawn",
    "mx_dtype",
    "seedless",
    "sized",
    "spread",
    "torch_drawn",
    "torch_parameters",
]


@dataclass(frozen=True)
class Drawing:
    """Random numbers of a shape and element type, as ONNX draws them.

    Attributes:
        b: The builder.
        dtype: Element type.
        shape: The shape, where it is known in numbers.
        like: Else a value of the same shape.
    """

    b: OnnxBuilder
    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None = None
    like: ir.Value | None = None

    def uniform(self, low: float = 0.0, high: float = 1.0, dtype: np.dtype[Any] | None = None) -> ir.Value:
        """Uniform on [low, high)."""
        low_, high_ = (None if low == 0 else low), (None if high == 1 else high)
        return self._drawn("RandomUniform", dtype, low=low_, high=high_)

    def normal(self, mean: float = 0.0, scale: float = 1.0) -> ir.Value:
        """Normal with a mean and a standard deviation."""
        return self._drawn("RandomNormal", None, mean=None if mean == 0 else mean, scale=None if scale == 1 else scale)

    def open(self) -> ir.Value:
        """Uniform between 0 and 1, both of which stand for the middle of what the generator rounds to them."""
        step = float(np.finfo(self.dtype).eps)
        least, most = (self.b.const(np.asarray(bound, self.dtype)) for bound in (step / 4, 1 - step / 2))
        return self.b.op("Clip", self.uniform(), least, most)

    def exponential(self) -> ir.Value:
        """Exponential with mean 1."""
        return self.b.op("Neg", self.b.op("Log", self.open()))

    def variates(self, op: str, parameter: ir.Value) -> ir.Value:
        """``RandomGamma`` or ``RandomPoisson`` with a parameter that is a scalar, or has the shape."""
        b = self.b
        if b.rank(parameter):
            return b.op(op, parameter, domain=DOMAIN)
        shape = self.shape if self.like is None else tuple(n for n in b.shape(self.like) if isinstance(n, int))
        if self.like is not None and len(shape or ()) != b.rank(self.like):
            return b.op(op, b.op("Expand", parameter, b.op("Shape", self.like)), domain=DOMAIN)
        return b.op(op, parameter, domain=DOMAIN, shape=shape or None)

    def _drawn(self, op: str, dtype: np.dtype[Any] | None, **attrs: Any) -> ir.Value:
        kind = ir.DataType.from_numpy(dtype or self.dtype)
        if self.like is None:
            attrs["dtype"] = None if kind == ir.DataType.FLOAT else int(kind)
            return self.b.op(op, shape=ir.AttrInt64s("shape", self.shape or ()), **attrs)
        attrs["dtype"] = None if kind == self.like.dtype else int(kind)
        return self.b.op(f"{op}Like", self.like, **attrs)

    def number(self, number: float) -> ir.Value:
        """A scalar of the element type."""
        return self.b.const(np.asarray(number, np.float64), self.dtype)

    def times(self, left: ir.Value, right: ir.Value) -> ir.Value:
        """A product; a factor that is the number 1 is left out."""
        if self._is(left, 1):
            return right
        return left if self._is(right, 1) else self.b.op("Mul", left, right)

    def over(self, left: ir.Value, right: ir.Value) -> ir.Value:
        """A quotient; the number 1 as a divisor is left out."""
        return left if self._is(right, 1) else self.b.op("Div", left, right)

    def plus(self, left: ir.Value, right: ir.Value) -> ir.Value:
        """A sum; a term that is the number 0 is left out."""
        return right if self._is(left, 0) else self.b.op("Add", left, right)

    def minus(self, left: ir.Value, right: ir.Value) -> ir.Value:
        """A difference, from the number 0 the negative."""
        return self.b.op("Neg", right) if self._is(left, 0) else self.b.op("Sub", left, right)

    def _is(self, value: ir.Value, number: float) -> bool:
        known = self.b.value(value)
        return known is not None and not known.shape and known == number


def dtype_given(node: MxNode) -> np.dtype[Any]:
    """The element type that a node asks for."""
    given = node.attrs.get("dtype", "None")
    return np.dtype("float32" if given == "None" else given)


def sized(b: OnnxBuilder, node: MxNode, name: str = "shape") -> Drawing | Refusal:
    """Draws of the shape that a node gives."""
    given = node.attrs.get(name, "None")
    shape = None if given == "None" else ints(given) if given not in ("()", "[]") else ()
    if not shape and not b.np_shape:
        return Refusal(f"it has no {name}, which MXNet takes from what surrounds it; give {name}")
    if any(size < 0 or (size == 0 and not b.np_shape) for size in shape or ()):
        return Refusal(f"{name}={given} has a size that is unknown; give sizes")
    return Drawing(b, dtype_given(node), shape or ())


def like_data(b: OnnxBuilder, data: ir.Value) -> Drawing | Refusal:
    """Draws of the shape and element type of data."""
    if not is_float(b.dtype(data)):
        return Refusal(f"MXNet draws no {b.dtype(data).name} numbers; cast its operand to float32")
    return Drawing(b, b.dtype(data), like=data)


def spread(b: OnnxBuilder, node: MxNode, parameters: Sequence[ir.Value]) -> tuple[Drawing, list[ir.Value]] | Refusal:
    """Draws of a shape for each element of parameters, and the parameters stretched so.

    No gradient flows back into them, as in MXNet.
    """
    given = node.attrs.get("shape", "[]")
    inner = () if given in ("()", "[]", "None") else ints(given)
    if any(size <= 0 for size in inner):
        return Refusal(f"shape={given} has a size that is not positive")
    shapes = [b.shape(value) for value in parameters]
    if any(not _may_agree(shape, shapes[0]) for shape in shapes[1:]):
        return Refusal(f"its parameters have different shapes: {' and '.join(map(str, shapes))}")
    dtype = dtype_given(node)
    found = [b.stopped(value) for value in parameters]
    if inner:
        rank = b.rank(parameters[0])
        last = list(range(rank, rank + len(inner)))
        wide = [1] * rank + list(inner)
        found = [b.op("Expand", b.op("Unsqueeze", value, last), wide) for value in found]
    kind = int(ir.DataType.from_numpy(dtype))
    found = [value if b.dtype(value) == dtype else b.op("Cast", value, to=kind) for value in found]
    return Drawing(b, dtype, like=found[0]), found


def _may_agree(one: Sequence[Dim], other: Sequence[Dim]) -> bool:
    """Whether shapes are the same, as far as their sizes are known."""
    known = zip(one, other, strict=False)
    return len(one) == len(other) and all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in known)


def flat(numbers: Sequence[int]) -> int:
    """How many elements a shape has."""
    return int(np.prod(numbers, dtype=np.int64))


def seedless(b: MxBuilder | TorchBuilder, node: ir.Node) -> None:
    """Tell that a node's seed is left out."""
    if "seed" in node.attributes:
        b.warn("its seed is left out: generators of frameworks give different numbers for the same seed")


def mx_dtype(b: MxBuilder, node: ir.Node) -> str | Refusal:
    """The element type of what a node draws, in MXNet."""
    dtype = b.dtype(node.outputs[0])
    if dtype.name not in DTYPES - {"bfloat16"}:
        return Refusal(f"MXNet 1.9.1 draws no {dtype.name} numbers; draw float32 ones and cast")
    return dtype.name


def torch_drawn(b: TorchBuilder, node: ir.Node, function: str, x: Sequence[Any]) -> Arg:
    """A call of ``torch.rand`` or ``torch.randn``, or of the form that takes the shape of an array."""
    dtype = b.dtype(node.outputs[0])
    if x:
        source = node.inputs[0]
        assert source is not None
        other = None if b.dtype(source) == dtype else b.torch_dtype(dtype)
        return b.call(f"{function}_like", x[0], dtype=other)
    kind: Code | None = None if dtype == np.float32 else b.torch_dtype(dtype)
    shape = node.attributes.get_ints("shape", ()) or ()
    sizes = tuple(shape) if len(shape) != 1 else shape[0]
    arguments = (sizes,) if isinstance(sizes, int) or not sizes else sizes
    return b.call(function, *arguments, dtype=kind, device=device_near(b, node))


def torch_parameters(b: TorchBuilder, node: ir.Node, parameter: Any) -> Arg:
    """The parameter of each number that a node draws ``shape`` of for each of its own."""
    source = node.inputs[0]
    assert source is not None
    inner = tuple(node.attributes.get_ints("shape", ()) or ())
    if not inner:
        return parameter  # type: ignore[no-any-return]  # rooms are handed arguments as Any
    number = b.number(source)
    if number is not None and not b.rank(source):
        kind: Code | None = None if b.dtype(source) == np.float32 else b.torch_dtype(b.dtype(source))
        return b.call("torch.full", inner, decimal(number), dtype=kind, device=device_near(b, node))
    outer = [b.size(source, axis) for axis in range(b.rank(source))]
    spaced = b.method("reshape", parameter, *outer, *[1] * len(inner)) if outer else parameter
    return b.method("expand", spaced, *outer, *inner)


def mx_drawn(b: MxBuilder, node: ir.Node, op: str, x: Sequence[MxRef | None], **attrs: Any) -> MxRef | Refusal:
    """MXNet's operator of a shape, or of the shape of an array."""
    dtype = mx_dtype(b, node)
    if isinstance(dtype, Refusal):
        return dtype
    seedless(b, node)
    if not node.inputs:
        shape = tuple(node.attributes.get_ints("shape", ()) or ())
        if 0 in shape:
            return Refusal("it draws an array without elements, which MXNet does not have")
        return b.op(op, shape=shape or (1,), dtype=None if dtype == "float32" else dtype, **attrs)
    source, data = node.inputs[0], x[0]
    assert source is not None
    assert data is not None
    if b.dtype(source).name != dtype:
        data = b.op("Cast", data, dtype=dtype)
    return b.op(f"{op}_like", data, **attrs)
