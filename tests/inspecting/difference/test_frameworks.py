"""A network and its forms in other frameworks: the same, or different in what is really different."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.inspecting.difference.diff import compare, diff
from graphkit.inspecting.difference.evaluating import BOUND
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from types import ModuleType

NETWORKS = ("encoder", "lstm", "mobilenet")


@pytest.fixture
def pairs() -> ModuleType:
    pytest.importorskip("torch")
    return importlib.import_module("pairs")


@pytest.mark.parametrize("form", ["onnx", "mxnet", "renamed"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_the_same_in_another_file_but_for_names(pairs, network, form):
    found = compare(pairs.source(network), pairs.form(network, form), ignore=["names"])
    assert found.same, found.counts()
    assert all(rewrite.error <= BOUND for rewrite in found.rewrites)
    back = compare(pairs.form(network, form), pairs.source(network), ignore=["names"])
    assert back.same, back.counts()


def test_a_program_is_the_same_as_its_conversion_without_pytorch(pairs, tmp_path):
    import torch

    build, shape = pairs.SOURCES["encoder"]
    batch = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(build(), (torch.zeros(shape),), dynamic_shapes=batch, strict=False)
    torch.export.save(program, tmp_path / "net.pt2")
    graphkit.save(graphkit.load(tmp_path / "net.pt2"), tmp_path / "net", to="mxnet")
    sides = graphkit.look(tmp_path / "net.pt2"), graphkit.look(tmp_path / "net-symbol.json", inputs=[shape])
    found = compare(*sides, reading="looked at", ignore=["names"])
    assert found.same, found.counts()
    assert diff(tmp_path / "net.pt2", tmp_path / "net-symbol.json", right_options={"inputs": [shape]}).left.reading == (
        "canonical"
    )


def test_a_normalisation_that_was_folded_is_told_as_such(pairs):
    found = compare(pairs.source("resnet"), pairs.form("resnet", "exported"), ignore=["names"])
    counts = {what: number for what, number in found.counts().items() if number}
    assert counts == {"foldings": 8, "inputs and outputs": 1}  # torch.onnx has fixed the batch
    folded = [rewrite for rewrite in found.rewrites if rewrite.kind == "folded"]
    for rewrite in folded:
        ops = [found.nodes[index].left.op for index in rewrite.left]
        assert sorted(ops) == ["BatchNormalization", "Conv"]
        assert [found.nodes[index].right.op for index in rewrite.right] == ["Conv"]
        assert rewrite.error < BOUND
    arrays = [entry for entry in found.parameters if entry.status == "folded"]
    assert {(len(entry.left), len(entry.right)) for entry in arrays} == {(5, 2)}


def test_weights_that_are_kept_transposed_are_the_same(pairs):
    found = compare(pairs.source("encoder"), pairs.form("encoder", "exported"), ignore=["names"])
    transposed = [entry for entry in found.parameters if entry.note == "transposed"]
    assert len(transposed) == 8
    assert {entry.status for entry in transposed} == {"rewritten"}
    assert not found.counts()["parameters changed"]


def with_weights(text: str, **arrays: np.ndarray) -> ir.Model:
    """A model from ONNX's text, whose inputs of these names are parameters."""
    model = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> g {text}')
    for value in [value for value in model.graph.inputs if value.name in arrays]:
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(arrays[value.name], name=value.name)
        set_kind(value, "parameter")
        model.graph.register_initializer(value)
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def test_numbers_of_a_weight_that_is_kept_transposed_are_compared_as_they_are_read():
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    left = with_weights(
        "(float[n, 3] x, float[4, 3] w) => (float[n, 4] y) { t = Transpose(w) y = MatMul(x, t) }", w=weight
    )
    turned = weight.T.copy()
    text = "(float[n, 3] x, float[3, 4] w) => (float[n, 4] y) { y = MatMul(x, w) }"
    assert compare(left, with_weights(text, w=turned)).same
    turned[1, 2] += 0.5
    found = compare(left, with_weights(text, w=turned))
    assert {what: number for what, number in found.counts().items() if number} == {"parameters changed": 1}
    numbers = found.parameters[0].numbers
    assert (numbers.differing, numbers.elements) == (1, 12)
    assert numbers.max_abs == pytest.approx(0.5, rel=1e-6)


SHORT = "(float[n, 4] x) => (float[n, 4] y) "


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("y = HardSwish(x)", "a = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) y = Mul(x, a)"),
        ("y = Relu(x)", "a = Abs(x) b = Add(x, a) h = Constant <value = float {0.5}> () y = Mul(b, h)"),
        ("y = Softmax(x)", "a = LogSoftmax(x) y = Exp(a)"),
    ],
)
def test_what_is_composed_of_simpler_operators_is_written_otherwise(short, long):
    left, right = (with_weights(f"{SHORT} {{ {body} }}") for body in (short, long))
    found = compare(left, right)
    assert found.same, found.counts()
    assert [rewrite.kind for rewrite in found.rewrites] == ["otherwise"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("y = Relu(x)", "l = Constant <value = float {0}> () h = Constant <value = float {100}> () y = Clip(x, l, h)"),
        ("y = Identity(x)", "s = Constant <value = float {1.001}> () y = Mul(x, s)"),
        ("y = Tanh(x)", "a = Exp(x) b = Neg(x) c = Exp(b) d = Sub(a, c) e = Add(a, c) f = Div(d, e) y = Relu(f)"),
        ("a = Relu(x) y = Tanh(a)", "a = Relu(x) b = Relu(a) y = Tanh(b)"),
        ("a = Relu(x) y = Tanh(a)", "a = Relu(x) b = Dropout(a) y = Tanh(b)"),
    ],
)
def test_what_only_looks_alike_on_usual_numbers_or_trains_otherwise_is_a_difference(one, two):
    left, right = (with_weights(f"{SHORT} {{ {body} }}") for body in (one, two))
    assert not compare(left, right).same
    assert not compare(right, left).same


def test_an_epsilon_shows_in_small_numbers():
    text = (
        "(float[n, 4] x, float[4] s, float[4] b) => (float[n, 4] y) {{ "
        "l = LayerNormalization <epsilon = {}> (x, s, b) y = {}(l) }}"
    )
    arrays = {"s": np.ones(4, np.float32), "b": np.zeros(4, np.float32)}
    left, right = (with_weights(text.format(*words), **arrays) for words in (("1e-5", "Relu"), ("1e-6", "Relu")))
    found = compare(left, right)
    assert found.counts()["nodes changed"] == 1


def test_whole_numbers_are_drawn_from_more_than_a_few():
    table = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    text = "(int64[n] i, float[6, 4] w) => (float[n, 4] y) {{ {} }}"
    left = with_weights(text.format("y = Gather(w, i)"), w=table)
    wrapped = "m = Constant <value = int64 {2}> () j = Mod(i, m) y = Gather(w, j)"
    right = with_weights(text.format(wrapped), w=table)
    assert not compare(left, right).same
    turned = with_weights(text.format("t = Transpose(w) g = Gather <axis = 1> (t, i) y = Transpose(g)"), w=table)
    assert compare(left, turned).same
