"""Parts of graphs."""

from __future__ import annotations

import pytest
from drawn import block, branches, chain, hostile

from graphkit.errors import InputError
from graphkit.ir.view import nx_view
from graphkit.render import picture
from graphkit.render.compose import draw
from graphkit.render.part import named, part


def operators(view) -> list[str]:
    return [data["name"] for _, data in view.nodes(data=True) if data["kind"] == "operator"]


def stubs(view) -> list[tuple[str, str, str]]:
    return [(data["kind"], data["name"], data["cut"]) for _, data in view.nodes(data=True) if data.get("cut")]


def test_nothing_asked_for_is_all():
    view = nx_view(block())
    assert part(view) is view


def test_from_a_node_is_what_depends_on_it():
    view = part(nx_view(block()), start=["add"])
    assert operators(view) == ["add", "relu_b", "last"]
    assert [data["name"] for _, data in view.nodes(data=True) if data["kind"] == "output"] == ["out"]


def test_to_a_node_is_what_it_depends_on_with_the_inputs():
    view = part(nx_view(block()), end=["scale"])
    assert operators(view) == ["proj", "scale"]
    assert "input:image" in view


def test_between_two_is_what_lies_on_paths():
    view = part(nx_view(block()), start=["conv1"], end=["add"])
    assert operators(view) == ["conv1", "bn", "relu_a", "add"]


def test_several_ends_are_joined():
    assert operators(part(nx_view(block()), end=["bn", "scale"])) == ["conv1", "bn", "proj", "scale"]


def test_around_a_node_goes_both_ways_so_many_hops():
    view = nx_view(chain(9))
    assert operators(part(view, around=["n4"], hops=0)) == ["n4"]
    assert operators(part(view, around=["n4"], hops=1)) == ["n3", "n4", "n5"]
    assert operators(part(view, around=["n4"])) == ["n2", "n3", "n4", "n5", "n6"]


def test_around_and_from_is_what_both_have():
    assert operators(part(nx_view(chain(9)), around=["n4"], start=["n4"])) == ["n4", "n5", "n6"]


def test_what_is_cut_ends_in_stubs_that_say_what_is_beyond():
    view = part(nx_view(block()), around=["add"], hops=0)
    assert stubs(view) == [
        ("input", "x3", "from Relu body.relu"),
        ("input", "x5", "from Mul body.down.1"),
        ("output", "x6", "to Relu body.relu"),
    ]
    (stub,) = (data for _, data in view.nodes(data=True) if data["name"] == "x6")
    assert (stub["dtype"], stub["shape"]) == ("float32", ("N", 4, 8, 8))


def test_a_value_that_several_read_has_one_stub():
    view = part(nx_view(block()), end=["relu_a"], start=["bn"])
    assert [name for kind, name, _ in stubs(view) if kind == "input"] == ["x1"]


def test_an_input_that_is_read_is_itself():
    view = part(nx_view(block()), around=["conv1"], hops=0)
    assert "input:image" in view
    assert [kind for kind, *_ in stubs(view)] == ["output"]


def test_keys_stay_and_edges_fit():
    whole = nx_view(block())
    view = part(whole, around=["body.down"], hops=1)
    assert {key for key in view if not view.nodes[key].get("cut")} < set(whole)
    assert all(tail in view and head in view for tail, head in view.edges())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("conv1", ["conv1"]),
        ("op:conv1", ["conv1"]),
        ("body.down", ["proj", "scale"]),
        ("body.relu", ["relu_a", "relu_b"]),
        ("scope:body.down.0", ["proj"]),
        ("x4", ["proj"]),
        ("value:x4", ["proj"]),
        ("body.down.0.weight", ["proj"]),
        ("body.down.*", ["proj", "scale"]),
        ("relu_?", ["relu_a", "relu_b"]),
    ],
)
def test_nodes_are_named_by_themselves_their_module_or_their_value(name, found):
    view = nx_view(block())
    assert [view.nodes[key]["name"] for key in named(view, [name])] == found


def test_inputs_and_outputs_can_be_named():
    assert named(nx_view(block()), ["out", "image"]) == ["input:image", "output:out"]


def test_a_body_stays_whole_and_a_node_in_it_stands_for_its_operator():
    view = part(nx_view(branches()), around=["sum"], hops=0)
    assert operators(view) == ["loop", "same", "magic", "sum", "tanh"]
    assert {info.owner for info in view.graph["bodies"].values()} == {"op:loop"}
    assert {name for kind, name, _ in stubs(view) if kind == "input"} == {"h", "y"}
    assert {"op:loop"} == {key for key in view if key.startswith("op:") and "/" not in key}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conv2", r"'conv2' is the name of no node, module or value of the graph; did you mean 'conv1'"),
        ("body.dow", r"did you mean 'body.down'"),
        ("BN", r"did you mean 'bn'"),
        ("zzzzzzzz", r"there are 'body"),
        ("scope:nothing", "no node, module or value"),
        ("", "no node, module or value"),
    ],
)
def test_a_name_of_nothing_is_refused_with_the_nearest(name, said):
    with pytest.raises(InputError, match=said):
        part(nx_view(block()), start=[name])


def test_two_nodes_without_a_path_are_told_whether_it_is_the_other_way():
    view = nx_view(block())
    with pytest.raises(InputError, match="No path leads from add to conv1, but one leads back: exchange the two"):
        part(view, start=["add"], end=["conv1"])
    with pytest.raises(InputError, match="No path leads from bn to proj; look"):
        part(view, start=["bn"], end=["proj"])
    with pytest.raises(InputError, match="Nothing from last is within 1 hop of conv1"):
        part(view, start=["last"], around=["conv1"], hops=1)
    with pytest.raises(InputError, match="0 hops or more"):
        part(view, around=["bn"], hops=-1)


def test_a_picture_says_what_part_it_shows_and_stubs_are_dashed():
    drawing = draw(part(nx_view(block()), around=["add"], hops=0))
    assert drawing.subtitle == "1 of 8 operators · around add, 0 hops"
    assert [box.title for box in drawing.boxes() if box.cut] == ["x3", "x5", "x6"]
    dot = picture(block(), "dot", around=["add"], hops=0).decode()
    assert dot.count('style="rounded,dashed"') == 3


@pytest.mark.parametrize("form", ["dot", "svg", "mmd"])
@pytest.mark.parametrize("make", [block, branches, hostile])
def test_parts_are_drawn_in_every_format(make, form):
    keys = [key for key in nx_view(make()) if key.startswith("op:")]
    assert picture(make(), form, around=keys[:1], hops=1)


def test_a_graph_with_a_cycle_has_parts():
    model = chain(4)
    model.graph[1].replace_input_with(0, model.graph[3].outputs[0])
    assert operators(part(nx_view(model), start=["n1"])) == ["n1", "n2", "n3"]
