"""Models in notebooks: a cell that ends in an ``onnx_ir.Model`` shows it as a picture.

IPython asks formatters how to show what a cell gives. One is registered by the type's name, so neither onnx_ir nor
anything that draws is imported before a model is shown; in a terminal, where no pictures are, it is never asked.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import GraphkitError
from graphkit.text import short

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.render.drawing import Drawing

__all__ = ["register", "register_here"]

_SVG: Final = "image/svg+xml"
_BOXES: Final = (250, 120, 60, 25)
"""Most boxes of a picture that people still read in a cell, and fewer where that is too large a file."""
_BYTES: Final = 2_000_000


def register(shell: Any) -> None:
    """Show models as pictures in an IPython shell.

    Args:
        shell: An ``IPython.core.interactiveshell.InteractiveShell``.
    """
    shell.display_formatter.formatters[_SVG].for_type_by_name("onnx_ir", "Model", _svg)


def register_here() -> None:
    """Show models as pictures in the IPython shell that this runs in, if it does."""
    found = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if found is not None and getattr(found, "display_formatter", None) is not None:
        register(found)


def _svg(model: ir.Model) -> str | None:
    """The picture of a model; None, with the reason on stderr, where there is none."""
    try:
        return _drawn(model)
    except GraphkitError as problem:
        _say(str(problem))
    except Exception as problem:  # what a cell gives must not fail because of how it is shown
        _say(f"the model cannot be drawn ({type(problem).__name__}: {short(str(problem), 300)}).")
    return None


def _drawn(model: ir.Model) -> str:
    from graphkit.ir.origin import source_of
    from graphkit.ir.view import nx_view
    from graphkit.render.dot import to_dot
    from graphkit.render.engine import lay_out
    from graphkit.render.folding import Sketch

    source = source_of(model)
    sketch = Sketch(nx_view(model), source.label if source is not None else "")
    for most in _BOXES:

        def fits(drawing: Drawing, most: int = most) -> bool:
            return sum(1 for _ in drawing.boxes()) <= most

        drawing, _ = sketch.drawn(fits)
        picture = lay_out(to_dot(drawing), "svg")
        if len(picture) <= _BYTES:
            break
    return picture.decode()


def _say(problem: str) -> None:
    print(f"graphkit: {problem}", file=sys.stderr)
