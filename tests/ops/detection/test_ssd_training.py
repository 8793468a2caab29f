"""The training symbol of MXNet's SSD: anchors, targets with hard negatives, two losses and detections."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ir.training import losses
from graphkit.ops.mxgraph import MxModel

RNG = np.random.default_rng(12)
CLASSES, ANCHORS = 3, 3
LABELS = np.array(
    [[[0, 0.1, 0.1, 0.45, 0.5], [1, 0.5, 0.4, 0.9, 0.95]], [[1, 0.3, 0.2, 0.8, 0.7], [-1, -1, -1, -1, -1]]], np.float32
)
FEEDS = {"data": RNG.standard_normal((2, 3, 8, 8)).astype(np.float32), "label": LABELS}


def _symbol() -> MxModel:
    kernel = {"kernel": "(3, 3)", "pad": "(1, 1)"}
    body = op(
        "Activation",
        "relu",
        op("Convolution", "body", var("data"), var("w"), var("b"), num_filter=4, stride="(2, 2)", **kernel),
        act_type="relu",
    )
    layers = {}
    for name, channels in (("cls", (CLASSES + 1) * ANCHORS), ("loc", 4 * ANCHORS)):
        made = op("Convolution", name, body, var(f"{name}_w"), var(f"{name}_b"), num_filter=channels, **kernel)
        layers[name] = op("Flatten", f"{name}_flat", op("transpose", f"{name}_last", made, axes="(0, 2, 3, 1)"))
    rows = op("Reshape", "cls_rows", layers["cls"], shape=f"(0, -1, {CLASSES + 1})")
    scores = op("transpose", "scores", rows, axes="(0, 2, 1)")
    anchors = op("_contrib_MultiBoxPrior", "anchors", body, sizes="(0.5, 0.3)", ratios="(1, 2)", clip=True)
    mining = {"negative_mining_ratio": 3, "negative_mining_thresh": 0.5, "ignore_label": -1, "overlap_threshold": 0.5}
    target = op("_contrib_MultiBoxTarget", "target", anchors, var("label"), scores, **mining).node
    offsets, mask, wanted = (type(scores)(target, number) for number in range(3))
    softmax = {
        "ignore_label": -1,
        "use_ignore": True,
        "grad_scale": 1.0,
        "multi_output": True,
        "normalization": "valid",
    }
    chances = op("SoftmaxOutput", "chances", scores, wanted, **softmax)
    apart = op("elemwise_mul", "masked", mask, op("elemwise_sub", "apart", layers["loc"], offsets))
    location = op("MakeLoss", "location", op("smooth_l1", "smooth", apart, scalar=1.0), normalization="valid")
    given = op("MakeLoss", "given", wanted, grad_scale=0)
    found = op("_contrib_MultiBoxDetection", "found", chances, layers["loc"], anchors, nms_threshold=0.45)
    detections = op("MakeLoss", "detections", found, grad_scale=0)
    shapes = {
        "w": (4, 3, 3, 3),
        "b": (4,),
        "cls_w": ((CLASSES + 1) * ANCHORS, 4, 3, 3),
        "cls_b": ((CLASSES + 1) * ANCHORS,),
        "loc_w": (4 * ANCHORS, 4, 3, 3),
        "loc_b": (4 * ANCHORS,),
    }
    weights = {name: RNG.standard_normal(shape).astype(np.float32) * 0.3 for name, shape in shapes.items()}
    return MxModel(graph(chances, location, given, detections), weights)


@pytest.fixture(scope="module")
def ssd() -> MxModel:
    return _symbol()


def _read(mx: MxModel, *, train: bool):
    inputs = tuple(InputSpec(name, array.shape) for name, array in FEEDS.items())
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False, train=train), "ssd"))
    set_source(model, Source("mxnet", "ssd", mx))
    return model


def test_its_gradients_are_mxnets(ssd: MxModel) -> None:
    model = _read(ssd, train=True)
    assert losses(model) == ["chances_loss", "location_loss"]
    results = []
    for runtime, native in (("mxnet", True), ("torch", False), ("mxnet", False), ("ort", False)):
        with runtimes()[runtime].open(model, native=native) as session:
            outputs = session.forward(FEEDS)
            known = {**outputs, **{name: np.ones((), np.float32) for name in losses(model)}}
            seeds = {value.name: np.ones_like(known[value.name]) for value in model.graph.outputs}
            results.append((outputs, session.backward(FEEDS, seeds)))
    (expected, injected), *others = results
    assert np.abs(injected["w"]).max() > 1e-3
    for outputs, gradients in others:
        for name, array in expected.items():
            np.testing.assert_allclose(outputs[name], array, atol=1e-5, rtol=1e-4)
        for name in ssd.args:
            np.testing.assert_allclose(gradients[name], injected[name], atol=1e-5 * np.abs(injected[name]).max())


def test_its_targets_need_the_labels_in_the_inference_form_too(ssd: MxModel) -> None:
    model = _read(ssd, train=False)
    assert [value.name for value in model.graph.inputs] == ["data", "label"]
    with runtimes()["ort"].open(model) as session:
        found = session.forward(FEEDS)
    with runtimes()["mxnet"].open(model, native=True) as session:
        for (name, right), left in zip(session.forward(FEEDS).items(), found.values(), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5, rtol=1e-4, err_msg=name)
