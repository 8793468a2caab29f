"""Arithmetic of two operands.

MXNet spells it three ways: with a scalar, for equal shapes (``elemwise_*``), and broadcasting (``broadcast_*``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit.ir.producers import made_by
from graphkit.ops.math.gelu_forms import torch_gelu
from graphkit.ops.math.grad_binary import BINARY
from graphkit.ops.math.hard_forms import torch_hard
from graphkit.ops.math.linear import biased_linear, torch_biased_linear
from graphkit.ops.math.promotion import in_floats, with_scalar
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given, is_float, torch_call, torch_lacks, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.spec import Read, Torch
    from graphkit.ops.torchprogram import Arg

__all__ = ["arithmetic", "floored_mod", "pair", "same_shape", "scalar_of"]


def same_shape(b: MxBuilder | TorchBuilder, left: ir.Value, right: ir.Value) -> bool:
    """Whether two values are known to have equal shapes, symbolic dimensions included."""
    if left.shape is None or right.shape is None:
        return False
    dims = b.shape(left)
    return None not in dims and dims == b.shape(right)


def scalar_of(b: MxBuilder | TorchBuilder, scalar: ir.Value | None, other: ir.Value | None) -> float | None:
    """The number that an operand is, where broadcasting it to the other operand keeps the other's shape."""
    number = b.number(scalar)
    if number is None or scalar is None or other is None:
        return None
    own = 0 if scalar.const_value is None else len(scalar.const_value.shape)
    if own and (other.shape is None or own > b.rank(other)):
        return None
    return number


def pair(node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """The two operands of a node."""
    left, right = node.inputs
    assert left is not None
    assert right is not None
    return left, right


@dataclass(frozen=True)
class _Names:
    """MXNet's operators for one ONNX operator, and what its NumPy interface calls those with a scalar."""

    onnx: str
    elemwise: str
    broadcast: str
    scalar: str
    reverse: str
    numpy_scalar: str = ""
    numpy_reverse: str = ""
    also: tuple[str, ...] = ()


def _elemwise_or_broadcast(names: _Names) -> Callable[[MxBuilder, ir.Node, Sequence[MxRef | None]], MxRef | Refusal]:
    def write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
        left, right = pair(node)
        if (number := scalar_of(b, right, left)) is not None and x[0] is not None:
            return b.op(names.scalar, x[0], scalar=number)
        if (number := scalar_of(b, left, right)) is not None and x[1] is not None:
            return b.op(names.reverse, x[1], scalar=number)
        assert x[0] is not None
        assert x[1] is not None
        op = names.elemwise if same_shape(b, left, right) else names.broadcast
        return b.op(op, x[0], x[1])

    return write


def arithmetic(b: OnnxBuilder, onnx: str, left: ir.Value, right: ir.Value) -> ir.Value:
    """One of ONNX's operators on two operands of one dtype, as MXNet computes it."""
    if onnx == "Pow":
        return in_floats(b, lambda *x: b.op(onnx, *x), left, right)
    return b.op(onnx, left, right)


def _plain(onnx: str) -> Read:
    def read(b: OnnxBuilder, _node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        assert x[1] is not None
        return arithmetic(b, onnx, x[0], x[1])

    return read


def _with_scalar(onnx: str, *, reverse: bool) -> Read:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        data, scalar = with_scalar(b, node, x[0])
        return arithmetic(b, onnx, scalar, data) if reverse else arithmetic(b, onnx, data, scalar)

    return read


_A, _B, _ROW = arr(2, 3, 4, low=0.3, high=2.0), arr(2, 3, 4, low=0.3, high=2.0), arr(4, low=0.3, high=2.0)
_SCALAR = given(0.3, "float32")


def _cases(*extra: Case) -> tuple[Case, ...]:
    return (
        Case("equal shapes", (_A, _B), dynamic=(0, 1)),
        Case("broadcast", (_A, _ROW)),
        Case("broadcast both", (arr(2, 1, 4, low=0.3), arr(3, 1, low=0.3))),
        Case("parameter", (_A, arr(3, 1, low=0.3)), const=(1,)),
        Case("scalar", (_A, _SCALAR), const=(1,), dynamic=(0,)),
        Case("reversed scalar", (_SCALAR, _A), const=(0,)),
        Case("scalar of higher rank", (_ROW, given([[[0.3]]], "float32")), const=(1,)),
        *extra,
    )


def _integer_cases(*, divisors: bool = False) -> tuple[Case, ...]:
    """An integer scalar keeps integers what they are, another makes doubles of them."""
    integers, truths = arr(2, 3, low=1, high=9, dtype="int32"), given([True, divisors, True], "bool")
    return (
        Case("integers", (integers,), {"scalar": "2"}, dtype="int32"),
        Case("bytes", (arr(2, 3, low=1, high=9, dtype="int8"),), {"scalar": "3", "is_int": "True"}, dtype="int8"),
        Case("integers with a double", (integers,), {"scalar": "2.5", "is_int": "False"}, dtype="int32"),
        Case("truths", (truths,), {"scalar": "2", "is_int": "True"}, dtype="int64"),
        Case("truths with a double", (truths,), {"scalar": "0.5", "is_int": "False"}, dtype="int64"),
    )


def _forms(names: _Names) -> tuple[MxForm, ...]:
    read_cases = (Case("equal shapes", (_A, _B)),)
    scalar_cases = (
        Case("scalar", (_A,), {"scalar": "0.3"}),
        Case("zero axes", (arr(low=0.3),), {"scalar": "0.3", "is_int": "False"}),
        *_integer_cases(divisors=names.onnx == "Div"),
    )
    forms = [
        MxForm(
            names.broadcast,
            read=_plain(names.onnx),
            write=_elemwise_or_broadcast(names),
            cases=(Case("broadcast", (_A, arr(1, 3, 1, low=0.3))),),
        ),
        MxForm(names.elemwise, also=names.also, read=_plain(names.onnx), direction="read", cases=read_cases),
        MxForm(
            names.scalar,
            also=tuple(filter(None, [names.numpy_scalar])),
            read=_with_scalar(names.onnx, reverse=False),
            reads=("scalar", "is_int"),
            direction="read",
            cases=scalar_cases,
        ),
    ]
    if names.reverse != names.scalar:
        forms.append(
            MxForm(
                names.reverse,
                also=tuple(filter(None, [names.numpy_reverse])),
                read=_with_scalar(names.onnx, reverse=True),
                reads=("scalar", "is_int"),
                direction="read",
                cases=scalar_cases,
            )
        )
    return tuple(forms)


def _op(
    names: _Names, torch: Torch, *extra: Case, first: tuple[MxForm, ...] = (), limits: tuple[Limit, ...] = ()
) -> Op:
    return Op(
        names.onnx,
        mx=(*first, *_forms(names)),
        torch=torch,
        cases=_cases(*extra),
        limits=limits,
        gradient=BINARY[names.onnx],
    )


_INTS = Case("integers", (arr(2, 3, low=1, high=9, dtype="int64"), arr(3, low=1, high=4, dtype="int64")), grad=False)
_LINEAR = MxForm("FullyConnected", write=biased_linear, direction="write")


def _torch_add(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    made = torch_biased_linear(b, node)
    return b.infix("+", x[0], x[1]) if made is None else made


def _torch_mul(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Sequence[Arg] | Refusal:
    """Activations that ONNX has no operator for, or had none, are products: x · sigmoid(x), gelu and hard swish."""
    left, right = pair(node)
    for gate, data, arg in ((right, left, x[0]), (left, right, x[1])):
        sigmoid = made_by(gate, "Sigmoid")
        if sigmoid is not None and sigmoid.inputs[0] is data:
            return b.call("F.silu", arg)
    for form in (torch_gelu, torch_hard):
        if (found := form(b, node)) is not None:
            return found
    return torch_call("*")(b, node, x)


def _torch_div(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Of integers ONNX keeps the whole part of the quotient."""
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    left, right = pair(node)
    if is_float(b.dtype(left)):
        hard = torch_hard(b, node)
        return b.infix("/", x[0], x[1]) if hard is None else hard
    divisor = scalar_of(b, right, left)
    return b.call("torch.div", x[0], x[1] if divisor is None else divisor, rounding_mode="trunc")


def _torch_pow(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """The result has the dtype of the base, where torch promotes."""
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    left, right = pair(node)
    base, exponent = b.dtype(left), b.dtype(right)
    number = scalar_of(b, right, left)
    short = whole(number)
    exact = isinstance(short, int) if is_float(base) else not is_float(exponent)
    if number is not None and not b.is_initializer(left) and (base == exponent or exact):
        return b.infix("**", x[0], short)
    power = x[1]
    if is_float(base) and is_float(exponent) and base != exponent:
        power = b.method("to", power, b.torch_dtype(base))
    result = b.infix("**", x[0], power)
    return result if base == exponent or is_float(base) else b.method("to", result, b.torch_dtype(base))


def _torch_mod(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if (lacking := torch_lacks(b, node)) is not None:
        return lacking
    if not node.attributes.get_int("fmod", 0):
        return b.infix("%", x[0], x[1])
    left, right = pair(node)
    divisor = scalar_of(b, right, left)
    return b.call("torch.fmod", x[0], x[1] if divisor is None else divisor)


def _write_pow(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    left, right = pair(node)
    assert x[0] is not None
    number = scalar_of(b, right, left)
    rooted = is_float(b.dtype(right)) and not is_float(b.dtype(left))
    if rooted and (number is None or number % 1):  # the power of an integer, cut off
        base = b.op("Cast", x[0], dtype="float64")
        if number is not None:
            found = b.op("_power_scalar", base, scalar=number)
        else:
            assert x[1] is not None
            power = b.op("Cast", x[1], dtype="float64")
            found = b.op("_power" if same_shape(b, left, right) else "broadcast_power", base, power)
        return b.op("Cast", found, dtype=b.dtype(left).name)
    if number is not None:
        return b.op("square", x[0]) if number == 2 else b.op("_power_scalar", x[0], scalar=number)
    assert x[1] is not None
    power = x[1]
    if b.dtype(right) != b.dtype(left):
        power = b.op("Cast", power, dtype=b.dtype(left).name)
    if (number := scalar_of(b, left, right)) is not None:
        return b.op("_rpower_scalar", power, scalar=number)
    return b.op("_power" if same_shape(b, left, right) else "broadcast_power", x[0], power)


_POWER = _Names(
    "Pow", "_power", "broadcast_power", "_power_scalar", "_rpower_scalar", "_npi_power_scalar", "_npi_rpower_scalar"
)


def floored_mod(b: OnnxBuilder, left: ir.Value, right: ir.Value) -> ir.Value:
    """Floored modulo, 0 for a zero divisor, exact for floats: fmod, moved into the divisor's sign."""
    zero = b.scalar(0, right)
    stored = b.value(right)
    none = None if stored is not None and stored.all() else b.op("Equal", right, zero)
    divisor = right if none is None else b.op("Where", none, b.scalar(1, right), right)
    if b.dtype(left).kind in "iu":
        result = b.op("Mod", left, divisor)
    else:
        rest = b.op("Mod", left, divisor, fmod=1)
        other_sign = b.op("Less", b.op("Mul", b.op("Sign", rest), b.op("Sign", divisor)), zero)
        result = b.op("Where", other_sign, b.op("Add", rest, divisor), rest)
    return result if none is None else b.op("Where", none, zero, result)


def _mod_form(op: str, order: str, also: tuple[str, ...] = ()) -> MxForm:
    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value:
        assert x[0] is not None
        data, other = (x[0], x[1]) if order == "pair" else with_scalar(b, node, x[0])
        assert other is not None
        return floored_mod(b, other, data) if order == "reverse" else floored_mod(b, data, other)

    signs = given([[-7.5, 7.5, 3.2], [-0.4, 6.1, -9.3]], "float32")
    if order == "pair":
        pair_case = Case("signs", (signs, given([[2.0, -2.0, 1.5], [3.0, 2.0, -4.0]], "float32")), grad=False)
        return MxForm(op, also=also, read=read, direction="read", cases=(pair_case,))
    cases = (
        Case("scalar", (signs,), {"scalar": "-2.5"}, grad=False),
        Case("zero", (signs,), {"scalar": "0"}, grad=False),
        Case("of another double", (signs,), {"scalar": "0.7"}, grad=False),
        Case("zero axes", (given(-7.5, "float32"),), {"scalar": "2.5", "is_int": "False"}, grad=False),
        *_integer_cases(),
    )
    return MxForm(op, also=also, read=read, reads=("scalar", "is_int"), direction="read", cases=cases)


def _write_mod(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    left, right = pair(node)
    assert x[0] is not None
    assert x[1] is not None
    op = "_mod" if same_shape(b, left, right) else "broadcast_mod"
    stored = b.value(right)
    floats = b.dtype(left).kind == "f" and not (stored is not None and stored.all())
    hole = _hole(b, x[1]) if floats else None
    if not node.attributes.get_int("fmod", 0):
        rest = b.op(op, x[0], x[1])
        return rest if hole is None else b.op("broadcast_add", rest, hole)
    rest = b.op(op, b.op("abs", x[0]), b.op("abs", x[1]))
    sign = b.op("sign", x[0])
    rest = b.op("elemwise_mul" if op == "_mod" else "broadcast_mul", rest, sign)
    return rest if hole is None else b.op("broadcast_add", rest, hole)


def _hole(b: MxBuilder, divisor: MxRef) -> MxRef:
    """NaN for a divisor of zero, for which MXNet's remainder is zero; 0 for any other."""
    logarithm = b.op("log", b.op("abs", b.op("sign", divisor)))
    return b.op("BlockGrad", b.op("_mul_scalar", logarithm, scalar=0.0), name="hole")


_SIGNED = given([[-7.5, 7.5, 3.2], [-0.4, 6.1, -9.3]], "float32")

OPS = (
    _op(
        _Names(
            "Add",
            "elemwise_add",
            "broadcast_add",
            "_plus_scalar",
            "_plus_scalar",
            "_npi_add_scalar",
            "_npi_add_scalar",
            also=("_grad_add",),
        ),
        _torch_add,
        _INTS,
        first=(_LINEAR,),
        limits=(Limit("read-backward", "MXNet has no gradient of it", "_grad_add>equal shapes"),),
    ),
    _op(
        _Names(
            "Sub",
            "elemwise_sub",
            "broadcast_sub",
            "_minus_scalar",
            "_rminus_scalar",
            "_npi_subtract_scalar",
            "_npi_rsubtract_scalar",
        ),
        torch_call("-"),
        _INTS,
    ),
    _op(
        _Names(
            "Mul",
            "elemwise_mul",
            "broadcast_mul",
            "_mul_scalar",
            "_mul_scalar",
            "_npi_multiply_scalar",
            "_npi_multiply_scalar",
        ),
        _torch_mul,
        _INTS,
    ),
    _op(_Names("Div", "elemwise_div", "broadcast_div", "_div_scalar", "_rdiv_scalar"), _torch_div, _INTS),
    Op(
        "Pow",
        mx=(
            MxForm("broadcast_power", write=_write_pow, direction="write"),
            *(form for form in _forms(_POWER) if form.op != "broadcast_power"),
            MxForm("broadcast_power", read=_plain("Pow"), direction="read", cases=(Case("broadcast", (_A, _ROW)),)),
        ),
        torch=_torch_pow,
        gradient=BINARY["Pow"],
        cases=_cases(
            Case("square", (arr(2, 3), given(2, "int64")), const=(1,)),
            Case("roots of integers", (given([0, 1, 4, 10], "int32"), given(0.5, "float32")), const=(1,), grad=False),
            Case(
                "integers to fractions",
                (given([[0], [1], [5]], "int64"), given([0.5, 1.5, 2.0], "float32")),
                grad=False,
            ),
            Case("integer exponents", (_A, arr(4, low=1, high=4, dtype="int64"))),
        ),
    ),
    Op(
        "Mod",
        mx=(
            MxForm("broadcast_mod", write=_write_mod, direction="write"),
            _mod_form("broadcast_mod", "pair"),
            _mod_form("_mod", "pair"),
            _mod_form("_mod_scalar", "scalar", ("_npi_mod_scalar",)),
            _mod_form("_rmod_scalar", "reverse", ("_npi_rmod_scalar",)),
        ),
        torch=_torch_mod,
        gradient=BINARY["Mod"],
        cases=(
            Case("integers", (given([-7, 7, -8, 5], "int64"), given([3, -3, 2, 2], "int64")), grad=False),
            Case("fmod", (_SIGNED, given([[2.0, -2.0, 1.5], [3.0, 2.0, -4.0]], "float32")), {"fmod": 1}),
            Case(
                "fmod of zero",
                (given([1.0, -3.0, 5.0, 4.0], "float32"), given([0.0, 2.0, float("inf"), -0.0], "float32")),
                {"fmod": 1},
                grad=False,
            ),
            Case("fmod broadcast", (_SIGNED, given([2.0, -2.0, 1.5], "float32")), {"fmod": 1}),
        ),
    ),
)
