"""A picture of a terminal, with its colours, as an SVG that needs nothing from elsewhere."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COLUMNS", "Terminal"]

COLUMNS: Final = 96
"""Width of the terminal, in characters: what is readable at the width of a page."""

_FONTS: Final = re.compile(r"@font-face \{\{.*?\}\}\n", re.DOTALL)


class Terminal:
    """What was typed, and what came."""

    def __init__(self) -> None:
        self._console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)

    def show(self, typed: str, came: str) -> str:
        """Show a command and what it printed, and give that without its colours."""
        text = Text.from_ansi(came.rstrip("\n"))
        self._console.print(Text(f"$ {typed}", style="bold cyan"))
        self._console.print(text, soft_wrap=False)
        self._console.print()
        return text.plain + "\n"

    def save(self, path: Path) -> None:
        """Write the picture."""
        svg = self._console.export_svg(title="", code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT), unique_id="terminal")
        path.write_text(svg, encoding="utf-8")
