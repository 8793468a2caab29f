"""MXNet's Reshape codes: finding those that make a shape at any batch size, and saying what shape they make.

0 copies a dimension, -1 is inferred, -2 copies all that are left, -3 merges two dimensions, -4 splits one into the two
that follow. Every code but -2, -3 and -4 steps over one input dimension, a plain number included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphkit.ir.symbols import equal, named, product, quotient, unrounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import Dim

__all__ = ["Made", "Span", "codes_for", "made_by", "spans_of"]


def codes_for(
    source: Sequence[Dim | Size], target: Sequence[Dim | Size], *, among_others: bool = False
) -> tuple[int, ...] | None:
    """Codes that reshape ``source`` into ``target`` for every value of the symbolic dimensions.

    Args:
        source: Shape of the input.
        target: Shape wanted, of as many elements; one dimension may be unknown.
        among_others: Whether other axes follow, so that the codes have to step over those of ``source`` exactly.

    Returns:
        The codes, None where MXNet has none for it.
    """
    given, wanted = _sizes(source, target)
    return _search(given, wanted, inferred=False, exactly=among_others)


def spans_of(source: Sequence[Dim], target: Sequence[Dim]) -> list[Span] | None:
    """The successive axes of an array that become successive axes of a reshaped one, in the shortest runs.

    Args:
        source: Shape of the input.
        target: Shape wanted, of as many elements; one dimension may be unknown.

    Returns:
        The runs; None where more dimensions are unknown.
    """
    given, wanted = _sizes(source, target)
    if None in given or None in wanted:
        return None
    found: list[Span] = []
    here = there = 0
    while here < len(given) and there < len(wanted):
        rest = (len(given) - here) + (len(wanted) - there)
        lengths = ((total - made, made) for total in range(2, rest) for made in range(1, total))
        taken, made = next(
            (
                (taken, made)
                for taken, made in lengths
                if here + taken <= len(given)
                and there + made <= len(wanted)
                and _as_many(given[here : here + taken], wanted[there : there + made])
            ),
            (len(given) - here, len(wanted) - there),
        )
        found.append(Span(tuple(given[here : here + taken]), tuple(wanted[there : there + made])))
        here, there = here + taken, there + made
    if here < len(given) or there < len(wanted):
        last = found.pop() if found else Span((), ())
        found.append(Span((*last.before, *given[here:]), (*last.after, *wanted[there:])))
    return found


def _as_many(before: Sequence[Size], after: Sequence[Size]) -> bool:
    """Whether axes have as many elements as others, where both arrays have as many."""
    left, right = product(before), product(after)
    return bool(equal(left, right) or (len(before) + len(after) > 2 and equal(unrounded(left), unrounded(right))))


class Span(NamedTuple):
    """Successive axes before a reshape, and what they become.

    Attributes:
        before: Their sizes.
        after: The sizes afterwards.
    """

    before: tuple[Size, ...]
    after: tuple[Size, ...]


def _sizes(source: Sequence[Dim], target: Sequence[Dim]) -> tuple[list[Size], list[Size]]:
    """Both shapes as sizes, with a dimension that only the others tell."""
    given, wanted = [named(dim) for dim in source], [named(dim) for dim in target]
    unknown = [index for index, size in enumerate(wanted) if size is None]
    if len(unknown) == 1:
        known = product(size for size in wanted if size is not None)
        wanted[unknown[0]] = quotient(product(given), known)
    return given, wanted


def _search(source: Sequence[Size], target: Sequence[Size], *, inferred: bool, exactly: bool) -> tuple[int, ...] | None:
    """Codes for what is left of the target, when so much of the source is left."""
    if not target:
        return None if exactly and source else ()
    for codes, steps, made in _options(source, target):
        infers = codes == (-1,)
        if not (infers and inferred) and not (exactly and steps > len(source)):
            rest = _search(source[steps:], target[made:], inferred=inferred or infers, exactly=exactly)
            if rest is not None:
                return codes + rest
    return None


def _options(source: Sequence[Size], target: Sequence[Size]) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Ways to make the next dimension: the codes, the input dimensions they step over, the dimensions they make."""
    size = target[0]
    if isinstance(size, int) and size > 0:
        yield (size,), 1, 1
    elif source and equal(source[0], size):
        yield (0,), 1, 1
    yield (-1,), 1, 1
    if len(source) > 1 and equal(product(source[:2]), size):
        yield (-3,), 2, 1
    if source and len(target) > 1 and _as_many(source[:1], target[:2]):
        left, right = target[:2]
        if isinstance(right, int):
            yield (-4, -1, right), 1, 2
        elif isinstance(left, int):
            yield (-4, left, -1), 1, 2


class Made(NamedTuple):
    """One dimension of a reshaped array.

    Attributes:
        factors: The input dimensions that it is the product of, by position.
        number: A further factor.
        divisor: What the product is divided by.
        inferred: Whether it is what the other dimensions leave.
    """

    factors: tuple[int, ...] = ()
    number: int = 1
    divisor: int = 1
    inferred: bool = False


_INFERRED = Made(inferred=True)


def made_by(codes: Sequence[int], rank: int | None, *, reverse: bool = False) -> list[Made]:
    """What shape codes make, as MXNet's ``InferReshapeShape`` reads them.

    Args:
        codes: Value of the ``shape`` parameter.
        rank: Rank of the input; it may be None where the codes are 0, -1 and numbers.
        reverse: Value of the ``reverse`` parameter.

    Raises:
        ValueError: MXNet rejects the codes.
    """
    if reverse:
        assert rank is not None
        turned = made_by(codes[::-1], rank)
        return [made._replace(factors=tuple(rank - 1 - f for f in made.factors)) for made in turned[::-1]]
    found: list[Made] = []
    queue = list(codes)
    here = 0
    while queue:
        code = queue.pop(0)
        if code == -2:
            assert rank is not None
            found += [Made((axis,)) for axis in range(here, rank)]
            here = rank
        elif code == -3:
            found.append(Made((here, here + 1)))
            here += 2
        elif code == -4:
            found += _split(here, queue)
            here += 1
        elif code < -4:
            raise ValueError(f"{code} is not a code of Reshape")
        else:
            found.append(Made((here,)) if code == 0 else _INFERRED if code == -1 else Made(number=code))
            here += 1
    if sum(made.inferred for made in found) > 1:
        raise ValueError("shape has more than one -1")
    if rank is not None and any(factor >= rank for made in found for factor in made.factors):
        raise ValueError(f"shape steps over more than the {rank} dimensions of the input")
    return found


def _split(here: int, queue: list[int]) -> list[Made]:
    if len(queue) < 2:
        raise ValueError("-4 in shape is followed by fewer than two numbers")
    left, right = queue.pop(0), queue.pop(0)
    if left == right == -1 or 0 in (left, right) or min(left, right) < -1:
        raise ValueError(f"-4 in shape is followed by {left} and {right}, which splits nothing")
    if left == -1:
        return [Made((here,), divisor=right), Made(number=right)]
    if right == -1:
        return [Made(number=left), Made((here,), divisor=left)]
    return [Made(number=left), Made(number=right)]
