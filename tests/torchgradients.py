"""Gradient graphs against torch's backward of the source that graphkit writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    Arrays = dict[str, np.ndarray]

__all__ = ["assert_torch_gradients", "drawn"]


def drawn(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Random feeds in float64 that float32 holds, too; integers are below 3, truths mostly hold."""
    rng = np.random.default_rng(3)
    feeds = {}
    for value in model.graph.inputs:
        assert value.dtype is not None
        shape, kind = shapes[value.name or ""], np.dtype(value.dtype.numpy())
        if kind.kind == "b":
            feeds[value.name or ""] = rng.integers(0, 4, shape) > 0
        elif kind.kind == "i":
            feeds[value.name or ""] = rng.integers(0, 3, shape).astype(kind)
        else:
            feeds[value.name or ""] = rng.standard_normal(shape).astype(np.float32).astype(np.float64)
    return feeds


def assert_torch_gradients(model: ir.Model, feeds: Arrays) -> Arrays:
    """The reference's in float64 within 1e-9, ONNX Runtime's in float32 within 4 times the noise floor of torch's.

    Returns:
        The gradients.
    """
    rng = np.random.default_rng(7)
    wide = cast_floats(model.clone(), "float64")
    narrow = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in feeds.items()}
    with runtimes()["torch"].open(wide, native=False) as session:
        outputs = session.forward(feeds)
        seeds = {
            name: rng.standard_normal(array.shape).astype(np.float32).astype(np.float64)
            for name, array in outputs.items()
            if array.dtype.kind == "f"
        }
        expected = session.backward(feeds, seeds)
    with runtimes()["reference"].open(wide) as session:
        exact = session.backward(feeds, seeds)
    seeds = {name: array.astype(np.float32) for name, array in seeds.items()}
    with runtimes()["torch"].open(model, native=False) as session:
        rounded = session.backward(narrow, seeds)
    with runtimes()["ort"].open(model) as session:
        found = session.backward(narrow, seeds)
    assert expected
    assert expected.keys() == exact.keys() == found.keys()
    for name, right in expected.items():
        scale = max(float(np.abs(right).max(initial=0.0)), 1e-30)
        assert found[name].shape == exact[name].shape == right.shape
        assert np.abs(exact[name] - right).max(initial=0.0) <= 1e-9 * scale, name
        floor = float(np.abs(rounded[name] - right).max(initial=0.0))
        assert np.abs(found[name] - right).max(initial=0.0) <= max(4 * floor, 1e-6 * scale), name
    return exact
