"""BMXNet's binary layers are read as its kernels count bits: computed here from the packed words alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode, MxRef

RNG = np.random.default_rng(17)


def read_and_run(op: str, attrs: dict[str, str], data: np.ndarray, **arrays: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes for one layer, as graphkit reads it."""
    variables = [MxNode("null", name) for name in ("data", *arrays)]
    node = MxNode(op, "layer", attrs, [MxRef(variable) for variable in variables])
    model = MxModel(MxGraph([*variables, node], [MxRef(node)]), arrays)
    options = ReadOptions(inputs=(InputSpec("data", data.shape, "float32"),))
    with runtimes()["ort"].open(canonical(from_symbol(model, options, "layer"))) as session:
        (found,) = session.forward({"data": data}).values()
    return found


def packed(signs: np.ndarray, word: type) -> np.ndarray:
    """Rows of truth values as words, the first in the lowest bit."""
    width = np.dtype(word).itemsize
    raw = np.packbits(signs.reshape(-1, 8 * width), axis=-1, bitorder="little")
    return np.ascontiguousarray(raw).view(word).reshape(-1)


def agreeing_bits(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """popcount(xnor) of every row of the left with every row of the right."""
    return (left[:, None] == right[None]).sum(axis=-1)


def columns(signs: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """Windows of images (N, C, H, W) as rows (N, H', W', C × kernel × kernel)."""
    view = np.lib.stride_tricks.sliding_window_view(signs, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(*view.shape[:1], *view.shape[2:4], -1)


@pytest.mark.parametrize("word", [np.float32, np.float64])
@pytest.mark.parametrize("flat", [True, False])
def test_a_packed_convolution_counts_agreeing_bits(word: type, flat: bool) -> None:
    bits = 8 * np.dtype(word).itemsize
    data = RNG.standard_normal((2, bits, 6, 5)).astype(np.float32)
    data[0, 0] = 0.0
    weights = RNG.integers(0, 2, (3, bits, 3, 3)).astype(bool)
    stored = packed(weights, word)
    attrs = {"kernel": "(3, 3)", "num_filter": "3", "pad": "(1, 1)", "stride": "(2, 2)", "no_bias": "True"}
    found = read_and_run(
        "QConvolution",
        {**attrs, "binarized_weights_only": "True"},
        data,
        weight=stored if flat else stored.reshape(3, 1, 3, 3),
    )
    padded = np.pad(data >= 0, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=True)
    rows = columns(padded, 3, 2)
    counted = agreeing_bits(rows.reshape(-1, rows.shape[-1]), weights.reshape(3, -1)).reshape(*rows.shape[:3], 3)
    np.testing.assert_array_equal(found, counted.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("word", [np.float32, np.float64])
def test_a_packed_dense_layer_counts_agreeing_bits(word: type) -> None:
    bits = 8 * np.dtype(word).itemsize
    data = RNG.standard_normal((3, 2, bits)).astype(np.float32)
    weights = RNG.integers(0, 2, (5, 2 * bits)).astype(bool)
    stored = packed(weights.reshape(5, 2, bits).transpose(1, 0, 2), word)
    found = read_and_run("QFullyConnected", {"num_hidden": "5", "binarized_weights_only": "1"}, data, weight=stored)
    np.testing.assert_array_equal(found, agreeing_bits((data >= 0).reshape(3, -1), weights))


def test_stored_floats_count_by_their_signs() -> None:
    data, weight = RNG.standard_normal((2, 4, 5, 5)).astype(np.float32), RNG.standard_normal((6, 2, 3, 3))
    bias = RNG.standard_normal(6).astype(np.float32)
    attrs = {"kernel": "(3, 3)", "num_filter": "6", "num_group": "2", "no_bias": "False", "scaling_mode": "forward"}
    found = read_and_run("QConvolution", attrs, data, weight=weight.astype(np.float32), bias=bias)
    halves = [columns(half >= 0, 3, 1) for half in np.split(data, 2, axis=1)]
    counted = [
        agreeing_bits(half.reshape(-1, 18), (part >= 0).reshape(3, -1)).reshape(2, 3, 3, 3)
        for half, part in zip(halves, np.split(weight, 2), strict=True)
    ]
    expected = (np.concatenate(counted, axis=-1) + bias) * np.abs(weight).mean()
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-6, atol=1e-6)


def test_more_bits_round_halves_away_from_zero() -> None:
    data = np.asarray([[-0.5, 0.0, 0.1, 0.5, 0.49999997, 0.9, 2.0]], np.float32)
    found = read_and_run("QActivation", {"act_bit": "1"}, data)
    np.testing.assert_array_equal(found, [[-1, 1, 1, 1, 1, 1, 1]])
    found = read_and_run("QActivation", {"act_bit": "2"}, data)
    np.testing.assert_allclose(found, np.asarray([[0, 0, 0, 2, 1, 3, 3]]) / 3, rtol=1e-6)
    np.testing.assert_array_equal(read_and_run("QActivation", {"act_bit": "4", "backward_only": "1"}, data), data)


def test_weights_of_more_bits_are_rounded_tangents() -> None:
    data, weight = RNG.uniform(-0.2, 1.2, (3, 4)).astype(np.float32), RNG.standard_normal((2, 4)).astype(np.float32)
    found = read_and_run("QFullyConnected", {"num_hidden": "2", "act_bit": "3", "weight_bit": "2"}, data, weight=weight)
    inputs = np.floor(np.clip(data, 0, 1) * 7 + 0.5) / 7
    tangent = np.tanh(weight)
    levels = 2 * np.floor((tangent / (2 * np.abs(tangent).max()) + 0.5) * 3 + 0.5) / 3 - 1
    np.testing.assert_allclose(found, inputs @ levels.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"act_bit": "2"}, "activations of one bit only"),
        ({"scaling_mode": "forward"}, "packing has taken away"),
        ({"num_group": "2"}, "groups and packed weights"),
        ({"kernel": "(3, 2)"}, "weights of 7 outputs"),
    ],
)
def test_what_packed_weights_do_not_say_is_refused(attrs: dict[str, str], reason: str) -> None:
    given = {"kernel": "(3, 3)", "num_filter": "7", "binarized_weights_only": "True", **attrs}
    with pytest.raises(UnsupportedError, match=reason):
        read_and_run("QConvolution", given, np.zeros((1, 32, 5, 5), np.float32), weight=np.zeros(63, np.float32))
