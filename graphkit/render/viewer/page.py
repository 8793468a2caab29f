"""The viewer's page: one file that needs no network, no server and no other file.

Names in a model are not trusted: what the page is told is compressed JSON, which no HTML parser finds anything in, its
scripts put text into the page as text only, and a Content-Security-Policy lets nothing run or load but the page's own
scripts and style.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

from graphkit.render.policy import hash_source
from graphkit.render.viewer.payload import payload
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.render.viewer.payload import Comparison, Subject

__all__ = ["SCRIPTS", "to_html"]

SCRIPTS: Final = (
    "model.js",
    "theme.js",
    "measure.js",
    "layered.js",
    "order.js",
    "place.js",
    "route.js",
    "layout.js",
    "looks.js",
    "draw.js",
    "space.js",
    "pointing.js",
    "scene.js",
    "export.js",
    "minimap.js",
    "elements.js",
    "list.js",
    "viewer.js",
    "histogram.js",
    "query.js",
    "search.js",
    "facts.js",
    "panel.js",
    "sides.js",
    "outline.js",
    "heat.js",
    "paths.js",
    "compare.js",
    "columns.js",
    "toolbar.js",
    "keyboard.js",
    "help.js",
    "links.js",
    "start.js",
)
"""The page's own scripts, in the order in which they are put together."""
_STYLES: Final = ("viewer.css",)


def to_html(
    subjects: Sequence[Subject], *, title: str = "", comparison: Comparison | None = None, colours: str = ""
) -> str:
    """Write a page in which graphs are explored.

    Args:
        subjects: One graph, or two to be compared.
        title: What to call the page; what the graphs are called if empty.
        comparison: How the two graphs differ.
        colours: Title of the overlay that colours the nodes until another is chosen; empty for none.

    Returns:
        A whole HTML document; the same graphs give the same bytes.
    """
    told = payload(subjects, title=title, comparison=comparison, colours=colours)
    data = json.dumps(told, separators=(",", ":"), allow_nan=False).encode()
    style, script = "\n".join(map(_asset, _STYLES)), "\n".join(map(_asset, SCRIPTS))
    libraries = (files("graphkit.render.viewer") / "libraries" / "libraries.js").read_text(encoding="utf-8")
    facts = [fact for graph in told["graphs"] for fact in graph["facts"]]
    return Template(_asset("page.html")).substitute(
        title=html.escape(clean(told["title"])),
        facts=html.escape(clean(" · ".join(f"{name}: {value}" for name, value in facts))),
        style=style,
        libraries=libraries,
        script=script,
        payload=base64.b64encode(gzip.compress(data, 6, mtime=0)).decode(),
        style_hash=hash_source(style),
        libraries_hash=hash_source(libraries),
        script_hash=hash_source(script),
    )


def _asset(name: str) -> str:
    return (files("graphkit.render.viewer") / "page" / name).read_text(encoding="utf-8")
