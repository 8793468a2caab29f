"""A symbol that factorises what a Gaussian process calls its covariance: x·xᵀ + 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages.models import Row, symbol

if TYPE_CHECKING:
    from pathlib import Path

_NODES: tuple[Row, ...] = (
    ("null", "x", {}, ()),
    ("_linalg_gemm2", "products", {"transpose_b": "True"}, (0, 0)),
    ("_eye", "noise", {"N": "8"}, ()),
    ("broadcast_add", "covariance", {}, (1, 2)),
    ("_linalg_potrf", "factor", {}, (3,)),
)


NEEDS = ("mxnet",)


def prepare(folder: Path) -> None:
    symbol(_NODES, folder / "gp-symbol.json")
