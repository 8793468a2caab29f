"""Colours for the numbers of an overlay, in steps: a legend can tell them, and formats with classes name them.

What passes goes from cool to warm, after Paul Tol's "sunset" scheme, and what fails is dark red under white text; costs
go through his "YlOrBr" (https://sronpersonalpages.nl/~pault/). Colour-blind eyes tell either's steps apart, and on
paper without colours more is darker.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphkit.render.labels import amount
from graphkit.render.overlay import Mark
from graphkit.render.style import Colour
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphkit.render.overlay import Overlay

__all__ = ["Shade", "Shaded", "Shading", "shading"]

_LIGHT: Final = "#111111"
_DARK: Final = "#FFFFFF"

_SHARES: Final = (0.01, 0.1, 0.25, 0.5, 1.0)
_WITHIN: Final = (
    Colour("#D5EAF2", "#7FA9BC"),
    Colour("#EAECCC", "#A9AD6E"),
    Colour("#FEDA8B", "#C29A3C"),
    Colour("#FDB366", "#C47A2A"),
    Colour("#F67E4B", "#B64A1B"),
)
_COST: Final = (
    Colour("#FFF7BC", "#BFB46A"),
    Colour("#FEE391", "#C2A64B"),
    Colour("#FEC44F", "#C08A1E"),
    Colour("#FB9A29", "#B86B0E"),
    Colour("#EC7014", "#A64B06"),
    Colour("#993404", "#662506", _DARK),
)


@dataclass(frozen=True, slots=True)
class Shade:
    """One step of a scale.

    Attributes:
        name: A word for it, of letters and digits.
        label: What it says, e.g. ``"≤ 10 %"``.
        colour: How boxes in it are painted.
    """

    name: str
    label: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Shaded:
    """A box under an overlay.

    Attributes:
        shade: Its step.
        told: Its number in words; empty for a box that has none.
        tooltip: What else the overlay says of it.
    """

    shade: Shade
    told: str
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shading:
    """How an overlay colours a picture.

    Attributes:
        title: What the colours are.
        note: What readers must know of it as a whole; may be empty.
        legend: The steps, the least first; of costs, and of what is not known, only those that occur.
        boxes: Every box that it colours, by id: operators, modules, and of inputs and outputs those with a number.
    """

    title: str
    note: str
    legend: tuple[Shade, ...]
    boxes: Mapping[str, Shaded]


_PLAIN: Final = Colour("#FFFFFF", "#999999", "#444444")
_FAIL: Final = Shade("fails", "fails", Colour("#A50026", "#5C0015", _DARK))
_NONE: Final = Shade("unmarked", "none", _PLAIN)
_UNKNOWN: Final = Shade("unknown", "unknown", Colour("#DDDDDD", "#888888"))
_NOT_COMPARED: Final = Shade("unmarked", "not compared", _PLAIN)


def shading(overlay: Overlay, boxes: Mapping[str, Sequence[str]]) -> Shading:
    """How an overlay colours the boxes of a picture.

    Args:
        overlay: The numbers.
        boxes: Keys of the nodes that each box shows, by the box's id. A box of several nodes has the worst of their
            shares of a bound, and the sum of other numbers.
    """
    found = {
        box: _joined(overlay, [overlay.marks[key] for key in keys if key in overlay.marks])
        for box, keys in boxes.items()
    }
    scale = _steps(overlay, found.values())
    nothing, unknown = (_NOT_COMPARED, _NOT_COMPARED) if overlay.scale == "bound" else (_NONE, _UNKNOWN)
    shaded = {}
    for box, mark in found.items():
        if mark is None:
            shaded[box] = Shaded(nothing, "")
        elif mark.verdict == "fail":
            shaded[box] = Shaded(_FAIL, _told(overlay, mark), mark.told)
        elif mark.value is None:
            shaded[box] = Shaded(unknown, "" if unknown is nothing else unknown.label, mark.told)
        else:
            bounds, shades = scale
            step = min(bisect_left(bounds, mark.value), len(shades) - 1)
            shaded[box] = Shaded(shades[step], _told(overlay, mark), mark.told)
    shown = {item.shade for item in shaded.values()}
    whole = overlay.scale == "bound"
    legend = [shade for shade in (*scale[1], _FAIL) if whole or shade in shown]
    legend += [shade for shade in (unknown, nothing) if shade in shown]
    title = f"{overlay.title}, error as a share of its bound" if whole else overlay.title
    return Shading(clean(title), clean(overlay.note), tuple(dict.fromkeys(legend)), shaded)


def _joined(overlay: Overlay, marks: Sequence[Mark]) -> Mark | None:
    """What an overlay says of several nodes together; None where it says nothing."""
    if len(marks) < 2:
        return marks[0] if marks else None
    known = [mark.value for mark in marks if mark.value is not None]
    lines = tuple(line for mark in marks for line in mark.told)
    if overlay.scale != "bound":
        unknown = len(marks) - len(known)
        told = (f"{unknown} of {len(marks)} nodes are not known",) if unknown else ()
        return Mark(math.fsum(known) if known else None, told, "unknown" if unknown else "")
    verdicts = {mark.verdict for mark in marks}
    verdict = next((word for word in ("fail", "pass", "unknown") if word in verdicts), marks[0].verdict)
    return Mark(max(known, default=None), lines, verdict)


def _steps(overlay: Overlay, marks: Iterable[Mark | None]) -> tuple[list[float], list[Shade]]:
    """Upper bounds of the steps, and the steps."""
    if overlay.scale == "bound":
        labels = ["≤ 1 %", "≤ 10 %", "≤ 25 %", "≤ 50 %", "≤ 100 %"]
        return list(_SHARES), [Shade(f"shade{n}", text, _WITHIN[n]) for n, text in enumerate(labels)]
    values = [mark.value for mark in marks if mark is not None and mark.value is not None and math.isfinite(mark.value)]
    top = max(values, default=0.0)
    if top <= 0:
        return [0.0], [Shade("shade0", amount(0, overlay.unit), _COST[0])]
    last = len(_COST) - 1
    if overlay.scale == "log":
        bounds = [top / 2 ** (last - step) for step in range(len(_COST))]
    else:
        bounds = [top * (step + 1) / len(_COST) for step in range(len(_COST))]
    bounds[-1] = top
    shades = [
        Shade(f"shade{step}", f"≤ {amount(bound, overlay.unit)}", colour)
        for step, (bound, colour) in enumerate(zip(bounds, _COST, strict=True))
    ]
    return bounds, shades


def _told(overlay: Overlay, mark: Mark) -> str:
    """A number in words."""
    value = mark.value
    if overlay.scale != "bound":
        assert value is not None
        number = amount(value, overlay.unit) if overlay.unit else f"{amount(value)} {clean(overlay.title)}"
        return f"≥ {number}" if mark.verdict == "unknown" else number
    if mark.verdict == "fail":
        return "fails" if value is None or not math.isfinite(value) or value <= 1 else f"fails: {value:.3g} × its bound"
    assert value is not None
    if value == 0:
        return "equal"
    return "< 0.1 % of its bound" if value < 0.001 else f"{100 * value:.2g} % of its bound"
