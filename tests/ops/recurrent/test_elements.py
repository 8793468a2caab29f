"""Where the elements of rearranged arrays come from, as layouts."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.ops.layout import arrange
from graphkit.ops.recurrent.elements import arrangement


@pytest.mark.parametrize(
    ("order", "shape"),
    [
        (np.arange(24), (4, 6)),
        (np.arange(24), (24,)),
        (np.arange(6, 18), (12,)),
        (np.arange(6, 18), (3, 4)),
        (np.arange(24).reshape(4, 6)[[2, 0, 3, 1]], (4, 6)),
        (np.arange(24).reshape(4, 6)[[2, 2]], (2, 6)),
        (np.arange(24).reshape(4, 6)[1:, 2:4], (3, 2)),
        (np.arange(24)[::-1], (24,)),
    ],
)
def test_an_arrangement_leads_to_the_elements_asked_for(order: np.ndarray, shape: tuple[int, ...]) -> None:
    array = np.arange(24).reshape(4, 6) * 10
    found = arrange(array, arrangement(order, array.shape, shape))
    np.testing.assert_array_equal(found, array.reshape(-1)[order.reshape(-1)].reshape(shape))


def test_whole_gates_are_moved_as_such() -> None:
    order = np.arange(2000).reshape(4, 500)[[0, 2, 3, 1]]
    assert arrangement(order, (40, 50), (40, 50))[1] == ("take", (0, 0, 2, 3, 1))
