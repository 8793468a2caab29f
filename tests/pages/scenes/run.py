"""What docs/run.md runs: a small classifier of images, a model of two inputs, and things to feed them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "ort")
BERT = """
<ir_version: 10, opset_import: ["": 23]>
g (int64[batch, length] ids, float[batch, length] mask) => (float[batch, length] y)
<float[7] table = {0, 1, 2, 3, 4, 5, 6}>
{ hidden = Gather(table, ids) y = Mul(hidden, mask) }
"""


def prepare(folder: Path) -> None:
    """Write the models and what is fed to them."""
    import torch
    from PIL import Image

    import graphkit
    from pages.models import exported

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(196, 12))
    exported(net, (2, 3, 16, 16), folder / "net.pt2")
    model = graphkit.load(folder / "net.pt2")
    model.graph.inputs[0].name, model.graph.outputs[0].name = "images", "scores"
    graphkit.save(model, folder / "net.onnx", to="onnx")
    ir.save(ir.from_onnx_text(BERT), folder / "bert.onnx")
    numbers = np.arange(5 * 3 * 16 * 16).reshape(5, 3, 16, 16)
    np.save(folder / "batch.npy", np.sin(numbers).astype(np.float32))
    Image.fromarray(np.arange(1800).reshape(20, 30, 3).astype(np.uint8)).save(folder / "photo.jpg")
    (folder / "both.json").write_text(json.dumps({"ids": [[1, 2, 3]], "mask": [[1, 1, 0]]}), encoding="utf-8")
