"""Pictures as parts of pages."""

from __future__ import annotations

import importlib
import re
from xml.etree import ElementTree as ET

import pytest
from drawn import HOSTILE, block, branches, chain, hostile

from graphkit.ir.view import nx_view
from graphkit.render.inline import inline

module = importlib.import_module("graphkit.render.folding")


def parsed(model) -> ET.Element:
    return ET.fromstring(inline(nx_view(model)).svg)


@pytest.mark.parametrize(
    "model", [block(), branches(), hostile(), chain(1)], ids=["block", "branches", "hostile", "one"]
)
def test_every_node_of_the_view_has_a_box(model):
    view = nx_view(model)
    found = inline(view)
    boxes = {group.get("data-box") for group in ET.fromstring(found.svg).iter("g")} - {None}
    assert set(found.boxes) == set(view)
    assert set(found.boxes.values()) == boxes


def test_the_page_decides_how_it_looks():
    text = inline(nx_view(block())).svg
    assert not re.search(r'fill=|stroke=|style=|font-family|href|<!|width="', text)


def test_words_and_tooltips_are_kept():
    root = parsed(block())
    conv = next(group for group in root.iter("g") if group.get("data-box") == "n1")
    assert conv.get("class") == "node operator"
    assert (conv.findtext("title") or "").startswith("Conv conv1\nscope body.conv1\n")
    assert [text.text for text in conv.iter("text")][:1] == ["Conv"]
    assert len(conv.findall("path[@class='box']")) == 1


def test_a_dashed_frame_or_arrow_stays_dashed():
    kinds = {element.get("class") for element in parsed(branches()).iter() if element.get("stroke-dasharray")}
    assert kinds == {"frame", "line"}


def test_hostile_names_are_text():
    root = parsed(hostile())
    assert {element.tag for element in root.iter()} <= {"svg", "g", "title", "path", "polygon", "ellipse", "text"}
    assert any(HOSTILE[:6] in (title.text or "") for title in root.iter("title"))


@pytest.mark.parametrize("scope", ["layer.inner", ""])
def test_a_large_graph_is_folded(monkeypatch, scope):
    monkeypatch.setattr(module, "_LARGEST", 18)
    model = chain(30, scope)
    found = inline(nx_view(model))
    assert found.folded
    assert len(set(found.boxes.values())) <= 18
    assert set(found.boxes) == set(nx_view(model))
