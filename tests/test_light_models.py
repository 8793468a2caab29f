"""The nine published networks that onnx ships without their weights, with the outputs it expects of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import graphkit
from graphkit.frameworks.base import runtimes

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

FILES = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / "light").glob("*.onnx"))


def test_they_are_there() -> None:
    assert len(FILES) == 9


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_they_compute_what_onnx_expects(file: Path) -> None:
    expected = numpy_helper.to_array(onnx.load_tensor(file.with_name(f"{file.stem}_output_0.pb")))
    model = graphkit.load(file, warn=lambda _message: None)
    (value,) = model.graph.inputs
    assert value.shape is not None
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    image = (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)
    for name in ("ort", "torch", "mxnet"):
        if runtimes()[name].missing() is not None:
            continue
        with runtimes()[name].open(model, native=False) as session:
            (found,) = session.forward({value.name or "": image}).values()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
