"""A small one of the decoders that ``tools/bench_giant.py`` makes: external data in three files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pages.listing import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def prepare(folder: Path) -> None:
    (folder / "tools").symlink_to(ROOT / "tools")
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from bench_giant import make
    finally:
        sys.path.remove(str(ROOT / "tools"))
    path, _ = make(folder, 12_000_000, layers=4)
    path.rename(folder / "giant.onnx")
