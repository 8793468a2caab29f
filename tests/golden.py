"""The pictures kept in ``fixtures/render``; ``python tests/golden.py`` draws them anew."""

from __future__ import annotations

from pathlib import Path

from drawn import block

from graphkit.render import render

__all__ = ["GOLDEN", "draw"]

GOLDEN = Path(__file__).resolve().parents[1] / "fixtures" / "render"


def draw(form: str, folder: Path) -> Path:
    """Draw the block in a format."""
    return render(block(), folder / f"block.{form}", title="block")


if __name__ == "__main__":
    for form in ("dot", "mmd"):
        draw(form, GOLDEN)
