"""Models in training form: statistics of the batch, running ones, Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.training import stops_gradient
from graphkit.ops.nn.batch_norm import FROZEN
from graphkit.passes.training_form import differs_in_training, in_training, training_form

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3, 5))
GAMMA, BETA, MEAN = RNG.standard_normal((3, 3))
VAR = RNG.uniform(0.5, 2, 3)
STORED = {"gamma": GAMMA, "beta": BETA, "mean": MEAN, "var": VAR}


def parsed(text: str, inputs: str = "double[n,3,k] x", **stored: Any) -> ir.Model:
    """A canonical model of some nodes, with arrays."""
    kinds = {"float16": "float16", "float32": "float", "float64": "double", "int64": "int64"}
    arrays = {name: np.asarray(array) for name, array in stored.items()}
    shapes = {name: ", ".join(map(str, array.shape)) or "1" for name, array in arrays.items()}
    zeros = {name: ", ".join(["0"] * array.size) for name, array in arrays.items()}
    held = ", ".join(f"{kinds[arrays[name].dtype.name]}[{shapes[name]}] {name} = {{{zeros[name]}}}" for name in arrays)
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]> net ({inputs}) => (y) <{held}> {{ {text} }}')
    for name, array in arrays.items():
        value = model.graph.initializers[name]
        value.const_value, value.shape = ir.tensor(array, name=name), ir.Shape(array.shape)
    return canonical(model)


def normed(**attributes: Any) -> ir.Model:
    """A BatchNormalization of parameters and running statistics."""
    model = parsed("y = BatchNormalization(x, gamma, beta, mean, var)", **STORED)
    for name, number in attributes.items():
        next(iter(model.graph)).attributes[name] = ir.AttrFloat32(name, number)
    return model


def run(model: ir.Model, x: Any, runtime: str = "reference") -> dict[str, Any]:
    """All outputs for an input."""
    (value,) = model.graph.inputs
    with runtimes()[runtime].open(model) as session:
        return dict(session.forward({value.name or "": x}))


def of_torch(momentum: float, epsilon: float) -> tuple[Any, Any, Any]:
    """What torch normalises to, and its running statistics afterwards."""
    mean, var = torch.tensor(MEAN), torch.tensor(VAR)
    scale, shift = torch.tensor(GAMMA), torch.tensor(BETA)
    y = torch.nn.functional.batch_norm(torch.tensor(X), mean, var, scale, shift, True, momentum, epsilon)
    return y.numpy(), mean.numpy(), var.numpy()


def with_statistics(model: ir.Model, *, unbiased: bool) -> ir.Model:
    """The training form with the moved statistics as outputs."""
    for name, value in training_form(model, dropout=False, statistics=True, unbiased=unbiased).items():
        value.name = f"{name}.next"
        model.graph.outputs.append(value)
    return model


def test_batch_normalisation_takes_the_statistics_of_the_batch_and_moves_the_running_ones_as_torch_does() -> None:
    found = run(with_statistics(normed(epsilon=1e-2, momentum=0.75), unbiased=True), X)
    y, mean, var = of_torch(0.25, 1e-2)
    np.testing.assert_allclose(found["y"], y, atol=1e-12)
    np.testing.assert_allclose(found["mean.next"], mean, atol=1e-12)
    np.testing.assert_allclose(found["var.next"], var, atol=1e-12)


def test_running_variances_may_be_moved_towards_the_biased_one() -> None:
    found = run(with_statistics(normed(momentum=0.75), unbiased=False), X)
    np.testing.assert_allclose(found["var.next"], 0.75 * VAR + 0.25 * X.var((0, 2)), atol=1e-12)


def test_statistics_that_two_layers_share_are_moved_by_both() -> None:
    text = "h = BatchNormalization(x, gamma, beta, mean, var) y = BatchNormalization(h, gamma, beta, mean, var)"
    found = run(with_statistics(parsed(text, **STORED), unbiased=False), X)
    hidden = of_torch(0.1, 1e-5)[0]
    once = 0.9 * MEAN + 0.1 * X.mean((0, 2))
    np.testing.assert_allclose(found["mean.next"], 0.9 * once + 0.1 * hidden.mean((0, 2)), atol=1e-9)


def test_rows_are_normalised_over_the_batch() -> None:
    model = parsed("y = BatchNormalization(x, gamma, beta, mean, var)", "double[n,3] x", **STORED)
    rows = X[:, :, 0]
    wanted = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5) * GAMMA + BETA
    np.testing.assert_allclose(run(in_training(model, dropout=False), rows)["y"], wanted, atol=1e-12)


def test_half_precision_is_normalised_in_single() -> None:
    half = {name: array.astype(np.float16) for name, array in STORED.items()}
    model = parsed("y = BatchNormalization(x, gamma, beta, mean, var)", "float16[n,3,k] x", **half)
    found = run(with_statistics(model, unbiased=True), (X * 50).astype(np.float16))
    assert {name: array.dtype.name for name, array in found.items()} == dict.fromkeys(found, "float16")
    wanted = (X - X.mean((0, 2), keepdims=True)) / X.std((0, 2), keepdims=True) * GAMMA[:, None] + BETA[:, None]
    np.testing.assert_allclose(found["y"], wanted, atol=1e-2)


def test_frozen_and_computed_statistics_stay() -> None:
    frozen = normed()
    next(iter(frozen.graph)).metadata_props[FROZEN] = "True"
    computed = parsed(
        "m = ReduceMean<keepdims=0>(x, axes) v = Exp(m) y = BatchNormalization(x, gamma, beta, m, v)",
        axes=np.array([0, 2]),
        gamma=GAMMA,
        beta=BETA,
    )
    for model in (frozen, computed):
        assert not differs_in_training(model, dropout=True)
        assert training_form(model, dropout=True, statistics=True) == {}
        assert "BatchNormalization" in [node.op_type for node in model.graph]


def test_the_model_given_is_left_as_it_is() -> None:
    model = normed()
    assert differs_in_training(model, dropout=False)
    copy = in_training(model, dropout=False)
    assert [node.op_type for node in model.graph] == ["BatchNormalization"]
    assert set(copy.graph.initializers) & {"mean", "var"} == set()
    assert [value.name for value in copy.graph.outputs] == ["y"]


def test_an_unknown_rank_is_refused_with_the_node() -> None:
    model = normed()
    model.graph.inputs[0].shape = None
    with pytest.raises(UnsupportedError, match=r"BatchNormalization × 1 .*rank"):
        training_form(model, dropout=False)


def test_statistics_inside_a_branch_are_refused_but_only_to_be_moved() -> None:
    body = "=> (z) { z = BatchNormalization(x, gamma, beta, mean, var) }"
    text = (
        f"s = ReduceMax<keepdims=0>(x) c = Greater(s, zero) y = If<then_branch=t () {body}, else_branch=e () {body}>(c)"
    )
    model = parsed(text, zero=np.float64(0), **STORED)
    copy = in_training(model, dropout=False)
    np.testing.assert_allclose(run(copy, X)["y"], of_torch(0.1, 1e-5)[0], atol=1e-12)
    with pytest.raises(UnsupportedError, match="inside a loop or branch"):
        training_form(model, dropout=False, statistics=True)


DROPPED = "h = Abs(x) d = Dropout(h, ratio) y = Sqrt(d)"


def test_dropout_is_left_out_and_keeps_its_name() -> None:
    model = parsed(DROPPED, ratio=np.float32(0.25))
    copy = in_training(model, dropout=False)
    assert "Dropout" not in [node.op_type for node in copy.graph]
    assert "d" in [value.name for node in copy.graph for value in node.outputs]
    assert not any(stops_gradient(node) for node in copy.graph)
    np.testing.assert_allclose(run(copy, X)["y"], np.sqrt(np.abs(X)))


@pytest.mark.parametrize("runtime", ["ort", "reference"])
def test_dropout_drops_its_share_and_raises_the_rest(runtime: str) -> None:
    model = in_training(parsed(DROPPED, "float[n,3,k] x", ratio=np.float32(0.25)), dropout=True)
    y = run(model, np.ones((50, 3, 60), np.float32), runtime)["y"]
    share = np.mean(y == 0)
    assert 0.2 < share < 0.3
    np.testing.assert_allclose(y[y != 0], np.sqrt(1 / 0.75), rtol=1e-6)


def test_a_dropout_that_is_read_again_as_one_of_inference_leaves_its_input_as_it_is() -> None:
    model = in_training(parsed(DROPPED, "float[n,3,k] x", ratio=np.float32(0.25)), dropout=True)
    again = canonical(model)
    next(node for node in again.graph if node.op_type == "Dropout").resize_inputs(2)
    np.testing.assert_array_equal(run(again, np.ones((2, 3, 4), np.float32))["y"], 1)


def test_axes_of_a_dropout_share_their_mask() -> None:
    model = parsed(DROPPED, "float[n,3,k] x", ratio=np.float32(0.5))
    next(node for node in model.graph if node.op_type == "Dropout").metadata_props["graphkit.dropout_axes"] = "(2,)"
    y = run(in_training(model, dropout=True), np.ones((50, 3, 4), np.float32), "ort")["y"]
    assert (y == y[:, :, :1]).all()
    assert 0 < np.mean(y == 0) < 1


def test_a_dropout_of_everything_gives_zeros_and_its_mask_is_handed_on() -> None:
    text = "d, m = Dropout(x, ratio) k = Cast<to=1>(m) y = Add(d, k)"
    model = parsed(text, "float[n,3,k] x", ratio=np.float32(1))
    np.testing.assert_array_equal(run(in_training(model, dropout=True), np.ones((2, 3, 4), np.float32), "ort")["y"], 0)
    np.testing.assert_array_equal(run(in_training(model, dropout=False), np.ones((2, 3, 4), np.float32), "ort")["y"], 2)
