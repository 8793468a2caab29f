"""Random truths, classes, integers and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.producers import made_by
from graphkit.ops import gradients
from graphkit.ops.booleans import carrier
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.random.drawing import Drawing, flat, seedless, sized
from graphkit.ops.spec import Case, MxForm, Op, Refusal, given
from graphkit.ops.tensor.cast import DTYPES
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_SAMPLED = frozenset({"float16", "float32", "float64", "int32", "uint8"})
"""Element types in which MXNet gives classes."""


def _write_bernoulli(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    seedless(b, node)
    chances, own, wanted = some(x[0]), b.dtype(some(node.inputs[0])), carrier(b, node.outputs[0])
    if wanted.name not in DTYPES:
        return Refusal(f"MXNet 1.9.1 does not compute in {wanted.name}; let it give another type")
    drawn = b.op("broadcast_lesser", b.op("_random_uniform_like", chances), chances)
    return drawn if own == wanted else b.op("Cast", drawn, dtype=wanted.name)


def _torch_bernoulli(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    seedless(b, node)
    drawn = b.call("torch.bernoulli", x[0])
    wanted = b.dtype(node.outputs[0])
    return drawn if wanted == b.dtype(some(node.inputs[0])) else b.method("to", drawn, b.torch_dtype(wanted))


def _read_multinomial(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> list[ir.Value] | Refusal:
    chances = some(x[0])
    if not b.rank(chances):
        return Refusal("its probabilities are a single number; give an axis of classes")
    given_shape = node.attrs.get("shape", "[]")
    inner = () if given_shape in ("()", "[]", "None") else ints(given_shape)
    *batch, classes = b.shape(chances)
    free = [axis for axis, size in enumerate(batch) if not isinstance(size, int)]
    if not isinstance(classes, int) or len(free) > 1:
        return Refusal("the shape of its probabilities is not known; give the model's inputs fixed sizes")
    if any(size <= 0 for size in inner):
        return Refusal(f"shape={given_shape} has a size that is not positive")
    matrix = chances if len(batch) == 1 else b.op("Reshape", chances, [-1, classes])
    kind = ir.DataType.from_numpy(np.dtype(node.attrs.get("dtype", "int32")))
    drawn = b.op("Multinomial", b.op("Log", b.stopped(matrix)), sample_size=flat(inner))
    outer = [-1 if axis in free else int(str(size)) for axis, size in enumerate(batch)]
    shape = [*outer, *inner] or ([] if b.np_shape else [1])
    sampled = b.op("Reshape", drawn, shape)
    results = [sampled if kind == ir.DataType.INT32 else b.op("Cast", sampled, to=int(kind))]
    if BOOL.parse(node.attrs.get("get_prob", "False")):
        chance = b.op("GatherElements", matrix, b.op("Cast", drawn, to=int(ir.DataType.INT64)), axis=1)
        results.append(b.op("Reshape", b.op("Log", chance), shape))
    return results


def _logarithm_of(node: ir.Node) -> ir.Value | None:
    """The probabilities whose logarithms a Multinomial reads."""
    log = made_by(node.inputs[0], "Log")
    return None if log is None else log.inputs[0]


def _write_multinomial(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    """MXNet takes probabilities that add up to 1, where ONNX takes logarithms of any weights."""
    seedless(b, node)
    count, wanted = node.attributes.get_int("sample_size", 1) or 0, b.dtype(node.outputs[0]).name
    if count < 1:
        return Refusal(f"sample_size={count}: MXNet has no arrays without elements")
    chances = b.op("softmax", some(x[0]), axis=-1)
    dtype = wanted if wanted in _SAMPLED else "int32"
    drawn = b.op("_sample_multinomial", chances, shape=(count,), dtype=None if dtype == "int32" else dtype)
    return drawn if wanted == dtype else b.op("Cast", drawn, dtype=wanted)


def _torch_multinomial(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    seedless(b, node)
    weights = _logarithm_of(node)
    chances = b.method("softmax", x[0], -1) if weights is None else b.arg(weights)
    count = node.attributes.get_int("sample_size", 1)
    drawn = b.call("torch.multinomial", chances, count, replacement=True)
    return drawn if b.dtype(node.outputs[0]) == np.int64 else b.method("int", drawn)


def _read_randint(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    draw = sized(b, node)
    if isinstance(draw, Refusal):
        return draw
    low, high = int(node.attrs["low"]), int(node.attrs["high"])
    if high <= low:
        return Refusal(f"low={low} is not below high={high}")
    dtype = "int32" if node.attrs.get("dtype", "None") == "None" else node.attrs["dtype"]
    return integers(draw, low, high, np.dtype(dtype))


def integers(draw: Drawing, low: int, high: int, dtype: np.dtype[Any]) -> ir.Value:
    """Whole numbers from low up to, and without, high; all with the same chance."""
    b = draw.b
    place = b.op("Floor", b.op("Mul", draw.uniform(dtype=np.dtype(np.float64)), np.asarray(float(high - low))))
    place = b.op("Min", place, np.asarray(float(high - low - 1)))
    number = place if low == 0 else b.op("Add", place, np.asarray(float(low)))
    return b.op("Cast", number, to=int(ir.DataType.from_numpy(dtype)))


def _read_shuffle(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """The rows in the order of random numbers; of doubles, since equal ones would keep their order."""
    data = some(x[0])
    count = b.shape(data)[0] if b.rank(data) else 1
    if not isinstance(count, int):
        return Refusal("how many rows it puts in order is not known; give the model's inputs fixed sizes")
    keys = b.op("RandomUniform", shape=[count], dtype=int(ir.DataType.DOUBLE))
    order = b.ops("TopK", 2, keys, [count])[1]
    return b.op("Gather", data, order, axis=0)


_MANY = 20_000
_CHANCES = given([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], "float32")
_LOGITS = given([[-1.0, 0.5, 2.0], [3.0, 3.0, 1.0]], "float32")
_INT32, _INT64, _FLOAT, _BOOL = 6, 7, 1, 9


def _bernoulli(name: str, *, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    chances = given([[0.2] * _MANY, [0.9] * _MANY], "float32")
    return Case(name, (chances,), attrs, random=True, dynamic=dynamic)


def _multinomial(name: str, *, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    return Case(name, (_LOGITS,), {"sample_size": _MANY, **attrs}, random=True, dynamic=dynamic)


def _classes(name: str, chances: Any = _CHANCES, outputs: int = 1, **attrs: Any) -> Case:
    return Case(name, (chances,), {"shape": (_MANY,), **attrs}, outputs=outputs, random=True)


def _integers(name: str, **attrs: Any) -> Case:
    return Case(name, (), {"shape": (2, _MANY), **attrs}, random=True)


OPS = (
    Op(
        "Bernoulli",
        mx=(MxForm("_random_uniform_like", write=_write_bernoulli, direction="write"),),
        torch=_torch_bernoulli,
        gradient=gradients.flat,
        cases=(
            _bernoulli("default", dynamic=(0,)),
            _bernoulli("integers", dtype=_INT64),
            _bernoulli("truths", dtype=_BOOL),
        ),
    ),
    Op(
        "Multinomial",
        mx=(
            MxForm(
                "_sample_multinomial",
                read=_read_multinomial,
                reads=("shape", "get_prob", "dtype"),
                write=_write_multinomial,
                cases=(
                    _classes("batch"),
                    _classes("one distribution", given([0.25, 0.75], "float32"), dtype="float32"),
                    _classes("a table of each", shape=(100, 200), dtype="uint8"),
                    _classes("several batch axes", given([[[0.25, 0.75]], [[0.5, 0.5]]], "float32")),
                    _classes("with probabilities", given([[0.25, 0.75], [0.9, 0.1]], "float32"), 2, get_prob=True),
                ),
            ),
        ),
        torch=_torch_multinomial,
        gradient=gradients.flat,
        cases=(_multinomial("default", dynamic=(0,)), _multinomial("64 bits", dtype=_INT64)),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_random_randint",
                read=_read_randint,
                reads=("low", "high", "shape", "dtype"),
                ignore=("ctx",),
                direction="read",
                cases=(
                    _integers("default", low=-2, high=5),
                    _integers("64 bits", low=3, high=2**40, dtype="int64"),
                ),
            ),
            MxForm(
                "_shuffle",
                read=_read_shuffle,
                direction="read",
                cases=(Case("numbers", (given(np.arange(_MANY) % 7, "float32"),), grad=False, random=True),),
            ),
        ),
    ),
)
