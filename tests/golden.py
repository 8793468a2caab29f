"""The pictures kept in ``fixtures/render``; ``python tests/golden.py`` draws them anew."""

from __future__ import annotations

from pathlib import Path

from drawn import block

from graphkit.render import picture

__all__ = ["GOLDEN", "draw"]

GOLDEN = Path(__file__).resolve().parents[1] / "fixtures" / "render"


def draw(form: str, folder: Path) -> Path:
    """Draw the block in a format."""
    path = folder / f"block.{form}"
    path.write_bytes(picture(block(), form, title="block"))
    return path


if __name__ == "__main__":
    for form in ("dot", "mmd"):
        draw(form, GOLDEN)
