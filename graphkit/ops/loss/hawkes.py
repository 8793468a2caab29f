"""Log likelihood of events of several Hawkes processes, whose intensities jump at each event and decay.

Events are given by the time since the one before and the process that each is of. MXNet has gradients with respect to
intensities, jumps and decays only, and takes exponentials in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.own import DOMAIN
from graphkit.ops.gradients import through
from graphkit.ops.spec import Case, Limit, MxForm, Op, Tol, arr, given
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import BodyBuilder, MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg


def _read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
    operands = [some(operand) for operand in x]
    operands[5] = as_int64(b, operands[5])
    return b.ops("HawkesLogLikelihood", 2, *operands, domain=DOMAIN)


def _write(b: MxBuilder, _node: ir.Node, x: Sequence[MxRef | None]) -> Sequence[MxRef]:
    operands = [some(ref) for ref in x]
    operands[5] = b.op("Cast", operands[5], dtype="int32")
    return b.ops("_contrib_hawkesll", 2, *operands)


def _torch(b: TorchBuilder, _node: ir.Node, x: Sequence[Arg]) -> Sequence[Arg]:
    return b.calls("hawkes_log_likelihood", 2, *x)


def _body(b: BodyBuilder, _node: ir.Node, x: Sequence[ir.Value]) -> Sequence[ir.Value]:
    base, jump, decay, state, lags, marks, lengths, span = x
    count = b.size(base, 1)
    one, zero = b.scalar(1.0, base), b.scalar(0.0, base)
    rows = b.op("Shape", lags, start=0, end=1)
    nothing = b.op("Expand", zero, rows)
    never = b.op("Expand", zero, b.op("Concat", rows, [count], axis=0))
    columns = [b.op("Transpose", operand, perm=[1, 0]) for operand in (lags, marks)]
    events = b.op("Range", np.asarray(0), b.op("Squeeze", b.op("Shape", lags, start=1), [0]), np.asarray(1))

    def since(last: ir.Value, now: ir.Value) -> tuple[ir.Value, ir.Value]:
        passed = b.op("Sub", b.op("Unsqueeze", now, [1]), last)
        return passed, b.op("Exp", b.op("Neg", b.op("Mul", decay, passed)))

    def expected(passed: ir.Value, left: ir.Value, held: ir.Value) -> ir.Value:
        rest = b.op("Mul", b.op("Mul", jump, held), b.op("Sub", one, left))
        return b.op("Add", b.op("Mul", base, passed), rest)

    def step(held: tuple[ir.Value, ...], parts: tuple[ir.Value, ...]) -> tuple[Sequence[ir.Value], Sequence[ir.Value]]:
        (total, now, last, memory), (lag, mark, number) = held, parts
        valid = b.op("Less", b.op("CastLike", number, lengths), lengths)
        now = b.op("Add", now, b.op("Where", valid, lag, zero))
        here = b.op("And", b.op("Equal", b.op("Unsqueeze", mark, [1]), np.arange(count)), b.op("Unsqueeze", valid, [1]))
        passed, left = since(last, now)
        kept = b.op("Mul", memory, left)
        intensity = b.op("Add", base, b.op("Mul", b.op("Mul", jump, decay), kept))
        gain = b.op("Sub", b.op("Log", b.op("Where", here, intensity, one)), expected(passed, left, memory))
        total = b.op("Add", total, b.op("ReduceSum", b.op("Where", here, gain, zero), [1], keepdims=0))
        last = b.op("Where", here, b.op("Unsqueeze", now, [1]), last)
        return [total, now, last, b.op("Where", here, b.op("Add", one, kept), memory)], []

    total, _, last, memory = b.scan(step, [nothing, nothing, never, state], [*columns, events])
    passed, left = since(last, span)
    rest = b.op("ReduceSum", expected(passed, left, memory), [1], keepdims=0)
    return [b.op("Sub", total, rest), b.op("Mul", left, memory)]


_SINGLE = Tol(float64=1e-6, reason="MXNet takes exponentials and logarithms in float32")
_OPERANDS = (
    arr(2, 3, low=0.5, high=2.0),
    arr(3, low=0.1, high=0.9),
    arr(3, low=0.5, high=3.0),
    arr(2, 3, low=0.0, high=1.0),
    arr(2, 4, low=0.1, high=1.0),
)
_MARKS = [[0, 2, 0, 1], [1, 1, 2, 0]]
_REST = (given([3.5, 1.5], "float32"), given([5.0, 3.5], "float32"))

OP = Op(
    "HawkesLogLikelihood",
    domain=DOMAIN,
    body=_body,
    mx=(
        MxForm(
            "_contrib_hawkesll",
            read=_read,
            write=_write,
            cases=(
                Case(
                    "processes",
                    (*_OPERANDS, given(_MARKS, "int32"), *_REST),
                    outputs=2,
                    grad=False,
                    tol=_SINGLE,
                    dynamic=(0, 3, 4, 5, 6, 7),
                ),
            ),
        ),
    ),
    torch=_torch,
    gradient=through(_body),
    cases=(Case("processes", (*_OPERANDS, given(_MARKS, "int64"), *_REST), outputs=2, tol=_SINGLE),),
    limits=(Limit("mxnet-backward", "MXNet has no gradient with respect to times and the state", "processes"),),
)
