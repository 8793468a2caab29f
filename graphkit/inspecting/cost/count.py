"""Counts of multiply-adds, elements and bytes: numbers, or polynomials in the names of free dimensions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphkit.ir.symbols import names_in, number_of, product, tidy
from graphkit.render.labels import count as scaled
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Count", "evaluate", "linear_in", "plain", "shown", "shown_bytes", "times", "total"]

Count: TypeAlias = Any
"""An int, or a sympy expression over names of dimensions, each a positive integer. ``Count | None`` has None for what
is unknown, which is never 0."""

_TERMS: Final = 4
"""Terms of a polynomial up to which it is shown."""
_NAMES: Final = 4
"""Names of dimensions that are shown where the terms are not."""


def total(counts: Iterable[Count | None]) -> Count:
    """The sum of what is known; 0 for nothing."""
    whole = 0
    terms: Counter[Any] = Counter()
    for count in counts:
        if isinstance(count, int):
            whole += count
        elif count is not None:
            terms[count] += 1
    if not terms:
        return whole
    import sympy

    return tidy(sympy.Add(whole, *(often * term for term, often in terms.items())))


def times(count: Count | None, factor: Count | None) -> Count | None:
    """The product; 0 where either is 0, even of an unknown one, and else None where one is unknown."""
    if (isinstance(count, int) and count == 0) or (isinstance(factor, int) and factor == 0):
        return 0
    return product((count, factor))


def evaluate(count: Count | None, sizes: Mapping[str, int], default: int | None = None) -> int | None:
    """A count as a number.

    Args:
        count: A count; None stays None.
        sizes: Sizes of dimensions by name.
        default: Size of the dimensions that are not among them, where the count is a polynomial in these: a size of 1
            tells nothing of what windows and strides leave of it. None where they have none.

    Returns:
        The number, or None where a size is missing.
    """
    if count is None or isinstance(count, int):
        return count
    free = [symbol for symbol in count.free_symbols if symbol.name not in sizes]
    if default is not None and count.is_polynomial(*free):
        sizes = {**{symbol.name: default for symbol in free}, **sizes}
    return number_of(count, sizes)


def linear_in(count: Count | None) -> str:
    """The dimension that a count is a multiple of; empty where it is a number, unknown, or another polynomial."""
    if count is None or isinstance(count, int):
        return ""
    names = names_in(count)
    if len(names) != 1:
        return ""
    (symbol,) = count.free_symbols
    ratio = tidy(count / symbol)
    return symbol.name if isinstance(ratio, int) or ratio.is_number else ""


def plain(count: Count | None) -> int | str | None:
    """A count for JSON: a number, the polynomial as text such as ``"1024*batch"``, or None."""
    return count if count is None or isinstance(count, int) else str(count)


def shown(count: Count | None, unit: str = "") -> str:
    """A count for people: ``"1.82 G"``, ``"1.82 G × batch"``, ``"3.40 M × n + 12.0 k × n × time²"``, ``"unknown"``.

    Of one that is longer, or no polynomial since windows and strides cut a free size, only that is said which it
    depends on.

    Args:
        count: A count.
        unit: What is counted, e.g. ``"FLOPs"``, which stands after the prefix: ``"1.82 GFLOPs × batch"``.
    """
    return _shown(count, lambda number: scaled(number, unit))


def shown_bytes(count: Count | None) -> str:
    """A count of bytes for people: ``"1.50 MB"``, ``"1.50 MB × batch"``, ``"unknown"``; prefixes are powers of 1000."""
    return _shown(count, lambda number: scaled(number, "B"))


def _shown(count: Count | None, number: Any) -> str:
    if count is None:
        return "unknown"
    if isinstance(count, int):
        return str(number(count))
    import sympy

    terms: Sequence[Any] = sympy.Add.make_args(sympy.expand(count))
    if len(terms) > _TERMS or not count.is_polynomial():
        names = [short(name) for name in sorted(names_in(count))]
        more = [f"{len(names) - _NAMES} more"] if len(names) > _NAMES else []
        return f"a function of {', '.join([*names[:_NAMES], *more])}"
    shares = sorted((term.as_coeff_Mul() for term in terms), key=lambda share: (-_degree(share[1]), str(share[1])))
    text = ""
    for coefficient, rest in shares:
        size = abs(coefficient)
        word = number(int(size)) if size.is_Integer else str(size)
        if rest != 1:
            word = f"{word} × {_powers(rest)}"
        sign = "-" if coefficient < 0 else "+"
        text = f"{text} {sign} {word}" if text else (f"-{word}" if sign == "-" else word)
    return text


def _degree(rest: Any) -> int:
    powers = [factor.as_base_exp()[1] for factor in rest.as_ordered_factors() if not factor.is_number]
    return sum(int(power) if power.is_Integer else 1 for power in powers)


def _powers(rest: Any) -> str:
    """A product of powers of names, e.g. ``"batch × time²"``."""
    import sympy

    words = []
    for factor in sorted(sympy.Mul.make_args(rest), key=str):
        base, power = factor.as_base_exp()
        name = short(str(base)) if base.is_Symbol else f"({base})"
        words.append(name if power == 1 else name + str(power).translate(_RAISED) if power.is_Integer else str(factor))
    return " × ".join(words)


_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
