"""How arrows run, and what the layout has to know besides them.

DenseNet feeds each layer's output to every later layer. Drawn as separate arrows these fill the page and take minutes
to lay out; drawn as one trunk with a branch to each reader they are as long as the block.

A box that reads nothing (the transposition of a weight, say) may stand as high as it likes, and Graphviz likes it
beside the previous module. Frames that have a rank in common cannot stand below one another, so a net of many modules
would become a staircase. Such a box is kept below what feeds its reader.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile
from typing import TYPE_CHECKING, Final

from graphkit.render.drawing import Frame

if TYPE_CHECKING:
    from graphkit.render.drawing import Arrow, Box, Drawing

__all__ = ["Line", "Plan", "plan"]

_NEAR: Final = 2
"""Ranks to a reader that is no reason for a trunk."""

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
        below: Pairs of boxes; the second is to stand below the first, although no arrow says so.
    """

    lines: list[Line]
    joints: dict[str, list[str]]
    below: list[tuple[str, str]]


def plan(drawing: Drawing) -> Plan:
    """Decide how the arrows of a drawing run."""
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
        far = sorted(
            (arrow for arrow in arrows if ranks[arrow.head] - ranks[tail] > _NEAR), key=lambda arrow: ranks[arrow.head]
        )
        spans = [ranks[arrow.head] - ranks[tail] for arrow in far]
        shared = bool(far) and sum(spans) - max(spans) - len(spans) >= _SAVING
        lines += [
            Line(tail, arrow.head, arrow, _TOGETHER if around[tail] == around[arrow.head] else 1)
            for arrow in arrows
            if not shared or arrow not in far
        ]
        if not shared:
            continue
        stops = [list(group) for _, group in groupby(far, lambda arrow: ranks[arrow.head])]
        start, path = tail, around[tail]
        for stop, after in pairwise(stops):
            path = _shared(path, *(around[arrow.head] for arrow in (*stop, *after)))
            joint = f"j{count}"
            count += 1
            joints[path[-1] if path else ""].append(joint)
            lines += [Line(start, joint, stop[0]), *(Line(joint, arrow.head, arrow) for arrow in stop)]
            start = joint
        lines += [Line(start, arrow.head, arrow) for arrow in stops[-1]]
    return Plan(lines, dict(joints), _below(drawing, around, ranks))


def _below(drawing: Drawing, around: dict[str, tuple[str, ...]], ranks: dict[str, int]) -> list[tuple[str, str]]:
    """For each box in a frame that reads nothing: the box outside the frame that feeds the same reader."""
    heads: dict[str, list[str]] = defaultdict(list)
    tails: dict[str, list[str]] = defaultdict(list)
    for arrow in drawing.arrows:
        heads[arrow.tail].append(arrow.head)
        tails[arrow.head].append(arrow.tail)
    found = []
    for box, frames in around.items():
        if tails[box] or not frames:
            continue
        last = box
        while len(heads[last]) == 1 and set(tails[heads[last][0]]) == {last}:
            last = heads[last][0]
        feeders = [
            tail
            for head in heads[last]
            for tail in tails[head]
            if around[tail][: len(frames)] != frames and not _reaches(box, tail, heads, ranks)
        ]
        if feeders:
            found.append((max(feeders, key=lambda feeder: ranks[feeder]), box))
    return found


def _reaches(start: str, end: str, heads: dict[str, list[str]], ranks: dict[str, int]) -> bool:
    seen = {start}
    stack = [start]
    while stack:
        for head in heads[stack.pop()]:
            if head == end:
                return True
            if head not in seen and ranks[head] < ranks[end]:
                seen.add(head)
                stack.append(head)
    return False


def _shared(*paths: tuple[str, ...]) -> tuple[str, ...]:
    """The common beginning of paths."""
    return tuple(steps[0] for steps in takewhile(lambda steps: len(set(steps)) == 1, zip(*paths, strict=False)))


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
    """About how far down each box will stand: as low as its readers let it; boxes on cycles keep 0."""
    heads: dict[str, list[str]] = defaultdict(list)
    waiting: dict[str, int] = defaultdict(int)
    for arrow in drawing.arrows:
        heads[arrow.tail].append(arrow.head)
        waiting[arrow.head] += 1
    ranks = {box.id: 0 for box in drawing.boxes()}
    order = [box for box in ranks if not waiting[box]]
    for tail in order:
        for head in heads[tail]:
            ranks[head] = max(ranks[head], ranks[tail] + 1)
            waiting[head] -= 1
            if not waiting[head]:
                order.append(head)
    for box in reversed(order):
        ranks[box] = min((ranks[head] - 1 for head in heads[box]), default=ranks[box])
    return ranks
