"""Changing the element type.

ONNX's bool is carried by the numbers 0 and 1 (see :mod:`graphkit.ops.booleans`), and MXNet's Cast hands gradients on
even through integers, where the cast function is flat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import carrier
from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some
from graphkit.ops.tensor.torch_cast import torch_cast, torch_cast_like

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef

__all__ = ["DTYPES"]

DTYPES = frozenset({"float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bfloat16"})
"""Element types that MXNet 1.9.1 computes in."""
_INDEX_PLACES = {
    "Gather": 1,
    "GatherElements": 1,
    "GatherND": 1,
    "OneHot": 0,
    "ReverseSequence": 1,
    "ScatterElements": 1,
    "ScatterND": 1,
}
"""Which input of an operator is an index, in which MXNet has no gradient."""
_AMP = frozenset({"float16", "float32", "bfloat16"})


def _write_cast(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    return _cast(b, some(node.inputs[0]), some(x[0]), b.dtype(node.outputs[0]), node.outputs[0])


def _write_cast_like(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    return _cast(b, some(node.inputs[0]), some(x[0]), b.dtype(some(node.inputs[1])), node.outputs[0])


def _cast(b: MxBuilder, source: ir.Value, data: MxRef, to: np.dtype[Any], result: ir.Value) -> MxRef | Refusal:
    own, held = b.dtype(source), carrier(b, source)
    if to == own:
        return data
    if to.kind == "b":
        truth = b.op("_not_equal_scalar", data, scalar=0.0)
        target = carrier(b, result)
        return truth if held == target else b.op("Cast", truth, dtype=target.name)
    if to.name not in DTYPES:
        return Refusal(f"MXNet 1.9.1 does not compute in {to.name}; cast to another type")
    if to == held:
        return data
    if own.kind == "f" and to.kind in "iu" and _turns_to_float(result, inside=b.is_inside):
        data = b.op("BlockGrad", data)
    return b.op("Cast", data, dtype=to.name)


def _turns_to_float(integers: ir.Value, *, inside: bool) -> bool:
    """Whether floats may be computed from integers, through which MXNet would hand a gradient on.

    Comparisons end it.

    Args:
        integers: The integers.
        inside: Whether they are in a body of a loop or branch.
    """
    seen: set[ir.Value] = set()
    stack = [integers]
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.is_graph_output() and (inside or value.graph is not integers.graph):
            return True  # what a body gives may become anything
        for use in value.uses():
            if use.idx == _INDEX_PLACES.get(use.node.op_type):
                continue
            for output in use.node.outputs:
                if output.dtype is None or output.dtype.is_floating_point():
                    return True
                if output.dtype != ir.DataType.BOOL:
                    stack.append(output)
    return False


def _read_cast(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Cast", x[0], to=_data_type(node.attrs["dtype"]))


def _read_amp_cast(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    data = some(x[0])
    if b.dtype(data).name not in _AMP:
        return b.op("Identity", data)
    return _read_cast(b, node, x)


def _read_amp_multicast(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    values = [some(value) for value in x]
    kinds = {b.dtype(value) for value in values}
    if any(kind.kind != "f" for kind in kinds):
        return Refusal("its inputs are not all floats")
    choose = min if BOOL.parse(node.attrs.get("cast_narrow", "False")) else max
    dtype = ir.DataType.from_numpy(choose(kinds, key=lambda kind: kind.itemsize))
    return [b.op("Cast", value, to=dtype) for value in values]


def _data_type(name: str) -> ir.DataType:
    return ir.DataType.BFLOAT16 if name == "bfloat16" else ir.DataType.from_numpy(np.dtype(name))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    data = some(node.inputs[0])
    same = b.dtype(data) == b.dtype(dy[0])
    return [dy[0] if same else b.op("Cast", dy[0], to=ir.DataType.from_numpy(b.dtype(data)))]


_FLOATS = given([-1.5, -0.5, 0.0, 0.5, 1.9, 100.0], "float32")
_WHOLE = given([-3, 0, 1, 2], "int64")
_TRUTHS = given([True, False], "bool")


def _to(dtype: ir.DataType) -> dict[str, int]:
    return {"to": int(dtype)}


OPS = (
    Op(
        "Cast",
        mx=(
            MxForm(
                "Cast",
                read=_read_cast,
                reads=("dtype",),
                write=_write_cast,
                cases=(
                    Case("to float16", (arr(2, 3),), {"dtype": "float16"}, grad=False),
                    Case("to int32", (_FLOATS,), {"dtype": "int32"}, grad=False),
                    Case("to bool", (_FLOATS,), {"dtype": "bool"}, grad=False),
                    Case("to float64", (_WHOLE,), {"dtype": "float64"}, grad=False),
                ),
            ),
            MxForm(
                "amp_cast",
                read=_read_amp_cast,
                reads=("dtype",),
                direction="read",
                cases=(
                    Case("to float16", (arr(2, 3),), {"dtype": "float16"}, grad=False),
                    Case("integers stay", (_WHOLE,), {"dtype": "float16"}, grad=False),
                    Case("to integers", (_FLOATS,), {"dtype": "int64"}, grad=False),
                ),
            ),
        ),
        torch=torch_cast,
        gradient=_gradient,
        cases=(
            Case("to float64", (arr(2, 3),), _to(ir.DataType.DOUBLE)),
            Case("to float16", (arr(2, 3),), _to(ir.DataType.FLOAT16), grad=False),
            Case("to int64", (_FLOATS,), _to(ir.DataType.INT64), grad=False),
            Case("to int32", (_FLOATS,), _to(ir.DataType.INT32), grad=False),
            Case("to uint8", (given([0.0, 1.5, 255.0], "float32"),), _to(ir.DataType.UINT8), grad=False),
            Case("to bool", (given([-0.5, 0.0, 2.0, np.nan], "float32"),), _to(ir.DataType.BOOL), grad=False),
            Case("integers to bool", (_WHOLE,), _to(ir.DataType.BOOL), grad=False),
            Case("integers to float32", (_WHOLE,), _to(ir.DataType.FLOAT), grad=False),
            Case("truths to float32", (_TRUTHS,), _to(ir.DataType.FLOAT), grad=False),
            Case("truths to int64", (_TRUTHS,), _to(ir.DataType.INT64), grad=False),
            Case("truths to truths", (_TRUTHS,), _to(ir.DataType.BOOL), grad=False),
            Case("no change", (arr(2, 3),), _to(ir.DataType.FLOAT), grad=False),
        ),
        limits=(Limit("read-float64", "MXNet's amp_cast leaves float64 as it is", "amp_cast>to integers"),),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "amp_multicast",
                read=_read_amp_multicast,
                reads=("cast_narrow", "num_outputs"),
                direction="read",
                cases=(
                    Case("widest", (arr(2, dtype="float16"), arr(2)), {"num_outputs": 2}, outputs=2, grad=False),
                    Case(
                        "narrowest",
                        (arr(2, dtype="float16"), arr(2, dtype="float32")),
                        {"num_outputs": 2, "cast_narrow": True},
                        outputs=2,
                        dtype="float16",
                        grad=False,
                    ),
                ),
            ),
        ),
    ),
    Op(
        "CastLike",
        mx=(MxForm("Cast", write=_write_cast_like, direction="write"),),
        torch=torch_cast_like,
        gradient=_gradient,
        cases=(
            Case("to int32", (_FLOATS, arr(1, dtype="int32")), grad=False),
            Case("to float32", (_WHOLE, arr(1)), grad=False),
        ),
    ),
)
