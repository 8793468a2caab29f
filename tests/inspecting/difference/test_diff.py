"""What is different between two models: found whatever things are called, and nothing besides."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import InputError
from graphkit.inspecting.difference.diff import compare, diff
from graphkit.ir.params import set_kind

if TYPE_CHECKING:
    from graphkit.inspecting.difference.difference import Difference


def of(
    body: str, signature: str = "float[n, 4] x", result: str = "float[n, 4] y", opset: int = 23, **weights: int
) -> ir.Model:
    """A model from ONNX's text, with float parameters of shape [4] drawn from the given seeds."""
    held = ", ".join(f"float[4] {name} = {{0, 0, 0, 0}}" for name in weights)
    text = f'<ir_version: 10, opset_import: ["": {opset}]> g ({signature}) => ({result}) <{held}> {{ {body} }}'
    model = ir.from_onnx_text(text)
    for name, seed in weights.items():
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(np.random.default_rng(seed).standard_normal(4).astype(np.float32), name=name)
        set_kind(value, "parameter")
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def counts(found: Difference) -> dict[str, int]:
    return {what: number for what, number in found.counts().items() if number}


def changes(found: Difference) -> list[str]:
    return [str(change) for node in found.nodes for change in node.changes]


def chain(blocks: int, *, seed: int = 0, skip: int = -1, letter: str = "v") -> ir.Model:
    """Equal blocks of a product, two activations and a sum with what the block reads; weights differ."""
    rng = np.random.default_rng(seed)
    start = ir.val("x", ir.DataType.FLOAT, (2, 4))
    nodes: list[ir.Node] = []
    held: list[ir.Value] = []
    value = start
    for block in range(blocks):
        array = rng.standard_normal((4, 4)).astype(np.float32)
        if block == skip:
            continue
        name = f"{letter}w{block}"
        weight = ir.val(name, ir.DataType.FLOAT, (4, 4), const_value=ir.tensor(array, name=name))
        set_kind(weight, "parameter")
        held.append(weight)
        before = value
        for op, more in (("MatMul", [weight]), ("Relu", []), ("Tanh", []), ("Add", [before])):
            node = ir.node(op, [value, *more], num_outputs=1, name=f"{letter}{op}{block}")
            value = node.outputs[0]
            value.name, value.type, value.shape = node.name, ir.TensorType(ir.DataType.FLOAT), ir.Shape((2, 4))
            nodes.append(node)
    graph = ir.Graph([start], [value], nodes=nodes, initializers=held, opset_imports={"": 23}, name="chain")
    return ir.Model(graph, ir_version=10)


def test_a_model_is_the_same_as_itself():
    model = of("a = Add(x, u) b = Relu(a) y = Mul(b, w)", u=1, w=2)
    found = compare(model, model)
    assert found.same
    assert {each.status for each in (*found.nodes, *found.parameters, *found.inputs, *found.outputs)} == {"same"}
    assert compare(model, model.clone()).same


def test_other_names_in_another_order_are_renames_only():
    left = of("a = Neg(x) b = Exp(x) y = Sub(a, b)")
    right = of("p = Exp(z) q = Neg(z) r = Sub(q, p)", "float[n, 4] z", "float[n, 4] r")
    found = compare(left, right)
    assert counts(found) == {"names": 5}
    renamed = {node.left.name: node.right.name for node in found.nodes if node.left and node.right}
    assert renamed == {"a": "q", "b": "p", "y": "r"}
    assert compare(left, right, ignore=["names"]).same


def test_swapped_names_are_renames():
    left = of("a = Add(x, u) b = Mul(a, v) y = Relu(b)", u=1, v=2)
    right = of("b = Add(x, v) a = Mul(b, u) y = Relu(a)", v=1, u=2)
    found = compare(left, right)
    assert counts(found) == {"names": 4}
    assert {entry.left[0].name: entry.right[0].name for entry in found.parameters} == {"u": "v", "v": "u"}


def test_operands_of_a_sum_have_no_order_and_those_of_a_difference_do():
    for op, wanted in (("Add", {}), ("Sub", {"nodes rewired": 1})):
        left = of(f"a = Relu(x) b = Tanh(x) y = {op}(a, b)")
        right = of(f"a = Relu(x) b = Tanh(x) y = {op}(b, a)")
        assert counts(compare(left, right)) == wanted


def test_a_node_that_was_put_in_is_added_and_what_reads_it_is_not_rewired():
    left = of("a = Add(x, u) y = Mul(a, w)", u=1, w=2)
    right = of("a = Add(x, u) t = Tanh(a) y = Mul(t, w)", u=1, w=2)
    assert counts(compare(left, right)) == {"nodes added": 1}
    assert counts(compare(right, left)) == {"nodes removed": 1}


def test_a_node_that_was_put_in_at_the_end_is_added():
    left, right = of("y = Tanh(x)"), of("t = Tanh(x) y = Sin(t)")
    found = compare(left, right)
    assert counts(found) == {"nodes added": 1, "names": 1}
    assert found.outputs[0].status == "same"


def test_a_block_more_in_a_chain_of_equal_ones_is_that_block():
    found = compare(chain(50, skip=17), chain(50))
    assert counts(found) == {"nodes added": 4, "parameters added": 1}
    assert {node.right.name for node in found.nodes if node.status == "added"} == {
        "vMatMul17",
        "vRelu17",
        "vTanh17",
        "vAdd17",
    }
    other = compare(chain(50, letter="u"), chain(50, skip=17))
    assert counts(other) | {"names": 0} == {"nodes removed": 4, "parameters removed": 1, "names": 0}


def test_another_operator_is_a_replacement():
    left = of("a = Add(x, u) b = Relu(a) y = Mul(b, w)", u=1, w=2)
    right = of("a = Add(x, u) b = Sigmoid(a) y = Mul(b, w)", u=1, w=2)
    found = compare(left, right)
    assert counts(found) == {"nodes replaced": 1}
    assert changes(found) == ["operator: Relu → Sigmoid"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LeakyRelu (x)", "LeakyRelu <alpha = 0.01> (x)"),
        ("Softmax <axis = -1> (x)", "Softmax <axis = 1> (x)"),
        ("Transpose (x)", "Transpose <perm = [1, 0]> (x)"),
    ],
)
def test_an_attribute_at_its_default_is_as_good_as_absent(old, new):
    signature, result = "float[3, 4] x", "float y" if "Transpose" in old else "float[3, 4] y"
    assert compare(of(f"y = {old}", signature, result), of(f"y = {new}", signature, result)).same


def test_attributes_are_told_with_what_they_were():
    found = compare(of("y = LeakyRelu (x)"), of("y = LeakyRelu <alpha = 0.2> (x)"))
    assert counts(found) == {"nodes changed": 1}
    assert changes(found) == ["alpha: 0.01 → 0.2"]
    assert changes(compare(of("y = Cast <to = 1> (x)"), of("y = Cast <to = 10> (x)"))) == ["to: float32 → float16"]


def test_a_small_constant_belongs_to_the_node_that_reads_it():
    text = "m = Constant <value = float {{{}}}> () y = Max(x, m)"
    left, right = (of(text.format(number)) for number in (0, 1))
    for model in (left, right):
        from graphkit.ir.canonical import canonical

        canonical(model)
    found = compare(left, right)
    assert counts(found) == {"nodes changed": 1}
    assert changes(found)[0].endswith(": 0 → 1")
    assert found.parameters == ()


def test_numbers_of_a_parameter_are_measured():
    left, right = (of("y = Add(x, u)", u=1) for _ in range(2))
    value = right.graph.initializers["u"]
    array = left.graph.initializers["u"].const_value.numpy().copy()
    array[2] += 0.5
    value.const_value = ir.tensor(array, name="u")
    found = compare(left, right)
    assert counts(found) == {"parameters changed": 1}
    numbers = found.parameters[0].numbers
    old = left.graph.initializers["u"].const_value.numpy()
    assert numbers.max_abs == pytest.approx(0.5, rel=1e-6)
    assert numbers.relative == pytest.approx(0.5 / np.abs(old).max(), rel=1e-6)
    assert numbers.l2 == pytest.approx(0.5 / np.linalg.norm(old), rel=1e-6)
    assert (numbers.differing, numbers.elements) == (1, 4)
    assert found.nodes[0].parameters == (0,)
    assert found.nodes[0].status == "same"
    assert compare(left, right, ignore=["parameters"]).same


def test_other_element_types_and_shapes_are_told_even_where_numbers_are_ignored():
    left, right = (of("y = Add(x, u)", u=1) for _ in range(2))
    value = right.graph.initializers["u"]
    value.const_value = ir.tensor(np.ones(1, np.float16), name="u")
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT16), ir.Shape((1,))
    found = compare(left, right, ignore=["parameters"])
    assert counts(found) == {"parameters changed": 1}
    assert list(map(str, found.parameters[0].changes)) == ["dtype: float32 → float16", "shape: 4 → 1"]


def test_a_parameter_that_two_nodes_shared_and_no_longer_do_is_found():
    left = of("a = Add(x, u) y = Mul(a, u)", u=1)
    right = of("a = Add(x, u) y = Mul(a, w)", u=1, w=1)
    found = compare(left, right)
    assert counts(found) == {"nodes rewired": 1, "parameters added": 1}
    assert changes(found) == ["B: u → w"]


def test_parameters_that_changed_places_are_told_where_they_are_read():
    left = of("a = Add(x, u) y = Sub(a, w)", u=1, w=2)
    right = of("a = Add(x, w) y = Sub(a, u)", u=1, w=2)
    found = compare(left, right)
    assert counts(found) == {"nodes rewired": 2}
    assert changes(found) == ["B: u → w", "B: w → u"]


def test_inputs_and_outputs_are_compared_by_type_shape_and_place():
    left = of("y = Relu(x) z = Tanh(x)", "float[n, 4] x", "float[n, 4] y, float[n, 4] z")
    right = of("y = Relu(x) z = Tanh(x)", "float[2, 4] x", "float[2, 4] z, float[2, 4] y")
    found = compare(left, right)
    assert [str(change) for change in found.inputs[0].changes] == ["shape: n×4 → 2×4"]
    assert [each.status for each in found.outputs] == ["moved", "moved"]
    more = compare(of("y = Relu(x)"), of("y = Relu(x) z = Tanh(x)", result="float[n, 4] y, float[n, 4] z"))
    assert counts(more) == {"inputs and outputs": 1, "nodes added": 1}
    free = compare(of("y = Relu(x)"), of("y = Relu(x)", "float[batch, 4] x"))
    assert free.same


def test_several_outputs_are_told_apart():
    text = "a, b = Split <axis = 1, num_outputs = 2> (x) y = Sub({})"
    signature, result = "float[n, 4] x", "float[n, 2] y"
    left, right = (of(text.format(order), signature, result) for order in ("a, b", "b, a"))
    assert compare(left, left.clone()).same
    found = compare(left, right)
    assert counts(found) == {"nodes rewired": 1}
    assert changes(found) == ["A: a → b", "B: b → a"]


def test_bodies_of_control_flow_are_compared_inside():
    text = """
        y = If (c) <
            then_branch = g1 () => (float[n, 4] t) {{ s = Exp(x) t = {}(s) }},
            else_branch = g2 () => (float[n, 4] e) {{ e = LeakyRelu <alpha = {}> (x) }}
        >
    """
    left, right, other = (
        of(text.format(*words), "float[n, 4] x, bool c") for words in (("Neg", 0.1), ("Neg", 0.2), ("Tanh", 0.1))
    )
    found = compare(left, right)
    assert counts(found) == {"nodes changed": 1}
    (node,) = [each for each in found.nodes if each.status == "changed"]
    assert node.left.body == "y/else_branch"
    assert changes(found) == ["alpha: 0.1 → 0.2"]
    assert counts(compare(left, other)) == {"nodes replaced": 1}


def test_a_value_around_a_body_that_it_reads_instead_of_another_is_told():
    text = """
        a = Exp(x) b = Sin(x)
        y = If (c) <
            then_branch = g1 () => (float[n, 4] t) {{ t = Neg({}) }},
            else_branch = g2 () => (float[n, 4] e) {{ e = Add(a, b) }}
        >
    """
    left, right = (of(text.format(name), "float[n, 4] x, bool c") for name in "ab")
    found = compare(left, right)
    assert counts(found) == {"nodes rewired": 1}
    assert changes(found) == ["X: a → b"]


def test_what_stops_gradients_is_a_difference():
    from graphkit.ir.training import stop_gradient

    left, right = (of("a = Identity(x) y = Relu(a)") for _ in range(2))
    stop_gradient(next(iter(right.graph)))
    found = compare(left, right)
    assert counts(found) == {"nodes changed": 1}
    assert changes(found) == ["gradient: passes → is stopped"]


def test_the_row_of_padding_is_a_difference():
    from graphkit.ir.training import set_padding_row

    left, right = (of("y = Gather(x, i)", "float[5, 4] x, int64[3] i", "float[3, 4] y") for _ in range(2))
    set_padding_row(next(iter(right.graph)), 0)
    found = compare(left, right)
    assert counts(found) == {"nodes changed": 1}
    assert changes(found) == ["gradient: passes → is stopped at row 0"]


def test_empty_graphs_are_the_same():
    empty = of("", result="float[n, 4] x")
    assert compare(empty, empty.clone()).same
    found = compare(empty, of("x = Relu(z)", "float[n, 4] z", "float[n, 4] x"))
    assert not found.same


def test_names_of_any_kind_are_only_names():
    names = ['<img src=x onerror="alert(1)">', "a\nb", "🦊" * 3000, "\u202e\x00", "'\"`$(rm)`", ""]
    left, right = chain(6), chain(6)
    for node, name in zip(right.graph, names, strict=False):
        node.name = name
    found = compare(left, right)
    assert counts(found) == {"names": 6}


@pytest.mark.parametrize("seed", range(6))
def test_the_other_way_round_is_the_mirror_image(seed):
    rng = random.Random(seed)
    left, right = chain(12), chain(12, skip=rng.randrange(12))
    nodes = [node for node in right.graph if node.op_type == "Tanh"]
    node = rng.choice(nodes)
    node.op_type = "Sin"
    there, back = counts(compare(left, right)), counts(compare(right, left))
    turned = {"nodes added": "nodes removed", "parameters added": "parameters removed"}
    turned |= {two: one for one, two in turned.items()}
    assert {turned.get(what, what): number for what, number in there.items()} == back
    assert there == {"nodes removed": 4, "nodes replaced": 1, "parameters removed": 1}


def test_aspects_have_names():
    model = of("y = Relu(x)")
    with pytest.raises(InputError, match="'colour' is nothing that a comparison can leave out"):
        diff(model, model, ignore=["colour"])


def test_metadata_is_told_and_does_not_count():
    left, right = of("y = Relu(x)"), of("y = Relu(x)", opset=22)
    right.graph.name = "other"
    found = compare(left, right)
    assert found.same
    assert list(map(str, found.metadata)) == ["opset ai.onnx: 23 → 22", "graph: g → other"]
    assert compare(left, right, ignore=["metadata"]).metadata == ()


def test_functions_of_files_that_are_compared_as_spelled_are_looked_into():
    text = """
    <ir_version: 10, opset_import: ["": 23, "own": 1]>
    g (float[n, 4] x) => (float[n, 4] y) {{ y = own.twice(x) }}
    <domain: "own", opset_import: ["": 23]> twice (a) => (c) {{ b = {}(a) c = Add(b, b) }}
    """
    left, right = (ir.from_onnx_text(text.format(op)) for op in ("Sin", "Cos"))
    assert compare(left, left.clone(), reading="as spelled").same
    found = compare(left, right, reading="as spelled")
    assert counts(found) == {"nodes replaced": 1}
    (node,) = [each for each in found.nodes if each.status == "replaced"]
    assert (node.left.number, node.left.body) == (None, "function twice")
