"""The losses that MXNet's output layers train: scalars whose gradient in the data is what the layer injects.

MXNet computes no such number, only its gradient; each function gives the loss that has this very gradient, and the
layer's output, through which no gradient flows back, as in MXNet. So training makes the sum of all losses small.
Source of every gradient: MXNet 1.9.1's ``softmax_output-inl.h``, ``regression_output-inl.h``, ``make_loss-inl.h`` and
``svm_output.cc``; the tests compare them with the real ones. MXNet holds scales in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.spec import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, OnnxBuilder
    from graphkit.ops.mxgraph import MxNode

__all__ = ["flag", "labelled", "make_loss", "make_loss_plain", "regression", "softmax", "svm"]


def flag(node: MxNode, name: str) -> bool:
    """A parameter that is False unless it is given."""
    return bool(BOOL.parse(node.attrs.get(name, "False")))


def _number(node: MxNode, name: str, default: float) -> float:
    number: float = FLOAT.parse(node.attrs.get(name, str(default)))
    return number


def labelled(label: ir.Value, dims: Sequence[Dim]) -> ir.Value:
    """The label, which is of the shape that MXNet infers for it if nothing else says its shape."""
    if label.shape is None and label.producer() is None:
        label.shape = ir.Shape(dims)
    return label


def softmax(b: OnnxBuilder, node: MxNode, data: ir.Value, given: ir.Value, output: ir.Value) -> ir.Value | Refusal:
    """SoftmaxOutput: cross entropy, with every option of it but ``out_grad``.

    The loss is divided by the number of labels (``normalization="batch"``) or of labels other than ``ignore_label``
    (``"valid"``), or else by the positions of an example (``multi_output``, which heeds no ``smooth_alpha``). Labels of
    the shape of the data are probabilities, for which MXNet heeds nothing but ``grad_scale``.

    Args:
        b: The builder.
        node: The output layer.
        data: What it reads.
        given: Its label.
        output: What it computes.
    """
    if flag(node, "out_grad"):
        return Refusal("with out_grad MXNet 1.9.1 multiplies the gradient by the layer's output; take it out")
    dims, multi = b.shape(data), flag(node, "multi_output")
    kept = (dims[0], *dims[2:]) if multi else dims[:-1]
    label = labelled(given, kept)
    result = b.stopped(output)
    scale = _number(node, "grad_scale", 1.0)
    if b.rank(label) == len(dims):
        plain = data if multi or flag(node, "preserve_shape") or len(dims) == 2 else b.op("Flatten", data, axis=1)
        spread = b.op("ReduceLogSumExp", plain, [1 if multi else -1], keepdims=0)
        hit = b.op("ReduceSum", b.op("Mul", b.stopped(label), data), keepdims=0)
        _emit(b, b.op("Sub", b.op("ReduceSum", spread, keepdims=0), hit), scale, None)
        return result
    if not multi and len(dims) != 2 and not flag(node, "preserve_shape"):
        return Refusal(
            f"of the labels of data with {len(dims)} axes MXNet 1.9.1 reads the first few only; give multi_output or "
            f"preserve_shape"
        )
    if not multi and len(dims) > 2:
        data, label = b.op("Flatten", data, axis=len(dims) - 1), b.op("Reshape", label, [-1])
    elif multi and b.rank(label) != len(dims) - 1:
        data, label = b.op("Reshape", data, [0, 0, -1]), b.op("Reshape", label, [0, -1])
    loss, divisor = _cross_entropy(b, node, data, label, multi=multi)
    _emit(b, loss, scale, divisor)
    return result


def _cross_entropy(
    b: OnnxBuilder, node: MxNode, data: ir.Value, label: ir.Value, *, multi: bool
) -> tuple[ir.Value, ir.Value | float | None]:
    """The sum over all labels, or the mean, and what it is to be divided by; the classes are on axis 1."""
    ignored = int(_number(node, "ignore_label", -1.0))
    skips = ignored if flag(node, "use_ignore") else None
    alpha = 0.0 if multi else _number(node, "smooth_alpha", 0.0)
    normalization = node.attrs.get("normalization", "null")
    classes = b.op("Cast", label, to=int(ir.DataType.INT64))
    mean = normalization == "batch" and skips is None and not alpha
    loss = b.op("SoftmaxCrossEntropyLoss", data, classes, reduction="mean" if mean else "sum", ignore_index=skips)
    if mean:
        return loss, None
    counted = None
    if skips is not None or normalization == "valid":
        ignore = b.const(np.int64(ignored))
        counted = b.op("Cast", b.op("Not", b.op("Equal", classes, ignore)), to=_type(b, data))
    if alpha:
        loss = _smoothed(b, loss, data, counted if skips is not None else None, alpha)
    if normalization == "valid":
        assert counted is not None
        return loss, b.op("Max", b.op("ReduceSum", counted, keepdims=0), b.scalar(1.0, data))
    if normalization == "batch":
        return loss, _size(b, label, data)
    if not multi:
        return loss, None
    places = b.shape(label)[1:]
    if all(isinstance(dim, int) for dim in places):
        return loss, float(np.prod([int(str(dim)) for dim in places]))
    rows = b.op("Gather", b.op("Shape", label), b.const(np.int64(0)), axis=0)
    return loss, b.op("Div", _size(b, label, data), b.op("Cast", rows, to=_type(b, data)))


def _smoothed(b: OnnxBuilder, loss: ir.Value, data: ir.Value, counted: ir.Value | None, alpha: float) -> ir.Value:
    """Cross entropy with the target 1 - alpha for the label and alpha / (classes - 1) for every other class."""
    rest = alpha / (_classes(b, data) - 1)
    every = b.op("ReduceSum", b.op("LogSoftmax", data, axis=1), [1], keepdims=0)
    total = b.op("ReduceSum", every if counted is None else b.op("Mul", every, counted), keepdims=0)
    part = b.op("Mul", loss, b.scalar(1 - alpha - rest, data))
    return b.op("Sub", part, b.op("Mul", total, b.scalar(rest, data)))


def regression(b: OnnxBuilder, node: MxNode, data: ir.Value, given: ir.Value, output: ir.Value) -> ir.Value:
    """Linear-, MAE- and LogisticRegressionOutput: half the square, the magnitude, binary cross entropy.

    Each is summed over all elements and divided by the number of elements of one example.
    """
    dims = b.shape(data)
    label = labelled(given, dims[:1] if len(dims) == 2 and dims[1] == 1 else dims)
    target = b.stopped(label)
    if b.shape(label) != dims:
        target = b.op("Reshape", target, b.op("Shape", data))
    if node.op == "LogisticRegressionOutput":
        each = b.op("Sub", b.op("Softplus", data), b.op("Mul", data, target))
    else:
        gap = b.op("Sub", data, target)
        # Where it is zero, the gradient of the magnitude is -1 in MXNet, as it is of 2 relu(x) - x.
        twice = b.op("Mul", b.op("Relu", gap), b.scalar(2.0, data))
        each = b.op("Mul", gap, gap) if node.op == "LinearRegressionOutput" else b.op("Sub", twice, gap)
    scale = _number(node, "grad_scale", 1.0) * (0.5 if node.op == "LinearRegressionOutput" else 1.0)
    divisor: ir.Value | float
    if all(isinstance(dim, int) for dim in dims[1:]):
        divisor = float(np.prod([int(str(dim)) for dim in dims[1:]]))
    else:
        divisor = b.op("Div", _size(b, data, data), _rows(b, data))
    _emit(b, b.op("ReduceSum", each, keepdims=0), scale, divisor)
    return b.stopped(output)


def make_loss(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """MakeLoss: the data itself, divided by the batch size or by how many elements are above ``valid_thresh``."""
    data = x[0]
    assert data is not None
    result = b.stopped(data)
    normalization = node.attrs.get("normalization", "null")
    divisor = None
    if normalization == "batch":
        divisor = _rows(b, data)
    elif normalization == "valid":
        above = b.op("Greater", result, b.scalar(_number(node, "valid_thresh", 0.0), data))
        count = b.op("ReduceSum", b.op("Cast", above, to=_type(b, data)), keepdims=0)
        divisor = b.op("Max", count, b.scalar(1.0, data))
    _emit(b, b.op("ReduceSum", data, keepdims=0), _number(node, "grad_scale", 1.0), divisor)
    return result


def make_loss_plain(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    """make_loss: the sum of the data."""
    data = x[0]
    assert data is not None
    _emit(b, b.op("ReduceSum", data, keepdims=0), 1.0, None)
    return b.stopped(data)


def svm(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """SVMOutput: the hinge of every class against the others, squared unless ``use_linear``."""
    data, given = x
    assert data is not None
    assert given is not None
    if b.rank(data) != 2:
        return Refusal(f"its data has {b.rank(data)} axes and MXNet trains matrices only; flatten it before")
    label = labelled(given, b.shape(data)[:1])
    classes = _classes(b, data)
    signs = b.const(np.array([-1.0, 1.0]), b.dtype(data))
    side = b.op("OneHot", b.op("Cast", label, to=int(ir.DataType.INT64)), b.const(np.int64(classes)), signs, axis=-1)
    margin = b.scalar(_number(node, "margin", 1.0), data)
    hinge = b.op("Relu", b.op("Sub", margin, b.op("Mul", side, data)))
    each = hinge if flag(node, "use_linear") else b.op("Mul", hinge, hinge)
    _emit(b, b.op("ReduceSum", each, keepdims=0), _number(node, "regularization_coefficient", 1.0), None)
    return b.stopped(data)


def _classes(b: OnnxBuilder, data: ir.Value) -> int:
    """Number of classes, which are on axis 1."""
    size = b.shape(data)[1]
    return size if isinstance(size, int) else b.static_shape(data)[1]


def _type(b: OnnxBuilder, value: ir.Value) -> int:
    return int(ir.DataType.from_numpy(b.dtype(value)))


def _size(b: OnnxBuilder, value: ir.Value, like: ir.Value) -> ir.Value:
    return b.op("Cast", b.op("Size", value), to=_type(b, like))


def _rows(b: OnnxBuilder, value: ir.Value) -> ir.Value:
    rows = b.op("Gather", b.op("Shape", value), b.const(np.int64(0)), axis=0)
    return b.op("Cast", rows, to=_type(b, value))


def _emit(b: OnnxBuilder, loss: ir.Value, scale: float, divisor: ir.Value | float | None) -> None:
    """Give the model a loss, times ``scale`` and over ``divisor``."""
    if not scale:
        return
    if isinstance(divisor, float):
        scale, divisor = scale / divisor, None
    if divisor is not None:
        loss = b.op("Div", loss, divisor)
    b.loss(loss if scale == 1 else b.op("Mul", loss, b.scalar(scale, loss)))
