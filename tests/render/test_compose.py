"""What pictures show, whatever their format."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from drawn import block, branches, chain, hostile

from graphkit.ir.view import nx_view
from graphkit.render.compose import draw
from graphkit.render.drawing import Box, Frame


def outline(items):
    """Titles and names, frames as (title, note, children)."""
    return [
        f"{item.title} {item.name}".strip()
        if isinstance(item, Box)
        else (item.title, item.note, outline(item.children))
        for item in items
    ]


def test_modules_are_frames_and_a_module_of_one_operator_is_its_name():
    assert outline(draw(nx_view(block())).children) == [
        "image",
        (
            "body",
            "Block",
            ["Conv conv1", "BatchNormalization bn", "Relu relu", ("down", "", ["Conv 0", "Mul 1"]), "Add", "Relu relu"],
        ),
        "Sigmoid last",
        "out",
    ]


def test_the_size_is_told():
    drawing = draw(nx_view(block()))
    assert (drawing.title, drawing.subtitle) == ("block", "8 operators · 172 parameters")
    assert draw(nx_view(chain(1)), title="net").subtitle == "1 operator"


def test_families_are_listed_in_one_order():
    assert draw(nx_view(block())).families == ("convolution", "normalisation", "activation", "arithmetic")


def test_arrows_carry_shapes_and_dtypes():
    drawing = draw(nx_view(branches()))
    shown = {arrow.label for arrow in drawing.arrows}
    assert {"N×4", "K×N×4", "bool scalar", "int64 scalar", ""} == shown


def test_depth_folds_the_inner_modules():
    drawing = draw(nx_view(block()), depth=1)
    (down,) = [box for box in drawing.boxes() if box.kind == "module"]
    assert (down.title, down.details, down.parameters) == (
        "down",
        ("Conv, Mul",),
        (("parameter", "2 operators · 16 parameters"),),
    )
    assert {(arrow.tail, arrow.head) for arrow in drawing.arrows} >= {("n0", down.id)}


def test_depth_0_folds_the_outermost_modules():
    drawing = draw(nx_view(block()), depth=0)
    assert outline(drawing.children) == ["image", "body Block", "Sigmoid last", "out"]
    assert [arrow.label for arrow in drawing.arrows] == ["N×4×8×8"] * 3


def test_a_deeper_depth_than_the_model_folds_nothing():
    view = nx_view(block())
    assert draw(view, depth=9) == draw(view)


def test_frames_with_one_frame_inside_are_one():
    assert outline(draw(nx_view(chain(3, "net.stage.block"))).children) == [
        "x",
        ("net.stage.block", "", ["Relu n0", "Relu n1", "Relu n2"]),
        "v2",
    ]


def test_a_module_called_again_later_is_framed_twice():
    scopes = ["a", "a", "b", "b", "a", "a"]
    model = chain(6)
    for node, scope in zip(model.graph, scopes, strict=True):
        node.name = f"{scope}.{node.name}x"
    titles = [item.title for item in draw(nx_view(model)).children if isinstance(item, Frame)]
    assert titles == ["a", "b", "a"]


def test_endlessly_nested_scopes_are_framed_to_a_depth():
    model = chain(4)
    for index, node in enumerate(model.graph):
        node.name = "/".join(f"s{level}" for level in range(300)) + f"/{'ab'[index % 2]}/{index}"
    frames = list(draw(nx_view(model)).frames())
    assert len(frames) == 1
    assert frames[0].title.startswith("s0.s1.s2")


def test_bodies_are_framed_with_their_operator():
    drawing = draw(nx_view(branches()))
    frames = [item for item in drawing.children if isinstance(item, Frame)]
    assert [(frame.kind, frame.title, frame.note) for frame in frames] == [
        ("operator", "If", "choice"),
        ("operator", "Loop", ""),
    ]
    bodies = [child for child in frames[0].children if isinstance(child, Frame)]
    assert [(body.kind, body.title, body.note) for body in bodies] == [
        ("body", "then_branch", "left"),
        ("body", "else_branch", "right"),
    ]
    assert {arrow.body for arrow in drawing.arrows} == {True, False}


def test_a_value_fed_into_a_body_has_one_arrow():
    drawing = draw(nx_view(branches()))
    loop, state = (next(box.id for box in drawing.boxes() if box.title == title) for title in ("Loop", "state"))
    neg = next(box.id for box in drawing.boxes() if box.title == "Neg")
    heads = [arrow.head for arrow in drawing.arrows if arrow.tail == neg]
    assert state in heads
    assert loop not in heads


def test_folding_a_module_folds_the_bodies_in_it():
    model = branches()
    for node in model.graph:
        node.name = f"inner.{node.name}"
    drawing = draw(nx_view(model), depth=0)
    assert [box.title for box in drawing.boxes() if box.kind == "module"] == ["inner"]
    assert not list(drawing.frames())
    assert not [arrow for arrow in drawing.arrows if arrow.body]


def test_every_word_is_printable_and_short():
    drawing = draw(nx_view(hostile()))
    words = [text for box in drawing.boxes() for text in (box.title, box.name, *box.details)]
    words += [frame.title for frame in drawing.frames()] + [arrow.label for arrow in drawing.arrows]
    assert all(text.isprintable() and len(text) < 90 for text in words)
    assert all(text.isprintable() and len(text) < 900 for box in drawing.boxes() for text in box.tooltip)


def test_two_values_without_a_name_are_two_arrows():
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (float[4] x) => (float[4] y) { a, b = Split <num_outputs = 2> (x) y = Concat <axis = 0> (b, a) }""")
    for node in model.graph:
        for value in node.outputs[:2]:
            value.name = ""
    assert len([arrow for arrow in draw(nx_view(model)).arrows if arrow.tail == "n1"]) == 2


@pytest.mark.parametrize("depth", [None, 0])
def test_an_empty_graph_is_drawn(depth):
    model = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 23}), ir_version=10)
    assert draw(nx_view(model), depth=depth).children == ()
