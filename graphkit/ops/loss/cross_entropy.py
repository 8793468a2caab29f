"""Cross entropy and negative log-likelihood of classes.

MXNet has no operator with their options (its output layers compute no loss), so both are composed: the log-probability
of each label is picked, weighted, masked where the label is the ignored one, and summed or averaged.
A label that is no class and not the ignored one has no meaning in ONNX; MXNet takes the nearest class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.ir.params import kind_of
from graphkit.ops.loss.grad_cross_entropy import cross_entropy, likelihood
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _write_entropy(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> list[MxRef] | Refusal:
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    logs = b.op("log_softmax", some(x[0]), axis=1, name="log")
    return [_likelihood(b, node, logs, x), logs]


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    b.warn(
        "MXNet takes probabilities below 1e-8 for 1e-8 in the sum, not in its gradient; the converted model does not"
    )
    classes = b.op("Cast", x[1], to=ir.DataType.INT64)
    return b.op("Reshape", b.op("SoftmaxCrossEntropyLoss", x[0], classes, reduction="sum"), [1])


def _write_likelihood(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    return _likelihood(b, node, some(x[0]), x)


def _likelihood(b: MxBuilder, node: ir.Node, logs: MxRef, x: Sequence[MxRef | None]) -> MxRef:
    data, label = some(node.inputs[0]), some(x[1])
    dtype = b.dtype(data).name
    weights = x[2] if len(x) > 2 else None
    ignored = node.attributes.get("ignore_index")
    reduction = node.attributes.get_string("reduction", "mean")
    each = b.op("negative", b.op("pick", logs, label, axis=1, mode="clip"))
    weight = None if weights is None else b.op("take", weights, label, axis=0, mode="clip")
    if weight is not None:
        each = b.op("elemwise_mul", each, weight, name="weighted")
    if ignored is not None:
        heeded = b.op("Cast", b.op("_not_equal_scalar", label, scalar=ignored.as_int()), dtype=dtype, name="heeded")
        nothing = b.op("zeros_like", each)
        each = b.op("where", heeded, each, nothing)
        weight = heeded if weight is None else b.op("where", heeded, weight, nothing, name="where_weight")
    if reduction == "none":
        return each
    if reduction == "mean" and weight is None:
        return b.op("mean", each)
    total = b.op("sum", each)
    if reduction == "sum" or weight is None:
        return total
    return b.op("elemwise_div", total, b.op("sum", weight, name="sum_weight"))


def _torch_entropy(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> list[Arg] | Refusal:
    if (misfit := _misfit(b, node)) is not None:
        return misfit
    logs_used = len(node.outputs) > 1 and (bool(node.outputs[1].uses()) or node.outputs[1].is_graph_output())
    if not logs_used and not _trains_weights(node):
        return [_torch_loss(b, node, "F.cross_entropy", x)]
    logs = b.call("F.log_softmax", x[0], dim=1)
    return [_torch_of_logs(b, node, [logs, *x[1:]]), logs]


def _torch_likelihood(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    misfit = _misfit(b, node)
    return _torch_of_logs(b, node, x) if misfit is None else misfit


def _torch_of_logs(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return _torch_weighted(b, node, x) if _trains_weights(node) else _torch_loss(b, node, "F.nll_loss", x)


def _misfit(b: MxBuilder | TorchBuilder, node: ir.Node) -> Refusal | None:
    """Why weights are not those of the classes."""
    weights = node.inputs[2] if len(node.inputs) > 2 else None
    have = None if weights is None else b.shape(weights)[0]
    classes = b.shape(some(node.inputs[0]))[1]
    if isinstance(have, int) and isinstance(classes, int) and have != classes:
        return Refusal(f"it has {have} weights for {classes} classes")
    return None


def _trains_weights(node: ir.Node) -> bool:
    """Whether a gradient flows to the weights of the classes, which torch's own losses have none for."""
    weights = node.inputs[2] if len(node.inputs) > 2 else None
    return weights is not None and (weights.const_value is None or kind_of(weights) == "parameter")


def _torch_loss(b: TorchBuilder, node: ir.Node, function: str, x: Sequence[Any], **options: Arg) -> Arg:
    if len(x) > 2 and x[2] is not None:
        options["weight"] = x[2]
    if (ignored := node.attributes.get("ignore_index")) is not None:
        options["ignore_index"] = ignored.as_int()
    if "reduction" not in options and (reduction := node.attributes.get_string("reduction", "mean")) != "mean":
        options["reduction"] = reduction
    return b.call(function, x[0], _torch_label(b, node, x[1]), **options)


def _torch_label(b: TorchBuilder, node: ir.Node, label: Any) -> Any:
    return label if b.dtype(some(node.inputs[1])).name == "int64" else b.method("long", label)


def _torch_weighted(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    each = _torch_loss(b, node, "F.nll_loss", x[:2], reduction="none")
    label = _torch_label(b, node, x[1])
    last = b.infix("-", b.size(some(node.inputs[2]), 0), 1)
    weight = b.item(x[2], b.method("clamp", label, 0, last))
    if (ignored := node.attributes.get("ignore_index")) is not None:
        weight = b.infix("*", weight, b.infix("!=", label, ignored.as_int()))
    weighted = b.infix("*", each, weight)
    reduction = node.attributes.get_string("reduction", "mean")
    if reduction == "none":
        return weighted
    total = b.method("sum", weighted)
    return total if reduction == "sum" else b.infix("/", total, b.method("sum", weight))


def _fits(_b: MxBuilder, node: ir.Node) -> bool | Refusal:
    label = node.inputs[1]
    ignored = node.attributes.get("ignore_index")
    if ignored is not None and label is not None and abs(ignored.as_int()) > 2**24:
        return Refusal(f"MXNet compares labels as float32, which has not its ignore_index {ignored.as_int()}")
    return True


_ROWS, _LABELS = arr(4, 3), given([2, 0, 1, 2], "int64")
_MAPS, _PLACES = arr(2, 3, 2, 2), given([[[2, 0], [1, 1]], [[0, 2], [2, 1]]], "int64")
_WEIGHTS = arr(3, low=0.5, high=2.0)


def _cases(*, several: bool) -> tuple[Case, ...]:
    return (
        Case("mean", (_ROWS, _LABELS), dynamic=(0, 1)),
        Case("sum", (_ROWS, _LABELS), {"reduction": "sum"}),
        Case("none", (_ROWS, _LABELS), {"reduction": "none"}),
        Case("maps", (_MAPS, _PLACES), dynamic=(0, 1)),
        Case("maps one by one", (_MAPS, _PLACES), {"reduction": "none"}),
        Case("int32 labels", (_ROWS, given([2, 0, 1, 2], "int32"))),
        Case("ignored", (_ROWS, _LABELS), {"ignore_index": 2}),
        Case("ignored none", (_ROWS, _LABELS), {"ignore_index": 0, "reduction": "none"}),
        Case("ignored sum", (_MAPS, _PLACES), {"ignore_index": 1, "reduction": "sum"}),
        Case("ignored is no class", (_ROWS, given([2, -1, 1, -1], "int64")), {"ignore_index": -1}),
        Case("weighted", (_ROWS, _LABELS, _WEIGHTS)),
        Case("weighted sum", (_MAPS, _PLACES, _WEIGHTS), {"reduction": "sum"}, const=(2,)),
        Case("weighted and ignored", (_MAPS, _PLACES, _WEIGHTS), {"ignore_index": 1}),
        Case("weighted and ignored none", (_ROWS, _LABELS, _WEIGHTS), {"ignore_index": 2, "reduction": "none"}),
        *((Case("with probabilities", (_ROWS, _LABELS), outputs=2),) if several else ()),
    )


OPS = (
    Op(
        "SoftmaxCrossEntropyLoss",
        mx=(
            MxForm("pick", when=_fits, write=_write_entropy, direction="write"),
            MxForm(
                "softmax_cross_entropy",
                read=_read,
                direction="read",
                cases=(Case("sum", (_ROWS, given([2, 0, 1, 2], "float32")), grad=False),),
            ),
        ),
        torch=_torch_entropy,
        gradient=cross_entropy,
        cases=_cases(several=True),
    ),
    Op(
        "NegativeLogLikelihoodLoss",
        mx=(MxForm("pick", when=_fits, write=_write_likelihood, direction="write"),),
        torch=_torch_likelihood,
        gradient=likelihood,
        cases=_cases(several=False),
    ),
)
