"""Layouts: the steps that lead from an initializer's array to the array that a framework stores."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

__all__ = ["Layout", "Step", "arrange", "parts", "restore", "shapes_of"]

Step: TypeAlias = "tuple[Literal['transpose', 'reshape', 'slice', 'take'], tuple[int, ...]]"
"""``transpose`` with the permutation of the axes, ``reshape`` with the new shape, ``slice`` with (axis, start, stop),
``take`` with (axis, *indices)."""
Layout: TypeAlias = "tuple[Step, ...]"


def arrange(array: npt.NDArray[np.generic], layout: Layout) -> npt.NDArray[np.generic]:
    """Apply the steps of a layout to an array; a view where numpy can give one."""
    for step, numbers in layout:
        if step == "transpose":
            array = array.transpose(numbers)
        elif step == "reshape":
            array = array.reshape(numbers)
        elif step == "slice":
            axis, start, stop = numbers
            array = array[(slice(None),) * axis + (slice(start, stop),)]
        else:
            array = array.take(numbers[1:], axis=numbers[0])
    return array


def parts(array: npt.NDArray[np.generic], layout: Layout) -> Iterator[npt.NDArray[np.generic]]:
    """Arrays that are, one after the other, the elements of the array that a layout leads to, in their order.

    They are views of the array where the layout takes rows of it, as the gates of a layer in another order, and does no
    more with them; otherwise what :func:`arrange` gives.
    """
    steps = list(layout)
    while steps and steps[-1][0] == "reshape":
        steps.pop()
    if not steps or steps[-1][0] != "take" or steps[-1][1][0] != 0:
        yield arrange(array, tuple(steps))
        return
    before = arrange(array, tuple(steps[:-1]))
    rows = np.array(steps[-1][1][1:], np.int64) % len(before)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
        yield before[run[0] : run[-1] + 1]


def shapes_of(layout: Layout, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Shape of an array before each step of a layout, and after the last."""
    shapes = [tuple(shape)]
    for step in layout:
        shapes.append(_shape_after(shapes[-1], step))
    return shapes


def restore(gradient: npt.NDArray[np.generic], layout: Layout, shape: Sequence[int]) -> npt.NDArray[np.generic]:
    """The gradient of an array, given that of the array that a layout leads to.

    Args:
        gradient: Gradient of the arranged array.
        layout: The steps that lead to it.
        shape: Shape of the array that they start from; elements that they leave out have the gradient 0.
    """
    shapes = shapes_of(layout, shape)
    for (step, numbers), before in zip(reversed(layout), reversed(shapes[:-1]), strict=True):
        if step == "transpose":
            gradient = gradient.transpose(np.argsort(numbers))
        elif step == "reshape":
            gradient = gradient.reshape(before)
        else:
            axis = numbers[0]
            chosen = range(*numbers[1:]) if step == "slice" else numbers[1:]
            whole = np.zeros(before, gradient.dtype)
            np.add.at(np.moveaxis(whole, axis, 0), np.asarray(chosen, np.int64), np.moveaxis(gradient, axis, 0))
            gradient = whole
    return np.ascontiguousarray(gradient).reshape(shape)


def _shape_after(shape: tuple[int, ...], step: Step) -> tuple[int, ...]:
    kind, numbers = step
    if kind == "transpose":
        return tuple(shape[axis] for axis in numbers)
    if kind == "reshape":
        rest = prod(shape) // max(prod(size for size in numbers if size >= 0), 1)
        return tuple(rest if size < 0 else size for size in numbers)
    count = numbers[2] - numbers[1] if kind == "slice" else len(numbers) - 1
    return (*shape[: numbers[0]], count, *shape[numbers[0] + 1 :])
