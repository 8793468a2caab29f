"""The reference's recurrent layers against ONNX Runtime, with everything that no case converts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(kind: str, directions: int, lengths: bool, peepholes: bool, attrs: dict[str, Any]) -> tuple[ir.Model, dict]:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    rows = GATES[kind] * HIDDEN
    shapes = [(directions, rows, INPUTS), (directions, rows, HIDDEN), (directions, 2 * rows)]
    arrays: list[np.ndarray | None] = [rng.uniform(-1, 1, (STEPS, BATCH, INPUTS))]
    arrays += [rng.uniform(-1, 1, shape) for shape in shapes]
    arrays.append(np.array([2, 5, 3], np.int32) if lengths else None)
    states = 2 if kind == "LSTM" else 1
    arrays += [rng.uniform(-1, 1, (directions, BATCH, HIDDEN)) for _ in range(states)]
    if peepholes:
        arrays.append(rng.uniform(-1, 1, (directions, 3 * HIDDEN)))
    feeds: dict[str, np.ndarray] = {}
    inputs: list[ir.Value | None] = []
    for n, array in enumerate(arrays):
        if array is None:
            inputs.append(None)
            continue
        fed = array if array.dtype == np.int32 else array.astype(np.float32)
        feeds[f"x{n}"] = fed
        kind_of = ir.TensorType(ir.DataType.from_numpy(fed.dtype))
        inputs.append(ir.Value(name=f"x{n}", type=kind_of, shape=ir.Shape(fed.shape)))
    outputs = [ir.Value(name=f"y{n}", type=ir.TensorType(ir.DataType.FLOAT)) for n in range(1 + states)]
    node = ir.node(kind, inputs, {"hidden_size": HIDDEN, **attrs}, outputs=outputs, name="layer")
    given = [value for value in inputs if value is not None]
    return ir.Model(ir.Graph(given, outputs, nodes=[node], opset_imports={"": 23}), ir_version=10), feeds


@pytest.mark.parametrize(
    ("kind", "attrs"),
    [
        ("LSTM", {"clip": 0.3}),
        ("LSTM", {"input_forget": 1}),
        (
            "LSTM",
            {
                "activations": ["HardSigmoid", "ScaledTanh", "LeakyRelu"],
                "activation_alpha": [0.3, 0.7, 0.2],
                "activation_beta": [0.4, 0.6],
            },
        ),
        ("GRU", {}),
        ("GRU", {"clip": 0.3}),
        ("GRU", {"clip": 0.3, "linear_before_reset": 1}),
        ("RNN", {"clip": 0.3}),
        ("RNN", {"activations": ["Softplus"]}),
        ("RNN", {"activations": ["Softsign"]}),
        ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.2]}),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [0.2], "activation_beta": [0.1]}),
        ("RNN", {"activations": ["Elu"], "activation_alpha": [0.3]}),
    ],
)
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_the_reference_computes_what_onnx_runtime_does(
    kind: str, attrs: dict[str, Any], lengths: bool, direction: str
) -> None:
    directions = 2 if direction == "bidirectional" else 1
    repeated = {name: value * directions if isinstance(value, list) else value for name, value in attrs.items()}
    assert_same(*model(kind, directions, lengths, False, {**repeated, "direction": direction}))


def test_the_reference_knows_peepholes() -> None:
    assert_same(*model("LSTM", 1, True, True, {}))


def assert_same(probe: ir.Model, feeds: dict[str, np.ndarray]) -> None:
    with runtimes()["ort"].open(probe) as session:
        expected = session.forward(feeds)
    with runtimes()["reference"].open(probe) as session:
        found = session.forward(feeds)
    for name, right in expected.items():
        np.testing.assert_allclose(found[name], right, atol=2e-6)
