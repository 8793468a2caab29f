"""MXNet's Reshape codes: finding those that make a shape at any batch size, and saying what shape they make.

0 copies a dimension, -1 is inferred, -2 copies all that are left, -3 merges two dimensions, -4 splits one into the two
that follow. Every code but -2, -3 and -4 steps over one input dimension, a plain number included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import onnx_ir as ir

from graphkit.ir.symbols import equal, product, quotient, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphkit.ir.symbols import Size
    from graphkit.ops.builders import Dim

__all__ = ["Made", "codes_for", "made_by"]


def codes_for(source: Sequence[Dim], target: Sequence[Dim]) -> tuple[int, ...] | None:
    """Codes that reshape ``source`` into ``target`` for every value of the symbolic dimensions.

    Args:
        source: Shape of the input.
        target: Shape wanted, of as many elements; one dimension may be unknown.

    Returns:
        The codes, None where MXNet has none for it.
    """
    given, wanted = [_size(dim) for dim in source], [_size(dim) for dim in target]
    unknown = [index for index, size in enumerate(wanted) if size is None]
    if len(unknown) == 1:
        known = product(size for size in wanted if size is not None)
        wanted[unknown[0]] = quotient(product(given), known)
    return _search(given, wanted, inferred=False)


def _size(dim: Dim) -> Size:
    return dim if dim is None or isinstance(dim, int) else size_of(ir.SymbolicDim(dim))


def _search(source: Sequence[Size], target: Sequence[Size], *, inferred: bool) -> tuple[int, ...] | None:
    """Codes for what is left of the target, when so much of the source is left."""
    if not target:
        return ()
    for codes, steps, made in _options(source, target):
        infers = codes == (-1,)
        if not (infers and inferred):
            rest = _search(source[steps:], target[made:], inferred=inferred or infers)
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
    if source and len(target) > 1 and equal(product(target[:2]), source[0]):
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
