"""Numbers as colours."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from drawn import block

from graphkit.errors import InputError
from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.render import picture
from graphkit.render.compose import draw
from graphkit.render.overlay import Mark, Overlay
from graphkit.render.shading import shading


def shaded(marks, scale="bound", unit="", boxes=None):
    found = shading(Overlay("Sizes", marks, scale, unit), boxes or {key: [key] for key in marks})
    return {box: (item.shade.name, item.told) for box, item in found.boxes.items()}


def test_shares_of_a_bound_have_steps_and_failures_their_own():
    marks = {
        "equal": Mark(0.0, verdict="pass"),
        "tiny": Mark(0.0004, verdict="pass"),
        "near": Mark(0.9, verdict="pass"),
        "over": Mark(3.25, verdict="fail"),
        "shape": Mark(math.inf, verdict="fail"),
        "absent": Mark(None, verdict="unknown"),
    }
    assert shaded(marks) == {
        "equal": ("shade0", "equal"),
        "tiny": ("shade0", "< 0.1 % of its bound"),
        "near": ("shade4", "90 % of its bound"),
        "over": ("fails", "fails: 3.25 × its bound"),
        "shape": ("fails", "fails"),
        "absent": ("unmarked", ""),
    }


def test_a_folded_module_has_the_worst_share():
    marks = {"a": Mark(0.2, verdict="pass"), "b": Mark(0.4, verdict="pass"), "c": Mark(None, verdict="unknown")}
    assert shaded(marks, boxes={"n0": ["a", "b", "c", "no mark"]})["n0"] == ("shade3", "40 % of its bound")
    marks["c"] = Mark(None, verdict="fail")
    assert shaded(marks, boxes={"n0": ["a", "c"]})["n0"][0] == "fails"


def test_costs_are_added_up_and_what_is_unknown_is_told():
    marks = {"a": Mark(1500.0), "b": Mark(500.0), "c": Mark(None, verdict="unknown"), "d": Mark(125.0)}
    boxes = {"n0": ["a", "b"], "n1": ["d", "c"], "n2": ["c"], "n3": ["no mark"]}
    assert shaded(marks, "log", "bytes", boxes) == {
        "n0": ("shade5", "2.00 kB"),
        "n1": ("shade1", "≥ 125 B"),
        "n2": ("unknown", "unknown"),
        "n3": ("unmarked", ""),
    }


@pytest.mark.parametrize(("scale", "steps"), [("log", [0, 3, 5]), ("linear", [0, 1, 5])])
def test_steps_follow_the_scale(scale, steps):
    found = shaded({"a": Mark(1.0), "b": Mark(25.0), "c": Mark(100.0)}, scale)
    assert [name for name, _ in found.values()] == [f"shade{step}" for step in steps]
    assert found["c"] == ("shade5", "100 Sizes")


def test_nothing_but_zeros_is_one_step():
    assert shaded({"a": Mark(0.0), "b": Mark(0.0)}, "linear")["a"] == ("shade0", "0 Sizes")


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""

    def light(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scale", ["bound", "log"])
def test_writing_is_legible_and_more_is_darker(scale):
    marks = {str(step): Mark(value, verdict="pass") for step, value in enumerate((0.001, 0.05, 0.2, 0.4, 1.0))}
    found = shading(Overlay("x", marks, scale), {key: [key] for key in marks})
    assert all(contrast(shade.colour.fill, shade.colour.text) >= 4.5 for shade in found.legend)
    on_paper = [contrast(shade.colour.fill, "#000000") for shade in found.legend if shade.name != "unmarked"]
    assert all(below <= above * 1.15 for above, below in pairwise(on_paper))
    assert on_paper[-1] < on_paper[0] / 2


def test_a_picture_has_the_colours_a_legend_and_the_note():
    view = nx_view(block())
    marks = {"op:conv1": Mark(0.2, ("output x1: fine",), "pass"), "op:bn": Mark(2.0, verdict="fail")}
    dot = picture(view, "dot", overlays=[Overlay("Parity", marks, "bound", note="3 checks elsewhere")]).decode()
    for text in (
        "Parity, error as a share of its bound:",
        "≤ 100 %",
        "20 % of its bound",
        "fails: 2 × its bound",
        "3 checks elsewhere",
    ):
        assert text in dot
    assert "output x1: fine" in dot
    assert "normalisation" not in dot


@pytest.mark.parametrize("form", ["dot", "mmd"])
def test_inputs_outputs_and_what_is_cut_are_coloured_only_where_they_have_a_number(form):
    overlay = Overlay("Parity", {"op:add": Mark(0.2, verdict="pass"), "output:out": Mark(0.5, verdict="pass")}, "bound")
    assert "not compared" not in picture(block(), form, around=["add"], hops=0, overlays=[overlay]).decode()
    text = picture(block(), form, overlays=[overlay]).decode()
    assert "50 % of its bound" in text.replace("#37;", "%")
    drawing = draw(nx_view(block()), overlay=overlay)
    assert {box.title for box in drawing.boxes() if box.id not in drawing.shading.boxes} == {"image"}


def test_what_is_not_translated_is_dashed_and_told():
    model = block()
    assert "not translated" not in picture(model, "dot").decode()
    set_untranslated(model.graph[0], 'no <canonical> "form"')
    dot = picture(model, "dot").decode()
    assert dot.count("not translated") == 2
    assert "not translated: no &lt;canonical&gt;" in dot
    assert 'border="2" style="rounded,dashed" bgcolor="#77AADD" color="#CC0022"' in dot
    (folded,) = [box for box in draw(nx_view(model), depth=0).boxes() if box.untranslated]
    assert folded.kind == "module"
    assert folded.parameters[0][1].endswith("1 not translated")


def test_two_overlays_are_refused():
    with pytest.raises(InputError, match="one overlay instead of 2"):
        picture(block(), "dot", overlays=[Overlay("a"), Overlay("b")])
