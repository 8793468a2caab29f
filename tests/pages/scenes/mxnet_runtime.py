"""The ONNX file of docs/mxnet-runtime.md, which takes axes, a number of elements and scales as inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = ("torch", "mxnet")
_NET = """
<ir_version: 10, opset_import: ["": 21]>
net (float[batch, 3, 8, 8] image, int64[2] axes, int64[1] k, float[4] scales)
=> (float[batch, most] best, int64[batch, most] at)
<float[batch, 3, 16, 16] y, float[batch, 3] m>
{
    [larger] y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
        (image, , scales)
    [mean] m = ReduceMean <keepdims = 0> (y, axes)
    [top] best, at = TopK (m, k)
}
"""


def prepare(folder: Path) -> None:
    """Write the model and the scales."""
    ir.save(ir.from_onnx_text(_NET), folder / "net.onnx")
    np.save(folder / "scales.npy", np.array([1, 1, 2, 2], np.float32))
