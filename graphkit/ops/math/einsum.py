"""Einsum of two operands, where MXNet has a product for it.

Letters fall into three sorts: batch letters stand in both operands and the result, contracted ones in both operands
only, free ones in one operand and the result. ``dot`` contracts one letter of two arrays without batch letters;
``batch_dot`` and ``_linalg_gemm2`` multiply matrices under any number of leading batch letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _moved(b: MxBuilder, ref: MxRef, letters: str, order: str) -> MxRef:
    axes = tuple(letters.index(letter) for letter in order)
    return ref if axes == tuple(range(len(axes))) else b.op("transpose", ref, axes=axes)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    operands = terms.split(",")
    if len(operands) != 2 or not arrow or "." in equation:
        return Refusal(f"its equation {equation} has not two operands and a result without dots")
    left, right = operands
    if any(len(set(term)) != len(term) for term in (left, right, result)):
        return Refusal(f"its equation {equation} repeats a letter within an operand")
    batch = [c for c in result if c in left and c in right]
    contracted = [c for c in left if c in right and c not in result]
    free_left, free_right = [c for c in left if c not in right], [c for c in right if c not in left]
    if any(c not in result for c in (*free_left, *free_right)) or len(contracted) != 1:
        return Refusal(f"its equation {equation} does not contract exactly one letter of both operands")
    inner = contracted[0]
    assert x[0] is not None
    assert x[1] is not None
    if not batch:
        product = b.op(
            "dot",
            _moved(b, x[0], left, "".join(free_left) + inner),
            _moved(b, x[1], right, inner + "".join(free_right)),
        )
        return _moved(b, product, "".join(free_left + free_right), result)
    if len(free_left) != 1 or len(free_right) != 1:
        return Refusal(f"its equation {equation} multiplies more than matrices under its batch letters")
    lead = "".join(batch)
    first = _moved(b, x[0], left, lead + free_left[0] + inner)
    second = _moved(b, x[1], right, lead + inner + free_right[0])
    product = b.op("batch_dot" if len(batch) == 1 else "_linalg_gemm2", first, second)
    return _moved(b, product, lead + free_left[0] + free_right[0], result)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    return b.call("torch.einsum", equation, *x)


def _case(equation: str, *shapes: tuple[int, ...]) -> Case:
    return Case(equation, tuple(arr(*shape) for shape in shapes), {"equation": equation})


OP = Op(
    "Einsum",
    mx=(MxForm("dot", write=_write, direction="write"),),
    torch=_torch,
    cases=(
        _case("ij,jk->ik", (2, 3), (3, 4)),
        _case("ij,kj->ki", (2, 3), (4, 3)),
        _case("abc,cde->abde", (2, 3, 4), (4, 2, 3)),
        _case("bqd,bkd->bqk", (2, 3, 4), (2, 5, 4)),
        _case("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
        _case("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ),
)
