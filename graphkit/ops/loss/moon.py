"""The output layer of mxnet-face's attribute network: a weighted sum of squares per attribute.

Forward it is the identity. Its gradient weighs each attribute by numbers that a file beside the symbol holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import MxForm, Op

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Identity", x[0])


OP = Op("", mx=(MxForm("MoonOutput", read=_read, ignore=("grad_scale", "src_dist_path"), direction="read"),))
