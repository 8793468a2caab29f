"""Layouts and the way back for gradients."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.ops.layout import Layout, arrange, restore

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
