"""Sizes that may be symbolic, and small tensors of them: what shape arithmetic computes with.

A size is an int or a sympy expression over dimension names. Every name stands for an unknown *positive* integer (as it
does in :class:`onnx_ir.SymbolicDim`), so what is proved here holds for all tensors without empty dimensions.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir
import sympy

from graphkit.ir.params import kind_of
from graphkit.ir.terms import check_term, plain_term

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

__all__ = [
    "Size",
    "Sizes",
    "broadcast",
    "ceil_div",
    "common_factor",
    "dim_of",
    "equal",
    "floor_div",
    "named",
    "names_in",
    "never_negative",
    "number_of",
    "product",
    "quotient",
    "set_sizes",
    "shape_of",
    "size_of",
    "sizes_of",
    "tidy",
    "unrounded",
]

Size: TypeAlias = Any
"""An int, a sympy expression, or None where nothing is known."""
Sizes: TypeAlias = "npt.NDArray[Any]"
"""A tensor of sizes, of any rank; booleans and floats occur in it as results of comparisons and casts."""

_META = "graphkit.sizes"
_NESTED = 8
"""How many roundings in each other are looked through."""
_LIMIT = 1024
"""Elements up to which the values of integer tensors are followed."""
_TERMS = 256
"""Terms of a sum, multiplied out, up to which a size is computed with; those of models have a few dozen at most."""
_DEGREE = 64
"""Power up to which the same."""
_BITS = 64
"""Bits of a number up to which it can be a size, or a factor in one."""


def size_of(dim: int | ir.SymbolicDim) -> Size:
    """A dimension as a size; None where it is unknown.

    A name that is no expression stands for itself; one without a letter (``"?"``, ``"-1"``) says nothing.
    """
    if isinstance(dim, int):
        return dim
    return None if dim.value is None else _parse(dim.value)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Size:
    if not any(character.isalpha() for character in text):
        return None
    try:
        check_term(text)
        found = ir.SymbolicDim(plain_term(text))._expr
    except (ValueError, TypeError, ZeroDivisionError, RecursionError):
        found = sympy.Symbol(text, integer=True, positive=True)
    return tidy(found)


@lru_cache(maxsize=8192)
def _terms(size: sympy.Basic) -> int:
    """A bound of the terms that a size has once it is multiplied out, and of the comparisons that simplify it."""
    if isinstance(size, sympy.Rational):
        return 1 if max(abs(int(size.p)), int(size.q)).bit_length() <= _BITS else _TERMS + 1
    if not size.args:
        return 1
    parts = [_terms(part) for part in size.args]
    if isinstance(size, sympy.Pow):
        power = abs(int(size.exp)) if size.exp.is_Integer else _DEGREE + 1
        return _TERMS + 1 if power > _DEGREE else min(parts[0] ** power, _TERMS + 1)
    if isinstance(size, sympy.Mul):
        return min(math.prod(parts), _TERMS + 1)
    return min(sum(parts) ** (2 if isinstance(size, sympy.Min | sympy.Max) else 1), _TERMS + 1)


def _is_endless(size: Size) -> bool:
    """Whether a size is too large to be one, or to compute with: one of a file that is to take time or memory."""
    if isinstance(size, sympy.Basic):
        return _terms(size) > _TERMS
    return isinstance(size, int) and size.bit_length() >= _BITS


def named(dim: Size | str) -> Size:
    """A dimension as rooms see it, a number, name or spelled term, as a size."""
    return size_of(ir.SymbolicDim(dim)) if isinstance(dim, str) else dim


def dim_of(size: Size) -> int | ir.SymbolicDim:
    """A size as a dimension."""
    if size is None:
        return ir.SymbolicDim(None)
    size = tidy(size)
    if _is_endless(size):
        return ir.SymbolicDim(None)
    return size if isinstance(size, int) else _symbolic(size)


@lru_cache(maxsize=4096)
def _symbolic(size: sympy.Basic) -> ir.SymbolicDim:
    """A term as a dimension, printed once."""
    return ir.SymbolicDim(size)


def shape_of(value: ir.Value) -> tuple[Size, ...] | None:
    """A value's shape as sizes; None where its rank is unknown."""
    shape = value.shape
    if shape is None:
        return None if value.const_value is None else tuple(value.const_value.shape.numpy())
    return tuple(size_of(dim) for dim in shape)


def names_in(size: Size) -> set[str]:
    """The dimension names that a size is made of."""
    return {str(symbol) for symbol in size.free_symbols} if isinstance(size, sympy.Basic) else set()


def number_of(size: Size, sizes: Mapping[str, int]) -> int | None:
    """A size as a number, given the sizes of dimension names; None where they do not tell."""
    if isinstance(size, sympy.Basic):
        names = {symbol: str(symbol) for symbol in size.free_symbols}
        known = {symbol: sympy.Integer(sizes[name]) for symbol, name in names.items() if name in sizes}
        size = tidy(size.xreplace(known))
    return size if isinstance(size, int) else None


def tidy(size: Size) -> Size:
    """A size in the form that equal sizes share where sympy sees that they are equal; numbers as Python's."""
    return _tidied(size) if isinstance(size, sympy.Basic) else size


@lru_cache(maxsize=8192, typed=True)
def _tidied(size: sympy.Basic) -> Size:
    if isinstance(size, sympy.logic.boolalg.BooleanAtom):
        return bool(size)
    if _is_endless(size):
        return size
    size = sympy.expand(size)
    if size.has(sympy.Mod):
        size = sympy.expand(size.replace(sympy.Mod, _remainder))
    if size.has(sympy.Min, sympy.Max):
        size = sympy.expand(size.replace(sympy.Min, _least).replace(sympy.Max, _most))
    if size.has(sympy.floor, sympy.ceiling):
        size = size.replace(sympy.ceiling, lambda term: -sympy.floor(-term))
        size = sympy.expand(size.replace(sympy.floor, _rounded))
    if size.is_Integer:
        return int(size)
    return size


def _remainder(whole: sympy.Basic, by: sympy.Basic) -> sympy.Basic:
    """``whole mod by``, of factors that are as small as they can be: sympy makes 3n mod 4 of -n mod 4."""
    if by.is_Integer and by > 0:
        terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(sympy.expand(whole))]
        if all(factor.is_Integer and rest.is_integer for factor, rest in terms):
            half = by // 2
            whole = sympy.Add(*(((factor + half) % by - half) * rest for factor, rest in terms))
    return whole - by * sympy.floor(whole / by)


def _least(*terms: sympy.Basic) -> sympy.Basic:
    """The minimum, of only those terms that are not seen to be as large as another."""
    return sympy.Min(*_needed(terms, 1))


def _most(*terms: sympy.Basic) -> sympy.Basic:
    """The maximum, of only those terms that are not seen to be as small as another."""
    return sympy.Max(*_needed(terms, -1))


def _needed(terms: Sequence[sympy.Basic], sign: int) -> list[sympy.Basic]:
    kept = list(terms)
    for term in terms:
        if any(other is not term and never_negative(tidy(sign * (term - other))) for other in kept):
            kept.remove(term)
    return kept


def _rounded(term: sympy.Basic) -> sympy.Basic:
    """``⌊term⌋`` in the form that equal ones share.

    For whole numbers ``⌊(⌊a⌋ + b)/c⌋`` is ``⌊(a + b)/c⌋``, and ``-⌊-a/c⌋`` is ``⌊(a + c - 1)/c⌋``.
    """
    above, below = sympy.fraction(sympy.together(term))
    if not (below.is_Integer and below > 0) or not above.is_integer:
        return sympy.floor(term)
    whole = sum((_whole(part, below) for part in sympy.Add.make_args(above)), sympy.Integer(0))
    if whole != 0:
        return sympy.expand(whole + _rounded(sympy.expand((above - below * whole) / below)))
    inner = [part for part in sympy.Add.make_args(above) if isinstance(part, sympy.floor)]
    if len(inner) == 1:
        return _rounded(sympy.expand((above - inner[0] + inner[0].args[0]) / below))
    if sympy.expand(above).as_coeff_Add()[1].could_extract_minus_sign():
        return -_rounded(sympy.expand((below - 1 - above) / below))
    return sympy.floor(sympy.expand(above / below))


def _whole(part: sympy.Basic, below: sympy.Integer) -> sympy.Basic:
    """How often a multiple of a rounded term has ``below`` in it, so that as little as may be of it is rounded again.

    ``⌊3⌊a⌋/4⌋`` is ``⌊a⌋ + ⌊-⌊a⌋/4⌋``.
    """
    factor, rest = part.as_coeff_Mul()
    if not isinstance(rest, sympy.floor) or not factor.is_Integer:
        return sympy.Integer(0)
    return rest * sympy.ceiling(sympy.Rational(2 * factor - below, 2 * below))


def equal(left: Size, right: Size) -> bool | None:
    """Whether two sizes are equal for all values of their names, never equal (False), or neither (None)."""
    if left is None or right is None:
        return None
    if not isinstance(left, sympy.Basic) and not isinstance(right, sympy.Basic):
        return bool(left == right)
    if left == right:
        return True
    difference = tidy(left - right)
    if not isinstance(difference, sympy.Basic):
        return bool(difference == 0)
    if difference.is_nonzero:
        return False
    return True if _rounds(difference) and never_negative(difference) and never_negative(-difference) else None


def never_negative(size: Size) -> bool:
    """Whether a whole size can be seen to be 0 or more for all values of its names.

    Quotients that are rounded down are bounded by what they round, so that ``n - ⌊n/2⌋`` is seen to be.
    """
    if not isinstance(size, sympy.Basic):
        return size is not None and bool(size >= 0)
    return bool(size.is_nonnegative) or (not _is_endless(size) and _bounded(size))


def unrounded(size: Size) -> Size:
    """A size with quotients that are not rounded down: for sizes of which it is known that they divide."""
    if not isinstance(size, sympy.Basic) or not _rounds(size):
        return size
    return tidy(size.replace(sympy.floor, lambda term: term).replace(sympy.ceiling, lambda term: term))


def common_factor(size: sympy.Basic) -> int:
    """The largest number that divides every term of a sum of whole terms."""
    factors = [term.as_coeff_Mul()[0] for term in sympy.Add.make_args(size)]
    return math.gcd(*map(int, factors)) or 1 if all(factor.is_Integer for factor in factors) else 1


def _rounds(size: sympy.Basic) -> bool:
    return bool(size.has(sympy.floor, sympy.ceiling))


@lru_cache(maxsize=8192)
def _bounded(size: sympy.Basic) -> bool:
    """Whether a polynomial that is never larger than a size has no negative coefficient in what names exceed 1 by."""
    low = plain = sympy.expand(size / common_factor(size))
    for _ in range(_NESTED):
        if not _rounds(low):
            break
        terms = [_low(term) for term in sympy.Add.make_args(low)]
        if None in terms:
            return False
        low = sympy.expand(sympy.Add(*terms))
    names = sorted(size.free_symbols, key=str)
    above = sympy.expand(low.xreplace({name: name + 1 for name in names}))
    if not above.is_polynomial(*names):
        return False
    whole = bool(plain.is_integer)
    return all(
        coefficient > -1 if whole and not any(powers) else coefficient >= 0
        for powers, coefficient in sympy.Poly(above, *names).terms()
    )


def _low(term: sympy.Basic) -> sympy.Basic | None:
    """What a term of a sum is never smaller than, with less rounding in it; None where that is not seen."""
    factor, rest = term.as_coeff_Mul()
    if not _rounds(rest):
        return term
    if not isinstance(rest, sympy.floor):
        return None
    above, below = sympy.fraction(sympy.together(rest.args[0]))
    if factor < 0:
        return factor * rest.args[0]
    return factor * (above - (below - 1)) / below if below.is_Integer and above.is_integer else None


def product(sizes: Iterable[Size]) -> Size:
    """The product, None where a factor is unknown."""
    found: Size = 1
    for size in sizes:
        if size is None:
            return None
        found = _times(found, size)
    return tidy(found)


@lru_cache(maxsize=8192, typed=True)
def _times(left: Size, right: Size) -> Size:
    return left * right


def quotient(total: Size, part: Size) -> Size:
    """``total / part`` where the division is known to be exact."""
    if total is None or part is None:
        return None
    if isinstance(total, int) and isinstance(part, int):
        return total // part if part and total % part == 0 else None
    ratio = sympy.sympify(total) / part
    return None if _is_endless(ratio) else tidy(sympy.cancel(ratio))


def floor_div(left: Size, right: int) -> Size:
    """``⌊left / right⌋``."""
    if left is None:
        return None
    return left // right if isinstance(left, int) else _floor(left, right)


@lru_cache(maxsize=8192)
def _floor(left: sympy.Basic, right: int) -> Size:
    return tidy(sympy.floor(left / sympy.Integer(right)))


def ceil_div(left: Size, right: int) -> Size:
    """``⌈left / right⌉``."""
    if left is None:
        return None
    return -(-left // right) if isinstance(left, int) else _ceiling(left, right)


@lru_cache(maxsize=8192)
def _ceiling(left: sympy.Basic, right: int) -> Size:
    return tidy(-sympy.floor(-left / sympy.Integer(right)))


def broadcast(shapes: Sequence[tuple[Size, ...]]) -> tuple[Size, ...]:
    """The shape that numpy's broadcasting gives; None where two sizes differ by name or are unknown."""
    rank = max(map(len, shapes), default=0)
    found: list[Size] = []
    for axis in range(-rank, 0):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis]
        wide = [size for size in sizes if not isinstance(size, int) or size != 1]
        numbers = [size for size in wide if isinstance(size, int)]
        if numbers:
            found.append(numbers[0])
        elif not wide:
            found.append(1)
        else:
            found.append(wide[0] if all(equal(wide[0], size) for size in wide) else None)
    return tuple(found)


def set_sizes(value: ir.Value, sizes: Sizes | None) -> None:
    """Note what is known of an integer tensor's elements; None forgets it."""
    if sizes is not None and sizes.size <= _LIMIT and any(_is_endless(size) for size in sizes.flat):
        kept = np.empty(sizes.size, dtype=object)
        kept[:] = [None if _is_endless(size) else size for size in sizes.flat]
        sizes = kept.reshape(sizes.shape)
    if sizes is None or sizes.size > _LIMIT or all(size is None for size in sizes.flat):
        value.meta.pop(_META, None)
        return
    value.meta[_META] = sizes


def sizes_of(value: ir.Value | None) -> Sizes | None:
    """What is known of a tensor's elements: of a small constant (never a parameter), or as noted; None for nothing."""
    if value is None:
        return None
    tensor = value.const_value
    if tensor is None:
        found: Sizes | None = value.meta.get(_META)
        return found
    if tensor.size > _LIMIT or tensor.dtype == ir.DataType.STRING:
        return None
    array = tensor.numpy()
    if array.dtype.kind not in "iub" and not (
        array.dtype.kind == "f" and array.size <= 16 and kind_of(value) == "constant"
    ):
        return None
    found = np.empty(array.shape, dtype=object)
    if array.size:
        found[...] = array.tolist() if array.ndim else array.item()
    return found


def numbers_of(value: ir.Value | None) -> list[int] | None:
    """The elements of an integer tensor as a flat list, None where one of them is not a plain number."""
    sizes = sizes_of(value)
    if sizes is None or not all(isinstance(size, int) for size in sizes.flat):
        return None
    return [int(size) for size in sizes.flat]


def is_number(size: Size) -> bool:
    """Whether a size is a plain, finite number."""
    return isinstance(size, int) or (isinstance(size, float) and math.isfinite(size))
