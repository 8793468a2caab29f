"""Layouts and the way back for gradients."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.ops.layout import Layout, arrange, parts, restore, shapes_of
from graphkit.ops.runs import Runs

LAYOUTS: list[Layout] = [
    (),
    (("transpose", (1, 0)),),
    (("reshape", (2, -1)), ("transpose", (1, 0))),
    (("slice", (1, 1, 3)),),
    (("reshape", (24,)), ("slice", (0, 5, 17)), ("reshape", (3, 4))),
    (("take", (0, 2, 0, 1)), ("transpose", (1, 0))),
    (("take", (1, 3, 3, 0)),),
    (("reshape", (2, 3, 4)), ("take", (1, 2, 0)), ("reshape", (-1,))),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_go_back_the_way_that_the_elements_came(layout: Layout) -> None:
    """⟨arrange(x), g⟩ = ⟨x, restore(g)⟩ for all x and g."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6))
    there = arrange(x, layout)
    gradient = rng.standard_normal(there.shape)
    back = restore(gradient, layout, x.shape)
    assert back.shape == x.shape
    assert np.isclose(np.vdot(there, gradient), np.vdot(x, back), rtol=1e-12)


@pytest.mark.parametrize("layout", [*LAYOUTS, (("reshape", (4, 3, 2)), ("take", (0, 2, 3, 1, -4)), ("reshape", (24,)))])
def test_the_parts_of_an_array_are_its_elements_in_the_order_of_a_layout(layout: Layout) -> None:
    array = np.arange(24).reshape(4, 6)
    wanted = arrange(array, layout)
    np.testing.assert_array_equal(
        np.concatenate([part.reshape(-1) for part in parts(array, layout)]), wanted.reshape(-1)
    )
    assert shapes_of(layout, array.shape)[-1] == wanted.shape


def test_rows_that_are_taken_are_views() -> None:
    array = np.arange(24).reshape(4, 6)
    found = list(parts(array, (("reshape", (8, 3)), ("take", (0, 0, 1, 4, 5, 2)), ("reshape", (3, 5)))))
    assert [part.tolist() for part in found] == [[[0, 1, 2], [3, 4, 5]], [[12, 13, 14], [15, 16, 17]], [[6, 7, 8]]]
    assert all(np.may_share_memory(part, array) for part in found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_runs_of_numbers_are_arranged_as_the_numbers_are(layout: Layout) -> None:
    found = Runs.of([0], [24]).arranged(layout, (4, 6))
    if any(step == "transpose" for step, _ in layout):
        assert found is None
        return
    wanted = arrange(np.arange(24).reshape(4, 6), layout).reshape(-1)
    assert found is not None
    np.testing.assert_array_equal(found.numbers(), wanted)
    assert found.is_apart() == (len(set(wanted.tolist())) == wanted.size)


def test_numbers_that_are_there_twice_are_seen() -> None:
    assert Runs.of([5, 0, 3], [2, 3, 2]).is_apart()
    assert not Runs.of([5, 0, 2], [2, 3, 2]).is_apart()
