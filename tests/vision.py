"""How eyes see colours."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EYES", "contrast", "nearest"]

EYES = {
    "trichromacy": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""How eyes, also without one kind of cone, see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(matrix @ rgb / np.array([0.9505, 1, 1.089]), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, two: str) -> float:
    """Contrast of two colours ``#rrggbb`` as WCAG 2 defines it, from 1 to 21."""
    low, high = sorted(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour) + 0.05 for colour in (one, two))
    return float(high / low)


def nearest(colours: Mapping[str, str], eyes: str) -> tuple[float, str, str]:
    """The two of some colours that are most alike to eyes, and their distance in CIE L*a*b*."""
    seen = {name: lab(np.clip(EYES[eyes] @ linear(colour), 0, 1)) for name, colour in colours.items()}
    return min((float(np.linalg.norm(seen[one] - seen[two])), one, two) for one, two in combinations(seen, 2))
