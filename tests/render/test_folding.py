"""Pictures of graphs that are too large."""

from __future__ import annotations

import importlib

import onnx_ir as ir
import pytest
from drawn import block, branches, chain

from graphkit.errors import ExecutionError
from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.render.engine import lay_out
from graphkit.render.folding import Sketch

folding = importlib.import_module("graphkit.render.folding")


def at_most(count: int):
    return lambda drawing: sum(1 for _ in drawing.boxes()) <= count


def titles(drawing) -> list[str]:
    return [box.title for box in drawing.boxes()]


def test_what_fits_is_left_alone():
    drawing, told = Sketch(nx_view(block())).drawn(at_most(10))
    assert not told
    assert len(titles(drawing)) == 10


def test_the_innermost_modules_are_folded_first():
    drawing, told = Sketch(nx_view(block())).drawn(at_most(9))
    assert told == "modules nested deeper than 1 are folded"
    assert "down" in titles(drawing)
    assert drawing.subtitle == f"8 operators · 172 parameters · {told}"


def test_a_depth_that_was_given_is_where_folding_starts():
    assert Sketch(nx_view(block()), depth=1).drawn(at_most(8))[1] == "modules nested deeper than 0 are folded"


def test_where_modules_do_not_suffice_stretches_of_operators_are_folded():
    drawing, told = Sketch(nx_view(chain(95))).drawn(at_most(30))
    assert told == "every 4 consecutive operators are folded"
    assert titles(drawing)[:3] == ["x", "operators 1–4", "operators 5–8"]
    assert titles(drawing)[-2:] == ["operators 93–95", "v94"]
    assert set(drawing.shown) == set(nx_view(chain(95)))


def test_stretches_of_a_graph_out_of_order_make_no_cycle():
    model = chain(40)
    nodes = list(model.graph)
    model.graph.remove(nodes)
    model.graph.extend(nodes[::-1])
    drawing, _ = Sketch(nx_view(model)).drawn(at_most(15))
    assert len(titles(drawing)) == 12
    assert len(drawing.arrows) == 11


@pytest.mark.parametrize("make", [branches, lambda: gradient_model(block())])
def test_nothing_is_lost(make):
    view = nx_view(make())
    drawing, _ = Sketch(view).drawn(at_most(1))
    ids = {box.id for box in drawing.boxes()}
    assert set(drawing.shown) == set(view)
    assert set(drawing.shown.values()) == ids
    assert {end for arrow in drawing.arrows for end in (arrow.tail, arrow.head)} <= ids


def test_many_values_between_folded_modules_are_one_arrow():
    drawing = Sketch(nx_view(gradient_model(block())), depth=0).drawn(at_most(99))[0]
    forward, backward = (box.id for box in drawing.boxes() if box.kind == "module")
    (arrow,) = [arrow for arrow in drawing.arrows if (arrow.tail, arrow.head) == (forward, backward)]
    assert arrow.label == "4 values"
    assert arrow.kept
    assert arrow.tooltip.endswith(" and 1 more")


def test_a_graph_that_graphviz_takes_long_for_is_folded_with_a_warning(monkeypatch):
    monkeypatch.setattr(folding, "_LARGEST", 20)
    told = []
    assert b"operators 1" in picture(chain(30), "dot", warn=told.append)
    (message,) = told
    assert message.startswith("The graph has more boxes or arrows than Graphviz lays out in seconds, so every 2 con")
    with pytest.warns(UserWarning, match="consecutive"):
        picture(chain(30), "svg")


def test_many_arrows_are_as_bad_as_many_boxes(monkeypatch):
    monkeypatch.setattr(folding, "_DENSEST", 20)
    with pytest.warns(UserWarning, match="consecutive"):
        assert picture(chain(30), "dot").count(b" -> ") <= 20


@pytest.mark.parametrize(("length", "options"), [(900, b""), (1100, b"nslimit=1,"), (2600, b"nslimit=0.1,")])
def test_graphviz_gets_less_time_for_larger_graphs(length, options):
    heading = picture(chain(length), "dot")[:300]
    assert options in heading
    assert (b"nslimit" in heading) == bool(options)


def test_a_layout_that_does_not_end_is_given_up(monkeypatch):
    engine = importlib.import_module("graphkit.render.engine")
    monkeypatch.setattr(engine, "_PATIENCE", 0.01)
    with pytest.raises(ExecutionError, match=r"not laid out this graph after 0\.01 seconds\. Fold modules"):
        lay_out("digraph { a -> b }", "svg")


def test_a_graph_without_operators_is_folded_too():
    inputs = [ir.Value(name=f"x{number}") for number in range(50)]
    model = ir.Model(ir.Graph(inputs, [], nodes=[], opset_imports={"": 23}), ir_version=10)
    drawing, told = Sketch(nx_view(model)).drawn(at_most(5))
    assert titles(drawing) == ["50 inputs"]
    assert told == "inputs and outputs are folded"
