"""The page of the documentation that lists the operators of every framework."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphkit.frameworks.support import Support

__all__ = ["markdown"]

_HEADINGS: Final = {
    "mxnet": ("MXNet 1.9.1", "Operators that a symbol can hold, and the ONNX operators that they are read as."),
    "onnx": (
        "ONNX",
        "Operators of the standard, the MXNet operators that they are written with, and whether gradients pass.",
    ),
    "torch": ("PyTorch", "Operators of which torch has samples, and whether ONNX Runtime computes what torch does."),
}


def markdown(rows: Iterable[Support]) -> str:
    """The page, a section for each framework, rows in the order given."""
    lines = ["# Operators", "", "This page is what `graphkit ops --markdown` prints.", ""]
    for name, group in groupby(rows, key=lambda row: row.framework):
        lines += [*_section(name, list(group)), ""]
    return "\n".join(lines[:-1]) + "\n"


def _section(name: str, rows: Sequence[Support]) -> Iterator[str]:
    title, told = _HEADINGS[name]
    targets = list(dict.fromkeys(target for row in rows for target in row.becomes))
    yield from (f"## {title}", "", told, "")
    reached = ", ".join(f"{sum(target in row.becomes for row in rows)} to {target}" for target in targets)
    if slopes := sum(row.differentiable for row in rows):
        reached += f"; gradients pass {slopes}"
    yield from (f"{len(rows)} operators; {reached}.", "")
    headings = [*targets, *(["gradient"] if slopes else [])]
    yield f"| operator | {' | '.join(headings)} | why not, and what to know | room |"
    yield f"|---|{'---|' * len(headings)}---|---|"
    for row in rows:
        cells = [", ".join(row.becomes.get(target, ("—",))) for target in targets]
        if slopes:
            cells.append("yes" if row.differentiable else "—")
        notes = "; ".join(filter(None, (row.reason, *row.limits)))
        yield f"| {' | '.join(_cell(text) for text in (f'`{row.operator}`', *cells, notes, row.room))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("](", "]\\(")  # others' messages hold no links
