"""What the README speaks of: an exported program, its conversion, and a symbol with its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort", "mxnet")

NETS = """
from torch import nn

def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
"""


def prepare(folder: Path) -> None:
    """Make the files."""
    import torch
    from realmxnet import mxnet

    import graphkit

    (folder / "mypackage").mkdir()
    (folder / "mypackage" / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "out").mkdir()
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(3, 4, 3, 2), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
            )
            self.fc = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.body(x).flatten(1))

    batch = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(Net().eval(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=batch, strict=False)
    torch.export.save(program, folder / "model.pt2")
    graphkit.convert(folder / "model.pt2", "mxnet", folder / "out" / "model")
    symbol = mxnet().sym
    data = symbol.Convolution(symbol.var("data"), kernel=(3, 3), num_filter=4, name="conv")
    data.save(str(folder / "legacy-symbol.json"))
    shapes = dict(zip(data.list_arguments(), data.infer_shape(data=(1, 3, 224, 224))[0], strict=True))
    weights = {f"arg:{name}": mxnet().nd.ones(shape) for name, shape in shapes.items() if name != "data"}
    mxnet().nd.save(str(folder / "legacy-0000.params"), weights)
