"""Arrays in an MXNet symbol that are as long as a size says which is only known when the symbol is bound.

MXNet's operators take sizes from other arrays rather than from numbers that are computed: ``broadcast_like``,
``slice_like`` and ``reshape_like`` read the shape of what they are handed. So a size such as ``n // 2 + 1`` is made by
making an array of that length: ``slice`` with a step divides, ``tile`` multiplies, ``Concat`` adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from graphkit.ir.symbols import common_factor, equal, named, shape_of, tidy
from graphkit.ops.tensor.sizes import measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxRef

__all__ = ["axes_like", "axis_like", "cut_to", "cut_to_last", "line_of", "within"]

_ALL_SIZES = frozenset({"ConstantOfShape", "Range"})
"""Operators whose first operand is a size, too, rather than data."""


def axis_like(b: MxBuilder, node: ir.Node, size: Size | str, *preferred: ir.Value) -> tuple[MxRef, int] | None:
    """Something with an axis of a size, and that axis; None where MXNet cannot make one.

    Args:
        b: The builder.
        node: The ONNX node being written.
        size: The size, as a term or spelled.
        preferred: Values to look at before those that the node's operands measure and the graph's inputs.
    """
    wanted = named(size) if isinstance(size, str) else size
    if wanted is None:
        return None
    for value in _at_hand(b, node, preferred):
        for axis, found in enumerate(shape_of(value) or ()):
            if equal(found, wanted):
                return b.ref(value), axis
    line = line_of(b, node, wanted, *preferred)
    return None if line is None else (line, 0)


def axes_like(b: MxBuilder, node: ir.Node, sizes: Sequence[Size]) -> tuple[MxRef, int] | None:
    """Something with successive axes of some sizes, and the first of them; None where MXNet cannot make it."""
    count = len(sizes)
    for value in _at_hand(b, node, ()):
        shape = shape_of(value) or ()
        for first in range(len(shape) - count + 1):
            if all(equal(found, size) for found, size in zip(shape[first : first + count], sizes, strict=True)):
                return b.ref(value), first
    found = b.op("_zeros", shape=tuple(size if isinstance(size, int) else 1 for size in sizes), dtype="float32")
    for axis, size in enumerate(sizes):
        if not isinstance(size, int):
            like = axis_like(b, node, size)
            if like is None:
                return None
            found = b.op("broadcast_like", found, like[0], lhs_axes=(axis,), rhs_axes=(like[1],))
    return found, 0


def line_of(b: MxBuilder, node: ir.Node, size: Size, *preferred: ir.Value) -> MxRef | None:
    """A float32 array of one axis with as many elements as a size; None where MXNet cannot make it.

    Args:
        b: The builder.
        node: The ONNX node being written.
        size: The size.
        preferred: Values to take sizes from before others.
    """
    size = tidy(size)
    if isinstance(size, sympy.Max) and 0 in size.args:
        size = sympy.Max(*(term for term in size.args if term != 0))  # MXNet has no arrays without elements
    if isinstance(size, int):
        return b.op("_zeros", shape=(size,), dtype="float32") if size > 0 else None
    return b.once(f"length {size}", lambda: _made(b, node, size, preferred))


def _made(b: MxBuilder, node: ir.Node, size: sympy.Basic, preferred: Sequence[ir.Value]) -> MxRef | None:
    for value in _at_hand(b, node, preferred):
        for axis, found in enumerate(shape_of(value) or ()):
            if equal(found, size):
                line = b.op("_zeros", shape=(1,), dtype="float32")
                return b.op("broadcast_like", line, b.ref(value), lhs_axes=(0,), rhs_axes=(axis,), name="length")
    if isinstance(size, sympy.Symbol):
        return _solved(b, node, size, preferred)
    if isinstance(size, sympy.floor):
        return _divided(b, node, size.args[0], preferred)
    if isinstance(size, sympy.Min):
        return _least(b, node, size, preferred)
    if isinstance(size, sympy.Pow):
        base, power = size.args
        return _product(b, node, [base] * int(power), preferred) if power.is_Integer and power > 0 else None
    if isinstance(size, sympy.Mul):
        return _multiplied(b, node, size, preferred)
    return _added(b, node, size, preferred) if isinstance(size, sympy.Add) else None


def _solved(b: MxBuilder, node: ir.Node, name: sympy.Symbol, preferred: Sequence[ir.Value]) -> MxRef | None:
    """A size that occurs only within others, as n in an axis of 2n + 1 elements."""
    for value in _at_hand(b, node, preferred):
        for found in shape_of(value) or ():
            if not isinstance(found, sympy.Basic) or found.free_symbols != {name} or not found.is_polynomial(name):
                continue
            factors = sympy.Poly(found, name).all_coeffs()
            if len(factors) != 2 or not all(factor.is_Integer for factor in factors) or factors[0] <= 0:
                continue
            line = line_of(b, node, found, *preferred)
            line = None if line is None else _lengthened(b, line, -int(factors[1]))
            return None if line is None else _stepped(b, line, int(factors[0]), int(factors[0]) - 1)
    return None


def _divided(b: MxBuilder, node: ir.Node, term: sympy.Basic, preferred: Sequence[ir.Value]) -> MxRef | None:
    """The length ⌊term⌋: with a step of d from place d - 1 - c, what has n elements has ⌊(n + c)/d⌋ left."""
    above, below = sympy.fraction(sympy.together(term))
    if not (below.is_Integer and above.is_integer and (below > 1 or above != term)):
        return None
    number, rest = sympy.expand(above).as_coeff_Add()
    first = int(below) - 1 - int(number)
    whole, first = (rest, first) if first >= 0 else (above, int(below) - 1)
    line = line_of(b, node, tidy(whole), *preferred)
    return None if line is None else _stepped(b, line, int(below), first)


def _stepped(b: MxBuilder, line: MxRef, by: int, first: int) -> MxRef:
    if by == 1 and first == 0:
        return line
    return b.op("slice", line, begin=(first,), end=("None",), step=(by,), name="part")


def _lengthened(b: MxBuilder, line: MxRef, by: int) -> MxRef:
    if by < 0:
        return b.op("slice_axis", line, axis=0, begin=-by, end="None", name="shorter")
    if by > 0:
        more = b.op("_zeros", shape=(by,), dtype="float32")
        return b.op("Concat", line, more, dim=0, num_args=2, name="longer")
    return line


def _least(b: MxBuilder, node: ir.Node, size: sympy.Min, preferred: Sequence[ir.Value]) -> MxRef | None:
    numbers = [int(term) for term in size.args if term.is_Integer]
    others = [term for term in size.args if not term.is_Integer]
    line = line_of(b, node, tidy(others[0]), *preferred) if len(numbers) == len(others) == 1 else None
    return None if line is None else b.op("slice", line, begin=(0,), end=(numbers[0],), name="least")


def _multiplied(b: MxBuilder, node: ir.Node, size: sympy.Mul, preferred: Sequence[ir.Value]) -> MxRef | None:
    factor, rest = size.as_coeff_Mul()
    if factor < 0:
        return None
    if not factor.is_Integer:
        return _divided(b, node, size, preferred)
    if factor != 1:
        line = line_of(b, node, tidy(rest), *preferred)
        return None if line is None else b.op("tile", line, reps=(int(factor),), name="times")
    return _product(b, node, list(rest.args), preferred)


def _product(
    b: MxBuilder, node: ir.Node, factors: Sequence[sympy.Basic], preferred: Sequence[ir.Value]
) -> MxRef | None:
    whole = None
    for factor in factors:
        line = line_of(b, node, tidy(factor), *preferred)
        if line is None:
            return None
        if whole is None:
            whole = line
            continue
        table = b.op("broadcast_like", b.op("expand_dims", whole, axis=1), line, lhs_axes=(1,), rhs_axes=(0,))
        whole = b.op("Reshape", table, shape=(-1,), name="times")
    return whole


def _added(b: MxBuilder, node: ir.Node, size: sympy.Add, preferred: Sequence[ir.Value]) -> MxRef | None:
    number, rest = size.as_coeff_Add()
    terms = list(sympy.Add.make_args(rest))
    if not (number.is_Integer and all(term.is_integer for term in terms)):
        return _divided(b, node, size, preferred)
    factor = common_factor(size)
    if factor > 1:
        line = line_of(b, node, tidy(size / factor), *preferred)
        return None if line is None else b.op("tile", line, reps=(factor,), name="times")
    less = [term for term in terms if term.as_coeff_Mul()[0] < 0]
    if not less:
        lines = [line_of(b, node, tidy(term), *preferred) for term in terms]
        known = [line for line in lines if line is not None]
        if len(known) < len(lines):
            return None
        line = known[0] if len(known) == 1 else b.op("Concat", *known, dim=0, num_args=len(known), name="sum")
        return _lengthened(b, line, int(number))
    rounded = [term for term in terms if isinstance(term, sympy.floor) or isinstance(-term, sympy.floor)]
    if len(less) == 1 and isinstance(-less[0], sympy.floor) and len(rounded) < len(terms):
        plain = size - sympy.Add(*(term for term in terms if term.has(sympy.floor)))
        merged = tidy(-sympy.floor(sympy.expand((-less[0]).args[0] - plain)))
        if isinstance(merged, sympy.floor):
            lines = [line_of(b, node, tidy(part), *preferred) for part in (merged, size - plain - less[0]) if part != 0]
            known = [line for line in lines if line is not None]
            if len(known) < len(lines):
                return None
            return known[0] if len(known) == 1 else b.op("Concat", *known, dim=0, num_args=2, name="sum")
    if len(less) != 1 or len(rounded) != 1:
        return None
    # n - ⌊a⌋ is -⌊a - n⌋, and ⌊a⌋ - n is ⌊a - n⌋
    sign = 1 if isinstance(rounded[0], sympy.floor) else -1
    inner = (sign * rounded[0]).args[0]
    size = tidy(sign * sympy.floor(sympy.expand(sign * (size - rounded[0]) + inner)))
    return line_of(b, node, size, *preferred) if isinstance(size, sympy.floor) else None


def _at_hand(b: MxBuilder, node: ir.Node, preferred: Sequence[ir.Value]) -> Iterator[ir.Value]:
    """Values that are written already and whose sizes are known by name."""
    yield from preferred
    yield from measured(*node.inputs[0 if node.op_type in _ALL_SIZES else 1 :])
    if node.graph is not None:
        yield from node.graph.inputs
    if b.is_inside:
        yield from b.inputs


def within(b: MxBuilder, rank: int, axis: int, like: tuple[MxRef, int]) -> MxRef:
    """Something of a rank whose one axis is as long as that of something else; slice_like asks for equal places."""
    ref, other = like
    line = b.op("_zeros", shape=(1,) * rank, dtype="float32")
    return b.op("broadcast_like", line, ref, lhs_axes=(axis,), rhs_axes=(other,), name="length")


def cut_to(b: MxBuilder, data: MxRef, rank: int, axis: int, like: tuple[MxRef, int]) -> MxRef:
    """The first elements along an axis, as many as another axis has."""
    ref = like[0] if like[1] == axis else within(b, rank, axis, like)
    return b.op("slice_like", data, ref, axes=(axis,))


def cut_to_last(b: MxBuilder, data: MxRef, rank: int, axis: int, like: tuple[MxRef, int]) -> MxRef:
    """The last elements along an axis, as many as another axis has."""
    turned = b.op("reverse", data, axis=(axis,))
    return b.op("reverse", cut_to(b, turned, rank, axis, like), axis=(axis,))
