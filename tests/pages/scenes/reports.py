"""The program that docs/reports.md verifies, and a file of it in which a weight is another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort")


def prepare(folder: Path) -> None:
    """Write both."""
    import torch

    import graphkit
    from pages.models import exported

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    exported(net, (2, 4), folder / "net.pt2")
    with torch.no_grad():
        net[2].weight[1, 3] += 0.25
    graphkit.save(graphkit.load(net, inputs=["input:2x4"]), folder / "deployed.onnx", to="onnx")
