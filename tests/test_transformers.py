"""Transformers of the transformers library, from PyTorch to MXNet and through ONNX files to PyTorch source.

``tools/zoo transformers`` does the same with all of tests/transformerzoo.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
from transformerzoo import TRANSFORMERS

import graphkit

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.report.report import Report

KINDS = {
    "bert": "an encoder with a mask",
    "llama": "a decoder: causal, grouped heads, rotary positions, RMSNorm, a cache",
    "t5": "an encoder and a decoder that looks at it, with relative positions",
    "swin": "windows of an image",
}


def failures(report: Report, most: float) -> list[str]:
    assert report.checks
    return [
        f"{check.what} on {check.right}: {check.error:.3g}"
        for check in report.checks
        if check.verdict != "pass" or (check.size and check.error > most)
    ]


@pytest.mark.mxnet
@pytest.mark.parametrize("name", KINDS)
def test_outputs_and_gradients_agree_at_sizes_it_was_not_traced_with(name: str, tmp_path: Path) -> None:
    transformer = TRANSFORMERS[name]
    model = graphkit.load(transformer.build(), inputs=transformer.inputs(batch="?", length="?"))
    told: list[str] = []
    graphkit.save(model, tmp_path / "net.onnx", to="onnx", warn=told.append)
    assert all("padding row no gradient" in text for text in told)
    again = graphkit.load(tmp_path / "net.onnx")
    inputs = transformer.inputs(batch=3, length=transformer.other)
    double = graphkit.verify(model, on=("torch", "mxnet"), backward=True, dtype="float64", inputs=inputs)
    source = graphkit.verify(model, again, on=("torch",), backward=True, dtype="float64", inputs=inputs)
    single = graphkit.verify(model, on=("torch", "mxnet", "ort"), inputs=inputs)
    assert failures(double, 1e-6) == failures(source, 1e-8) == failures(single, 1e-4) == []
