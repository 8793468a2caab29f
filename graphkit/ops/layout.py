"""Layouts: the steps that lead from an initializer's array to the array that a framework stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Layout", "Step", "arrange"]

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
