"""Finding the nodes and values of one model in another, judged by the numbers that the values hold."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.ir.alignment import Alignment, align
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from types import ModuleType

NETWORKS = ("encoder", "lstm", "resnet", "densenet", "mobilenet", "unet")
FORMS = ("onnx", "mxnet", "exported", "scripted", "renamed")
FAULTS = (
    "attribute",
    "swapped inputs",
    "perturbed weight",
    "transposed weight",
    "missing bias",
    "dropped shift",
    "inserted transpose",
    "inserted cast",
    "removed node",
    "other operator",
)


def of(body: str, signature: str = "float[n, 4] x", result: str = "float[n, 4] y", **weights: int) -> ir.Model:
    """A model from ONNX's text, with drawn float weights of the given seeds and of shape [4]."""
    held = ", ".join(f"float[4] {name} = {{0, 0, 0, 0}}" for name in weights)
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) <{held}> {{ {body} }}'
    model = ir.from_onnx_text(text)
    for name, seed in weights.items():
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(np.random.default_rng(seed).standard_normal(4).astype(np.float32), name=name)
        set_kind(value, "parameter")
    return model


def told(alignment: Alignment) -> dict[str, tuple[str, str]]:
    """Output of each left node, and of the right node that it is, with how it was found; "-" for none."""
    return {
        "-" if pair.left is None else pair.left.outputs[0].name or "": (
            "-" if pair.right is None else pair.right.outputs[0].name or "",
            pair.how,
        )
        for pair in alignment.nodes
    }


@pytest.fixture
def pairs() -> ModuleType:
    pytest.importorskip("torch")
    return importlib.import_module("pairs")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network", NETWORKS)
def test_values_of_a_converted_network_meet_those_of_the_same_numbers(pairs, network, form):
    left, right = pairs.source(network), pairs.form(network, form)
    made = pairs.score(left, right, align(left, right), pairs.truth(network, form))
    assert made.reachable >= 10
    assert (made.wrong, made.missed) == ([], [])


@pytest.mark.parametrize("names", ["kept", "others"])
@pytest.mark.parametrize("form", ["mxnet", "exported"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_fault_does_not_spoil_the_rest_of_the_alignment(pairs, network, form, names):
    left, alike = pairs.source(network), pairs.truth(network, form)
    planted, wrong, missed, reachable = [], [], [], 0
    for fault in FAULTS:
        right, here = pairs.faulty(network, form, fault), alike
        if right is None:
            continue
        if names == "others":
            right, new = pairs.renamed(right)
            here = {name: frozenset(new[each] for each in found if each in new) for name, found in alike.items()}
        made = pairs.score(left, right, align(left, right), here)
        planted.append(fault)
        reachable += made.reachable
        wrong += [(fault, *pair) for pair in made.wrong]
        missed += [(fault, name) for name in made.missed]
    assert len(planted) >= 3
    assert wrong == []
    assert len(missed) <= 0.02 * reachable, missed


def test_the_faults_are_all_of_the_kinds_there_are(pairs):
    assert set(FAULTS) == set(pairs.FAULTS)
    assert set(FORMS) == set(pairs.FORMS)
    assert set(NETWORKS) == set(pairs.SOURCES)


def test_names_that_belong_to_something_else_do_not_count():
    left = of("a = Add(x, u) b = Mul(a, v) c = Add(b, w) y = Relu(c)", u=1, v=2, w=3)
    right = of("b = Add(x, v) c = Mul(b, w) a = Add(c, u) y = Relu(a)", v=1, w=2, u=3)
    assert align(left, right).values == {"x": "x", "y": "y", "a": "b", "b": "c", "c": "a", "u": "v", "v": "w", "w": "u"}


def test_names_decide_where_nothing_else_does():
    left = of("a = Mul(x, u) b = Sin(a) c = Sin(b) y = Mul(c, w)", u=1, w=2)
    right = of("a = Mul(x, u) c = Sin(a) y = Mul(c, w)", u=3, w=4)
    assert told(align(left, right))["b"] == ("-", "alone")
    assert told(align(left, right))["c"] == ("c", "name")


def test_what_computes_the_same_is_found_whatever_it_is_called():
    left = of("a = Neg(x) b = Exp(x) y = Add(a, b)")
    right = of("p = Exp(z) q = Neg(z) r = Add(p, q)", "float[m, 4] z", "float[m, 4] r")
    assert align(left, right).values == {"x": "z", "y": "r", "a": "q", "b": "p"}


def test_swapped_inputs_do_not_swap_what_computes_them():
    left = of("a = Relu(x) b = Relu(z) y = Sub(a, b)", "float[n, 4] x, float[n, 4] z")
    right = of("c = Relu(x) d = Relu(z) y = Sub(d, c)", "float[n, 4] x, float[n, 4] z")
    assert align(left, right).values == {"x": "x", "z": "z", "y": "y", "a": "c", "b": "d"}


def test_a_node_that_was_put_in_is_alone():
    left = of("a = Relu(x) y = Add(a, w)", w=1)
    right = of("c = Relu(x) t = Neg(c) y = Add(t, v)", v=1)
    assert told(align(left, right)) == {"a": ("c", "structure"), "y": ("y", "name"), "-": ("t", "alone")}
    assert told(align(right, left)) == {"c": ("a", "structure"), "t": ("-", "alone"), "y": ("y", "name")}


def test_another_operator_in_the_place_of_one_is_a_replacement():
    left = of("a = Add(x, u) b = Relu(a) y = Mul(b, w)", u=1, w=2)
    right = of("p = Add(x, u) q = Sigmoid(p) y = Mul(q, w)", u=1, w=2)
    found = align(left, right)
    assert [pair.left.op_type for pair in found.nodes if pair.replaced and pair.left] == ["Relu"]
    assert found.values["b"] == "q"


def test_what_is_composed_of_simpler_operators_meets_the_last_of_them():
    left = of("a = Add(x, u) b = HardSwish(a) y = Mul(b, w)", u=1, w=2)
    right = of("p = Add(x, u) q = HardSigmoid(p) r = Mul(p, q) y = Mul(r, w)", u=1, w=2)
    assert align(left, right).values["b"] == "r"
    assert align(right, left).values["r"] == "b"


def test_weights_that_a_scaling_was_folded_into_meet_its_result():
    left = of("c = MatMul(x, m) s = Mul(c, g) y = Relu(s)", g=1)
    right = of("d = MatMul(x, k) y = Relu(d)")
    weight = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    scale = left.graph.initializers["g"].const_value.numpy()
    for model, name, array in ((left, "m", weight), (right, "k", weight * scale)):
        held = ir.val(name, ir.DataType.FLOAT, (4, 4), const_value=ir.tensor(array, name=name))
        set_kind(held, "parameter")
        old = next(value for node in model.graph for value in node.inputs if value is not None and value.name == name)
        for user, index in list(old.uses()):
            user.replace_input_with(index, held)
        model.graph.register_initializer(held)
    found = align(left, right)
    assert found.values == {"x": "x", "y": "y", "s": "d"}
    assert {one.outputs[0].name: two.outputs[0].name for one, two in found.folded.items()} == {"c": "d"}


def test_results_of_other_shapes_are_told_apart():
    body = "a = Transpose <perm = [{}]> (x) b = ReduceSum <keepdims = 0> (a) y = Neg(b)"
    left, right = (of(body.format(order), "float[3, 4] x", "float y") for order in ("1, 0", "0, 1"))
    for model, shape in ((left, (4, 3)), (right, (3, 4))):
        next(iter(model.graph)).outputs[0].shape = ir.Shape(shape)
    found = align(left, right)
    assert found.reshaped == {"a": "a"}
    assert "a" not in found.values
    assert told(found)["a"] == ("a", "name")


def test_a_known_size_meets_a_free_one():
    left, right = of("a = Relu(x) y = Exp(a)"), of("b = Relu(x) y = Exp(b)", "float[2, 4] x", "float[2, 4] y")
    for model, shape in ((left, ("n", 4)), (right, (2, 4))):
        next(iter(model.graph)).outputs[0].shape = ir.Shape(shape)
    assert align(left, right).values["a"] == "b"


def test_what_is_given_counts():
    left = of("y = Relu(x) z = Exp(x)", result="float[n, 4] y, float[n, 4] z", u=1)
    right = of("p = Exp(x) q = Relu(x)", result="float[n, 4] p, float[n, 4] q", v=2)
    assert align(left, right).values == {"x": "x", "y": "p", "z": "q"}
    given = {"y": "q", "z": "p", "u": "v"}
    found = align(left, right, given)
    assert found.values == {"x": "x"} | given
    assert told(found) == {"y": ("q", "structure"), "z": ("p", "structure")}


def test_every_node_is_told_once_in_the_order_of_the_models():
    left = of("a = Sin(x) b = Cos(a) y = Tan(b)")
    right = of("k = Exp(x) l = Tan(k) y = Log(l)")
    found = align(left, right)
    lefts = [pair.left for pair in found.nodes if pair.left is not None]
    rights = [pair.right for pair in found.nodes if pair.right is not None]
    assert lefts == list(left.graph)
    assert len(rights) == len(set(rights)) == 3
    assert len(set(found.values.values())) == len(found.values)


def test_no_value_has_two_counterparts_where_one_model_computes_it_twice():
    left = of("a = Relu(x) b = Relu(x) y = Add(a, b)")
    right = of("c = Relu(x) y = Add(c, c)")
    found = align(left, right)
    assert sorted(found.values.items()) in ([("a", "c"), ("x", "x"), ("y", "y")], [("b", "c"), ("x", "x"), ("y", "y")])


def test_control_flow_is_found_by_what_it_reads_and_what_is_inside():
    text = """
        {0} = Exp(x) {1} = Sin(x)
        y = If (c) <
            then_branch = g1 () => (float[n, 4] t) {{ t = {2}({0}) }},
            else_branch = g2 () => (float[n, 4] e) {{ e = Neg({1}) }}
        >
    """
    left, right = (
        of(text.format(*words), "float[n, 4] x, bool c") for words in (("a", "b", "Relu"), ("p", "q", "Tanh"))
    )
    assert align(left, right).values == {"x": "x", "c": "c", "y": "y", "a": "p", "b": "q"}


def test_empty_models_align():
    found = align(of("y = Identity(x)"), of("y = Identity(x)"))
    assert found.values == {"x": "x", "y": "y"}
    empty = of("", result="float[n, 4] x")
    assert align(empty, empty.clone()).nodes == ()
