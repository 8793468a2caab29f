"""Pictures of graphs, drawn from the networkx view."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.errors import InputError

if TYPE_CHECKING:
    import networkx as nx
    import onnx_ir as ir

__all__ = ["DIRECTIONS", "FORMATS", "format_of", "picture", "render"]

FORMATS: Final = ("dot", "svg", "png", "pdf", "mmd")
"""What can be drawn: Graphviz source, three formats laid out by Graphviz, and Mermaid source."""

DIRECTIONS: Final = ("TB", "LR")
"""Which way values flow: top to bottom, left to right."""


def picture(
    source: ir.Model | nx.MultiDiGraph,
    form: str,
    *,
    title: str = "",
    depth: int | None = None,
    direction: str = "TB",
) -> bytes:
    """Draw a model.

    Args:
        source: Any model, or a view with the keys of :mod:`graphkit.ir.view`.
        form: One of :data:`FORMATS`.
        title: What to call it; the name of what the model was read from, or its graph's, if empty.
        depth: Scopes nested deeper than this become one box each; 0 folds the outermost. None folds nothing, except
            in Mermaid where its limits ask for it.
        direction: One of :data:`DIRECTIONS`.

    Returns:
        The file's content; the same model, font files and Graphviz give the same bytes.

    Raises:
        InputError: The format, depth or direction is not one of those.
        MissingError: pygraphviz or, for PNG and PDF, any font is not installed.
        ExecutionError: Graphviz gave up.
    """
    if form not in FORMATS:
        raise InputError(f"Pictures are drawn as {_listed(FORMATS)}, not as {form or 'a file without a suffix'!r}.")
    if direction not in DIRECTIONS:
        raise InputError(f"A picture's direction is {_listed(DIRECTIONS)}, not {direction!r}.")
    if depth is not None and depth < 0:
        raise InputError(f"A picture's depth is 0 or more, not {depth}.")
    from graphkit.render.compose import draw
    from graphkit.render.dot import to_dot
    from graphkit.render.engine import lay_out
    from graphkit.render.mermaid import to_mermaid

    view, name = _view(source)
    title = title or name
    if form == "mmd":
        return to_mermaid(view, title=title, depth=depth, direction=direction).encode()
    text = to_dot(draw(view, title=title, depth=depth), direction=direction)
    return text.encode() if form == "dot" else lay_out(text, form)


def format_of(path: str | Path) -> str:
    """The format that a file's suffix names, one of :data:`FORMATS`.

    Raises:
        InputError: The suffix is not one of them.
    """
    suffix = Path(path).suffix
    form = suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InputError(
            f"{path} does not say what to draw: its suffix is {suffix or 'missing'}; give it one of "
            f"{', '.join('.' + known for known in FORMATS)}."
        )
    return form


def render(
    source: ir.Model | nx.MultiDiGraph,
    path: str | Path,
    *,
    title: str = "",
    depth: int | None = None,
    direction: str = "TB",
) -> Path:
    """Draw a model into a file, written whole or not at all, in the format that its suffix names.

    Args:
        source: As for :func:`picture`, and so are the others.
        path: The file, ending in ``.dot``, ``.svg``, ``.png``, ``.pdf`` or ``.mmd``.
        title: What to call it.
        depth: Scopes nested deeper than this become one box each.
        direction: Which way values flow.

    Returns:
        The path.

    Raises:
        InputError: The suffix, depth or direction is not a known one, or the file cannot be written.
        MissingError: pygraphviz or, for PNG and PDF, any font is not installed.
        ExecutionError: Graphviz gave up.
    """
    from graphkit.files import whole

    path = Path(path)
    form = format_of(path)
    with whole(path) as (draft,):
        draft.write_bytes(picture(source, form, title=title, depth=depth, direction=direction))
    return path


def _listed(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _view(source: ir.Model | nx.MultiDiGraph) -> tuple[nx.MultiDiGraph, str]:
    """The view to draw, and what the model was read from where that is known."""
    import onnx_ir as ir

    from graphkit.ir.origin import source_of
    from graphkit.ir.view import nx_view

    if not isinstance(source, ir.Model):
        return source, ""
    origin = source_of(source)
    return nx_view(source), origin.label if origin is not None else ""
