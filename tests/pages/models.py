"""Models that scenes of pages are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Row", "exported", "symbol"]

Row = tuple[str, str, dict[str, str], tuple[int, ...]]
"""A node of a symbol: operator (``null`` for a variable), name, attributes, and the nodes that it reads."""


def exported(net: nn.Module, shape: Sequence[int], path: Path) -> None:
    """Save an exported program with a free batch.

    Args:
        net: A network of one input.
        shape: That of the example it is exported with.
        path: Where to.
    """
    batch = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(net.eval(), (torch.randn(*shape),), dynamic_shapes=batch, strict=False), path)


def symbol(rows: Sequence[Row], path: Path) -> None:
    """Write a symbol of MXNet 1.9.1 that gives what its last node gives.

    Args:
        rows: Its nodes, each after those that it reads.
        path: Where to.
    """
    nodes = [
        {"op": op, "name": name, "attrs": attrs, "inputs": [[read, 0, 0] for read in inputs]}
        for op, name, attrs, inputs in rows
    ]
    variables = [number for number, (op, *_) in enumerate(rows) if op == "null"]
    heads, version = [[len(rows) - 1, 0, 0]], {"mxnet_version": ["int", 10901]}
    text = json.dumps({"nodes": nodes, "arg_nodes": variables, "heads": heads, "attrs": version})
    path.write_text(text, encoding="utf-8")
