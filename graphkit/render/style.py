"""How pictures look: colours, type sizes, and room for text.

The operator colours are Paul Tol's "light" scheme (https://sronpersonalpages.nl/~pault/), made for labels under dark
text and told apart by colour-blind eyes, with greys for what is not computation.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from graphkit.ir.family import Family

__all__ = [
    "BACKWARD",
    "COLOURS",
    "CUT",
    "FONT",
    "FRAMES",
    "FRAME_EDGE",
    "KEPT",
    "MODULE",
    "TERMINAL",
    "UNTRANSLATED",
    "Colour",
    "text_width",
]

FONT: Final = "Helvetica,Arial,sans-serif"


class Colour(NamedTuple):
    """How a box is painted.

    Attributes:
        fill: Background.
        edge: Outline, a darker shade of the fill.
        text: Writing on the fill, at a contrast of at least 4.5.
    """

    fill: str
    edge: str
    text: str = "#111111"


COLOURS: Final[dict[Family, Colour]] = {
    "convolution": Colour("#77AADD", "#4477AA"),
    "normalisation": Colour("#EEDD88", "#B8A13F"),
    "activation": Colour("#EE8866", "#B9532F"),
    "pooling": Colour("#99DDFF", "#4FA3CC"),
    "matmul": Colour("#44BB99", "#1F8468"),
    "shape": Colour("#DDDDDD", "#A0A0A0"),
    "arithmetic": Colour("#FFAABB", "#CC6677"),
    "reduction": Colour("#BBCC33", "#84911A"),
    "control flow": Colour("#555555", "#222222", "#FFFFFF"),
    "recurrent": Colour("#AAAA00", "#717100"),
    "other": Colour("#FFFFFF", "#777777"),
}

TERMINAL: Final = Colour("#FFFFFF", "#222222")
"""Graph inputs and outputs."""

CUT: Final = Colour("#FFFFFF", "#888888", "#555555")
"""What stands for the rest of a graph of which a part is shown."""

UNTRANSLATED: Final = "#CC0022"
"""Dashed outline of what has no canonical form."""

MODULE: Final = Colour("#E4DDF0", "#7A68A6")
"""A folded module."""

FRAMES: Final = ("#F6F7F9", "#ECEFF3", "#E2E6EC")
"""Backgrounds of frames, by how deep they are nested."""

BACKWARD: Final = ("#FBF4EA", "#F7EBDB", "#F2E1CB")
"""The same for frames around what computes gradients."""

FRAME_EDGE: Final = "#B4BAC4"

KEPT: Final = "#B8BCC4"
"""Arrows from the forward to the backward pass, of which there are many."""

_NARROW: Final = frozenset("iljtfrI.,:;|!'`()[]{}/\\ -")


def text_width(text: str, size: float, *, bold: bool = False) -> int:
    """Room that a line of text takes in points, in any common sans-serif font.

    It is on the wide side, so that boxes keep their size, and text stays inside, whichever font the viewer has.
    """
    width = 0.0
    for char in text:
        if unicodedata.combining(char):
            continue
        if unicodedata.east_asian_width(char) in "WF":
            width += 1.0
        elif char in _NARROW:
            width += 0.36
        elif char.isupper() or char in "×mwMW@%…—→":
            width += 0.82
        else:
            width += 0.62
    return round(width * size * (1.08 if bold else 1.0)) + 1
