"""Gradient graphs of Fourier transforms against torch's, with lengths that are known and that only running tells."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from torchgradients import assert_torch_gradients

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ops.signal import fourier, short_time

RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    """Random numbers that float32 holds, too."""
    return RNG.standard_normal(shape).astype(np.float32).astype(np.float64)


def model(text: str) -> ir.Model:
    head = '<ir_version: 10, opset_import: ["": 23]> g '
    return canonical(ir.serde.deserialize_model(onnx.parser.parse_model(head + text)))


WAYS = {
    "shorter": ("DFT", 1, 4),
    "longer": ("DFT", 2, 9),
    "inverse": ("DFT<inverse=1>", 2, 5),
    "inverse of reals": ("DFT<inverse=1>", 1, 8),
    "one side": ("DFT<onesided=1>", 1, 9),
    "one side, shorter": ("DFT<onesided=1>", 1, 4),
    "of one side, even": ("DFT<onesided=1, inverse=1>", 2, 8),
    "of one side, odd": ("DFT<onesided=1, inverse=1>", 2, 13),
}


@pytest.mark.parametrize("name", WAYS)
def test_transforms_of_known_lengths(name: str) -> None:
    way, parts, length = WAYS[name]
    body = f"(float[N,6,{parts}] x) => (float[N,A,B] y) <int64 l = {{{length}}}> {{ y = {way}(x, l) }}"
    assert_torch_gradients(model(body), {"x": floats(2, 6, parts)})


@pytest.mark.parametrize("name", WAYS)
def test_long_transforms_are_passed_back_by_transforms(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "LARGE", 0)
    way, parts, length = WAYS[name]
    body = f"(float[N,6,{parts}] x) => (float[N,A,B] y) <int64 l = {{{length}}}> {{ y = {way}(x, l) }}"
    _assert_near_torchs(model(body), {"x": floats(2, 6, parts).astype(np.float32)})


SHORT_TIME = "(float[N,T,1] x, int64 s, float[8] w) => (float[N,A,5,2] y) { y = STFT(x, s, w) }"


def test_short_time_transforms_with_a_computed_step() -> None:
    assert_torch_gradients(model(SHORT_TIME), {"x": floats(2, 30, 1), "s": np.array(3), "w": floats(8)})


def test_short_time_transforms_of_long_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_time, "LARGE", 0)
    feeds = {"x": floats(2, 30, 1).astype(np.float32), "s": np.array(3), "w": floats(8).astype(np.float32)}
    _assert_near_torchs(model(SHORT_TIME), feeds)


def _assert_near_torchs(made: ir.Model, feeds: dict[str, np.ndarray]) -> None:
    """Near, for ONNX Runtime's own transforms are less exact than torch's."""
    found = {}
    for runtime in ("ort", "torch"):
        with runtimes()[runtime].open(made, native=False) as session:
            seed = np.random.default_rng(5).standard_normal(session.forward(feeds)["y"].shape).astype(np.float32)
            found[runtime] = session.backward(feeds, {"y": seed})
    for name, expected in found["torch"].items():
        np.testing.assert_allclose(found["ort"][name], expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
