"""A difference for the viewer and as one picture."""

from __future__ import annotations

import networkx as nx
import onnx_ir as ir
import pytest

from graphkit.errors import InputError
from graphkit.inspecting.difference.diff import Compared, compare
from graphkit.inspecting.difference.picture import comparison, draw_difference, merged
from graphkit.ir.view import nx_view

IF = """
<ir_version: 10, opset_import: ["": 23]>
g (float[n, 4] x, bool c) => (float[n, 4] z)
{{
    a = Exp(x) b = {}(a)
    y = If (c) <
        then_branch = g1 () => (float[n, 4] t) {{ s = Sin(b) t = {}(s) }},
        else_branch = g2 () => (float[n, 4] e) {{ e = Add(a, b) }}
    >
    z = {}
}}
"""


def model(*words: str) -> ir.Model:
    found = ir.from_onnx_text(IF.format(*words))
    for node in found.graph.all_nodes():
        node.name = node.outputs[0].name
    return found


LEFT = model("Neg", "Cos", "Relu(y)")


@pytest.mark.parametrize(
    "words",
    [("Neg", "Cos", "Relu(y)"), ("Abs", "Tan", "Relu(y)"), ("Neg", "Cos", "Sub(y, x)"), ("Neg", "Cos", "Relu(b)")],
)
def test_every_node_of_both_graphs_is_told_to_the_viewer_once(words):
    right = model(*words)
    views = nx_view(LEFT), nx_view(right)
    found = comparison(compare(LEFT, right), *views)
    for side, view in zip(("left", "right"), views, strict=True):
        told = [key for each in found.counterparts if (key := getattr(each, side)) is not None]
        assert sorted(told) == sorted(view)
    for each in found.counterparts:
        assert (each.status == "added") == (each.left is None)
        assert (each.status == "removed") == (each.right is None)
    assert all(each.status == "same" for each in found.counterparts) == (words == ("Neg", "Cos", "Relu(y)"))


def test_nodes_in_bodies_meet_under_their_keys():
    right = model("Neg", "Tan", "Relu(y)")
    found = comparison(compare(LEFT, right), nx_view(LEFT), nx_view(right))
    (other,) = [each for each in found.counterparts if each.status != "same"]
    assert (other.left, other.right, other.status) == (
        "op:y/then_branch/op:t",
        "op:y/then_branch/op:t",
        "changed",
    )
    assert other.told == ("operator: Cos → Tan",)


def test_both_graphs_in_one_have_all_nodes_and_no_cycle():
    right = model("Neg", "Cos", "Relu(q) q = Tanh(y)".replace("Relu(q) q = Tanh(y)", "Sub(y, x)"))
    view, status, told = merged(compare(LEFT, right), nx_view(LEFT), nx_view(right))
    assert nx.is_directed_acyclic_graph(view)
    assert set(status) == set(view) == set(told)
    assert sum(how == "replaced" for how in status.values()) == 1


def test_nodes_in_another_order_make_no_cycle():
    texts = ("a = Sin(x) b = Cos(a) y = Neg(b)", "b = Cos(x) a = Sin(b) y = Neg(a)")
    left, right = (
        ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> g (float[n] x) => (float[n] y) {{ {text} }}')
        for text in texts
    )
    view, _, _ = merged(compare(left, right), nx_view(left), nx_view(right))
    assert nx.is_directed_acyclic_graph(view)


def test_a_large_graph_is_drawn_around_its_differences(tmp_path):
    body = " ".join(f"v{i + 1} = {{}}(v{i})" for i in range(300)).replace("{}", "Sin")
    text = '<ir_version: 10, opset_import: ["": 23]> g (float[n] v0) => (float[n] v300) {{ {} }}'
    left = ir.from_onnx_text(text.format(body))
    right = ir.from_onnx_text(text.format(body.replace("v200 = Sin", "v200 = Cos")))
    draw_difference(Compared(compare(left, right), left, right), tmp_path / "x.dot")
    drawn = (tmp_path / "x.dot").read_text()
    assert "300 operators in all" in drawn
    assert drawn.count("<b>Sin</b>") == 7


def test_names_that_do_not_count_are_not_shown():
    other = model("Neg", "Cos", "Relu(y)")
    for node in other.graph:
        node.name = f"{node.name}_renamed"
    views = nx_view(LEFT), nx_view(other)
    shown = comparison(compare(LEFT, other), *views)
    assert {each.status for each in shown.counterparts} == {"same", "renamed"}
    assert sum(each.status == "renamed" for each in shown.counterparts) == 4
    hidden = comparison(compare(LEFT, other, ignore=["names"]), *views)
    assert {(each.status, each.told) for each in hidden.counterparts} == {("same", ())}


def test_a_form_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"its suffix is \.gif"):
        draw_difference(Compared(compare(LEFT, LEFT), LEFT, LEFT), tmp_path / "x.gif")
