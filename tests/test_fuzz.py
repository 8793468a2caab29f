"""Cases changed at random: graphkit computes what the frameworks do, or says why not.

These are few and always the same; ``tools/fuzz`` runs as many as one likes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import fuzzing
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from realmxnet import mxnet

if TYPE_CHECKING:
    from opcases import Use

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

ONNX = ("Add", "Concat", "Conv", "Gemm", "LayerNormalization", "MaxPool", "Reshape", "Softmax", "Tile", "Transpose")
MXNET = ("Activation", "BatchNorm", "Convolution", "FullyConnected", "Reshape", "_npi_add", "slice", "softmax", "sum")
FEW = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@pytest.mark.parametrize("operator", ONNX)
def test_uses_of_onnx_compute_what_onnx_runtime_does(operator: str) -> None:
    @FEW
    @given(fuzzing.onnx_uses_of(operator))
    def holds(use: Use) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not fuzzing.onnx_problem(use), use.case

    holds()


@pytest.mark.parametrize("operator", MXNET)
def test_uses_of_mxnet_compute_what_mxnet_does(operator: str) -> None:
    mxnet()

    @FEW
    @given(fuzzing.mxnet_uses(operator))
    def holds(use: Use) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not fuzzing.mxnet_problem(use), use.case

    holds()
