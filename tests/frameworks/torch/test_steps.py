"""Recurrent layers that torch has no module for, and indices of pooling, are those of ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import Case, proto_of

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

ALPHA, BETA = "activation_alpha", "activation_beta"
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
LAYERS = {
    "reset before": ("GRU", 1, "", ""),
    "reset before, both ways, of lengths": ("GRU", 2, "", "lengths"),
    "reset before, from states": ("GRU", 1, "", "lengths, h"),
    "reset after, clipped": ("GRU", 1, "linear_before_reset=1, clip=0.4", ""),
    "other gates": ("GRU", 1, f'activations=["HardSigmoid", "Softsign"], {ALPHA}=[0.3], {BETA}=[0.4]', ""),
    "reverse, of lengths": ("GRU", 1, 'direction="reverse"', "lengths"),
    "clipped": ("LSTM", 1, "clip=0.3", ""),
    "coupled": ("LSTM", 2, "input_forget=1", ""),
    "peepholes": ("LSTM", 1, "", ", h, c, p"),
    "peepholes both ways, of lengths": ("LSTM", 2, "", "lengths, h, c, p"),
    "other cell": ("LSTM", 1, 'activations=["Sigmoid", "Relu", "Softsign"]', ""),
    "leaky": ("RNN", 1, 'activations=["LeakyRelu"], activation_alpha=[0.2]', ", h"),
    "affine and elu": ("RNN", 2, f'activations=["Affine", "Elu"], {ALPHA}=[0.7, 0.5], {BETA}=[0.1]', ""),
    "scaled": ("RNN", 1, 'activations=["ScaledTanh"], activation_alpha=[0.7], activation_beta=[1.3]', ""),
    "computed weights, of lengths": ("RNN", 1, "", "lengths"),
}
SHAPES = {"lengths": "int32[2]", "h": "float[{d},2,5]", "c": "float[{d},2,5]", "p": "float[{d},15]"}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_all_kinds_run_step_by_step(name):
    op, directions, attributes, more = LAYERS[name]
    rows = GATES[op] * 5
    way = ', direction="bidirectional"' if directions == 2 else ""
    settings = f"hidden_size=5{way}{', ' if attributes else ''}{attributes}"
    given = [part.strip() for part in f",{more}".split(",")] if more else []
    given = given[1:] if given else []
    fed = "".join(f", {SHAPES[part].format(d=directions)} {part}" for part in given if part)
    weights = {"w": (rows, 3), "r": (rows, 5), "b": (2 * rows,)}
    stored = [f"float[{directions},{','.join(map(str, sizes))}] {name}" for name, sizes in weights.items()]
    inputs = f"float[4,2,3] x, {', '.join(stored)}{fed}"
    outputs = ["y", "last", "cell"][: 3 if op == "LSTM" else 2]
    operands = ", ".join(["x", "w", "r", "b", *given])
    case = Case(
        "",
        range(0),
        inputs,
        f"{', '.join(outputs)} = {op}<{settings}>({operands})",
        ", ".join(f"float {o}" for o in outputs),
    )
    proto = proto_of(case, 22)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    rng = np.random.default_rng(0)
    feeds = {value.name: rng.uniform(-0.9, 0.9, value.shape.numpy()).astype(np.float32) for value in model.graph.inputs}
    if "lengths" in feeds:
        feeds["lengths"] = np.array([4, 2], np.int32)
    results = []
    for runtime in ("torch", "ort"):
        with runtimes()[runtime].open(model, native=False) as session:
            results.append(session.forward(feeds))
    for output in outputs:
        np.testing.assert_allclose(results[0][output], results[1][output], rtol=1e-5, atol=1e-6)


POOLS = [
    "kernel_shape=[2,2]",
    "kernel_shape=[2,3], strides=[2,2], pads=[1,1,1,1]",
    "kernel_shape=[3,2], pads=[0,1,2,0]",
    "kernel_shape=[3,2], pads=[2,0,0,1], storage_order=1",
    "kernel_shape=[2,2], storage_order=1",
    "kernel_shape=[2,2], dilations=[2,1], strides=[1,2]",
]


@pytest.mark.parametrize("attributes", POOLS)
def test_indices_of_pooling_count_over_the_whole_tensor(attributes):
    proto = proto_of(Case("", range(0), "float[2,3,5,6] x", f"y, i = MaxPool<{attributes}>(x)", "float y, int64 i"), 22)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    feeds = {"x": np.random.default_rng(0).permutation(180).reshape(2, 3, 5, 6).astype(np.float32)}
    results = []
    for runtime in ("torch", "ort"):
        with runtimes()[runtime].open(model, native=False) as session:
            results.append(session.forward(feeds))
    for output in ("y", "i"):
        np.testing.assert_array_equal(results[0][output], results[1][output])
