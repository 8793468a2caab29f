"""Graphviz, in a process of its own: ``python -P engine.py FORMAT PARENT`` turns DOT on stdin into a picture on stdout.

A layout engine is native code that may crash or print what it likes; here it can do neither to its caller. It is the
one in pygraphviz's wheel, so no Graphviz needs to be installed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["lay_out"]

_NO_PACKAGE: Final = 3
_NO_FONT: Final = 4
_POINTS: Final = 72
_PIXELS: Final = 80_000_000
"""Pixels of the largest PNG; larger pictures get a lower resolution."""

_SIDE: Final = 32_000
"""Pixels of a PNG's longest side; cairo stops at 32,767."""

_PAGE: Final = 14_000 / _POINTS
"""Inches of the longest side of a PDF; the format's readers stop at 14,400 points."""


_PATIENCE: Final = 300
"""Seconds after which a layout is given up."""


def lay_out(dot: str, form: str) -> bytes:
    """Draw DOT source.

    Args:
        dot: The source.
        form: ``"svg"``, ``"png"`` or ``"pdf"``.

    Raises:
        MissingError: pygraphviz, or for PNG and PDF any font, is not installed.
        ExecutionError: Graphviz crashed, gave up or took minutes.
    """
    from graphkit.errors import ExecutionError, MissingError

    try:
        done = subprocess.run(
            [sys.executable, "-P", str(Path(__file__).resolve()), form, str(os.getpid())],
            input=dot.encode("utf-8", "replace"),
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as late:
        raise ExecutionError(
            f"Graphviz had not laid out this graph after {_PATIENCE} seconds. Fold modules with a depth, draw a part "
            f"of it, or explore it in the viewer (a file that ends in .html)."
        ) from late
    if done.returncode == 0:
        return done.stdout
    if done.returncode == _NO_PACKAGE:
        raise MissingError(
            f"Drawing {form} needs pygraphviz, which this Python cannot import; install it (pip install "
            "'pygraphviz>=2'), or write .dot or .mmd, which need nothing."
        )
    if done.returncode == _NO_FONT:
        raise MissingError(
            f"This machine has no font to write text in a {form} with; install one (apt-get install "
            "fonts-dejavu-core), or write .svg, whose text is drawn by the viewer."
        )
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise ExecutionError(
        f"Graphviz could not draw this graph as {form} (status {done.returncode}"
        f"{': ' + said[-1].strip() if said else ''}). Write .dot to see what it was given, or fold scopes with a depth."
    )


def _main(form: str, parent: int) -> int:
    _end_with(parent)
    source = sys.stdin.buffer.read().decode()
    try:
        import pygraphviz
    except ImportError:
        return _NO_PACKAGE
    if form in ("png", "pdf") and _has_no_font(pygraphviz):
        return _NO_FONT
    graph = pygraphviz.AGraph(string=source)
    if form == "pdf":
        os.environ["TZ"] = "UTC"  # another time zone takes more digits in its date
        time.tzset()
        graph.graph_attr["size"] = f"{_PAGE:.1f},{_PAGE:.1f}"
    if form == "png":
        width, height = _size(graph.draw(format="svg", prog="dot"))
        dots = min(96.0, _POINTS * (_PIXELS / (width * height)) ** 0.5, _POINTS * _SIDE / max(width, height))
        graph.graph_attr["dpi"] = f"{dots:.1f}"
    picture = graph.draw(format=form, prog="dot")
    sys.stdout.buffer.write(_dateless(picture) if form == "pdf" else picture)
    return 0


def _dateless(pdf: bytes) -> bytes:
    """A PDF with the first second of 1970 for the one in which cairo made it; every offset in it stays what it is."""
    import re

    return re.sub(rb"/CreationDate \(D:\d{14}Z", b"/CreationDate (D:19700101000000Z", pdf)


def _end_with(parent: int) -> None:
    """Have the system kill this process with the one that waits for it: a layout may take hours (prctl(2) of Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _has_no_font(pygraphviz: ModuleType) -> bool:
    """Whether text is drawn as empty boxes, which are lower than a line of any font."""
    probe = pygraphviz.AGraph(string='digraph {x [label="x", shape=plain, fontsize=14]}')
    return _size(probe.draw(format="svg", prog="dot"))[1] < 14 + 8


def _size(svg: bytes) -> tuple[float, float]:
    """Width and height of an SVG in points."""
    import re

    found = re.search(rb'<svg width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    return (float(found[1]), float(found[2])) if found else (1.0, 1.0)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], int(sys.argv[2])))
