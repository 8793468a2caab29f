"""Discrete Fourier transforms, which MXNet writes as products with constant matrices of cosines and sines.

ONNX keeps a complex number as two reals along the last axis; where that has one element, numbers are real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.ir.symbols import numbers_of
from graphkit.limits import check_elements
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, int64
from graphkit.ops.tensor.grad_sizes import as_ints, folded, joined, known_ints, operand, sizes_at
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

__all__ = ["LARGE", "as_number", "by_matrix", "complex_of", "real_of", "spectrum_matrix", "transformed"]

LARGE = 2**20
"""Numbers before times numbers after, up to which a transform is passed back as a product with a matrix."""

_SIZES = "the sizes of its signal are not known; give the shapes of the model's inputs with --input"

_HALF = "onesided=1 leaves out half of the spectrum, which is what a real signal has, and its is complex"


class _Transform(NamedTuple):
    """What a DFT node asks for.

    Attributes:
        axis: The axis that is transformed, counted from the front.
        size: Size of that axis.
        length: Length of the transform.
        parts: Elements of the last axis: 1 for real, 2 for complex numbers.
        inverse: Whether it goes back.
        onesided: Whether only half of the spectrum is there: of the result, or of the operand where it goes back.
    """

    axis: int
    size: int
    length: int
    parts: int
    inverse: bool
    onesided: bool


def spectrum_matrix(
    size: int, length: int, parts: int, *, inverse: bool = False, onesided: bool = False
) -> npt.NDArray[np.float64]:
    """The transform as one matrix, (elements after × parts after, elements before × parts before).

    Args:
        size: Elements before; those past ``length`` do not count.
        length: Length of the transform.
        parts: Parts of each number before, 1 (real) or 2 (complex).
        inverse: Whether it is the inverse transform, which divides by the length.
        onesided: Whether the spectrum's second half is left out; the inverse transform is real then.
    """
    check_elements(2 * size * length)
    before = np.arange(size)
    after = np.arange(length // 2 + 1 if onesided and not inverse else length)
    angle = 2 * np.pi * ((after[:, None] * before) % length) / length
    real, imaginary = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    if inverse:
        real, imaginary = real / length, imaginary / length
    if onesided and inverse:
        used = before <= length // 2
        twice = np.where((before == 0) | (2 * before == length), 1.0, 2.0) * used
        real, imaginary = real * twice, imaginary * twice
    else:
        used = before < length
        real, imaginary = real * used, imaginary * used
    blocks = np.stack([np.stack([real, -imaginary], -1), np.stack([imaginary, real], -1)], 1)
    kept = blocks[:, : 1 if onesided and inverse else 2, :, :parts]
    matrix: npt.NDArray[np.float64] = kept.reshape(kept.shape[0] * kept.shape[1], size * parts)
    return matrix


def _transform(b: MxBuilder | TorchBuilder, node: ir.Node) -> _Transform | Refusal:
    source = some(node.inputs[0])
    dims = b.shape(source)
    length_input, axis_input = (node.inputs[place] if len(node.inputs) > place else None for place in (1, 2))
    axis = -2 if axis_input is None else b.number(axis_input)
    length = None if length_input is None else b.number(length_input)
    if axis is None or (length_input is not None and length is None):
        return Refusal("its length or axis is computed while it runs; it has to be constant", needs=node.inputs[1:])
    place = int(axis) + len(dims) if axis < 0 else int(axis)
    if not 0 <= place < len(dims) - 1:
        return Refusal(f"axis={int(axis)} is none of the axes of its signal, which has {len(dims) - 1}")
    size, parts = dims[place], dims[-1]
    if not isinstance(size, int) or not isinstance(parts, int):
        return Refusal(_SIZES)
    inverse, onesided = (bool(node.attributes.get_int(name, 0)) for name in ("inverse", "onesided"))
    if onesided and not inverse and parts == 2:
        return Refusal(_HALF)
    if length is None:
        length = 2 * (size - 1) if inverse and onesided else size
    return _Transform(place, size, int(length), parts, inverse, onesided)


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    found = _transform(b, node)
    if isinstance(found, Refusal):
        return found
    source, data = some(node.inputs[0]), some(x[0])
    rank = b.rank(source)
    matrix = spectrum_matrix(
        found.size, found.length, found.parts, inverse=found.inverse, onesided=found.onesided
    ).astype(b.dtype(source))
    parts = 1 if found.inverse and found.onesided else 2
    last = rank - 2
    data = data if found.axis == last else b.op("SwapAxis", data, dim1=found.axis, dim2=last)
    keep = (0,) * last
    data = b.op("Reshape", data, shape=(*keep, -3))
    weight = b.const(matrix, name="matrix")
    data = b.op("FullyConnected", data, weight, num_hidden=len(matrix), no_bias=True, flatten=False)
    data = b.op("Reshape", data, shape=(*keep, -4, len(matrix) // parts, parts))
    return data if found.axis == last else b.op("SwapAxis", data, dim1=found.axis, dim2=last)


def complex_of(b: TorchBuilder, data: Arg, parts: int) -> Arg:
    """A tensor of real or complex numbers of one whose last axis holds their parts."""
    if parts == 1:
        return b.method("squeeze", data, -1)
    return b.call("torch.view_as_complex", b.method("contiguous", data))


def real_of(b: TorchBuilder, data: Arg, parts: int) -> Arg:
    """The contrary of :func:`complex_of`."""
    return b.call("torch.view_as_real", data) if parts == 2 else b.method("unsqueeze", data, -1)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    found = _transform(b, node)
    if isinstance(found, Refusal):
        computed = any(value is not None and value.const_value is None for value in node.inputs[1:])
        return _torch_computed(b, node, x) if computed else found
    half = b.dtype(some(node.inputs[0])) == np.float16  # torch transforms wider numbers only on CPUs
    data = complex_of(b, b.method("float", x[0]) if half else x[0], found.parts)
    name = {(False, False): "fft", (False, True): "rfft", (True, False): "ifft", (True, True): "irfft"}[
        found.inverse, found.onesided
    ]
    usual = 2 * (found.size - 1) if name == "irfft" else found.size
    axis = None if found.axis == b.rank(some(node.inputs[0])) - 2 else found.axis
    length = None if found.length == usual else found.length
    result: Arg = b.call(f"torch.fft.{name}", data, n=length, dim=axis)
    if found.inverse and found.parts == 1:  # which torch takes the conjugate of something for
        result = b.method("resolve_conj", result)
    result = real_of(b, result, 1 if name == "irfft" else 2)
    return b.method("half", result) if half else result


def _torch_computed(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """A transform whose axis or length is computed."""
    dims = b.shape(some(node.inputs[0]))
    parts = dims[-1]
    inverse, onesided = (bool(node.attributes.get_int(name, 0)) for name in ("inverse", "onesided"))
    if not isinstance(parts, int):
        return Refusal(_SIZES)
    if onesided and not inverse and parts == 2:
        return Refusal(_HALF)
    name = ("irfft" if onesided else "ifft") if inverse else "rfft" if onesided else "fft"
    length, axis = (x[place] if len(x) > place else None for place in (1, 2))
    result = b.call(
        f"torch.fft.{name}",
        complex_of(b, x[0], parts),
        n=None if length is None else b.call("int", length),
        dim=None if axis is None else b.infix("%", b.call("int", axis), len(dims)),
    )
    return real_of(b, result, 1 if name == "irfft" else 2)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None] | Refusal:
    """The adjoint: a matrix while it is small, as ONNX Runtime's transforms are less exact and of CPUs alone.

    Else it is the transform back but for a factor, cut or filled up to the size of the signal.
    """
    source, length = some(node.inputs[0]), operand(node, 1)
    rank, chosen = b.rank(source), known_ints(node, 2)
    if operand(node, 2) is None:
        chosen = [-2]
    if chosen is None:
        return Refusal("its axis is computed while it runs; it has to be constant", needs=node.inputs[2:])
    axis = chosen[0] % rank
    inverse, onesided = (bool(node.attributes.get_int(name, 0)) for name in ("inverse", "onesided"))
    if length is not None:
        count = as_ints(b, b.op("Reshape", length, [1]))
    else:
        count = sizes_at(b, source, [axis])
        count = b.op("Mul", b.op("Sub", count, [1]), [2]) if inverse and onesided else count
    count = folded(b, count)
    size, known, parts = b.shape(source)[axis], numbers_of(count), b.shape(source)[-1]
    if isinstance(size, int) and known is not None and isinstance(parts, int) and size * known[0] <= LARGE:
        matrix = spectrum_matrix(size, known[0], parts, inverse=inverse, onesided=onesided)
        return [by_matrix(b, dy[0], matrix, axis, parts)]
    if inverse and onesided:
        back, made = transformed(b, dy[0], count, axis, onesided=1), b.op("Add", b.op("Div", count, [2]), [1])
        back = b.op("Mul", back, _weights(b, made, count, source, axis))
    else:
        back, made = transformed(b, dy[0], count, axis, inverse=int(not inverse)), count
    number = as_number(b, count, source)
    back = b.op("Div" if inverse else "Mul", back, number)
    if b.shape(source)[-1] == 1:
        back = b.op("Slice", back, [0], [1], [rank - 1])
    missing = folded(b, b.op("Sub", sizes_at(b, source, [axis]), made))
    return [back if numbers_of(missing) == [0] else b.op("Pad", back, joined(b, [0], missing), None, [axis])]


def by_matrix(
    b: GradientBuilder, gradient: ir.Value, matrix: npt.NDArray[np.float64], axis: int, parts: int
) -> ir.Value:
    """The gradient in spectra along an axis, times a matrix that makes spectra of numbers of some parts."""
    last = b.rank(gradient) - 2
    order = [*range(last), last, last + 1]
    order[axis], order[last] = order[last], order[axis]
    moved = gradient if axis == last else b.op("Transpose", gradient, perm=order)
    flat = b.op("Reshape", moved, [*[0] * last, len(matrix)])
    product = b.op("MatMul", flat, b.const(matrix, b.dtype(gradient)))
    found = b.op("Reshape", product, [*[0] * last, matrix.shape[1] // parts, parts])
    return found if axis == last else b.op("Transpose", found, perm=order)


def transformed(b: GradientBuilder, value: ir.Value, length: ir.Value, axis: int, **way: Any) -> ir.Value:
    """A discrete Fourier transform of some length, given as one int64 in an axis, along an axis."""
    return b.op("DFT", value, b.op("Squeeze", length, [0]), np.asarray(axis), **way)


def as_number(b: GradientBuilder, count: ir.Value, like: ir.Value) -> ir.Value:
    """One int64 in an axis as a 0-d number of the dtype of a value."""
    known = numbers_of(count)
    if known is not None:
        return b.scalar(known[0], like)
    return b.op("Cast", b.op("Squeeze", count, [0]), to=ir.DataType.from_numpy(b.dtype(like)))


def _weights(b: GradientBuilder, size: ir.Value, length: ir.Value, like: ir.Value, axis: int) -> ir.Value:
    """How often the numbers of one side of a spectrum are in the whole: twice, but for the first and the middle."""
    places = b.op("Range", np.asarray(0), b.op("Squeeze", folded(b, size), [0]), np.asarray(1))
    single = b.op("Or", b.op("Equal", places, [0]), b.op("Equal", b.op("Mul", places, [2]), length))
    weights = b.op("Where", single, b.scalar(1.0, like), b.scalar(2.0, like))
    return b.op("Reshape", weights, [-1, *[1] * (b.rank(like) - 1 - axis)])


_REAL, _COMPLEX = arr(2, 6, 1), arr(2, 5, 2)

OP = Op(
    "DFT",
    mx=(MxForm("FullyConnected", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("real", (_REAL,)),
        Case("complex", (_COMPLEX,), dynamic=(0,)),
        Case("inverse", (_COMPLEX,), {"inverse": 1}),
        Case("one side", (_REAL,), {"onesided": 1}),
        Case("of one side", (arr(2, 4, 2), int64(6)), {"onesided": 1, "inverse": 1}, const=(1,)),
        Case("of one side, odd", (arr(2, 4, 2), int64(7)), {"onesided": 1, "inverse": 1}, const=(1,)),
        Case("longer", (_REAL, int64(9)), const=(1,)),
        Case("inverse of reals", (_REAL,), {"inverse": 1}),
        Case("halves", (_REAL,), dtype="float16", grad=False, tol=Tol(float32=5e-3, reason="they are halves")),
        Case("shorter", (_REAL, int64(4)), {"onesided": 1}, const=(1,)),
        Case("other axis", (arr(3, 4, 2), None, int64(0)), const=(2,)),
        Case("axis from the end", (arr(3, 4, 5, 1), int64(4), int64(-3)), const=(1, 2), dynamic=(0,)),
    ),
)
