"""MXNet's output layers: what they compute forward, and in the training form the loss that they train.

Their backward pass ignores the gradient that flows in from above and injects that of a loss instead. In the inference
form they are what they compute and their labels go; :mod:`graphkit.ops.loss.objectives` has the training form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.loss import objectives
from graphkit.ops.loss.objectives import flag
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr

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


def _read_softmax(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data = x[0]
    assert data is not None
    if flag(node, "multi_output"):
        return b.op("Softmax", data, axis=1)
    if flag(node, "preserve_shape"):
        return b.op("Softmax", data, axis=-1)
    if data.shape is None or b.rank(data) == 2:
        if data.shape is None:
            return Refusal("the rank of its input is not known; give the input's shape with --input")
        return b.op("Softmax", data, axis=-1)
    flat = b.op("Softmax", b.op("Flatten", data, axis=1), axis=-1)
    return b.op("Reshape", flat, b.op("Shape", data))


def _train_softmax(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, label = x
    assert data is not None
    assert label is not None
    result = _read_softmax(b, node, x)
    return result if isinstance(result, Refusal) else objectives.softmax(b, node, data, label, result)


def _reads(onnx: str) -> Read:
    return lambda b, _node, x: b.op(onnx, x[0])


def _trains(onnx: str) -> Read:
    def train(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        data, label = x
        assert data is not None
        assert label is not None
        result = data if onnx == "Identity" else b.op(onnx, data)
        return objectives.regression(b, node, data, label, result)

    return train


def _train_sparseness(_b: OnnxBuilder, _node: MxNode, _x: Sequence[ir.Value | None]) -> Refusal:
    return Refusal("its penalty follows a running average that only MXNet keeps; read the model without --train")


_DATA, _LABELS = arr(3, 4), arr(3, low=0, high=4)


def _regression(op: str, onnx: str) -> MxForm:
    case = Case("inference", (_DATA, arr(3, 4)), grad=False)
    reads = _reads(onnx)
    return MxForm(op, read=reads, train=_trains(onnx), ignore=_TRAINING_ONLY, direction="read", cases=(case,))


def _made(op: str, train: Read) -> MxForm:
    case = Case("inference", (_DATA,), grad=False)
    reads = _reads("Identity")
    return MxForm(op, read=reads, train=train, ignore=_TRAINING_ONLY, direction="read", cases=(case,))


OP = Op(
    "",
    mx=(
        MxForm(
            "SoftmaxOutput",
            read=_read_softmax,
            train=_train_softmax,
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
        _regression("LinearRegressionOutput", "Identity"),
        _regression("MAERegressionOutput", "Identity"),
        _regression("LogisticRegressionOutput", "Sigmoid"),
        MxForm(
            "SVMOutput",
            read=_reads("Identity"),
            train=objectives.svm,
            ignore=_TRAINING_ONLY,
            direction="read",
            cases=(Case("inference", (_DATA, _LABELS), grad=False),),
        ),
        MxForm(
            "IdentityAttachKLSparseReg",
            read=_reads("Identity"),
            train=_train_sparseness,
            ignore=("momentum", "penalty", "sparseness_target"),
            direction="read",
            cases=(Case("sparse", (arr(3, 4, low=0.1, high=0.9), arr(4, low=0.1, high=0.9)), const=(1,), grad=False),),
        ),
        _made("MakeLoss", objectives.make_loss),
        _made("make_loss", objectives.make_loss_plain),
    ),
    limits=(Limit("read-float64", "it computes in float32 only", "sparse"),),
)
