"""Changing the element type in torch, types of fewer than 16 bits included.

Integers of 2 and 4 bits are held in torch's integers of 8, and floats of 4 bits in float32 (see
:mod:`graphkit.ir.dtypes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ops.spec import Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["torch_cast", "torch_cast_like"]

_METHODS = {
    "torch.float16": "half",
    "torch.float32": "float",
    "torch.float64": "double",
    "torch.int32": "int",
    "torch.int64": "long",
    "torch.bool": "bool",
}
_LARGEST = {
    ir.DataType.FLOAT8E4M3FN: 448,
    ir.DataType.FLOAT8E4M3FNUZ: 240,
    ir.DataType.FLOAT8E5M2: 57344,
    ir.DataType.FLOAT8E5M2FNUZ: 57344,
}
"""Largest number of a float of 8 bits."""
_BEYOND = 464
"""Midway from the largest float8_e4m3fn to what would follow it; torch saturates where it rounds to that."""
_FEW_BITS = {ir.DataType.INT4: 4, ir.DataType.UINT4: 4, ir.DataType.INT2: 2, ir.DataType.UINT2: 2}


def torch_cast(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Cast to the attribute ``to``."""
    return _to(b, node, x[0], ir.DataType(node.attributes.get_int("to", 0)))


def torch_cast_like(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Cast to the type of the second input."""
    like = some(node.inputs[1])
    return _to(b, node, x[0], like.dtype or ir.DataType.from_numpy(b.dtype(like)))


def _to(b: TorchBuilder, node: ir.Node, data: Arg, to: ir.DataType) -> Arg | Refusal:
    source = some(node.inputs[0])
    own = source.dtype or ir.DataType.from_numpy(b.dtype(source))
    if to == own:
        return data
    if ir.DataType.STRING in (to, own):
        return Refusal("torch has no strings; cast before or after the model")
    producer = source.producer()
    if to == ir.DataType.BOOL and producer is not None and producer.op_type == "Cast":
        truth = some(producer.inputs[0])
        if truth.dtype == ir.DataType.BOOL:
            return b.arg(truth)
    try:
        dtype, held = b.torch_dtype(to), b.torch_dtype(own)
    except ValueError as error:
        return Refusal(str(error))
    saturate = bool(node.attributes.get_int("saturate", 1))
    if own in _LARGEST or own == ir.DataType.FLOAT8E8M0:
        data, held = b.method("float", data), b.torch_dtype(ir.DataType.FLOAT)
    if to in _LARGEST:
        return b.method("to", _in_range(b, data, own, to, saturate=saturate), dtype)
    if to == ir.DataType.FLOAT8E8M0:
        rounding = node.attributes.get_string("round_mode", "up")
        options = {"rounding": None if rounding == "up" else rounding, "saturate": None if saturate else False}
        return b.call("to_powers_of_two", data, **options)
    if to == ir.DataType.FLOAT4E2M1:
        return b.call("round_to_float4", data)
    if to in _FEW_BITS:
        return _few_bits(b, data, own, to)
    if dtype == held:
        return data
    method = _METHODS.get(dtype.text)
    return b.method(method, data) if method else b.method("to", data, dtype)


def _in_range(b: TorchBuilder, data: Arg, own: ir.DataType, to: ir.DataType, *, saturate: bool) -> Arg:
    """What rounds to numbers of a float of 8 bits: the largest ones for what is beyond, or no numbers."""
    if own == ir.DataType.BOOL:
        return data
    if saturate:
        return b.method("clamp", data, -_LARGEST[to], _LARGEST[to])
    if to != ir.DataType.FLOAT8E4M3FN:
        return data
    return b.method("masked_fill", data, b.infix(">", b.method("abs", data), _BEYOND), float("nan"))


def _few_bits(b: TorchBuilder, data: Arg, own: ir.DataType, to: ir.DataType) -> Arg:
    """The lowest bits of an integer."""
    bits = _FEW_BITS[to]
    if own == ir.DataType.BOOL:
        return b.method("to", data, b.torch_dtype(to))
    if to.is_signed():
        small = data if own in (ir.DataType.INT8, ir.DataType.INT4) else b.method("to", data, b.torch_dtype(to))
        return b.infix(">>", b.infix("<<", small, 8 - bits), 8 - bits)
    whole = b.method("int", data) if own.is_floating_point() else data
    kept = b.infix("&", whole, 2**bits - 1)
    return kept if own in (ir.DataType.UINT8, ir.DataType.UINT4) else b.method("to", kept, b.torch_dtype(to))
