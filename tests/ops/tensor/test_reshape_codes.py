"""Reshape codes, found and read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.ops.tensor.reshape_codes import codes_for, made_by


def shape_made(codes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that codes make of a known shape."""
    made = made_by(codes, len(shape))
    sizes = [dim.number * math.prod(shape[axis] for axis in dim.factors) // dim.divisor for dim in made]
    rest = math.prod(size for size, dim in zip(sizes, made, strict=True) if not dim.inferred)
    return tuple(math.prod(shape) // rest if dim.inferred else size for size, dim in zip(sizes, made, strict=True))


@pytest.mark.parametrize(
    ("source", "target", "codes"),
    [
        (("N", 3, 4), ("N", 12), (0, 12)),
        (("N", "T", 12), ("N", "T", 3, 4), (0, 0, 3, 4)),
        (("N", 3, "T", 4), ("3*N", "T", 4), (-3, 0, 4)),
        (("3*N", "T", 4), ("N", 3, "T", 4), (-4, -1, 3, 0, 4)),
        (("N", "T", 4), ("N*T", 4), (-1, 4)),
        (("N", "T", "U"), ("N", "T*U"), (0, -1)),
        (("N", 2, 3), (None, 3), (-1, 3)),
        (("N", "T"), ("T", "N"), None),
        (("N*T", 4), ("N", "T", 4), None),
        ((), (1, 1), (1, 1)),
    ],
)
def test_codes_hold_for_every_size(
    source: tuple[int | str, ...], target: tuple[int | str | None, ...], codes: tuple[int, ...] | None
) -> None:
    assert codes_for(source, target) == codes


@given(st.data())
def test_codes_make_the_shape_they_were_found_for(data: st.DataObject) -> None:
    """Free sizes are replaced by numbers that codes cannot have known."""
    sizes = {"N": 5, "T": 7, "U": 11}
    source = data.draw(st.lists(st.sampled_from(["N", "T", "U", 2, 3, 6]), min_size=1, max_size=5, unique=True))
    cuts = data.draw(st.lists(st.booleans(), min_size=len(source) - 1, max_size=len(source) - 1))
    groups: list[list[int | str]] = [[source[0]]]
    for dim, merge in zip(source[1:], cuts, strict=True):
        if merge:
            groups[-1].append(dim)
        else:
            groups.append([dim])
    target = ["*".join(map(str, group)) if len(group) > 1 else group[0] for group in groups]
    numbers = tuple(sizes.get(dim, dim) for dim in source)
    wanted = tuple(math.prod(sizes.get(dim, dim) for dim in group) for group in groups)
    codes = codes_for(source, target)
    if codes is not None:
        assert shape_made(codes, numbers) == wanted
    back = codes_for(target, source)
    if back is not None:
        assert shape_made(back, wanted) == numbers


@pytest.mark.parametrize("codes", [(-1, -1), (-5,), (-4, 2), (-4, -1, -1), (0, 0, 0), (-3, -3)])
def test_codes_that_mxnet_rejects_are_errors(codes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape|Reshape"):
        made_by(codes, 2)
