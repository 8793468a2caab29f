"""The output layer of mxnet-face's attribute network: a weighted sum of squares per attribute.

Forward it is the identity. Its gradient weighs each attribute by numbers that a file beside the symbol holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    return b.op("Identity", x[0])


def _train(_b: OnnxBuilder, node: MxNode, _x: Sequence[ir.Value | None]) -> Refusal:
    path = node.attrs.get("src_dist_path", "src_dist.txt")
    return Refusal(f"its loss weighs attributes by the numbers in {path}, which the symbol does not hold")


OP = Op(
    "",
    mx=(MxForm("MoonOutput", read=_read, train=_train, ignore=("grad_scale", "src_dist_path"), direction="read"),),
)
