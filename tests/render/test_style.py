"""Colours that everyone can tell apart and read, and room for text."""

from __future__ import annotations

import pytest
from vision import EYES, contrast, nearest

from graphkit.ir.family import FAMILIES
from graphkit.render.style import COLOURS, MODULE, TERMINAL, text_width

ALL = {**COLOURS, "module": MODULE, "terminal": TERMINAL}


def test_every_family_has_a_colour():
    assert tuple(COLOURS) == FAMILIES


@pytest.mark.parametrize("name", ALL)
def test_text_is_readable_on_its_colour(name):
    """At a contrast of 4.5, as WCAG 2 asks for."""
    assert contrast(ALL[name].fill, ALL[name].text) >= 4.5


@pytest.mark.parametrize("eyes", EYES)
def test_colours_differ_for_all_eyes(eyes):
    distance, *pair = nearest({family: colour.fill for family, colour in COLOURS.items()}, eyes)
    assert distance > 6, pair


def test_wider_text_gets_more_room():
    assert text_width("iiii", 10) < text_width("nnnn", 10) < text_width("mmmm", 10) < text_width("层层层层", 10)
    assert text_width("n", 10) < text_width("n", 10, bold=True)
    assert text_width("é", 10) == text_width("e\u0301", 10)
