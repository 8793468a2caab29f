"""Which input, output, parameter and value of one model is which of another, and what is said about it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

from graphkit.errors import InputError
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_alias, set_kind
from graphkit.parity.match import Matching, match

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def pairs() -> ModuleType:
    pytest.importorskip("torch")
    return importlib.import_module("pairs")


def of(body: str, inputs: str, outputs: str, **weights: list[float] | list[list[float]]) -> ir.Model:
    """A model from ONNX's text with float parameters."""
    shapes = {name: np.shape(numbers) for name, numbers in weights.items()}
    held = ", ".join(f"float{list(shape) or ''} {name} = {{0}}" for name, shape in shapes.items())
    found = ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["": 23]> g ({inputs}) => ({outputs}) <{held}> {{ {body} }}'
    )
    for name, numbers in weights.items():
        value = found.graph.initializers[name]
        value.const_value = ir.tensor(np.array(numbers, np.float32), name=name)
        set_kind(value, "parameter")
    return canonical(found)


def renamed(prefix: str = "other_") -> ir.Model:
    """relu(x @ w + b) with other names of everything stored, given and computed."""
    found = model()
    values = [*found.graph.inputs, *found.graph.initializers.values(), *(v for n in found.graph for v in n.outputs)]
    for value in values:
        value.name = prefix + value.name
    return found


def layers(names: tuple[str, str], *, numbers: tuple[float, float] = (1, 2)) -> ir.Model:
    """exp(x · first) · second with two parameters of one shape and the given names."""
    first, second = names
    body = f"a = Mul(x, {first}) b = Exp(a) y = Mul(b, {second})"
    weights = {first: [numbers[0], 0.5, 3], second: [numbers[1], 4, 5]}
    return of(body, "float[n, 3] x", "float[n, 3] y", **weights)


def sentences(found: Matching, word: str) -> list[str]:
    return [sentence for sentence in found.told if word in sentence]


# Inputs and outputs.


def test_inputs_and_outputs_meet_by_name():
    text = '<ir_version: 10, opset_import: ["": 23]> g (float[2] {}, float[2] {}) => (float[2] y) {{ y = Sub(a, b) }}'
    found = match(ir.from_onnx_text(text.format("a", "b")), ir.from_onnx_text(text.format("b", "a")))
    assert found.names == {"a": "a", "b": "b", "y": "y"}
    assert found.told == ("inputs by name: a, b", "outputs by name: y")


def test_what_has_no_namesake_meets_by_order():
    left = of("y = Sub(a, b) z = Add(a, b)", "float[2] a, float[2] b", "float[2] y, float[2] z")
    right = of("y = Sub(c, a) w = Add(c, a)", "float[2] c, float[2] a", "float[2] y, float[2] w")
    found = match(left, right)
    assert found.names == {"a": "a", "b": "c", "y": "y", "z": "w"}
    assert found.told[0] == "inputs by name: a; by order and shape: b ↔ c"
    assert found.told[1] == "outputs by name: y; by order and shape: z ↔ w"


def test_a_shape_decides_where_order_contradicts_it():
    left = of("y = Reshape(a, s)", "float[2, 3] a, int64[1] s", "float[n] y")
    right = of("z = Reshape(q, p)", "int64[1] p, float[2, 3] q", "float[n] z")
    assert match(left, right).names == {"a": "q", "s": "p", "y": "z"}


def test_a_name_does_not_count_where_it_belongs_to_another_element_type():
    left = of("y = Reshape(a, b)", "float[2, 3] a, int64[1] b", "float[n] y")
    right = of("y = Reshape(b, a)", "float[2, 3] b, int64[1] a", "float[n] y")
    assert match(left, right).names == {"a": "b", "b": "a", "y": "y"}


def test_more_outputs_of_the_second_model_are_left_out_and_named():
    left = of("y = Exp(x)", "float[2] x", "float[2] y")
    right = of("h = Neg(x) y = Exp(x)", "float[2] x", "float[2] h, float[2] y")
    found = match(left, right)
    assert (found.names, found.extra) == ({"x": "x", "y": "y"}, ("h",))
    assert "1 more output in the second model, not compared: h" in found.told


@pytest.mark.parametrize(
    ("right", "what"),
    [
        (("y = Exp(x)", "float[2] x", "float[2] y"), "'h' of the first"),
        (("u = Neg(x) v = Exp(x) w = Log(x)", "float[2] x", "float[2] u, float[2] v, float[2] w"), "'u', 'v', 'w'"),
        (("h = Neg(x) y = Add(x, z)", "float[2] x, float[2] z", "float[2] h, float[2] y"), "'x', 'z'"),
        (("h = Neg(x) y = Shape(x)", "float[2] x", "float[2] h, int64[1] y"), "'y'.*int64.*Cast one of the models"),
        (
            (
                "h = Neg(x) o = Constant <value_ints = [0]> () y = Unsqueeze(x, o)",
                "float[2] x",
                "float[2] h, float[1, 2] y",
            ),
            "'y' .float32, 2. meets 'y' .float32, 1×2.. Give both the same shapes",
        ),
    ],
    ids=["missing output", "other outputs", "more inputs", "element type", "rank"],
)
def test_models_of_other_inputs_or_outputs_cannot_be_compared(right, what):
    left = of("h = Neg(x) y = Exp(x)", "float[2] x", "float[2] h, float[2] y")
    with pytest.raises(InputError, match=f"cannot be compared.*{what}"):
        match(left, of(*right))


def test_no_axes_match_one_of_size_1():
    left = of("s = ReduceSum <keepdims = 0> (x) y = Exp(s)", "float[2, 3] x", "float y")
    right = of("s = ReduceSum <keepdims = 0> (x) o = Constant <value_ints = [1]> () t = Reshape(s, o) y = Exp(t)",
               "float[2, 3] x", "float[1] y")  # fmt: skip
    assert match(left, right).boxed == {"y"}
    assert match(left, left).boxed == frozenset()


# Parameters.


def test_parameters_meet_by_name_and_numbers():
    found = match(model(), model())
    assert found.names == {"x": "x", "y": "y", "w": "w", "b": "b"}
    assert sentences(found, "parameter") == ["parameters: all 2 by name"]


def test_parameters_meet_by_the_name_in_the_model_that_was_converted():
    other = layers(("p", "q"), numbers=(7, 8))
    for name, alias in (("p", "v"), ("q", "u")):
        set_alias(other.graph.initializers[name], alias)
    names = match(layers(("u", "v")), other).names
    assert (names["u"], names["v"]) == ("p", "q"), "the nodes that read them tell that the aliases are not theirs"
    set_alias(other.graph.initializers["p"], "u")
    set_alias(other.graph.initializers["q"], "v")
    assert match(layers(("u", "v")), other).told[2] == "parameters: all 2 by name (u ↔ p, v ↔ q)"


def test_parameters_of_other_names_meet_by_their_numbers():
    found = match(model(), renamed())
    assert found.names == {"x": "other_x", "y": "other_y", "w": "other_w", "b": "other_b"}
    assert sentences(found, "parameter") == ["parameters: all 2 by equal numbers (w ↔ other_w, b ↔ other_b)"]


def test_shifted_names_do_not_mislead():
    names = match(layers(("p0", "p1")), layers(("p1", "p2"))).names
    assert (names["p0"], names["p1"]) == ("p1", "p2")


def test_a_perturbed_parameter_still_meets_its_namesake():
    found = match(layers(("u", "v")), layers(("u", "v"), numbers=(1, 9)))
    assert (found.names["u"], found.names["v"]) == ("u", "v")
    assert sentences(found, "parameter") == ["parameters: all 2 by name"]


def test_a_perturbed_parameter_of_another_name_meets_by_the_node_that_reads_it():
    found = match(layers(("u", "v")), layers(("p", "q"), numbers=(1, 9)))
    assert (found.names["u"], found.names["v"]) == ("p", "q")
    assert sentences(found, "parameter") == [
        "parameters: 1 of 2 by equal numbers (u ↔ p), 1 of 2 by the nodes that read them (v ↔ q)"
    ]


def test_a_missing_parameter_is_told():
    left = of("a = Mul(x, u) y = Add(a, v)", "float[n, 2] x", "float[n, 2] y", u=[1, 2], v=[3, 4])
    right = of("y = Mul(x, u)", "float[n, 2] x", "float[n, 2] y", u=[1, 2])
    found = match(left, right)
    assert found.names == {"x": "x", "y": "y", "u": "u"}
    assert found.reasons == {"v": "nothing of their shape is read likewise there (2)"}
    assert match(right, left).told[-1] == "1 more parameter in the second model: v"


def test_a_parameter_stored_transposed_with_other_numbers_has_no_counterpart():
    weight = [[1.0, 2], [3, 4]]
    left = of("t = Transpose(w) y = MatMul(x, t)", "float[n, 2] x", "float[n, 2] y", w=weight)
    right = of("y = MatMul(x, k)", "float[n, 2] x", "float[n, 2] y", k=[[1.0, 3], [2, 5]])
    found = match(left, right)
    assert "w" not in found.names
    assert found.reasons == {"w": "they are stored in another layout there (k, 2×2)"}


def test_parameters_into_which_a_normalisation_was_folded_have_no_counterpart(pairs):
    left, right = pairs.source("resnet"), pairs.form("resnet", "exported")
    found = match(left, right, taps=True)
    shared = set(left.graph.initializers) & set(right.graph.initializers)
    assert "0.weight" in shared, "the exporter keeps the name although the numbers are others"
    stored = {name: other for name, other in found.names.items() if name in left.graph.initializers}
    assert stored == {"9.weight": "9.weight", "9.bias": "9.bias"}
    assert found.reasons["0.weight"].startswith("what follows is folded into them there")
    assert found.reasons["1.weight"].startswith("their BatchNormalization is folded into the weights before it there")


# Values between nodes.


def test_values_between_nodes_are_matched_where_they_are_asked_for():
    assert set(match(model(), renamed()).names) == {"x", "y", "w", "b"}
    found = match(canonical(model()), canonical(renamed()), taps=True)
    assert found.names["product"] == "other_product"
    assert found.names["sum"] == "other_sum"
    assert sentences(found, "values") == ["values between nodes: of 3 nodes, 3 by name"]


def test_nodes_without_a_counterpart_and_other_operators_are_told():
    left = of("a = Exp(x) b = Relu(a) y = Mul(b, u)", "float[n, 2] x", "float[n, 2] y", u=[1, 2])
    right = of("a = Exp(x) t = Neg(a) b = Tanh(t) y = Mul(b, u)", "float[n, 2] x", "float[n, 2] y", u=[1, 2])
    told = match(left, right, taps=True).told
    assert "1 more node in the second model: Neg 'neg'" in told
    assert "1 node with another operator in the second model: Relu 'relu' ↔ Tanh 'tanh'" in told
    assert "1 without a counterpart (Neg 'neg')" in match(right, left, taps=True).told[-2]


def test_values_of_another_shape_are_told_and_not_compared():
    body = "a = Transpose <perm = [{}]> (x) b = ReduceSum <keepdims = 0> (a) y = Neg(b)"
    left, right = (of(body.format(order), "float[3, 4, 5] x", "float y") for order in ("1, 0, 2", "2, 0, 1"))
    found = match(left, right, taps=True)
    assert found.reshaped == {"a": "a"}
    assert "a" not in found.names
    assert "1 value of another shape there, not compared: a ↔ a" in found.told


def test_values_of_another_element_type_are_told_and_not_compared():
    body = "a = Cast <to = {}> (x) b = Cast <to = 1> (a) y = Exp(b)"
    left, right = (of(body.format(to), "float[2] x", "float[2] y") for to in (10, 11))
    found = match(left, right, taps=True)
    assert set(found.names) == {"x", "y", "b"}
    assert "1 value of another element type there, not compared: a ↔ a" in found.told


@pytest.mark.parametrize("network", ["encoder", "densenet", "lstm"])
def test_a_network_trained_anew_under_other_names_is_recognised(pairs, network):
    left, other = pairs.source(network), pairs.source(network).clone()
    rng = np.random.default_rng(1)
    held = [value for value in other.graph.initializers.values() if kind(value) != "constant"]
    for value in held:
        array = value.const_value.numpy()
        value.const_value = ir.tensor((array * rng.uniform(0.5, 2, array.shape)).astype(array.dtype), name=value.name)
    right, names = pairs.renamed(other)
    found = match(left, right, taps=True).names
    computed = {value.name for node in left.graph for value in node.outputs}
    wanted = {*computed, *(value.name for value in (*left.graph.inputs, *left.graph.initializers.values()))}
    constants = {name for name, value in left.graph.initializers.items() if kind(value) == "constant"}
    assert found == {name: names[name] for name in wanted - constants}


@pytest.mark.parametrize("form", ["mxnet", "exported", "renamed"])
@pytest.mark.parametrize("network", ["encoder", "mobilenet"])
def test_what_meets_in_converted_networks_holds_the_same_numbers(pairs, network, form):
    alike = pairs.truth(network, form)
    source, other = pairs.source(network), pairs.form(network, form)
    found = match(source, other, taps=True)
    assert [pair for pair in found.names.items() if pair[1] not in alike[pair[0]] and pair[0] not in found.orders] == []
    for name, order in found.orders.items():
        ours, theirs = (
            held.graph.initializers[called] for held, called in ((source, name), (other, found.names[name]))
        )
        assert (theirs.const_value.numpy().transpose(order) == ours.const_value.numpy()).all()
    assert len(set(found.names.values())) == len(found.names)
    if form != "exported":
        held = [name for name, value in pairs.source(network).graph.initializers.items() if kind(value) != "constant"]
        assert set(held) <= set(found.names)


def kind(value: ir.Value) -> str:
    return value.metadata_props["graphkit.kind"]


@pytest.mark.parametrize("weight", [[[1.0, 2], [3, 4]], [[1.0, 2], [3, 4], [5, 6]]], ids=["square", "wide"])
def test_a_parameter_stored_transposed_is_known_by_its_numbers(weight):
    width, turned = len(weight), np.transpose(weight).tolist()
    ends = f"float[n, {width}] x", "float[n, 2] y"
    left = of("y = MatMul(x, w)", *ends, w=weight)
    right = of("t = Transpose(w) y = MatMul(x, t)", *ends, w=turned)
    found = match(left, right)
    assert (found.names["w"], found.orders) == ("w", {"w": (1, 0)})
    assert sentences(found, "parameter") == ["parameters: 1 of 1 by equal numbers, transposed (w ↔ w)"]


def test_a_parameter_stored_with_its_axes_in_another_order_is_known_by_its_numbers():
    weight = np.arange(24.0).reshape(2, 3, 4)
    ends = "float[n, 2, 3, 4] x", "float[n, 2, 3, 4] y"
    left = of("y = Mul(x, w)", *ends, w=weight.tolist())
    right = of("t = Transpose <perm = [1, 2, 0]> (k) y = Mul(x, t)", *ends, k=weight.transpose(2, 0, 1).tolist())
    found = match(left, right)
    assert (found.names["w"], found.orders["w"]) == ("k", (1, 2, 0))
    assert (weight.transpose(2, 0, 1).transpose(found.orders["w"]) == weight).all()


def test_a_parameter_whose_numbers_fit_in_several_orders_is_not_guessed():
    left = of("y = MatMul(x, w)", "float[n, 2] x", "float[n, 2] y", w=[[1.0, 1], [1, 1]])
    right = of("y = MatMul(x, w)", "float[n, 2] x", "float[n, 2] y", w=[[1.0, 1], [1, 1]])
    assert match(left, right).orders == {}
