"""A report as a page: one file that needs no network, no server and no other file.

The page holds the report's numbers as JSON and a drawing of the model; a script of its own makes the table, the
histograms and the curves of them and colours the drawing. Names in a model are not trusted: JSON is written so that it
cannot end its element, the script puts text into the page as text only, and a Content-Security-Policy lets nothing run
or load but the page's own script and style.
"""

from __future__ import annotations

import html
import json
import math
from dataclasses import MISSING, fields
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from graphkit.render.policy import hash_source
from graphkit.report import wording
from graphkit.report.heat import checks_of_nodes
from graphkit.report.report import DECADES, Check
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    from graphkit.report.report import Report

__all__ = ["to_html"]

_SCRIPTS: Final = ("page.js", "charts.js", "table.js", "graph.js", "start.js")
_ADDED: Final[dict[str, Any]] = {"share": 0.0, "told": [], "whole": False}
"""What the page is told of a check besides its fields: the error as a share of the bound, sentences, and whether it is
about a whole pass; with their defaults."""
_WORST: Final = 20
"""Rows that are shown where scripts are not allowed."""


def to_html(report: Report, model: ir.Model | None = None) -> str:
    """Write a report as a page.

    Args:
        report: What was found.
        model: The model whose value names the checks have, to be drawn. Each of its nodes has the colour of the worst
            check on its outputs and on the parameters that it alone reads.

    Returns:
        A whole HTML document. If the model cannot be drawn, the page says why instead.
    """
    style, script = _asset("page.css"), "\n".join(map(_asset, _SCRIPTS))
    svg, boxes, problem = ("", {}, "") if model is None else _drawing(report, model)
    data = {
        "title": clean(report.title),
        "checks": [_entry(check) for check in report.checks],
        "defaults": {field.name: field.default for field in fields(Check) if field.default is not MISSING} | _ADDED,
        "headings": wording.HEADINGS,
        "curves": {clean(side): [_plain(loss) for loss in losses] for side, losses in report.curves.items()},
        "decades": DECADES,
        "boxes": boxes,
    }
    parts = {
        "title": html.escape(clean(report.title)),
        "headline": wording.headline(report),
        "state": "pass" if report.passed else "fail",
        "verdict": html.escape(wording.verdict(report)),
        "warnings": _listed("Warnings", report.warnings),
        "passes": _listed("Not compared", [wording.told(check) for check in wording.about_passes(report)]),
        "matching": _listed("What was compared with what", report.matching),
        "environment": _listed("Environment", wording.environment(report)),
        "worst": _worst(report),
        "svg": svg,
        "problem": html.escape(problem),
        "drawn": "drawn" if svg else "problem" if problem else "absent",
        "style": style,
        "script": script,
        "style_hash": hash_source(style),
        "script_hash": hash_source(script),
        "data": _embedded(data),
    }
    return Template(_asset("page.html")).substitute(parts)


def _asset(name: str) -> str:
    return (files("graphkit.report") / "page" / name).read_text(encoding="utf-8")


def _embedded(data: Any) -> str:
    """JSON that no HTML parser finds anything in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return clean(value) if isinstance(value, str) else value


def _entry(check: Check) -> dict[str, Any]:
    """A check without the fields that have their default, and with what is told of it elsewhere too."""
    entry = {
        field.name: _plain(getattr(check, field.name))
        for field in fields(Check)
        if getattr(check, field.name) != field.default
    }
    added = {
        "share": _plain(wording.closeness(check)),
        "told": wording.details(check),
        "whole": check.kind not in wording.HEADINGS or not check.left,
    }
    return entry | {name: value for name, value in added.items() if value != _ADDED[name]}


def _listed(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(clean(line))}</li>" for line in lines)
    return f"<section><h2>{title}</h2><ul>{items}</ul></section>" if items else ""


def _worst(report: Report) -> str:
    """The worst rows for readers without scripts."""
    rows = []
    for check in wording.worst_first(wording.tensors(report))[:_WORST]:
        numbers = [wording.number(check.error), wording.number(check.tol)] if check.dtype else ["", ""]
        cells = [
            check.verdict,
            wording.title(check),
            wording.between(check),
            *numbers,
            "; ".join(wording.details(check)),
        ]
        rows.append(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>")
    return "".join(rows)


def _drawing(report: Report, model: ir.Model) -> tuple[str, dict[str, list[int]], str]:
    """The drawing, the checks that each of its boxes is about by their position, and why there is none."""
    from graphkit.errors import ExecutionError, MissingError
    from graphkit.ir.view import nx_view
    from graphkit.render.inline import inline

    view = nx_view(model)
    try:
        picture = inline(view)
    except (ExecutionError, MissingError) as problem:
        return "", {}, str(problem)
    boxes: dict[str, list[int]] = {}
    for key, found in checks_of_nodes(report, view).items():
        kept = boxes.setdefault(picture.boxes[key], [])
        kept += [index for index in found if index not in kept]
    return picture.svg, boxes, ""
