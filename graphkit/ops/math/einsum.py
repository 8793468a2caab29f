"""Einsum: sums of products over letters, which name axes.

In MXNet ``dot`` contracts one axis of two arrays, ``batch_dot`` and ``_linalg_gemm2`` multiply matrices under leading
axes that both have. What is none of these is multiplied with all letters side by side and then summed. More than two
operands are multiplied from left to right.
"""

from __future__ import annotations

import itertools
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.sizes import some
from graphkit.ops.work import contracted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.ops.builders import Dim, MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_MOST = 6
"""Axes that MXNet's broadcasting takes."""


def _moved(b: MxBuilder, ref: MxRef, letters: str, order: str) -> MxRef:
    axes = tuple(letters.index(letter) for letter in order)
    return ref if axes == tuple(range(len(axes))) else b.op("transpose", ref, axes=axes)


def _letters(b: MxBuilder | GradientBuilder, node: ir.Node) -> tuple[list[str], str] | Refusal:
    """The letters of each operand and of the result, with other letters for the axes that dots stand for."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    values = [value for value in node.inputs if value is not None]
    if len(terms) != len(values):
        return Refusal(f"its equation {equation} names {len(terms)} operands, and it has {len(values)}")
    counts = [
        b.rank(value) - len(term.replace("...", "")) if "..." in term else 0
        for term, value in zip(terms, values, strict=True)
    ]
    dots = "".join(_spare(equation)[: max(counts)])
    given = [
        term.replace("...", dots[len(dots) - count :] if count else "")
        for term, count in zip(terms, counts, strict=True)
    ]
    if not arrow:
        letters = [letter for letter in left if letter not in ".,"]
        result = dots + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return given, result.replace("...", dots)


def _spare(used: str) -> list[str]:
    """Letters that nothing uses."""
    return [letter for letter in reversed(ascii_letters) if letter not in used]


def _terms(b: MxBuilder, node: ir.Node) -> tuple[list[str], str] | Refusal:
    """The letters, where no axis is stretched."""
    parsed = _letters(b, node)
    if isinstance(parsed, Refusal):
        return parsed
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    shapes = [b.shape(value) for value in node.inputs if value is not None]
    sizes: dict[str, set[Dim]] = {}
    for letter, size in zip("".join(parsed[0]), itertools.chain.from_iterable(shapes), strict=True):
        sizes.setdefault(letter, set()).add(size)
        if size == 1 and letter not in equation:
            return Refusal(f"its equation {equation} stretches an axis that dots stand for; write letters for them")
    for letter, found in sizes.items():
        if 1 in found and len(found) > 1:
            return Refusal(f"its equation {equation} stretches {letter!r} where it has size 1; expand it before")
    return parsed


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    parsed = _terms(b, node)
    if isinstance(parsed, Refusal):
        return parsed
    terms, result = parsed
    refs = [ref for ref in x if ref is not None]
    dots = b.dtype(some(node.inputs[0])) in (np.float32, np.float64)
    for number, term in enumerate(terms):
        needed = set(result).union(*terms[:number], *terms[number + 1 :])
        refs[number], terms[number] = _alone(b, refs[number], term, needed)
    found, letters = refs[0], terms[0]
    for number in range(1, len(terms)):
        needed = set(result).union(*terms[number + 1 :])
        made = _product(b, (found, letters), (refs[number], terms[number]), needed, dots=dots)
        if isinstance(made, Refusal):
            return made
        found, letters = made
    result = result or letters
    return b.op("_copy", found) if found in refs and letters == result else _moved(b, found, letters, result)


def _alone(b: MxBuilder, ref: MxRef, term: str, needed: set[str]) -> tuple[MxRef, str]:
    """An operand with the diagonal taken of letters that repeat, and letters that nothing else has summed."""
    for letter in sorted(set(term)):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            ref = b.op("diag", ref, axis1=first, axis2=second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    axes = tuple(axis for axis, letter in enumerate(term) if letter not in needed)
    if not axes:
        return ref, term
    return b.op("sum", ref, axis=axes), "".join(letter for letter in term if letter in needed)


def _product(
    b: MxBuilder, left: tuple[MxRef, str], right: tuple[MxRef, str], needed: set[str], *, dots: bool
) -> tuple[MxRef, str] | Refusal:
    """The product of two operands, summed over what nothing else needs.

    Args:
        b: The builder.
        left: One operand and its letters.
        right: The other one.
        needed: Letters that something else reads.
        dots: Whether MXNet multiplies matrices of this dtype.
    """
    (first, a), (second, c) = left, right
    batch = "".join(letter for letter in a if letter in c and letter in needed)
    inner = [letter for letter in a if letter in c and letter not in needed]
    free_a, free_c = ("".join(letter for letter in term if letter not in both) for term, both in ((a, c), (c, a)))
    if dots and len(inner) == 1 and not batch:
        product = b.op("dot", _moved(b, first, a, free_a + inner[0]), _moved(b, second, c, inner[0] + free_c))
        return product, free_a + free_c
    if dots and len(inner) == 1 and len(free_a) == 1 and len(free_c) == 1:
        first = _moved(b, first, a, batch + free_a + inner[0])
        second = _moved(b, second, c, batch + inner[0] + free_c)
        return b.op("batch_dot" if len(batch) == 1 else "_linalg_gemm2", first, second), batch + free_a + free_c
    letters = batch + free_a + free_c + "".join(inner)
    if len(letters) > _MOST:
        return Refusal(f"it multiplies over {len(letters)} letters at once, and MXNet's arrays stretch to {_MOST} axes")
    sides = [_spread(b, ref, term, letters) for ref, term in (left, right)]
    product = b.op("broadcast_mul", *sides) if letters else b.op("elemwise_mul", first, second)
    if inner:
        product = b.op("sum", product, axis=tuple(range(len(letters) - len(inner), len(letters))))
    return product, batch + free_a + free_c


def _spread(b: MxBuilder, ref: MxRef, term: str, letters: str) -> MxRef:
    """An operand with its axes where ``letters`` have them, and axes of size 1 for the others."""
    ref = _moved(b, ref, term, "".join(letter for letter in letters if letter in term))
    if not term:
        return ref if len(letters) == 1 else b.op("Reshape", ref, shape=(1,) * len(letters))
    for axis, letter in enumerate(letters):
        if letter not in term:
            ref = b.op("expand_dims", ref, axis=axis)
    return ref


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    result, dtype = b.call("torch.einsum", equation, *x), b.dtype(some(node.inputs[0]))
    if len(x) > 1 or dtype.kind not in "iu" or dtype == np.int64:
        return result
    return b.method("to", result, b.torch_dtype(dtype))  # sums of integers are int64 in torch


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    parsed = _letters(b, node)
    if isinstance(parsed, Refusal):
        return parsed
    terms, result = parsed
    values = [some(value) for value in node.inputs]
    found: list[ir.Value | None] = []
    for place, (value, term) in enumerate(zip(values, terms, strict=True)):
        others = [
            (dy[0], result),
            *zip(values[:place], terms, strict=False),
            *zip(values[place + 1 :], terms[place + 1 :], strict=True),
        ]
        found.append(_in_operand(b, value, term, others) if b.wants(value) else None)
    return found


def _in_operand(b: GradientBuilder, value: ir.Value, term: str, others: list[tuple[ir.Value, str]]) -> ir.Value:
    """The gradient in an operand: the product of the cotangent and the other operands, with the operand's letters.

    A letter that the operand repeats is renamed, and a unit matrix puts the gradient on the diagonal; a letter that
    only the operand has was summed over, so that the gradient is the same all along it.
    """
    names, used = "", term + "".join(letters for _, letters in others)
    for axis, letter in enumerate(term):
        name = letter if letter not in names else _spare(used + names)[0]
        if name != letter:
            others.append((_unit_matrix(b, value, axis), letter + name))
        names += name
    known = set("".join(letters for _, letters in others))
    kept = "".join(name for name in names if name in known)
    equation = ",".join(letters for _, letters in others) + "->" + kept
    found = others[0][0]
    if len(others) > 1 or equation != f"{kept}->{kept}":
        found = b.op("Einsum", *(operand for operand, _ in others), equation=equation)
    missing = [axis for axis, name in enumerate(names) if name not in known]
    if missing:
        found = b.op("Expand", b.op("Unsqueeze", found, missing), b.shape_of(value))
    return b.sum_to(found, value)


def _unit_matrix(b: GradientBuilder, value: ir.Value, axis: int) -> ir.Value:
    size, dtype = b.shape(value)[axis], b.dtype(value)
    if isinstance(size, int):
        return b.const(np.eye(size, dtype=dtype))
    count = b.op("Squeeze", b.op("Shape", value, start=axis, end=axis + 1), [0])
    numbers = b.op("Range", np.asarray(0), count, np.asarray(1))
    same = b.op("Equal", b.op("Unsqueeze", numbers, [0]), b.op("Unsqueeze", numbers, [1]))
    return b.op("Cast", same, to=ir.DataType.from_numpy(dtype))


def _case(equation: str, *shapes: tuple[int, ...]) -> Case:
    return Case(equation, tuple(arr(*shape) for shape in shapes), {"equation": equation})


OP = Op(
    "Einsum",
    mx=(MxForm("dot", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    macs=contracted,
    cases=(
        _case("ij,jk->ik", (2, 3), (3, 4)),
        _case("ij,kj->ki", (2, 3), (4, 3)),
        _case("abc,cde->abde", (2, 3, 4), (4, 2, 3)),
        _case("bqd,bkd->bqk", (2, 3, 4), (2, 5, 4)),
        _case("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
        _case("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
        _case("ij->ji", (2, 3)),
        _case("ij->", (2, 3)),
        _case("ij->i", (2, 3)),
        _case("ii->i", (3, 3)),
        _case("ii", (3, 3)),
        _case("...ii->...i", (2, 3, 3)),
        _case("iji->j", (2, 3, 2)),
        _case("i,i", (3,), (3,)),
        _case("i,j->ij", (2,), (3,)),
        _case("i,i->i", (3,), (3,)),
        _case("ij,ij->i", (2, 3), (2, 3)),
        _case("ij,ij->", (2, 3), (2, 3)),
        _case("ij,i->ij", (2, 3), (2,)),
        _case("abc,abcd->d", (2, 3, 2), (2, 3, 2, 4)),
        _case("bij,bj->bi", (2, 3, 4), (2, 4)),
        _case("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
        _case("ij,kj,lj->ikl", (2, 3), (4, 3), (2, 3)),
        _case("...ij,...jk->...ik", (2, 3, 4), (2, 4, 2)),
        _case("...ij,jk", (2, 3, 4), (4, 2)),
        _case("i,->i", (3,), ()),
        Case(
            "integers",
            (arr(2, 3, low=-5, high=6, dtype="int32"), arr(3, 4, low=-5, high=6, dtype="int32")),
            {"equation": "ij,jk->ik"},
            grad=False,
        ),
        Case("integers alone", (arr(2, 3, low=-5, high=6, dtype="int32"),), {"equation": "ij->j"}, grad=False),
        Case("free batch", (arr(2, 3, 4), arr(2, 4)), {"equation": "bij,bj->bi"}, dynamic=(0, 1)),
    ),
)
