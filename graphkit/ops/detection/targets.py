"""Operators that make targets to train detectors with; they have no place in a converted model and are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode


def _refuse(_b: OnnxBuilder, _node: MxNode, _x: Sequence[ir.Value | None]) -> Refusal:
    return Refusal(
        "it makes targets to train a detector with from labels; convert the symbol that detects, which "
        "symbol.get_internals() gives by the name of its output"
    )


def _form(op: str, *ignored: str) -> MxForm:
    return MxForm(op, read=_refuse, ignore=ignored, direction="read")


OP = Op(
    "",
    mx=(
        _form(
            "_contrib_MultiBoxTarget",
            "ignore_label",
            "minimum_negative_samples",
            "negative_mining_ratio",
            "negative_mining_thresh",
            "overlap_threshold",
            "variances",
        ),
        _form("_contrib_bipartite_matching", "is_ascend", "threshold", "topk"),
        _form("_contrib_box_encode"),
    ),
)
