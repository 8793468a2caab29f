"""Operators that graphkit translates itself, on torch's own samples of them."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("expecttest")  # torch's samples are part of its tests, which need it
import opinfo  # noqa: E402 -- it imports torch's samples

OWN = """
    argsort atan2 atleast_2d bucketize cholesky cholesky_inverse cholesky_solve column_stack copysign cummax cummin
    cumprod dstack erfinv grid_sampler_3d hstack isin lgamma linalg_cholesky linalg_eigvalsh linalg_inv linalg_qr
    linalg_slogdet linalg_solve linalg_solve_triangular linalg_svdvals nn_functional_cross_entropy
    nn_functional_soft_margin_loss searchsorted signbit vstack
"""


@pytest.mark.parametrize("name", OWN.split())
def test_a_sample_computes_what_torch_does(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of operators that it deprecates
        verdicts = [opinfo.verdict(use) for use in opinfo.uses(opinfo.operators()[name], 1)]
    assert verdicts
    assert set(verdicts) == {opinfo.SAME}


def test_a_sample_that_is_not_converted_says_why() -> None:
    (use,) = opinfo.uses(opinfo.operators()["geqrf"], 1)
    assert "torch.onnx has no translation of it" in (opinfo.verdict(use) or "")
