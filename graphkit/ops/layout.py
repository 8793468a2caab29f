"""Layouts: the steps that lead from an initializer's array to the array that a framework stores."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["Layout", "Step", "arrange", "restore"]

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


def restore(gradient: npt.NDArray[np.generic], layout: Layout, shape: Sequence[int]) -> npt.NDArray[np.generic]:
    """The gradient of an array, given that of the array that a layout leads to.

    Args:
        gradient: Gradient of the arranged array.
        layout: The steps that lead to it.
        shape: Shape of the array that they start from; elements that they leave out have the gradient 0.
    """
    shapes = [tuple(shape)]
    for one in layout:
        shapes.append(_shape_after(shapes[-1], one))
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
