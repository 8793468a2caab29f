"""ONNX's recurrent layers where writing them needs more than a case can say."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from realmxnet import mxnet

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.weights import write_weights
from graphkit.ir.canonical import canonical
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.ops.torchprogram import TorchProgram

ROWS = {"LSTM": 8, "GRU": 6, "RNN": 2}


def layer(kind: str, *more: np.ndarray | None, outputs: int = 1, steps: int = 4, **attrs: Any) -> ir.Model:
    """A layer from 3 features to a state of 2, its further inputs stored."""
    rng = np.random.default_rng(0)
    directions = 2 if attrs.get("direction") == "bidirectional" else 1
    arrays = [rng.standard_normal((directions, ROWS[kind], size)).astype(np.float32) for size in (3, 2)]
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([steps, 2, 3]))
    stored = [
        None if array is None else ir.Value(name=f"w{n}", const_value=ir.tensor(array, name=f"w{n}"))
        for n, array in enumerate([*arrays, *more])
    ]
    ends = [ir.Value(name=f"y{n}") for n in range(outputs)]
    node = ir.node(kind, [x, *stored], {"hidden_size": 2, **attrs}, outputs=ends, name="layer")
    graph = ir.Graph(
        [x], ends, nodes=[node], initializers=[value for value in stored if value is not None], opset_imports={"": 23}
    )
    return canonical(ir.Model(graph, ir_version=10))


@pytest.mark.parametrize(
    ("kind", "more", "attrs", "why"),
    [
        ("GRU", (), {}, "linear_before_reset=0"),
        ("LSTM", (), {"clip": 1.0}, "clips"),
        ("LSTM", (), {"input_forget": 1}, "coupled"),
        ("LSTM", (), {"activations": ["Sigmoid", "Relu", "Tanh"]}, "sigmoid, relu, tanh"),
        ("RNN", (), {"activations": ["Elu"]}, "only tanh or relu"),
        ("LSTM", (None, None, None, None, np.ones((1, 6), np.float32)), {}, "peepholes"),
    ],
)
def test_what_only_onnx_has_is_written_step_by_step_where_these_are_few(
    kind: str, more: tuple[np.ndarray | None, ...], attrs: dict[str, Any], why: str
) -> None:
    mx = to_symbol(layer(kind, *more, **attrs))
    assert "RNN" not in {node.op for node in mx.graph.nodes}
    with pytest.raises(UnsupportedError, match=f"{why}.*300 steps are too many"):
        to_symbol(layer(kind, *more, steps=300, **attrs))


def test_the_last_cell_of_sequences_of_different_lengths_is_one_layer_for_any_number_of_steps() -> None:
    model = layer("LSTM", None, np.array([4, 2], np.int32), outputs=3)
    (value,) = model.graph.inputs
    value.shape = ir.Shape(["T", 2, 3])
    mx = to_symbol(model)
    assert [node.op for node in mx.graph.nodes].count("RNN") == 1
    feeds = {"x": np.random.default_rng(7).standard_normal((6, 2, 3)).astype(np.float32)}
    feeds["x"][2:, 1] = np.nan
    mxnet()
    found = []
    for name in ("ort", "mxnet"):
        with runtimes()[name].open(model, native=False) as session:
            found.append(session.forward(feeds))
    for name, right in found[0].items():
        np.testing.assert_allclose(found[1][name], right, atol=1e-6)


def test_weights_are_stored_in_mxnets_order_under_their_own_names() -> None:
    model = layer("LSTM", np.arange(16, dtype=np.float32)[None])
    mx = to_symbol(model)
    stored = model.graph.initializers["w0"].const_value
    assert stored is not None
    i, o, f, c = np.split(stored.numpy()[0], 4)
    np.testing.assert_array_equal(mx.args["w0"], np.concatenate([i, f, c, o]))
    np.testing.assert_array_equal(mx.args["w2"], [0, 1, 4, 5, 6, 7, 2, 3, 8, 9, 12, 13, 14, 15, 10, 11])
    assert set(mx.derived) == {"w0", "w1", "w2"}


def test_torch_stores_what_its_layer_calls_weights() -> None:
    program = to_program(layer("GRU", direction="bidirectional", linear_before_reset=1))
    (made,) = (stmt.layer for stmt in program.stmts if stmt.layer is not None)
    assert made.type == "nn.GRU"
    assert made.kwargs == {"bias": False, "bidirectional": True}
    assert sorted(made.tensors) == ["weight_hh_l0", "weight_hh_l0_reverse", "weight_ih_l0", "weight_ih_l0_reverse"]


@pytest.mark.parametrize(("kind", "attrs"), [("LSTM", {}), ("GRU", {"linear_before_reset": 1})])
def test_gradients_of_layers_of_halves_stand_in_the_models_order(kind: str, attrs: dict[str, int]) -> None:
    mxnet()
    model = cast_floats(layer(kind, **attrs), "float16")
    x = np.random.default_rng(1).standard_normal((4, 2, 3)).astype(np.float16)
    found = []
    for name in ("torch", "mxnet"):
        with runtimes()[name].open(model, native=False) as session:
            seeds = {key: np.ones_like(value) for key, value in session.forward({"x": x}).items()}
            found.append(session.backward({"x": x}, seeds))
    assert found[0].keys() == found[1].keys() == {"x", "w0", "w1"}
    for name, gradient in found[0].items():
        np.testing.assert_allclose(found[1][name], gradient, atol=1e-2)


def large(kind: str, hidden: int) -> ir.Model:
    """A layer whose weights are each of more than 16 MB."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([4, 2, hidden]))
    arrays = [np.zeros((1, ROWS[kind] // 2 * hidden, hidden), np.float32) for _ in range(2)]
    stored = [ir.Value(name=f"w{n}", const_value=ir.tensor(array, name=f"w{n}")) for n, array in enumerate(arrays)]
    node = ir.node(kind, [x, *stored], {"hidden_size": hidden}, outputs=[ir.Value(name="y")], name="layer")
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=stored, opset_imports={"": 23})
    return canonical(ir.Model(graph, ir_version=10))


def test_weights_are_packed_without_memory_for_them(tmp_path: Path) -> None:
    model = large("LSTM", 1056)
    weights = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    peaks = []
    for write in (to_symbol, lambda model: write_weights(tmp_path / "w", stored_tensors(to_program(model)), {})):
        tracemalloc.start()
        try:
            write(model)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert max(peaks) < weights / 20


def stored_tensors(program: TorchProgram) -> dict[str, Any]:
    """The tensors of the layers of a program."""
    return {name: tensor for stmt in program.stmts if stmt.layer for name, tensor in stmt.layer.tensors.items()}
