"""Graphviz source, and what Graphviz makes of it."""

from __future__ import annotations

import html
import re

import onnx_ir as ir
import pygraphviz
import pytest
from drawn import block, branches, chain, hostile
from golden import GOLDEN
from golden import draw as draw_golden

from graphkit.ir.view import nx_view
from graphkit.render import picture
from graphkit.render.compose import draw
from graphkit.render.dot import to_dot


def parsed(model: ir.Model, **options) -> pygraphviz.AGraph:
    return pygraphviz.AGraph(string=picture(model, "dot", **options).decode())


def words(label: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", label))


def test_the_block_is_drawn_as_it_was(tmp_path):
    """``python tests/golden.py`` draws it anew after an intended change."""
    assert draw_golden("dot", tmp_path).read_text() == (GOLDEN / "block.dot").read_text()


def test_graphviz_reads_it_as_the_same_graph():
    drawing = draw(nx_view(block()))
    graph = parsed(block())
    assert {str(node) for node in graph} == {box.id for box in drawing.boxes()}
    assert {(str(tail), str(head)) for tail, head in graph.edges()} == {(a.tail, a.head) for a in drawing.arrows}


def test_boxes_say_operator_name_attributes_and_parameters():
    graph = parsed(block())
    label = words(graph.get_node("n1").attr["label"])
    for text in ("Conv", "conv1", "3×3, pad 1", "weight 4×4×3×3", "bias 4"):
        assert text in label


def test_shapes_stand_by_the_arrows_and_in_their_tooltips():
    graph = parsed(block())
    assert "N×4×8×8" in words(graph.get_node("n1").attr["label"])
    assert graph.get_edge("n1", "n2").attr["tooltip"] == "x1 N×4×8×8"


def test_inputs_and_outputs_tell_dtype_and_shape():
    graph = parsed(block())
    assert "float32 N×4×8×8" in words(graph.get_node("n0").attr["label"])
    assert "float32 N×4×8×8" in words(graph.get_node("n9").attr["label"])


def test_frames_nest():
    graph = parsed(block())
    (body,) = graph.subgraphs()
    (down,) = body.subgraphs()
    assert "body" in words(body.graph_attr["label"])
    assert {str(node) for node in down} == {"n4", "n5"}
    assert {str(node) for node in body} == {f"n{number}" for number in range(1, 8)}


def test_bodies_are_dashed_frames_beside_their_operator():
    graph = parsed(branches())
    choice = graph.subgraphs()[0]
    assert ["dashed" in part.graph_attr["style"] for part in choice.subgraphs()] == [True, True]
    assert [edge.attr["style"] for edge in graph.in_edges("n4") if edge[0] != "n1"] == ["dashed", "dashed"]


def test_several_outputs_each_have_a_place():
    graph = parsed(branches())
    tails = {edge.attr["tailport"] for edge in graph.out_edges("n10") if edge.attr["tailport"]}
    assert tails == {"o0:s", "o1:s"}


@pytest.mark.parametrize(("direction", "flow"), [("TB", ("b:s", "b:n")), ("LR", ("b:e", "b:w"))])
def test_values_flow_in_the_direction(direction, flow):
    graph = parsed(block(), direction=direction)
    assert graph.graph_attr["rankdir"] == direction
    edge = graph.get_edge("n1", "n2")
    assert (edge.attr["tailport"], edge.attr["headport"]) == flow


def test_hostile_names_stay_text():
    graph = parsed(hostile())
    assert len(graph) == 9
    assert 'a"b<c>&\\n␊' in words(graph.get_node("n0").attr["label"])


def test_far_readers_of_one_value_share_a_trunk():
    model = chain(30)
    first = model.graph[0].outputs[0]
    for index in (10, 20, 29):
        node = model.graph[index]
        joined = ir.Node("", "Add", [node.inputs[0], first], name=f"join{index}")
        joined.outputs[0].name = f"j{index}"
        node.replace_input_with(0, joined.outputs[0])
        model.graph.insert_before(node, joined)
    graph = pygraphviz.AGraph(string=to_dot(draw(nx_view(model))))
    joints = [node for node in graph if node.attr["shape"] == "point"]
    assert len(joints) == 2
    assert graph.out_degree("n1") == 2  # the next operator, and the trunk
    assert all(graph.in_degree(node) == 1 and graph.out_degree(node) == 2 for node in joints)


def test_near_readers_of_one_value_do_not():
    model = chain(1)
    for index in range(5):
        model.graph.append(ir.Node("", "Neg", [model.graph[0].outputs[0]], name=f"m{index}"))
    assert not [node for node in pygraphviz.AGraph(string=to_dot(draw(nx_view(model)))) if str(node)[0] == "j"]


def test_a_box_that_reads_nothing_stays_below_what_feeds_its_reader():
    """So the frames of two modules in a row do not share a rank, and stand below one another."""
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, 2, 3, 4}, float[2, 2] v = {1, 2, 3, 4}> {
            s = Transpose (w) h = MatMul (x, s) t = Transpose (v) y = MatMul (h, t) }""")
    for node, name in zip(model.graph, ["a.t", "a.m", "b.t", "b.m"], strict=True):
        node.name = name
    graph = parsed(model)
    hidden = [
        (str(tail), str(head)) for tail, head in graph.edges() if graph.get_edge(tail, head).attr["style"] == "invis"
    ]
    assert hidden == [("n0", "n1"), ("n2", "n3")]
