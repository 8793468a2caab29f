"""A symbol that factorises what a Gaussian process calls its covariance: x·xᵀ + 1."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NODES = (
    ("null", "x", {}, ()),
    ("_linalg_gemm2", "products", {"transpose_b": "True"}, (0, 0)),
    ("_eye", "noise", {"N": "8"}, ()),
    ("broadcast_add", "covariance", {}, (1, 2)),
    ("_linalg_potrf", "factor", {}, (3,)),
)


NEEDS = ("mxnet",)


def prepare(folder: Path) -> None:
    nodes = [
        {"op": op, "name": name, "attrs": attrs, "inputs": [[read, 0, 0] for read in inputs]}
        for op, name, attrs, inputs in _NODES
    ]
    symbol = {"nodes": nodes, "arg_nodes": [0], "heads": [[4, 0, 0]], "attrs": {"mxnet_version": ["int", 10901]}}
    (folder / "gp-symbol.json").write_text(json.dumps(symbol), encoding="utf-8")
