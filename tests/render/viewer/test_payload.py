"""What the viewer is told of a graph is the graph."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.ir.describe import constant_of
from graphkit.ir.params import set_kind
from graphkit.ir.view import nx_view
from graphkit.render.overlay import Mark, Overlay
from graphkit.render.viewer.payload import Comparison, Counterpart, Subject, payload, subject

HOSTILE = "</script><img src=x onerror=alert(1)>\"'\n\u2028" + "é" * 10_000


def model_of(text: str) -> ir.Model:
    return ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')


def told(model: ir.Model, **given):
    found = payload([subject(model, **given)])
    json.dumps(found, allow_nan=False)
    return found["graphs"][0]


CHAIN = "net (float[N,4] x) => (float[N,4] y) {a = Relu(x) b = Add(a, x) y = Sigmoid(b)}"

LOOP = """
net (float[4] x) => (float[4] y) {
    n = Constant<value_int = 3>()
    go = Constant<value_int = 1>()
    really = Cast<to = 9>(go)
    y = Loop(n, really, x) <body = step (int64 i, bool on, float[4] v) => (bool still, float[4] w) {
        still = Identity(on)
        w = Tanh(v)
    }>
}
"""


def test_nodes_and_edges_are_those_of_the_view():
    model = model_of(CHAIN)
    view, graph = nx_view(model), told(model)
    assert [node["name"] for node in graph["nodes"]] == [data["name"] for _, data in view.nodes(data=True)]
    keys = list(view)
    assert sorted((keys[a], keys[b]) for a, _, b, *_ in graph["edges"]) == sorted(view.edges())
    add = next(node for node in graph["nodes"] if node.get("op") == "Add")
    assert add["inputs"] == [["A", "a"], ["B", "x"]]


def test_modules_are_groups_around_their_nodes():
    model = model_of("net (float[4] x) => (float[4] y) {a = Relu(x) b = Abs(a) y = Sigmoid(b)}")
    for node, name in zip(model.graph, ("stem.relu.r", "body.block.a", "body.block.s"), strict=True):
        node.name = name
    graph = told(model)
    groups = graph["groups"]
    assert groups[0]["parent"] == -1
    assert groups[0]["nodes"] == 3
    of = {node["op"]: groups[node["group"]]["name"] for node in graph["nodes"] if node["kind"] == "operator"}
    assert of["Abs"] == of["Sigmoid"] == "body.block"
    assert all(group["parent"] < number for number, group in enumerate(groups))


def test_bodies_are_groups_of_the_operator_that_holds_them():
    graph = told(model_of(LOOP))
    loop = next(number for number, node in enumerate(graph["nodes"]) if node.get("op") == "Loop")
    operator, body = graph["groups"][1:]
    assert (operator["kind"], operator["owner"], body["kind"], body["parent"]) == ("operator", loop, "body", 1)
    assert "body" in graph["edges"][-1] or any(edge[4:] == ["body"] for edge in graph["edges"])


@pytest.mark.parametrize("size", [121, 5000])
def test_very_many_neighbours_are_put_together_in_stretches(size):
    lines = [f"v{i + 1} = Relu(v{i})" for i in range(size)]
    graph = told(model_of(f"net (float[4] v0) => (float[4] v{size}) {{{' '.join(lines)}}}"))
    children = [0] * len(graph["groups"])
    for node in graph["nodes"]:
        children[node["group"]] += 1
    for group in graph["groups"][1:]:
        children[group["parent"]] += 1
    assert max(children) <= 120
    assert {group["kind"] for group in graph["groups"][1:]} == {"run"}
    assert graph["groups"][0]["nodes"] == size


def test_many_inputs_and_outputs_are_put_together():
    names = [f"x{i}" for i in range(13)]
    ends = ", ".join(f"float[4] {name}" for name in names)
    outs = ", ".join(f"float[4] {name.replace('x', 'y')}" for name in names)
    lines = " ".join(f"{name.replace('x', 'y')} = Relu({name})" for name in names)
    graph = told(model_of(f"net ({ends}) => ({outs}) {{{lines}}}"))
    assert [group["label"] for group in graph["groups"][1:]] == ["13 inputs", "13 outputs"]
    held = {node["kind"]: node["group"] for node in graph["nodes"]}
    assert held == {"input": 1, "output": 2, "operator": 0}


def test_a_parameter_has_statistics_and_a_constant_its_numbers():
    model = model_of(
        "net (float[2,3] x) => (float[2,3] y) <float[3] w = {0, 1, 5}, int64[2] s = {2, 3}>"
        "{a = Mul(x, w) y = Reshape(a, s)}"
    )
    set_kind(model.graph.initializers["w"], "parameter")
    graph = told(model)
    by_name = {item["name"]: item for item in graph["parameters"]}
    assert by_name["w"]["statistics"]["mean"] == 2.0
    assert by_name["w"]["statistics"]["zeros"] == 1
    assert sum(by_name["w"]["statistics"]["histogram"]["counts"]) == 3
    assert by_name["s"]["values"] == "2, 3"


def test_numbers_that_json_has_not_are_text():
    model = model_of("net (float[2] x) => (float[2] y) {y = Mul(x, w)}".replace("Mul(x, w)", "Add(x, x)"))
    key = next(key for key, data in nx_view(model).nodes(data=True) if data["kind"] == "operator")
    marks = {key: Mark(float("nan"), ("odd",), "fail"), "op:elsewhere": Mark(1.0)}
    graph = told(model, overlays=[Overlay("Parity", marks, "bound")])
    number = next(number for number, node in enumerate(graph["nodes"]) if node["kind"] == "operator")
    assert graph["overlays"][0]["marks"] == {str(number): ["nan", "fail", ["odd"]]}


def test_data_that_cannot_be_read_has_no_statistics(tmp_path):
    away = ir.ExternalTensor("gone.bin", 0, 400, ir.DataType.FLOAT, shape=ir.Shape([100]), name="w", base_dir=tmp_path)
    model = model_of("net (float[100] x) => (float[100] y) {y = Relu(x)}")
    value = ir.Value(name="w", shape=away.shape, type=ir.TensorType(ir.DataType.FLOAT), const_value=away)
    model.graph.initializers["w"] = value
    node = next(iter(model.graph))
    node.op_type = "Mul"
    node.resize_inputs(2)
    node.replace_input_with(1, value)
    assert constant_of(value) is away
    assert told(model)["parameters"][0]["statistics"] is None


def test_differences_are_told_by_numbers_of_nodes():
    one, other = model_of(CHAIN), model_of(CHAIN.replace("Relu", "Tanh"))
    left, right = nx_view(one), nx_view(other)
    pairs = [
        Counterpart("op:Relu", None, "removed"),
        Counterpart(None, "op:Tanh", "added"),
        Counterpart("op:Add", "op:Add", "changed", ("input 0: a → b",)),
    ]
    found = payload([Subject(left, "A"), Subject(right, "B")], comparison=Comparison(pairs, [("1", "removed")]))
    numbers = [list(left).index("op:Relu"), list(right).index("op:Tanh"), list(left).index("op:Add")]
    assert found["diff"]["pairs"] == [
        [numbers[0], None, "removed"],
        [None, numbers[1], "added"],
        [numbers[2], list(right).index("op:Add"), "changed"],
    ]
    assert found["diff"]["told"] == {"2": ["input 0: a → b"]}
    assert found["title"] == "A ⇄ B"


def test_hostile_names_are_told_as_they_are():
    model = model_of(CHAIN)
    first = next(iter(model.graph))
    first.name = first.outputs[0].name = HOSTILE
    graph = told(model)
    assert any(node["name"] == HOSTILE for node in graph["nodes"])


def test_an_empty_graph_is_told():
    model = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 21}, name="empty"), ir_version=10)
    graph = told(model)
    assert graph["nodes"] == []
    assert len(graph["groups"]) == 1


def test_a_long_attribute_is_cut_and_says_how_long_it_was():
    model = model_of("net (float[2] x) => (float[2] y) {y = Relu(x)}")
    node = next(iter(model.graph))
    node.attributes["note"] = ir.AttrString("note", "é" * 9000)
    node.attributes["many"] = ir.AttrInt64s("many", np.arange(10_000).tolist())
    (operator,) = [node for node in told(model)["nodes"] if node["kind"] == "operator"]
    texts = dict(operator["attributes"])
    assert texts["note"].endswith("(9,000 characters)")
    assert len(texts["many"]) < 4100
