"""What detectors are trained to give: offsets from anchors to labelled boxes, and classes.

MXNet's operators compute these for a loss and give no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.detection.boxes import numbers, single
from graphkit.ops.detection.suppression import rows_of
from graphkit.ops.gradients import flat
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, decimal, given
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_VARIANCES = (0.1, 0.1, 0.2, 0.2)
_OPTIONS = {
    "overlap_threshold": 0.5,
    "ignore_label": -1.0,
    "negative_mining_ratio": -1.0,
    "negative_mining_thresh": 0.5,
}
_KEYWORDS = ("overlap", "ignored", "negatives", "negative_overlap")
_SMALLEST = 1e-6
"""Overlap up to which a box and an anchor are no pair in MXNet."""


def _option(node: ir.Node, name: str, default: float) -> float:
    return node.attributes.get_float(name, default)


def _variances(node: ir.Node) -> list[float]:
    return list(node.attributes.get_floats("variances", list(_VARIANCES)))


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    options: dict[str, Any] = {name: single(node, name, str(default)) for name, default in _OPTIONS.items()}
    variances = numbers(node, "variances", str(_VARIANCES))
    if len(variances) != 4:
        return Refusal("variances are not the four numbers that MXNet needs")
    return b.ops("MultiBoxTarget", 3, *x, domain=DOMAIN, variances=variances, **options)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef]:
    options: dict[str, Any] = {name: np.float32(_option(node, name, default)) for name, default in _OPTIONS.items()}
    variances = tuple(np.float32(number) for number in _variances(node))
    return b.ops("_contrib_MultiBoxTarget", 3, *(some(operand) for operand in x), variances=variances, **options)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    options: dict[str, Any] = {}
    for keyword, (name, default) in zip(_KEYWORDS, _OPTIONS.items(), strict=True):
        number = decimal(_option(node, name, default))
        options[keyword] = None if number == default else number
    if options["negatives"] is not None and options["negatives"] <= 0:
        options["negatives"] = None
    variances = tuple(decimal(number) for number in _variances(node))
    options["variances"] = None if variances == _VARIANCES else variances
    return b.calls("multibox_target", 3, *x, **options)


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> Sequence[ir.Value]:
    anchors, labels, scores = x
    count, boxes = b.size(anchors, 1), b.size(labels, 1)
    one, zero = b.scalar(1.0, labels), b.scalar(0.0, labels)
    kind = ir.DataType.from_numpy(b.dtype(labels))
    ends = b.op("Cast", b.op("Equal", b.op("Slice", labels, [0], [1], [2]), b.scalar(-1.0, labels)), to=kind)
    there = b.op("Squeeze", b.op("Equal", b.op("CumSum", ends, np.asarray(1)), zero), [2])
    corners = b.op("Slice", labels, [1], [5], [2])
    ratio = b.op("Where", b.op("Unsqueeze", there, [1]), _overlaps(b, anchors, corners), b.scalar(-1.0, labels))
    most = b.op("ReduceMax", ratio, [2], keepdims=0)
    owner = _greedy(b, ratio, count, boxes)
    matched = b.op("GreaterOrEqual", owner, np.asarray(0))
    box = b.op("Where", matched, owner, b.op("ArgMax", ratio, axis=2, keepdims=0))
    overlap = _option(node, "overlap_threshold", 0.5)
    if overlap > 0:
        matched = b.op("Or", matched, b.op("Greater", most, b.scalar(overlap, most)))
    own = b.op("GatherND", labels, b.op("Unsqueeze", box, [2]), batch_dims=1)
    label = b.op("Squeeze", b.op("Slice", own, [0], [1], [2]), [2])
    background = b.op("Not", matched)
    if _option(node, "negative_mining_ratio", -1.0) > 0:
        background = _hardest(b, node, scores, matched, most, count)
    some_box = b.op("Greater", b.op("ReduceMax", b.op("Cast", there, to=kind), [1]), zero)
    background = b.op("And", background, some_box)
    ignored = b.scalar(_option(node, "ignore_label", -1.0), labels)
    classes = b.op("Where", matched, b.op("Add", label, one), b.op("Where", background, zero, ignored))
    is_box = b.op("Unsqueeze", matched, [2])
    offsets = b.op("Where", is_box, _offsets(b, node, anchors, b.op("Slice", own, [1], [5], [2])), zero)
    mask = b.op("Expand", b.op("Where", is_box, one, zero), b.op("Shape", offsets))
    return [b.op("Reshape", offsets, [0, 4 * count]), b.op("Reshape", mask, [0, 4 * count]), classes]


def _overlaps(b: BodyBuilder, anchors: ir.Value, corners: ir.Value) -> ir.Value:
    """Intersection over union of each anchor with each box, (images, anchors, boxes); 0 where both are nothing."""
    zero = b.scalar(0.0, corners)
    low, high, area = [], [], []
    for operand, axis in ((anchors, 2), (corners, 1)):
        first, second = b.ops("Split", 2, operand, [2, 2], axis=2)
        area.append(b.op("Unsqueeze", b.op("ReduceProd", b.op("Sub", second, first), [2], keepdims=0), [axis]))
        low.append(b.op("Unsqueeze", first, [axis]))
        high.append(b.op("Unsqueeze", second, [axis]))
    sides = b.op("Max", b.op("Sub", b.op("Min", *high), b.op("Max", *low)), zero)
    shared = b.op("ReduceProd", sides, [3], keepdims=0)
    union = b.op("Sub", b.op("Add", *area), shared)
    nothing = b.op("Equal", union, zero)
    return b.op("Where", nothing, zero, b.op("Div", shared, b.op("Where", nothing, b.scalar(1.0, corners), union)))


def _greedy(b: BodyBuilder, ratio: ir.Value, count: int, boxes: int) -> ir.Value:
    """The box that each anchor has when the best pair is made again and again; -1 for anchors without one."""
    flat = b.op("Reshape", ratio, [0, count * boxes])
    cells = np.arange(count * boxes)
    shape = b.op("Concat", b.op("Shape", ratio, start=0, end=1), [count], axis=0)
    owner = b.op("ConstantOfShape", shape, value=ir.tensor(np.asarray([-1])))
    smallest, taken = b.scalar(_SMALLEST, ratio), b.scalar(-1.0, ratio)

    def step(held: tuple[ir.Value, ...], _parts: tuple[ir.Value, ...]) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        rest, owners = held
        place = b.op("ArgMax", rest, axis=1)
        pair = b.op("Greater", b.op("GatherElements", rest, place, axis=1), smallest)
        anchor, box = b.op("Div", place, np.asarray(boxes)), b.op("Mod", place, np.asarray(boxes))
        beside = b.op("Or", b.op("Equal", anchor, (cells // boxes)[None]), b.op("Equal", box, (cells % boxes)[None]))
        new = b.op("And", pair, b.op("Equal", anchor, np.arange(count)[None]))
        rest = b.op("Where", b.op("And", pair, beside), taken, rest)
        return [rest, b.op("Where", new, box, owners)], []

    return b.scan(step, [flat, owner], [np.zeros(min(boxes, count), np.int64)])[1]


def _hardest(
    b: BodyBuilder, node: ir.Node, scores: ir.Value, matched: ir.Value, most: ir.Value, count: int
) -> ir.Value:
    """Anchors to train as background: as many as the ratio says of those that look least like it."""
    chance = b.op("Squeeze", b.op("Slice", b.op("Softmax", scores, axis=1), [0], [1], [1]), [1])
    near = b.op("GreaterOrEqual", most, b.scalar(_option(node, "negative_mining_thresh", 0.5), most))
    chance = b.op("Where", b.op("Or", matched, near), b.scalar(np.inf, chance), chance)
    ranked, order = b.ops("TopK", 2, chance, [count], axis=1, largest=0)
    positive = b.op("ReduceSum", b.op("CastLike", matched, most), [1])
    wanted = b.op("Floor", b.op("Mul", positive, b.scalar(_option(node, "negative_mining_ratio", -1.0), most)))
    wanted = b.op("Min", wanted, b.op("Sub", b.scalar(count, most), positive))
    rank = b.op("CastLike", np.arange(count)[None], most)
    chosen = b.op("And", b.op("Less", rank, wanted), b.op("Less", ranked, b.scalar(np.inf, ranked)))
    numbers = b.op("Cast", chosen, to=ir.DataType.INT64)
    none = b.op("Mul", order, np.asarray(0))
    return b.op("Cast", b.op("ScatterElements", none, order, numbers, axis=1), to=ir.DataType.BOOL)


def _offsets(b: BodyBuilder, node: ir.Node, anchors: ir.Value, own: ir.Value) -> ir.Value:
    """From anchors to their boxes, in units of the anchors' sizes and of the variances."""
    middles, sizes = [], []
    for operand in (anchors, own):
        first, second = b.ops("Split", 2, operand, [2, 2], axis=2)
        middles.append(b.op("Mul", b.op("Add", first, second), b.scalar(0.5, own)))
        sizes.append(b.op("Sub", second, first))
    moved = b.op("Div", b.op("Sub", middles[1], middles[0]), sizes[0])
    stretched = b.op("Log", b.op("Div", sizes[1], sizes[0]))
    variances = b.const(np.asarray(_variances(node)), b.dtype(own))
    return b.op("Div", b.op("Concat", moved, stretched, axis=2), variances)


def _read_encode(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    samples, matches, anchors, boxes, means, deviations = (some(operand) for operand in x)
    own = rows_of(b, boxes, as_int64(b, matches))
    middles, sizes = [], []
    for operand in (anchors, own):
        first, second = b.ops("Split", 2, operand, [2, 2], axis=2)
        sizes.append(b.op("Sub", second, first))
        middles.append(b.op("Add", first, b.op("Mul", sizes[-1], b.scalar(0.5, anchors))))
    moved = b.op("Div", b.op("Sub", middles[1], middles[0]), sizes[0])
    stretched = b.op("Log", b.op("Div", sizes[1], sizes[0]))
    encoded = b.op("Div", b.op("Sub", b.op("Concat", moved, stretched, axis=2), means), deviations)
    valid = b.op("Unsqueeze", b.op("Greater", samples, b.scalar(0.5, samples)), [2])
    targets = b.op("Where", valid, encoded, b.scalar(0.0, encoded))
    ones = b.op("Where", valid, b.scalar(1.0, encoded), b.scalar(0.0, encoded))
    return targets, b.op("Expand", ones, b.op("Shape", anchors))


_ANCHORS = given(
    [[[0.1, 0.1, 0.4, 0.4], [0.2, 0.2, 0.6, 0.7], [0.5, 0.5, 0.9, 0.9], [0.6, 0.1, 0.9, 0.4], [0.15, 0.1, 0.45, 0.5]]],
    "float32",
)
_LABELS = given(
    [
        [[1, 0.12, 0.1, 0.42, 0.45, 9], [0, 0.55, 0.5, 0.95, 0.93, 9], [-1, -1, -1, -1, -1, -1]],
        [[2, 0.6, 0.15, 0.85, 0.4, 9], [1, 0.62, 0.1, 0.88, 0.38, 9], [0, 0.61, 0.12, 0.9, 0.41, 9]],
        [[-1, -1, -1, -1, -1, -1], [-1, -1, -1, -1, -1, -1], [-1, -1, -1, -1, -1, -1]],
    ],
    "float32",
)
_SCORES = arr(3, 4, 5)
_MINING: dict[str, Any] = {"negative_mining_ratio": 1.5, "negative_mining_thresh": 0.3, "ignore_label": -2.0}


def _case(name: str, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    return Case(name, (_ANCHORS, _LABELS, _SCORES), attrs, outputs=3, grad=False, dynamic=dynamic)


_MX_CASES = (
    _case("defaults"),
    _case("own variances", variances="(0.2, 0.3, 0.4, 0.5)", overlap_threshold=0.3),
    _case("mining", **_MINING, minimum_negative_samples=0),
    _case("best only", overlap_threshold=0, dynamic=(1, 2)),
)

OPS = (
    Op(
        "MultiBoxTarget",
        domain=DOMAIN,
        body=_body,
        gradient=flat,
        mx=(
            MxForm(
                "_contrib_MultiBoxTarget",
                read=_read,
                reads=(*_OPTIONS, "variances"),
                ignore=("minimum_negative_samples",),
                write=_write,
                cases=_MX_CASES,
            ),
        ),
        torch=_torch,
        cases=(
            _case("plain"),
            _case("hard negatives", **_MINING),
            _case("more boxes", overlap_threshold=0.2, variances=[1.0, 1.0, 1.0, 1.0], dynamic=(1, 2)),
        ),
        limits=(
            *(
                Limit("read-float64", "MXNet's MultiBoxTarget computes in float32 only", case.name)
                for case in _MX_CASES
            ),
            *(
                Limit("mxnet-float64", "MXNet's MultiBoxTarget computes in float32 only", name)
                for name in ("plain", "hard negatives", "more boxes")
            ),
        ),
    ),
    Op(
        "",
        mx=(
            MxForm(
                "_contrib_box_encode",
                read=_read_encode,
                direction="read",
                cases=(
                    Case(
                        "encoded",
                        (
                            given([[1, -1, 0, 1], [0.2, 1, 1, 0.6]], "float32"),
                            given([[0, 1, 2, 1], [2, 2, 0, 1]], "float32"),
                            given(np.tile([0.1, 0.2, 0.5, 0.9], (2, 4, 1)), "float32"),
                            given(
                                np.tile([[0.1, 0.1, 0.3, 0.4], [0.2, 0.1, 0.9, 0.8], [0, 0, 1, 0.5]], (2, 1, 1)),
                                "float32",
                            ),
                            given([0.0, 0.1, 0.2, 0.3], "float32"),
                            given([0.1, 0.1, 0.2, 0.3], "float32"),
                        ),
                        outputs=2,
                        grad=False,
                        dynamic=(0, 1, 2, 3),
                    ),
                ),
            ),
        ),
    ),
)
