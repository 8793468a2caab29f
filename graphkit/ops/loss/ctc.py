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
from graphkit.ops.tensor.sizes import END, as_int64, size_along, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, Operand, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

    _Values = tuple[ir.Value, ...]

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


class _Paths:
    """The paths through the states of labels: a blank, the first label, a blank, the second label, and so on.

    Attributes:
        logs: Logarithms of the chances of classes, (frames, examples, classes).
        classes: The class of each state at each frame, (frames, examples, states).
        chances: Logarithms of the chances of the states, (frames, examples, states).
    """

    def __init__(self, b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> None:
        self._b = b
        self.data, labels, self.lengths, self.counts = x
        blank = np.asarray(node.attributes.get_int("blank", 0))
        inside = b.op("Clip", labels, np.asarray(0), np.asarray(b.size(self.data, 2) - 1))
        none = b.op("Unsqueeze", b.op("Sub", b.op("Mul", inside, np.asarray(0)), -blank), [2])
        pairs = b.op("Reshape", b.op("Concat", none, b.op("Unsqueeze", inside, [2]), axis=2), [0, -1])
        states = b.op("Pad", pairs, [0, 0, 0, 1], blank)
        earlier = _moved(b, states, 2, blank)
        leaps = b.op("Not", b.op("Or", b.op("Equal", states, blank), b.op("Equal", states, earlier)))
        self._never = b.scalar(_NEVER, self.data)
        self._skipping = b.op("Where", leaps, b.scalar(0.0, self.data), self._never)
        frames = b.op("Shape", self.data, start=0, end=1)
        self.classes = b.op("Expand", b.op("Unsqueeze", states, [0]), b.op("Concat", frames, [1, 1], axis=0))
        self.logs = b.op("LogSoftmax", self.data, axis=2)
        self.chances = b.op("GatherElements", self.logs, self.classes, axis=2)
        self._numbers = b.op("Range", np.asarray(0), b.op("Squeeze", frames, [0]), np.asarray(1))
        self._size = b.op("Shape", states)
        self._places = b.op("Range", np.asarray(0), b.op("Gather", self._size, np.asarray(1)), np.asarray(1))

    def running(self, number: ir.Value) -> ir.Value:
        """Whether a frame, or each of several, is one of an example's."""
        return self._b.op("Unsqueeze", self._b.op("Less", number, self.lengths), [-1])

    def forwards(self, *, each: bool = False) -> tuple[ir.Value, ...]:
        """Logarithms of the chances to have come to each state: at an example's last frame, and where asked at each."""
        b = self._b
        start = b.op("Where", b.op("Equal", self._places, np.asarray(0)), b.scalar(0.0, self.data), self._never)

        def step(held: _Values, parts: _Values) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
            (before,), (chance, number) = held, parts
            one = _moved(b, before, 1, self._never)
            two = b.op("Add", _moved(b, before, 2, self._never), self._skipping)
            after = b.op("Where", self.running(number), b.op("Add", _log_sum(b, before, one, two), chance), before)
            return [after], [after] if each else []

        return b.scan(step, [b.op("Expand", start, self._size)], [self.chances, self._numbers])

    def backwards(self) -> ir.Value:
        """Logarithms of the chances to come from each state at each frame to an end."""
        b = self._b
        end = b.op("Unsqueeze", b.op("Mul", self.counts, np.asarray(2)), [1])
        following = b.op("Add", self._places, np.asarray(1))
        last = b.op("Or", *(b.op("Equal", end, place) for place in (self._places, following)))
        ends = b.op("Where", last, b.scalar(0.0, self.data), self._never)

        def step(held: _Values, parts: _Values) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
            (after,), (chance, number) = held, parts
            one = _moved(b, after, -1, self._never)
            two = _moved(b, b.op("Add", after, self._skipping), -2, self._never)
            final = b.op("Equal", b.op("Add", number, np.asarray(1)), self.lengths)
            before = b.op("Where", b.op("Unsqueeze", final, [1]), ends, _log_sum(b, after, one, two))
            return [b.op("Add", before, chance)], [before]

        nowhere = b.op("Expand", self._never, self._size)
        return b.scan(step, [nowhere], [self.chances, self._numbers], backward=True)[1]

    def likely(self, final: ir.Value) -> ir.Value:
        """Logarithm of the chance of the labels."""
        b = self._b
        end = b.op("Unsqueeze", b.op("Mul", self.counts, np.asarray(2)), [1])
        previous = b.op("Max", b.op("Sub", end, np.asarray(1)), np.asarray(0))
        blanks, letters = (b.op("GatherElements", final, place, axis=1) for place in (end, previous))
        letters = b.op("Where", b.op("Greater", end, np.asarray(0)), letters, self._never)
        return b.op("Squeeze", _log_sum(b, blanks, letters), [1])

    def fits(self, likely: ir.Value) -> ir.Value:
        """Whether labels fit their frames."""
        return self._b.op("Greater", likely, self._b.scalar(_NEVER / 2, self.data))

    def frames(self) -> ir.Value:
        """Whether each frame is one of an example's, (frames, examples, 1)."""
        return self.running(self._b.op("Unsqueeze", self._numbers, [1]))


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> ir.Value:
    paths = _Paths(b, node, x)
    (final,) = paths.forwards()
    likely = paths.likely(final)
    return b.op("Where", paths.fits(likely), b.op("Neg", likely), b.scalar(0.0, x[0]))


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The chance of each class less that to pass through it on the way of the labels (Graves et al., equation 16)."""
    paths = _Paths(b, node, [some(value) for value in node.inputs])
    final, before = paths.forwards(each=True)
    none = b.scalar(0.0, paths.data)
    share = b.op("Where", paths.fits(paths.likely(final)), dy[0], none)
    share = b.op("Where", paths.frames(), b.op("Unsqueeze", share, [1]), none)
    whole = b.op("Unsqueeze", node.outputs[0], [1])
    passing = b.op("Exp", b.op("Add", b.op("Add", before, paths.backwards()), whole))
    taken = b.op("Neg", b.op("Mul", passing, share))
    chances = b.op("Mul", b.op("Exp", paths.logs), share)
    return [b.op("ScatterElements", chances, paths.classes, taken, axis=2, reduction="add")]


def _moved(b: BodyBuilder, rows: ir.Value, by: int, fill: Operand) -> ir.Value:
    """Rows moved to the right, or to the left."""
    if by < 0:
        return b.op("Pad", b.op("Slice", rows, [-by], [END], [1]), [0, 0, 0, -by], fill)
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
    gradient=_gradient,
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
