"""Colours that everyone can tell apart and read, and room for text."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from graphkit.ir.family import FAMILIES
from graphkit.render.style import COLOURS, MODULE, TERMINAL, text_width

DEFICIENT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""How eyes without one kind of cone see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""

ALL = {**COLOURS, "module": MODULE, "terminal": TERMINAL}


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(matrix @ rgb / np.array([0.9505, 1, 1.089]), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_family_has_a_colour():
    assert tuple(COLOURS) == FAMILIES


@pytest.mark.parametrize("name", ALL)
def test_text_is_readable_on_its_colour(name):
    """At a contrast of 4.5, as WCAG 2 asks for."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted(weights @ linear(colour) + 0.05 for colour in (ALL[name].fill, ALL[name].text))
    assert high / low >= 4.5


@pytest.mark.parametrize("eyes", [None, *DEFICIENT])
def test_colours_differ_for_all_eyes(eyes):
    matrix = np.eye(3) if eyes is None else np.array(DEFICIENT[eyes])
    seen = {family: lab(np.clip(matrix @ linear(colour.fill), 0, 1)) for family, colour in COLOURS.items()}
    distance = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in combinations(seen, 2)}
    assert min(distance.values()) > 6, min(distance, key=distance.__getitem__)


def test_wider_text_gets_more_room():
    assert text_width("iiii", 10) < text_width("nnnn", 10) < text_width("mmmm", 10) < text_width("层层层层", 10)
    assert text_width("n", 10) < text_width("n", 10, bold=True)
    assert text_width("é", 10) == text_width("e\u0301", 10)
