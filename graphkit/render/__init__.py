"""Pictures of graphs, drawn from the networkx view."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    import networkx as nx
    import onnx_ir as ir

    from graphkit.render.overlay import Overlay

__all__ = ["DIRECTIONS", "FORMATS", "TENSORBOARD", "Options", "format_of", "picture", "render"]

FORMATS: Final = ("dot", "svg", "png", "pdf", "mmd", "html")
"""What a file's suffix can ask for: Graphviz source, three formats laid out by Graphviz, Mermaid source, the viewer."""

TENSORBOARD: Final = "tensorboard"
"""What a folder asks for: an event file with a graph."""

DIRECTIONS: Final = ("TB", "LR")
"""Which way values flow: top to bottom, left to right."""


class Options(TypedDict, total=False):
    """How to draw; :func:`picture` says what each of them means."""

    view: nx.MultiDiGraph | None
    title: str
    depth: int | None
    direction: str
    shapes: bool
    parameters: bool
    attributes: bool
    start: Sequence[str]
    end: Sequence[str]
    around: Sequence[str]
    hops: int
    overlays: Sequence[Overlay]
    offered: Sequence[Overlay]
    warn: Callable[[str], None] | None


def picture(
    source: ir.Model | nx.MultiDiGraph,
    form: str,
    *,
    view: nx.MultiDiGraph | None = None,
    title: str = "",
    depth: int | None = None,
    direction: str = "TB",
    shapes: bool = True,
    parameters: bool = True,
    attributes: bool = True,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
    around: Sequence[str] = (),
    hops: int = 2,
    overlays: Sequence[Overlay] = (),
    offered: Sequence[Overlay] = (),
    warn: Callable[[str], None] | None = None,
) -> bytes:
    """Draw a model.

    Args:
        source: Any model, or a view with the keys of :mod:`graphkit.ir.view`.
        form: One of :data:`FORMATS`, or :data:`TENSORBOARD`.
        view: The model's view, where it is made already.
        title: What to call it; the name of what the model was read from, or its graph's, if empty.
        depth: Scopes nested deeper than this become one box each; 0 folds the outermost. None folds nothing, except
            where the limits of Mermaid or of Graphviz ask for it.
        direction: One of :data:`DIRECTIONS`.
        shapes: Whether shapes of values are written out.
        parameters: Whether what operators read from the model is.
        attributes: Whether attributes of operators are.
        start: Nodes to draw only what depends on; :func:`graphkit.render.part.named` says how they are called.
        end: Nodes to draw only what they depend on; with ``start``, only what lies on paths between.
        around: Nodes to draw only what is around.
        hops: How many edges around them.
        overlays: Numbers that colour the boxes instead of the families of operators; one at most.
        offered: Numbers that readers of HTML may choose instead; other formats leave them out.
        warn: Receives what had to be folded; None for Python's :mod:`warnings`.

    Returns:
        The file's content; the same model, font files and Graphviz give the same bytes.

    Raises:
        InputError: The source is no model, the format, depth or direction is not one of those, a name is of nothing,
            or there are more overlays, or a depth, than the format takes.
        MissingError: pygraphviz or, for PNG and PDF, any font, or for TensorBoard tensorboard is not installed.
        ExecutionError: Graphviz gave up.
    """
    if form not in (*FORMATS, TENSORBOARD):
        raise InputError(f"Pictures are drawn as {_listed(FORMATS)}, not as {form or 'a file without a suffix'!r}.")
    if direction not in DIRECTIONS:
        raise InputError(f"A picture's direction is {_listed(DIRECTIONS)}, not {direction!r}.")
    if depth is not None and depth < 0:
        raise InputError(f"A picture's depth is 0 or more, not {depth}; give the levels of modules to open.")
    from graphkit.render.drawing import Show
    from graphkit.render.folding import Sketch, is_drawable
    from graphkit.render.part import part

    view, name = _view(source, view)
    view = part(view, start=start, end=end, around=around, hops=hops)
    title = title or name
    if len(overlays) > 1:
        raise InputError(f"A picture has one colour for each box; give one overlay instead of {len(overlays)}.")
    if form == TENSORBOARD:
        from graphkit.render.tensorboard import events

        if depth is not None or overlays:
            raise InputError("TensorBoard folds and colours a graph itself; leave the depth and the numbers out.")
        return events(view)
    if form == "html":
        if depth is not None:
            raise InputError("The viewer folds and opens modules itself; leave the depth out.")
        return _page(source, view, title, overlays, offered)
    sketch = Sketch(view, title, depth, Show(shapes, parameters, attributes), next(iter(overlays), None))
    told = warn or _warn
    if form == "mmd":
        from graphkit.render.mermaid import to_mermaid

        text, folded = to_mermaid(sketch, direction=direction)
        if folded:
            told(f"The graph is larger than what GitHub draws of Mermaid, so {folded}; {_INSTEAD}")
        return text.encode()
    from graphkit.render.dot import to_dot
    from graphkit.render.engine import lay_out

    drawing, folded = sketch.drawn(is_drawable)
    if folded:
        told(f"The graph has more boxes or arrows than Graphviz lays out in seconds, so {folded}; {_INSTEAD}")
    text = to_dot(drawing, direction=direction)
    return text.encode() if form == "dot" else lay_out(text, form)


_INSTEAD: Final = "choose what to fold with a depth, draw a part, or explore all of it in the viewer (graphkit view)."


def _page(
    source: ir.Model | nx.MultiDiGraph,
    view: nx.MultiDiGraph,
    title: str,
    overlays: Sequence[Overlay],
    offered: Sequence[Overlay],
) -> bytes:
    """The viewer's page."""
    import onnx_ir as ir

    from graphkit.render.viewer.page import to_html
    from graphkit.render.viewer.payload import Subject, subject

    if isinstance(source, ir.Model):
        shown = subject(source, view=view, title=title, overlays=[*overlays, *offered])
    else:
        shown = Subject(view, title or view.graph["name"] or "model", overlays=[*overlays, *offered])
    return to_html([shown], colours=overlays[0].title if overlays else "").encode()


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def format_of(path: str | Path) -> str:
    """The format that a file's suffix names, one of :data:`FORMATS`; :data:`TENSORBOARD` for a folder.

    A folder is one that is there, or a path that ends in a slash.

    Raises:
        InputError: The suffix is not one of them.
    """
    if str(path).endswith(("/", "\\")) or Path(path).is_dir():
        return TENSORBOARD
    suffix = Path(path).suffix
    form = suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InputError(
            f"{path} does not say what to draw: its suffix is {suffix or 'missing'}; give it one of "
            f"{', '.join('.' + known for known in FORMATS)}, or end it in / for a folder that TensorBoard reads."
        )
    return form


def render(source: ir.Model | nx.MultiDiGraph, path: str | Path, **options: Unpack[Options]) -> Path:
    """Draw a model into a file, written whole or not at all, in the format that its suffix names.

    Args:
        source: Any model, or a view with the keys of :mod:`graphkit.ir.view`.
        path: The file, ending in ``.dot``, ``.svg``, ``.png``, ``.pdf``, ``.mmd`` or ``.html``; or a folder, which is
            made if it ends in a slash, for an event file that TensorBoard reads.
        **options: Arguments of :func:`picture`.

    Returns:
        The path of what was written.

    Raises:
        InputError: The suffix, or one of the options, is not a known one, or the file cannot be written.
        MissingError: pygraphviz or, for PNG and PDF, any font, or for TensorBoard tensorboard is not installed.
        ExecutionError: Graphviz gave up.
    """
    from graphkit.files import write_whole
    from graphkit.stamps import marked

    form = format_of(path)
    content = marked(picture(source, form, **options), form, _model(source), **_told(options))
    target = Path(path)
    if form == TENSORBOARD:
        from graphkit.render.tensorboard import FILE

        target /= FILE
    write_whole(target, content, make=form == TENSORBOARD)
    return target


def _model(source: ir.Model | nx.MultiDiGraph) -> ir.Model | None:
    import onnx_ir as ir

    return source if isinstance(source, ir.Model) else None


def _told(options: Options) -> dict[str, object]:
    """The options that change a picture, as its record tells them."""
    around = ", ".join(options.get("around", ()))
    return {
        "depth": options.get("depth"),
        "direction": options.get("direction"),
        "shapes": None if options.get("shapes", True) else "no",
        "parameters": None if options.get("parameters", True) else "no",
        "attributes": None if options.get("attributes", True) else "no",
        "start": ", ".join(options.get("start", ())) or None,
        "end": ", ".join(options.get("end", ())) or None,
        "around": around or None,
        "hops": options.get("hops") if around else None,
        "colours": ", ".join(overlay.title for overlay in options.get("overlays", ())) or None,
    }


def _listed(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _view(source: ir.Model | nx.MultiDiGraph, view: nx.MultiDiGraph | None) -> tuple[nx.MultiDiGraph, str]:
    """The view to draw, and what the model was read from where that is known."""
    import onnx_ir as ir

    from graphkit.ir.origin import source_of
    from graphkit.ir.view import nx_view

    if not isinstance(source, ir.Model):
        if not hasattr(source, "graph"):
            raise InputError(
                f"A picture is drawn of a model or a view, not of {source!r}. "
                f"Read it first: graphkit.render(graphkit.look({source!r}), …)."
            )
        return source, ""
    origin = source_of(source)
    return nx_view(source) if view is None else view, origin.label if origin is not None else ""
