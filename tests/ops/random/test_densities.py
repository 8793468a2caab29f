"""Gradients of probabilities of counts: MXNet lets none flow back into the counts, and neither does what is read."""

from __future__ import annotations

import numpy as np
import pytest
from opcases import Use, mx_uses
from test_ops import converted

from graphkit.frameworks.base import runtimes

USES = [
    use for use in mx_uses() if use.form is not None and use.form.op.startswith("_random_pdf") and not use.case.grad
]


@pytest.mark.parametrize("use", USES, ids=[use.id for use in USES])
def test_parameters_have_mxnets_gradients_and_counts_have_none(use: Use) -> None:
    model, _, feeds = converted(use, "float64")
    with runtimes()["mxnet"].open(model) as native, runtimes()["torch"].open(model) as written:
        (name,) = native.forward(feeds)
        seeds = {name: np.random.default_rng(3).standard_normal(feeds["x0"].shape)}
        expected, found = native.backward(feeds, seeds), written.backward(feeds, seeds)
    assert not found["x0"].any()
    assert sorted(found) == sorted(expected) == sorted(feeds)
    for key, gradient in expected.items():
        np.testing.assert_allclose(found[key], gradient, rtol=1e-7, err_msg=key)
        assert key == "x0" or gradient.any()


def test_every_probability_of_counts_is_covered() -> None:
    assert {use.form.op for use in USES if use.form is not None} == {
        "_random_pdf_generalized_negative_binomial",
        "_random_pdf_negative_binomial",
        "_random_pdf_poisson",
    }
