"""Where test data lies that is not part of the project."""

from __future__ import annotations

from pathlib import Path

__all__ = ["REAL_MODELS", "real_models"]

_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "mxnet-real"

REAL_MODELS: Path | None = _FOLDER if _FOLDER.is_dir() else None
"""Folder of MXNet files that others published, a folder per model; None where it is absent."""


def real_models() -> list[str]:
    """Names of the published models that have a symbol, sorted; empty where the data is absent."""
    return [] if REAL_MODELS is None else sorted(path.parent.name for path in REAL_MODELS.glob("*/symbol.json"))
