"""MXNet's output layers in their inference form: what they compute forward, without their label.

Their backward pass ignores the gradient that flows in from above and injects the loss's own instead; that belongs to
training and is not part of the inference form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import BOOL, Case, MxForm, Op, Refusal, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

_TRAINING_ONLY = (
    "grad_scale",
    "ignore_label",
    "use_ignore",
    "normalization",
    "out_grad",
    "smooth_alpha",
    "margin",
    "regularization_coefficient",
    "use_linear",
    "valid_thresh",
)


def _flag(node: MxNode, name: str) -> bool:
    return bool(BOOL.parse(node.attrs.get(name, "False")))


def _read_softmax(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = x[0]
    assert data is not None
    if _flag(node, "multi_output"):
        return b.op("Softmax", data, axis=1)
    if _flag(node, "preserve_shape"):
        return b.op("Softmax", data, axis=-1)
    if data.shape is None or b.rank(data) == 2:
        if data.shape is None:
            return Refusal("the rank of its input is not known; give the input's shape with --input")
        return b.op("Softmax", data, axis=-1)
    flat = b.op("Softmax", b.op("Flatten", data, axis=1), axis=-1)
    return b.op("Reshape", flat, b.op("Shape", data))


def _reads(onnx: str) -> Read:
    return lambda b, _node, x: b.op(onnx, x[0])


_DATA, _LABELS = arr(3, 4), arr(3, low=0, high=4)


def _head(op: str, onnx: str, *inputs: object) -> MxForm:
    case = Case("inference", (_DATA, *(arr(3, 4) for _ in inputs)), grad=False)
    return MxForm(op, read=_reads(onnx), ignore=_TRAINING_ONLY, direction="read", cases=(case,))


OP = Op(
    "",
    mx=(
        MxForm(
            "SoftmaxOutput",
            read=_read_softmax,
            reads=("multi_output", "preserve_shape"),
            ignore=_TRAINING_ONLY,
            direction="read",
            cases=(
                Case("matrix", (_DATA, _LABELS), {"grad_scale": "2"}, grad=False),
                Case("multi", (arr(2, 3, 4, 4), arr(2, 4, 4)), {"multi_output": "1"}, grad=False),
                Case("preserve", (arr(2, 3, 4), arr(2, 3)), {"preserve_shape": "True"}, grad=False),
                Case("flattened", (arr(2, 3, 4), arr(2, 3)), grad=False),
            ),
        ),
        _head("LinearRegressionOutput", "Identity", _LABELS),
        _head("MAERegressionOutput", "Identity", _LABELS),
        _head("LogisticRegressionOutput", "Sigmoid", _LABELS),
        MxForm(
            "SVMOutput",
            read=_reads("Identity"),
            ignore=_TRAINING_ONLY,
            direction="read",
            cases=(Case("inference", (_DATA, _LABELS), grad=False),),
        ),
        _head("MakeLoss", "Identity"),
        _head("make_loss", "Identity"),
    ),
)
