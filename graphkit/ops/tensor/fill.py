"""Arrays of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import carrier
from graphkit.ops.codec import FLOAT, ints
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, decimal, int64
from graphkit.ops.tensor.broadcasting import stretch
from graphkit.ops.tensor.cast import DTYPES
from graphkit.ops.tensor.sizes import some
from graphkit.ops.tensor.torch_sizes import device_near, sizes_given
from graphkit.ops.torchprogram import Var

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_LARGEST = 2**53


def _write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef | Refusal:
    attribute = node.attributes.get("value")
    value = np.float32(0) if attribute is None else attribute.as_tensor().numpy().reshape(-1)[0]
    like = _shape_of(node)
    if like is not None and carrier(b, like) == (dtype := carrier(b, node.outputs[0])) and dtype.name in DTYPES:
        return _like(b, b.ref(like), value)
    return filled(b, node, value)


def filled(b: MxBuilder, node: ir.Node, value: np.generic | float) -> MxRef | Refusal:
    """An array of one value for the output of a node."""
    dtype = carrier(b, node.outputs[0])
    if dtype.name not in DTYPES:
        return Refusal(f"MXNet 1.9.1 does not compute in {dtype.name}; cast to another type")
    if dtype.kind in "iu" and abs(int(np.asarray(value))) > _LARGEST:
        return Refusal(f"MXNet would round its value {value} to a float64")
    dims = b.shape(node.outputs[0])
    if 0 in dims:
        return Refusal("it makes an array without elements, which MXNet does not have")
    known = tuple(dim if isinstance(dim, int) else 1 for dim in dims)
    return stretch(b, node, _full(b, known or (1,), value, dtype), known, dims)


def _shape_of(node: ir.Node) -> ir.Value | None:
    """The value that an array of the same shape is made for."""
    shape = some(node.inputs[0]).producer()
    if shape is None or shape.op_type != "Shape" or "start" in shape.attributes or "end" in shape.attributes:
        return None
    return shape.inputs[0]


def _like(b: MxBuilder, ref: MxRef, value: np.generic) -> MxRef:
    if value == 1:
        return b.op("ones_like", ref)
    zeros = b.op("zeros_like", ref)
    return zeros if value == 0 else b.op("_plus_scalar", zeros, scalar=value)


def _full(b: MxBuilder, shape: tuple[int, ...], value: np.generic | float, dtype: np.dtype[Any]) -> MxRef:
    if value in (0, 1):
        return b.op("_ones" if value else "_zeros", shape=shape, dtype=dtype.name)
    return b.op("_full", shape=shape, value=value, dtype=dtype.name)


def _filled(b: OnnxBuilder, shape: ir.Value, number: float, dtype: np.dtype[Any]) -> ir.Value:
    value = np.asarray([number]).astype(dtype)
    return b.op("ConstantOfShape", shape, value=ir.tensor(value))


_ARITHMETIC: dict[str, Any] = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}


def uniform(b: TorchBuilder, value: ir.Value) -> float | None:
    """The number that all elements of an array are; None where they differ or are not known."""
    number = b.number(value)
    producer = value.producer()
    if number is not None or producer is None:
        return number
    if producer.op_type == "ConstantOfShape":
        return _number(_value_of(producer))
    if producer.op_type == "Expand":
        return uniform(b, some(producer.inputs[0]))
    if producer.op_type in _ARITHMETIC:
        parts = [uniform(b, some(operand)) for operand in producer.inputs]
        if None not in parts:
            dtype = b.dtype(value)
            return _number(np.asarray(_ARITHMETIC[producer.op_type](*np.asarray(parts, dtype))).reshape(-1)[0])
    return None


def _value_of(node: ir.Node) -> np.generic:
    attribute = node.attributes.get("value")
    value: np.generic = np.float32(0) if attribute is None else attribute.as_tensor().numpy().reshape(-1)[0]
    return value


def _number(value: np.generic) -> float:
    return decimal(float(value)) if isinstance(value, np.float32) else value.item()


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    value = _value_of(node)
    number = _number(value)
    dtype = value.dtype
    like = _shape_of(node)
    if like is not None:
        other = None if b.dtype(like) == dtype else b.torch_dtype(dtype)
        same = b.arg(like)
        if number in (0, 1):
            return b.call("torch.ones_like" if number else "torch.zeros_like", same, dtype=other)
        return b.call("torch.full_like", same, number, dtype=other)
    sizes = sizes_given(b, node, 0, x[0])
    fed = len(sizes) == 1 and isinstance(sizes[0], Var)
    given: dict[str, Arg] = {"dtype": None if dtype == np.float32 else b.torch_dtype(dtype)}
    given["device"] = device_near(b, node)
    if number in (0, 1):
        return b.call("torch.ones" if number else "torch.zeros", *(sizes or [()]), **given)
    return b.call("torch.full", sizes[0] if fed else tuple(sizes), number, **given)


def _read_full(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    number = {"_zeros": 0.0, "_ones": 1.0}.get(node.op)
    number = FLOAT.parse(node.attrs["value"]) if number is None else number
    shape, dtype = ints(node.attrs.get("shape", "()")), np.dtype(node.attrs.get("dtype", "float32"))
    if b.np_shape and 0 in shape:
        return b.const(np.zeros(shape), dtype)
    if not b.np_shape and (not shape or 0 in shape):
        return Refusal(
            f"its shape {shape} is only known from what reads it; write it out in the symbol, or make it an input"
        )
    return _filled(b, b.const(np.asarray(shape, np.int64)), number, dtype)


_CODES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
"""Element types by the numbers that MXNet has for them."""


def _read_zeros(b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """Zeros of an element type by number; MXNet takes -1 from what reads them, which is float32 in most models."""
    shape, code = ints(node.attrs.get("shape", "()")), int(node.attrs.get("dtype", "-1"))
    if node.attrs.get("shape", "None") == "None" or 0 in shape or not -1 <= code < len(_CODES):
        return Refusal("its shape or element type is only known from what reads it; write it out in the symbol")
    return _filled(b, b.const(np.asarray(shape, np.int64)), 0.0, np.dtype(_CODES[max(code, 0)]))


def _read_like(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    like = some(x[0])
    return _filled(b, b.op("Shape", like), float(node.op == "ones_like"), b.dtype(like))


_X = arr(2, 3)
_IGNORED = ("ctx",)


def _value(number: float | bool, dtype: str) -> dict[str, Any]:
    return {"value": ir.tensor(np.array([number], dtype))}


OPS = (
    Op(
        "ConstantOfShape",
        mx=(MxForm("_full", write=_write, direction="write"),),
        torch=_torch,
        cases=(
            Case("default", (int64([2, 3]),), const=(0,), grad=False),
            Case("float", (int64([2, 3]),), _value(0.1, "float32"), const=(0,), grad=False),
            Case("one", (int64([2]),), _value(1, "float32"), const=(0,), grad=False),
            Case("integers", (int64([2]),), _value(7, "int64"), const=(0,), grad=False),
            Case("truths", (int64([2]),), _value(True, "bool"), const=(0,), grad=False),
            Case("scalar", (int64([]),), _value(2, "float32"), const=(0,), grad=False),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_full",
                read=_read_full,
                reads=("shape", "value", "dtype"),
                ignore=_IGNORED,
                direction="read",
                cases=(
                    Case("float", (), {"shape": (2, 3), "value": 0.1}, grad=False),
                    Case("integers", (), {"shape": 2, "value": 2.7, "dtype": "int32"}, grad=False),
                ),
            ),
            MxForm(
                "_zeros",
                read=_read_full,
                reads=("shape", "dtype"),
                ignore=_IGNORED,
                direction="read",
                cases=(
                    Case("default", (), {"shape": (2, 3)}, grad=False),
                    Case("integers", (), {"shape": "2", "dtype": "int64", "ctx": "cpu(0)"}, grad=False),
                ),
            ),
            MxForm(
                "_ones",
                read=_read_full,
                reads=("shape", "dtype"),
                ignore=_IGNORED,
                direction="read",
                cases=(Case("default", (), {"shape": (2, 3)}, grad=False),),
            ),
            MxForm(
                "_zeros_without_dtype",
                read=_read_zeros,
                reads=("shape", "dtype"),
                ignore=_IGNORED,
                direction="read",
                cases=(
                    Case("integers", (), {"shape": (2, 3), "dtype": 4}, grad=False),
                    Case("doubles", (), {"shape": "2", "dtype": 1}, grad=False),
                ),
            ),
            MxForm(
                "zeros_like",
                read=_read_like,
                direction="read",
                cases=(Case("floats", (_X,)), Case("integers", (arr(2, dtype="int32"),), grad=False)),
            ),
            MxForm("ones_like", read=_read_like, direction="read", cases=(Case("floats", (_X,)),)),
        ),
    ),
)
