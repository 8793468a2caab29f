"""Sizes and bounds as arguments of torch calls: numbers, terms of ``x.shape[0]``, else elements of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sympy

from graphkit.ir.dims import dims_of
from graphkit.ir.symbols import equal, shape_of, sizes_of
from graphkit.ops.tensor.sizes import constant_ints, measured
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["along", "elements", "is_full", "size_arg", "sizes_like"]


def elements(b: TorchBuilder, node: ir.Node, position: int, operand: Arg) -> list[Arg] | None:
    """The elements of a 1-D integer operand; None where their number is not known.

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
    sizes = sizes_of(value)
    dims = dims_of(value)
    if sizes is None:
        count = dims[0] if dims is not None and len(dims) == 1 else None
        found: list[Size] = [None] * count if isinstance(count, int) else []
        if not isinstance(count, int):
            return None
    else:
        found = list(sizes.reshape(-1))
    args = [size_arg(b, node, size) for size in found]
    return [b.item(operand, place) if arg is None else arg for place, arg in enumerate(args)]


def sizes_like(b: TorchBuilder, node: ir.Node, want: Sequence[Size], *preferred: ir.Value) -> list[Arg] | None:
    """A shape as arguments; None where one of its sizes is not known."""
    args = [size_arg(b, node, size, *preferred) for size in want]
    return None if None in args else args


def size_arg(b: TorchBuilder, node: ir.Node, size: Size, *preferred: ir.Value) -> Arg | None:
    """A size as a number or a term of the sizes of values already written; None where nothing says it.

    Args:
        b: The builder.
        node: The ONNX node being written.
        size: The size.
        preferred: Values to look at first; the node's operands, those its shape is computed from and the graph's
            inputs follow.
    """
    if isinstance(size, int):
        return size
    if not isinstance(size, sympy.Basic):
        return None
    operands = [operand for operand in node.inputs if operand is not None]
    inputs = () if node.graph is None else node.graph.inputs
    return _term(b, size, [*preferred, *operands, *measured(node), *inputs])


def _term(b: TorchBuilder, size: sympy.Basic, values: Sequence[ir.Value]) -> Arg | None:
    if size.is_Integer:
        return int(size)
    for value in values:
        for axis, dim in enumerate(shape_of(value) or ()):
            if isinstance(dim, sympy.Basic) and dim == size:
                return b.size(value, axis)
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


def along(axis: int, *at: Arg, rank: int | None = None) -> tuple[Arg, ...]:
    """An index that applies ``at`` from an axis on and takes all of the axes before: ``[:, …]`` or ``[..., …]``."""
    if rank is not None and axis > 1 and axis + len(at) == rank:
        return (Code("..."), *at)
    return (*(slice(None),) * axis, *at)


def is_full(have: Sequence[Size], want: Sequence[Size]) -> bool:
    """Whether two shapes are known to be the same."""
    return len(have) == len(want) and all(equal(old, new) for old, new in zip(have, want, strict=True))
