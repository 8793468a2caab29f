"""One line for a value with many far readers.

DenseNet feeds each layer's output to every later layer. Drawn as separate arrows these fill the page and take minutes
to lay out; drawn as one trunk with a branch to each reader they are as long as the block.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from graphkit.render.drawing import Frame

if TYPE_CHECKING:
    from graphkit.render.drawing import Arrow, Box, Drawing

__all__ = ["Line", "Plan", "plan"]

_READERS: Final = 3
"""Readers from which a trunk is considered."""

_SAVING: Final = 8
"""Ranks of line that a trunk has to save."""

_TOGETHER: Final = 4
"""Weight of a line inside one frame; other lines have 1."""


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of an arrow.

    Attributes:
        tail: Id of a box or joint.
        head: Id of a box or joint.
        arrow: What it is a piece of.
        weight: How much it wants to be short and straight.
    """

    tail: str
    head: str
    arrow: Arrow
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a drawing's arrows run.

    Attributes:
        lines: Pieces of arrows.
        joints: Ids of the points where trunks branch, by the id of the frame that holds them.
    """

    lines: list[Line]
    joints: dict[str, list[str]]


def plan(drawing: Drawing) -> Plan:
    """Decide which arrows share a trunk."""
    around = _around(drawing)
    ranks = _ranks(drawing)
    fans: dict[tuple[tuple[str, int], bool], list[Arrow]] = defaultdict(list)
    for arrow in drawing.arrows:
        fans[arrow.value, arrow.body].append(arrow)
    lines: list[Line] = []
    joints: dict[str, list[str]] = defaultdict(list)
    count = 0
    for arrows in fans.values():
        tail = arrows[0].tail
        spans = [ranks[arrow.head] - ranks[tail] for arrow in arrows]
        if len(arrows) < _READERS or sum(spans) - max(spans) - len(spans) < _SAVING:
            lines += [
                Line(tail, arrow.head, arrow, _TOGETHER if around[tail] == around[arrow.head] else 1)
                for arrow in arrows
            ]
            continue
        arrows = sorted(arrows, key=lambda arrow: ranks[arrow.head])
        start, path = tail, around[tail]
        for arrow, after in pairwise(arrows):
            path = _shared(_shared(path, around[arrow.head]), around[after.head])
            joint = f"j{count}"
            count += 1
            joints[path[-1] if path else ""].append(joint)
            lines += [Line(start, joint, arrow), Line(joint, arrow.head, arrow)]
            start = joint
        lines.append(Line(start, arrows[-1].head, arrows[-1]))
    return Plan(lines, dict(joints))


def _shared(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    while length < min(len(left), len(right)) and left[length] == right[length]:
        length += 1
    return left[:length]


def _around(drawing: Drawing) -> dict[str, tuple[str, ...]]:
    """Ids of the frames around each box, outermost first."""
    found: dict[str, tuple[str, ...]] = {}
    stack: list[tuple[Box | Frame, tuple[str, ...]]] = [(item, ()) for item in drawing.children]
    while stack:
        item, path = stack.pop()
        if isinstance(item, Frame):
            stack += [(child, (*path, item.id)) for child in item.children]
        else:
            found[item.id] = path
    return found


def _ranks(drawing: Drawing) -> dict[str, int]:
    """Length of the longest path to each box; boxes on cycles keep 0."""
    heads: dict[str, list[str]] = defaultdict(list)
    waiting: dict[str, int] = defaultdict(int)
    for arrow in drawing.arrows:
        heads[arrow.tail].append(arrow.head)
        waiting[arrow.head] += 1
    ranks = {box.id: 0 for box in drawing.boxes()}
    ready = [box for box in ranks if not waiting[box]]
    while ready:
        tail = ready.pop()
        for head in heads[tail]:
            ranks[head] = max(ranks[head], ranks[tail] + 1)
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    return ranks
