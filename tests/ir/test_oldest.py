"""Operators of opsets 1 to 6 mean the same in canonical form."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import Case, proto_of

from graphkit.errors import UnsupportedError
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import OPSET, canonical

ORT = FRAMEWORK.runtimes[0]
X = np.random.default_rng(0).uniform(0.2, 1.5, (2, 3, 4, 5)).astype(np.float32)
C = np.float32([2.0, 3.0, 0.5])[:, None, None]
FOUR = np.float32([2.0, 3.0, 0.5, 4.0])[:, None]
FIVE = np.float32([2.0, 3.0, 0.5, 4.0, 1.0])

CASES = [
    ("along an axis", 6, "y = Add<broadcast=1, axis=1>(x, @float[3]{2,3,0.5})", X + C),
    ("along an axis from the end", 6, "y = Mul<broadcast=1, axis=-2>(x, @float[4]{2,3,0.5,4})", X * FOUR),
    ("along the last axes", 1, "y = Div<broadcast=1, consumed_inputs=[0,0]>(x, @float[5]{2,3,0.5,4,1})", X / FIVE),
    ("a power along an axis", 1, "y = Pow<broadcast=1, axis=1>(x, @float[3]{2,3,0.5})", X**C),
    ("cast by name", 1, 'a = Cast<to="FLOAT16">(x) y = Cast<to="FLOAT">(a)', X.astype(np.float16).astype(np.float32)),
    ("concatenation of channels", 1, "y = Concat(x, x)", np.concatenate([X, X], 1)),
    ("norm of floats", 1, "y = GlobalLpPool<p=2.0>(x)", np.sqrt((X**2).sum((2, 3), keepdims=True))),
    ("slopes of channels", 6, "y = PRelu(x, @float[3]{2,3,0.5})", X),
    ("shape as attribute", 1, "y = Reshape<shape=[0,-1]>(x)", X.reshape(2, -1)),
    ("shape as attribute of a node that may write over its input", 1, "y = Relu<consumed_inputs=[0]>(x)", X),
    ("repeated axis", 1, "y = Tile(x, @float[1]{2}, @float[1]{2})", np.tile(X, (1, 1, 2, 1))),
    ("enlarged", 1, 'y = Upsample<height_scale=2.0, width_scale=3.0, mode="nearest">(x)', X.repeat(2, 2).repeat(3, 3)),
    ("halves", 1, "a, y = Split<axis=2>(x)", X[:, :, 2:]),
    ("inference", 6, "y, mask = Dropout<is_test=1, ratio=0.3>(x)", X),
    ("affine", 1, "y = Affine<alpha=2.0, beta=0.5>(x)", 2 * X + 0.5),
    ("cropped", 1, "y = Crop<border=[1,0,2,1]>(x)", X[:, :, :-1, 1:-2]),
    ("cropped to a size", 1, "y = Crop<border=[1,1,0,0], scale=[2,3]>(x)", X[:, :, 1:3, 1:4]),
    ("scaled image", 1, "y = ImageScaler<scale=2.0, bias=[1.0,2.0,3.0]>(x)", 2 * X + np.float32([[[1]], [[2]], [[3]]])),
    ("scaled tanh", 1, "y = ScaledTanh<alpha=2.0, beta=0.5>(x)", 2 * np.tanh(0.5 * X)),
    ("scaled", 1, "y = Scale<scale=3.0>(x)", 3 * X),
    ("softplus", 1, "y = ParametricSoftplus<alpha=2.0, beta=0.5>(x)", 2 * np.log1p(np.exp(0.5 * X))),
]


@pytest.mark.parametrize(("opset", "body", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_old_operators_keep_their_meaning(opset, body, expected):
    model = canonical(ir.serde.deserialize_model(proto_of(Case("", range(0), "float[2,3,4,5] x", body), opset)))
    assert model.opset_imports[""] == OPSET
    with ORT.open(model) as session:
        np.testing.assert_allclose(session.forward({"x": X})["y"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = GlobalLpPool<p=1.5>(x)", "no whole number"),
        ('y = Cast<to="HALVES">(x)', "no element type"),
        ("y = Crop<border=[1]>(x)", "must have 4"),
    ],
)
def test_what_old_operators_cannot_mean_is_refused(body, reason):
    with pytest.raises(UnsupportedError, match=reason):
        canonical(ir.serde.deserialize_model(proto_of(Case("", range(0), "float[2,3,4,5] x", body), 1)))
