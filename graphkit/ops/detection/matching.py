"""Pairing rows and columns of a matrix of scores, as GluonCV does boxes and anchors.

The best of all scores makes a pair, then the best of those whose row and column are in none. MXNet stops one pair after
its ``topk``, and gives no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.own import DOMAIN
from graphkit.ops.codec import BOOL, FLOAT
from graphkit.ops.gradients import flat
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, decimal, given
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg

_NONE = -1.0


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    topk = int(node.attrs.get("topk", "-1"))
    return b.ops(
        "BipartiteMatching",
        2,
        some(x[0]),
        domain=DOMAIN,
        threshold=FLOAT.parse(node.attrs["threshold"]),
        ascending=int(BOOL.parse(node.attrs.get("is_ascend", "False"))),
        most=topk + 1 if topk > 0 else 0,
    )


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    attrs, most = node.attributes, node.attributes.get_int("most", 0)
    if most == 1:
        return Refusal("it stops at the first pair, and MXNet's operator makes two at least")
    return b.ops(
        "_contrib_bipartite_matching",
        2,
        some(x[0]),
        threshold=np.float32(attrs.get_float("threshold", 0.0)),
        is_ascend=bool(attrs.get_int("ascending", 0)) or None,
        topk=most - 1 if most else None,
    )


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    attrs = node.attributes
    return b.calls(
        "bipartite_matching",
        2,
        x[0],
        decimal(attrs.get_float("threshold", 0.0)),
        ascending=bool(attrs.get_int("ascending", 0)) or None,
        most=attrs.get_int("most", 0) or None,
    )


def _body(b: BodyBuilder, node: ir.Node, x: Sequence[ir.Value]) -> Sequence[ir.Value]:
    attrs = node.attributes
    scores = x[0]
    rows, columns = b.size(scores, -2), b.size(scores, -1)
    threshold = b.scalar(attrs.get_float("threshold", 0.0), scores)
    if attrs.get_int("ascending", 0):
        scores, threshold = b.op("Neg", scores), b.op("Neg", threshold)
    flat = b.op("Reshape", scores, [-1, rows * columns])
    examples = b.op("Shape", flat, start=0, end=1)
    none = ir.tensor(np.asarray([_NONE], b.dtype(scores)))
    states = [
        flat,
        *(b.op("ConstantOfShape", b.op("Concat", examples, [count], axis=0), value=none) for count in (rows, columns)),
    ]
    cells = np.arange(rows * columns)
    lowest = b.scalar(-np.inf, scores)

    def step(held: tuple[ir.Value, ...], _parts: tuple[ir.Value, ...]) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        rest, column_of, row_of = held
        place = b.op("ArgMax", rest, axis=1)
        better = b.op("Greater", b.op("GatherElements", rest, place, axis=1), threshold)
        row, column = b.op("Div", place, np.asarray(columns)), b.op("Mod", place, np.asarray(columns))
        taken = b.op(
            "Or",
            b.op("Equal", row, (cells // columns)[None]),
            b.op("Equal", column, (cells % columns)[None]),
        )
        found = []
        for count, old, here, other in ((rows, column_of, row, column), (columns, row_of, column, row)):
            new = b.op("And", better, b.op("Equal", here, np.arange(count)[None]))
            found.append(b.op("Where", new, b.op("CastLike", other, old), old))
        return [b.op("Where", b.op("And", better, taken), lowest, rest), *found], []

    most = attrs.get_int("most", 0) or min(rows, columns)
    turns = np.zeros(min(rows, columns, most), np.int64)
    _, column_of, row_of = b.scan(step, states, [turns])
    shape = b.op("Shape", x[0])
    batch = b.op("Slice", shape, [0], [-2])
    return [
        b.op("Reshape", found, b.op("Concat", batch, [count], axis=0))
        for found, count in ((column_of, rows), (row_of, columns))
    ]


_SCORES = given([[[0.5, 0.6], [0.1, 0.2], [0.3, 0.4]], [[0.9, 0.2], [0.8, 0.75], [-0.1, 0.01]]], "float32")


def _case(name: str, *inputs: Any, dynamic: tuple[int, ...] = (), **attrs: Any) -> Case:
    return Case(name, inputs, attrs, outputs=2, grad=False, dynamic=dynamic)


OP = Op(
    "BipartiteMatching",
    domain=DOMAIN,
    body=_body,
    gradient=flat,
    mx=(
        MxForm(
            "_contrib_bipartite_matching",
            read=_read,
            reads=("threshold", "is_ascend", "topk"),
            write=_write,
            cases=(
                _case("best", _SCORES, threshold=1e-12),
                _case("lowest", _SCORES, threshold=0.55, is_ascend=True),
                _case("a few", arr(2, 5, 4), threshold=-2, topk=2, dynamic=(0,)),
                _case("one matrix", arr(3, 6), threshold=0.1),
            ),
        ),
    ),
    torch=_torch,
    cases=(
        _case("best", _SCORES, threshold=0.0),
        _case("lowest", _SCORES, threshold=0.55, ascending=1),
        _case("two", arr(2, 5, 4), threshold=-2.0, most=2, dynamic=(0,)),
        _case("one matrix", arr(3, 6)),
        _case("more axes", arr(2, 2, 3, 3), threshold=0.2),
    ),
)
