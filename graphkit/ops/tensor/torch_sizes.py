"""Sizes and bounds as arguments of torch calls: numbers, terms of ``x.shape[0]``, else elements of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import sympy

from graphkit.ir.dims import dims_of
from graphkit.ir.symbols import equal, shape_of, sizes_of
from graphkit.ops.tensor.sizes import constant_ints, is_never_negative, measured
from graphkit.ops.torchprogram import Device, Var

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["device_near", "elements", "is_full", "nonnegative", "size_arg", "sizes_given"]

_PARTS = frozenset({"Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
_INTEGERS = frozenset({ir.DataType.INT64, ir.DataType.INT32})


def elements(b: TorchBuilder, node: ir.Node, position: int, operand: Arg) -> list[Arg] | None:
    """The elements of an integer operand of at most one axis; None where their number is not known.

    Args:
        b: The builder.
        node: The ONNX node being written.
        position: Position of the operand.
        operand: What holds it.
    """
    value = node.inputs[position]
    if value is None:
        return None
    known = constant_ints(b, node, position)
    if known is not None:
        return list(known)
    sizes, dims = sizes_of(value), dims_of(value)
    if dims == ():
        arg = None if sizes is None else size_arg(b, node, sizes.item())
        return [operand if arg is None else arg]
    if sizes is None:
        if dims is None or not isinstance(dims[0], int):
            return None
        return [b.item(operand, place) for place in range(dims[0])]
    args = [size_arg(b, node, size) for size in sizes.reshape(-1)]
    return [b.item(operand, place) if arg is None else arg for place, arg in enumerate(args)]


def sizes_given(b: TorchBuilder, node: ir.Node, position: int, operand: Arg) -> list[Arg]:
    """The elements of an integer operand as arguments; one list of them where nothing is known of any."""
    value = node.inputs[position]
    found = None if sizes_of(value) is None else elements(b, node, position, operand)
    return [b.method("tolist", operand)] if found is None else found


def size_arg(b: TorchBuilder, node: ir.Node, size: Size, *preferred: ir.Value) -> Arg | None:
    """A size as a number or a term of the sizes of values already written; None where nothing says it.

    Args:
        b: The builder.
        node: The ONNX node being written.
        size: The size.
        preferred: Values to look at first; the node's operands, the values whose shapes these are computed from and
            the graph's inputs follow.
    """
    if isinstance(size, int):
        return size
    if not isinstance(size, sympy.Basic):
        return None
    operands = [operand for operand in node.inputs if operand is not None]
    return _term(b, size, [*preferred, *operands, *_around(node)])


def _around(node: ir.Node) -> list[ir.Value]:
    """The values whose shapes the integer operands of a node are computed from, and the graph's inputs."""
    integers = [value for value in node.inputs if value is not None and value.dtype in _INTEGERS]
    return [*measured(*integers), *(() if node.graph is None else node.graph.inputs)]


def device_near(b: TorchBuilder, node: ir.Node) -> Device | None:
    """The device on which a tensor is made that is computed from shapes; None for torch's default one."""
    for value in _around(node):
        arg = b.arg(value)
        if isinstance(arg, Var):
            return Device(arg)
    return None


def _term(b: TorchBuilder, size: sympy.Basic, values: Sequence[ir.Value]) -> Arg | None:
    if size.is_Integer:
        return int(size)
    for value in values:
        axis = _axis_of(value, size)
        if axis is not None:
            return b.size(*_first(value, axis, size))
    top, bottom = sympy.fraction(sympy.together(size.args[0] if isinstance(size, sympy.floor) else size))
    if bottom != 1:
        return _joined(b, "//", [top, bottom], values)
    if isinstance(size, sympy.floor):
        return _term(b, top, values)
    if isinstance(size, sympy.Add):
        return _sum(b, size, values)
    if isinstance(size, sympy.Mul):
        return _joined(b, "*", sorted(size.args, key=lambda part: part.is_Integer), values)
    return None


def _axis_of(value: ir.Value | None, size: sympy.Basic) -> int | None:
    """The first axis of a value that has a symbolic size."""
    dims = None if value is None else shape_of(value)
    return next((axis for axis, dim in enumerate(dims or ()) if isinstance(dim, sympy.Basic) and dim == size), None)


def _first(value: ir.Value, axis: int, size: sympy.Basic) -> tuple[ir.Value, int]:
    """The array that an array with an axis of a size was made from by no more than giving parts of it another shape."""
    while (producer := value.producer()) is not None and producer.op_type in _PARTS:
        source = producer.inputs[0]
        before = _axis_of(source, size)
        if source is None or before is None:
            break
        value, axis = source, before
    return value, axis


def _sum(b: TorchBuilder, total: sympy.Add, values: Sequence[ir.Value]) -> Arg | None:
    positive = [part for part in total.args if not part.could_extract_minus_sign()]
    negative = [-part for part in total.args if part.could_extract_minus_sign()]
    if not positive:
        return None
    found = _joined(b, "+", sorted(positive, key=lambda part: part.is_Integer), values)
    for part in negative:
        less = _term(b, part, values)
        if found is None or less is None:
            return None
        found = b.infix("-", found, less)
    return found


def _joined(b: TorchBuilder, operator: str, parts: Sequence[Any], values: Sequence[ir.Value]) -> Arg | None:
    args = [_term(b, part, values) for part in parts]
    found = args[0]
    for arg in args[1:]:
        if found is None or arg is None:
            return None
        found = b.infix(operator, found, arg)
    return found


def is_full(have: Sequence[Size] | None, want: Sequence[Size] | None) -> bool:
    """Whether two shapes are known to be the same."""
    if have is None or want is None:
        return False
    return len(have) == len(want) and all(equal(old, new) for old, new in zip(have, want, strict=True))


def nonnegative(b: TorchBuilder, indices: ir.Value, arg: Arg, data: ir.Value, axis: int) -> Arg:
    """Int64 indices into an axis of ``data``, those below zero counted from its end, as ONNX means them."""
    array, size = b.value(indices), b.size(data, axis)
    if array is not None and (array.min(initial=0) >= 0 or isinstance(size, int)):
        inside = array.astype(np.int64) % size if isinstance(size, int) else array.astype(np.int64)
        return arg if array.dtype == np.int64 and np.array_equal(inside, array) else b.const(inside)
    if b.dtype(indices) != np.int64:
        arg = b.method("long", arg)
    return arg if is_never_negative(b, indices) else b.infix("%", arg, size)
