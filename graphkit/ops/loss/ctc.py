"""Connectionist temporal classification: the negative logarithm of the chance of labels over all their alignments.

The recurrence over frames is that of Graves et al., "Connectionist Temporal Classification" (2006), in logarithms.
Labels that do not fit their frames cost nothing, and have no gradient; MXNet gives what lies in memory for theirs, and
for all where no example of a batch has labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, int64
from graphkit.ops.tensor.sizes import as_int64, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, Operand, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_NEVER = -1e30
"""Logarithm of a chance that is none; finite, so that differences of two are numbers."""


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
    operands = [some(operand) for operand in x]
    data, labels = operands[0], as_int64(b, operands[1])
    given_lengths, given_counts = (
        bool(BOOL.parse(node.attrs.get(name, "False"))) for name in ("use_data_lengths", "use_label_lengths")
    )
    last = node.attrs.get("blank_label", "first") == "last"
    blank = b.shape(data)[2] if last else 0
    if not isinstance(blank, int):
        blank = b.static_shape(data)[2]
    if given_lengths:
        lengths = as_int64(b, operands[2])
    else:
        lengths = b.op("Expand", size_along(b, data, 0), size_along(b, data, 1))
    if given_counts:
        counts = as_int64(b, operands[-1])
    else:
        padded = b.op("Cast", b.op("Equal", labels, np.asarray(-1 if last else 0)), to=ir.DataType.INT64)
        before = b.op("Equal", b.op("CumSum", padded, np.asarray(1)), np.asarray(0))
        counts = b.op("ReduceSum", b.op("Cast", before, to=ir.DataType.INT64), [1], keepdims=0)
    return b.op("CTCLoss", data, labels, lengths, counts, domain=DOMAIN, blank=blank - 1 if last else 0)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    blank, classes = node.attributes.get_int("blank", 0), b.shape(some(node.inputs[0]))[2]
    if blank and (not isinstance(classes, int) or blank != classes - 1):
        return Refusal(f"class {blank} stands for no label, and in MXNet that is the first or the last one")
    data, labels, lengths, counts = (some(operand) for operand in x)
    dtype = b.dtype(some(node.inputs[0])).name
    return b.ops(
        "CTCLoss",
        2,
        data,
        labels,
        b.op("Cast", lengths, dtype=dtype),
        counts,
        use_data_lengths=True,
        use_label_lengths=True,
        blank_label="last" if blank else None,
    )[0]


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    return b.call(
        "F.ctc_loss",
        b.method("log_softmax", x[0], 2),
        *x[1:],
        blank=node.attributes.get_int("blank", 0) or None,
        reduction="none",
        zero_infinity=True,
    )


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    data, labels, lengths, counts = x
    classes, blank = b.size(data, 2), np.asarray(node.attributes.get_int("blank", 0))
    places = 2 * b.size(labels, 1) + 1
    inside = b.op("Clip", labels, np.asarray(0), np.asarray(classes - 1))
    none = b.op("Unsqueeze", b.op("Sub", b.op("Mul", inside, np.asarray(0)), -blank), [2])
    pairs = b.op("Reshape", b.op("Concat", none, b.op("Unsqueeze", inside, [2]), axis=2), [0, places - 1])
    states = b.op("Pad", pairs, [0, 0, 0, 1], blank)
    earlier = _moved(b, states, 2, blank)
    leaps = b.op("Not", b.op("Or", b.op("Equal", states, blank), b.op("Equal", states, earlier)))
    never = b.scalar(_NEVER, data)
    skipping = b.op("Where", leaps, b.scalar(0.0, data), never)
    frames = b.op("Shape", data, start=0, end=1)
    everywhere = b.op("Expand", b.op("Unsqueeze", states, [0]), b.op("Concat", frames, [1, 1], axis=0))
    chances = b.op("GatherElements", b.op("LogSoftmax", data, axis=2), everywhere, axis=2)
    numbers = b.op("Range", np.asarray(0), b.op("Squeeze", frames, [0]), np.asarray(1))
    start = np.full((1, places), _NEVER, b.dtype(data))
    start[0, 0] = 0
    first = b.op("Expand", start, b.op("Shape", states))

    def step(held: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (before,), (chance, number) = held, parts
        one = _moved(b, before, 1, never)
        two = b.op("Add", _moved(b, before, 2, never), skipping)
        after = b.op("Add", _log_sum(b, before, one, two), chance)
        running = b.op("Unsqueeze", b.op("Less", number, lengths), [1])
        return [b.op("Where", running, after, before)], []

    (final,) = b.scan(step, [first], [chances, numbers])
    end = b.op("Unsqueeze", b.op("Mul", counts, np.asarray(2)), [1])
    previous = b.op("Max", b.op("Sub", end, np.asarray(1)), np.asarray(0))
    blanks, letters = (b.op("GatherElements", final, place, axis=1) for place in (end, previous))
    letters = b.op("Where", b.op("Greater", end, np.asarray(0)), letters, never)
    likely = b.op("Squeeze", _log_sum(b, blanks, letters), [1])
    fits = b.op("Greater", likely, b.scalar(_NEVER / 2, data))
    return b.op("Where", fits, b.op("Neg", likely), b.scalar(0.0, data))


def _moved(b: BodyBuilder, rows: ir.Value, by: int, fill: Operand) -> ir.Value:
    """Rows moved to the right."""
    return b.op("Pad", b.op("Slice", rows, [0], [-by], [1]), [0, by, 0, 0], fill)


def _log_sum(b: BodyBuilder, *terms: ir.Value) -> ir.Value:
    """Logarithm of the sum of chances, from their logarithms."""
    most = b.op("Max", *terms)
    return b.op("Add", most, b.op("Log", b.op("Sum", *(b.op("Exp", b.op("Sub", term, most)) for term in terms))))


_DATA = arr(6, 3, 5, low=-2.0, high=2.0)
_LABELS = given([[1, 2, 2], [3, 0, 0], [4, 1, 0]], "float32")
_BEHIND = given([[0, 1, 1], [2, -1, -1], [3, 0, -1]], "float32")
_LENGTHS, _COUNTS = int64([6, 4, 5]), int64([3, 1, 2])
_SINGLE = "MXNet's CTCLoss is for float32 only"
_CASES = ("plain", "last class", "lengths", "nothing fits", "free batch")
_MX_CASES = ("blank first", "blank last", "given lengths", "given label lengths", "all lengths", "free examples")

OP = Op(
    "CTCLoss",
    domain=DOMAIN,
    body=_body,
    mx=(
        MxForm(
            "CTCLoss",
            read=_read,
            reads=("use_data_lengths", "use_label_lengths", "blank_label"),
            write=_write,
            cases=(
                Case("blank first", (_DATA, _LABELS)),
                Case("blank last", (_DATA, _BEHIND), {"blank_label": "last"}),
                Case(
                    "given lengths",
                    (_DATA, _LABELS, given([6, 4, 5], "float32")),
                    {"use_data_lengths": True, "blank_label": "first"},
                ),
                Case(
                    "given label lengths",
                    (_DATA, given([[1, 2, 2], [3, 4, 4], [4, 1, 0]], "float32"), given([3, 1, 2], "float32")),
                    {"use_label_lengths": True},
                ),
                Case(
                    "all lengths",
                    (_DATA, _BEHIND, given([6, 4, 5], "float32"), given([3, 1, 2], "float32")),
                    {"use_data_lengths": True, "use_label_lengths": True, "blank_label": "last"},
                ),
                Case("free examples", (_DATA, _LABELS), dynamic=(0, 1)),
            ),
        ),
    ),
    torch=_torch,
    cases=(
        Case("plain", (_DATA, int64([[1, 2, 2], [3, 1, 0], [4, 1, 0]]), int64([6, 6, 6]), _COUNTS)),
        Case("last class", (_DATA, int64([[0, 1, 1], [2, 1, 1], [3, 0, -1]]), int64([6, 6, 6]), _COUNTS), {"blank": 4}),
        Case("lengths", (_DATA, int64([[1, 2, 2], [3, 1, 0], [4, 1, 0]]), _LENGTHS, _COUNTS), const=(2, 3)),
        Case("nothing fits", (_DATA, int64([[1, 2, 2], [3, 3, 3], [4, 1, 0]]), int64([6, 4, 2]), int64([0, 3, 2]))),
        Case("free batch", (_DATA, int64([[1, 2], [3, 1], [4, 1]]), _LENGTHS, int64([2, 1, 2])), dynamic=(1, 2, 3)),
    ),
    limits=(
        *(Limit(claim, _SINGLE, case) for claim in ("mxnet-float64", "mxnet-backward") for case in _CASES),
        *(Limit(claim, _SINGLE, case) for claim in ("read-float64", "read-backward") for case in _MX_CASES),
    ),
)
