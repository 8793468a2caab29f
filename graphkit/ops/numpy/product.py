"""Products of arrays in MXNet's NumPy interface. Axes that are summed over become one, which Einsum then contracts."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

from graphkit.ops.codec import ints
from graphkit.ops.numpy.parameters import axis_in, moved
from graphkit.ops.spec import Case, MxForm, Op, Refusal, arr, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _of_integers(b: OnnxBuilder, data: ir.Value) -> Refusal | None:
    dtype = b.dtype(data)
    return None if is_float(dtype) else Refusal(f"MXNet multiplies floats here only, not {dtype.name}; cast its inputs")


def _read_dot(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right = some(x[0]), some(x[1])
    ranks = b.rank(left), b.rank(right)
    if 0 in ranks:
        return b.op("Mul", left, right)
    if (problem := _of_integers(b, left)) is not None:
        return problem
    if ranks[0] == 1 or ranks[1] <= 2:
        return b.op("MatMul", left, right)
    return _contracted(b, left, right, (ranks[0] - 1,), (ranks[1] - 2,))


def _read_matmul(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right = some(x[0]), some(x[1])
    if 0 in (b.rank(left), b.rank(right)):
        return Refusal("it multiplies matrices and vectors, not scalars")
    return _of_integers(b, left) or b.op("MatMul", left, right)


def _read_tensordot(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right = some(x[0]), some(x[1])
    over_left = tuple(axis_in(axis, b.rank(left)) for axis in ints(node.attrs["a_axes_summed"]))
    over_right = tuple(axis_in(axis, b.rank(right)) for axis in ints(node.attrs["b_axes_summed"]))
    return _of_integers(b, left) or _contracted(b, left, right, over_left, over_right)


def _read_tensordot_last(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    left, right, count = some(x[0]), some(x[1]), int(node.attrs["axes"])
    ranks = b.rank(left), b.rank(right)
    if not 0 <= count <= min(ranks):
        return Refusal(f"axes={count} is more than the axes of its inputs, which have {ranks[0]} and {ranks[1]}")
    if (problem := _of_integers(b, left)) is not None:
        return problem
    if 0 in ranks:
        return b.op("Mul", left, right)
    return _contracted(b, left, right, tuple(range(ranks[0] - count, ranks[0])), tuple(range(count)))


def _contracted(
    b: OnnxBuilder, left: ir.Value, right: ir.Value, over_left: tuple[int, ...], over_right: tuple[int, ...]
) -> ir.Value | Refusal:
    """The sum of products over pairs of axes; what is left are the other axes of both."""
    if len(over_left) != len(over_right):
        return Refusal(f"it sums over {len(over_left)} axes of one input and {len(over_right)} of the other")
    if (b.rank(left), b.rank(right)) == (2, 2) and (over_left, over_right) == ((1,), (0,)):
        return b.op("MatMul", left, right)
    free_left, free_right = b.rank(left) - len(over_left), b.rank(right) - len(over_right)
    left, right = _summed_last(b, left, over_left), _summed_last(b, right, over_right)
    first, second = ascii_lowercase[:free_left], ascii_lowercase[free_left : free_left + free_right]
    return b.op("Einsum", left, right, equation=f"{first}z,{second}z->{first}{second}")


def _summed_last(b: OnnxBuilder, data: ir.Value, axes: tuple[int, ...]) -> ir.Value:
    """The data with some axes merged into one, the last."""
    free = [axis for axis in range(b.rank(data)) if axis not in axes]
    data = moved(b, data, [*free, *axes])
    if not axes:
        return b.op("Unsqueeze", data, [-1])
    return data if len(axes) == 1 else b.op("Reshape", data, [0] * len(free) + [-1])


def _read_einsum(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    equation = node.attrs.get("subscripts", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    operands = terms.split(",")
    if len(operands) != len(x):
        return Refusal(f"its subscripts {equation} name {len(operands)} operands, and it has {len(x)}")
    if not arrow:
        letters = terms.replace(",", "").replace(".", "")
        once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        result = ("..." if "..." in terms else "") + "".join(once)
    return b.op("Einsum", *x, equation=f"{terms}->{result}")


_M, _N, _CUBE, _V, _SCALAR = arr(3, 4), arr(4, 2), arr(2, 3, 4), arr(4), arr()


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


def _sums(subscripts: str, *shapes: tuple[int, ...], **more: int) -> Case:
    attrs = {"num_args": len(shapes), "subscripts": subscripts, **more}
    return Case(subscripts, tuple(arr(*shape) for shape in shapes), attrs)


_PRODUCTS = (
    Case("matrices", (_M, _N)),
    Case("vectors", (_V, _V)),
    Case("matrix and vector", (_M, _V)),
    Case("vector and matrix", (_V, _N)),
    Case("stack and vector", (_CUBE, _V)),
    Case("stack and matrix", (_CUBE, _N)),
    Case("vector and stack", (_V, arr(2, 4, 3))),
)
_FORMS = (
    _form(
        "_np_dot",
        _read_dot,
        (),
        *_PRODUCTS,
        Case("stacks", (_CUBE, arr(3, 4, 2))),
        Case("scalar and matrix", (_SCALAR, _M)),
        Case("vector and scalar", (_V, _SCALAR)),
        Case("scalars", (_SCALAR, _SCALAR)),
    ),
    _form("_npi_matmul", _read_matmul, (), *_PRODUCTS, Case("stacks", (_CUBE, arr(2, 4, 3)))),
    _form(
        "_npi_tensordot",
        _read_tensordot,
        ("a_axes_summed", "b_axes_summed"),
        Case("one axis", (_CUBE, arr(5, 4)), {"a_axes_summed": "(2,)", "b_axes_summed": "(1,)"}),
        Case("two axes", (_CUBE, arr(4, 5, 2)), {"a_axes_summed": (0, -1), "b_axes_summed": (-1, 0)}),
        Case("all", (_M, _M), {"a_axes_summed": (1, 0), "b_axes_summed": (1, 0)}),
        Case("none", (_M, arr(2)), {"a_axes_summed": "()", "b_axes_summed": "()"}),
    ),
    _form(
        "_npi_tensordot_int_axes",
        _read_tensordot_last,
        ("axes",),
        Case("one axis", (_CUBE, _N), {"axes": 1}),
        Case("two axes", (_CUBE, arr(3, 4, 2)), {"axes": 2}),
        Case("all", (_M, _M), {"axes": 2}),
        Case("none", (_M, arr(2)), {"axes": 0}),
        Case("scalar", (_SCALAR, arr(2)), {"axes": 0}),
    ),
    _form(
        "_npi_einsum",
        _read_einsum,
        ("num_args", "subscripts", "optimize"),
        _sums("ij,jk->ik", (2, 3), (3, 4)),
        _sums("ij , jk", (2, 3), (3, 4), optimize=1),
        _sums("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
        _sums("...j,jk->...k", (2, 2, 3), (3, 4)),
        _sums("ij,jk,k->i", (2, 3), (3, 4), (4,)),
        _sums("i...->...", (2, 3)),
        _sums("ba", (2, 3)),
        _sums("ii->i", (3, 3)),
        _sums("ii", (3, 3)),
        _sums("i,j->ij", (2,), (3,)),
        _sums("ij,ij->i", (2, 3), (2, 3)),
    ),
)

OPS = tuple(Op("", mx=(form,)) for form in _FORMS)
