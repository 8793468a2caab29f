"""What docs/render.md draws: a small residual network as a program, as ONNX and as MXNet's symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort", "tensorboard")


def prepare(folder: Path) -> None:
    """Write the models."""
    import torch
    from torch import Tensor, nn

    import graphkit
    from pages.models import exported

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 3, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(3)
            self.conv2 = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + self.conv2(torch.relu(self.bn1(self.conv1(x)))))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer1 = nn.Sequential(Block(), Block())
            self.fc = nn.Linear(48, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.layer1(x).flatten(1))

    torch.manual_seed(0)
    exported(Net(), (2, 3, 4, 4), folder / "net.pt2")
    model = graphkit.load(folder / "net.pt2")
    model.graph.inputs[0].name, model.graph.outputs[0].name = "image", "logits"
    graphkit.save(model, folder / "net.onnx", to="onnx")
    graphkit.save(model, folder / "net", to="mxnet")
