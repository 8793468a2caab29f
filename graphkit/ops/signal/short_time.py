"""Fourier transforms of overlapping pieces of a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphkit.ir.symbols import numbers_of
from graphkit.ops.signal.fourier import LARGE, as_number, by_matrix, complex_of, spectrum_matrix, transformed
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, int64
from graphkit.ops.tensor.free_sizes import axis_like, within
from graphkit.ops.tensor.grad_gather import picked
from graphkit.ops.tensor.grad_sizes import as_ints, operand, sizes_at
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


_UNKNOWN = "the sizes of its signal are not known; give the shapes of the model's inputs with --input"


class _Frames(NamedTuple):
    """What an STFT node asks for.

    Attributes:
        signal: Length of the signal; None for a free one.
        parts: 1 for real, 2 for complex numbers.
        step: From one piece to the next.
        length: Length of a piece.
        onesided: Whether the spectrum's second half is left out.
    """

    signal: int | None
    parts: int
    step: int
    length: int
    onesided: bool


def _frames(b: MxBuilder | TorchBuilder, node: ir.Node) -> _Frames | Refusal:
    dims = b.shape(some(node.inputs[0]))
    window, given = (node.inputs[place] if len(node.inputs) > place else None for place in (2, 3))
    step, length = b.number(node.inputs[1]), None if given is None else b.number(given)
    if step is None or (given is not None and length is None):
        return Refusal("its step or length is computed while it runs; it has to be constant", needs=node.inputs[1:])
    sizes = [*dims[1:], None if window is None else b.shape(window)[0]]
    if length is None and window is not None:
        length = sizes[2] if isinstance(sizes[2], int) else None
    elif length is None:
        length = sizes[0] if isinstance(sizes[0], int) else None
    if length is None or not isinstance(sizes[1], int):
        return Refusal(_UNKNOWN)
    signal = sizes[0] if isinstance(sizes[0], int) else None
    if step < 1 or length < 1 or (signal is not None and length > signal):
        return Refusal(f"frame_step={step:g} and frame_length={length:g} do not fit a signal of {sizes[0]}")
    onesided = bool(node.attributes.get_int("onesided", 1))
    if onesided and sizes[1] == 2:
        return Refusal(
            "onesided=1 leaves out half of the spectrum, which is what a real signal has, and its is complex"
        )
    return _Frames(signal, sizes[1], int(step), int(length), onesided)


def _pieces_at(b: MxBuilder, node: ir.Node, found: _Frames) -> MxRef | None:
    """Where the elements of each piece are, (pieces, length); None where MXNet cannot count the pieces."""
    within_piece = np.arange(found.length)
    if found.signal is not None:
        first = np.arange(0, found.signal - found.length + 1, found.step)
        return b.const((first[:, None] + within_piece).astype(np.int32), name="places")
    like = axis_like(b, node, str(b.shape(node.outputs[0])[1]))
    if like is None:
        return None
    line = b.op("Cast", within(b, 2, 0, like), dtype="float64", name="line")
    line = b.op("Reshape", line, shape=(-1,))
    starts = b.op("expand_dims", b.op("_contrib_arange_like", line, step=float(found.step), axis=0), axis=1)
    places = b.op("broadcast_add", starts, b.const(within_piece[None].astype(np.float64), name="within"))
    return b.op("Cast", places, dtype="int32", name="places")


def _write(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef | Refusal:
    found = _frames(b, node)
    if isinstance(found, Refusal):
        return found
    source = some(node.inputs[0])
    pieces = _pieces_at(b, node, found)
    if pieces is None:
        return Refusal(_UNKNOWN, sizes=(source,))
    data = b.op("take", some(x[0]), pieces, axis=1)
    window = x[2] if len(x) > 2 else None
    if window is not None:
        data = b.op("broadcast_mul", data, b.op("Reshape", window, shape=(1, 1, -1, 1)), name="windowed")
    matrix = spectrum_matrix(found.length, found.length, found.parts, onesided=found.onesided).astype(b.dtype(source))
    data = b.op("Reshape", data, shape=(0, 0, -3))
    weight = b.const(matrix, name="matrix")
    data = b.op("FullyConnected", data, weight, num_hidden=len(matrix), no_bias=True, flatten=False)
    return b.op("Reshape", data, shape=(0, 0, -4, len(matrix) // 2, 2))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    found = _frames(b, node)
    if isinstance(found, Refusal):
        return found if b.number(node.inputs[1]) is not None else _torch_computed(b, node, x) or found
    window = x[2] if len(x) > 2 else None
    return _torch_pieces(b, node, x[0], window, found.parts, found.length, found.step, onesided=found.onesided)


def _torch_pieces(
    b: TorchBuilder,
    node: ir.Node,
    signal: Arg,
    window: Arg | None,
    parts: int,
    length: Arg,
    step: Arg,
    *,
    onesided: bool,
) -> Arg:
    """The spectra of the pieces of a signal; torch transforms float16 on GPUs only, so that it is computed wider."""
    half = b.dtype(some(node.inputs[0])) == np.float16
    if half:
        signal = b.method("float", signal)
    data: Arg = b.method("unfold", complex_of(b, signal, parts), 1, length, step)
    if window is not None:
        data = b.infix("*", data, window)
    spectra = b.call("torch.view_as_real", b.call("torch.fft.rfft" if onesided else "torch.fft.fft", data))
    return b.method("half", spectra) if half else spectra


def _torch_computed(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | None:
    """Pieces whose step or length is computed; None where it is not known whether their numbers are complex."""
    parts = b.shape(some(node.inputs[0]))[2]
    onesided = bool(node.attributes.get_int("onesided", 1))
    window, length = (x[place] if len(x) > place else None for place in (2, 3))
    if not isinstance(parts, int) or (onesided and parts == 2):
        return None
    if length is not None:
        size: Arg = b.call("int", length)
    else:
        size = Size(x[0], 1) if window is None else Size(window, 0)
    return _torch_pieces(b, node, x[0], window, parts, size, b.call("int", x[1]), onesided=onesided)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """The transforms back, put where the pieces were cut out and added up where these overlap."""
    signal, window, given = some(node.inputs[0]), operand(node, 2), operand(node, 3)
    if given is not None:
        length = as_ints(b, b.op("Reshape", given, [1]))
    else:
        length = sizes_at(b, signal, [1]) if window is None else sizes_at(b, window, [0])
    back = _pieces(b, node, dy[0], length)
    places = _places(b, node, dy[0], length)
    of_window = None
    if window is not None:
        if b.wants(window):
            pieces = b.op("Gather", signal, places, axis=1)
            of_window = b.op("ReduceSum", b.op("Mul", back, pieces), [0, 1, 3], keepdims=0)
        back = b.op("Mul", back, b.op("Unsqueeze", window, [1]))
    return [picked(b, back, signal, places, 1) if b.wants(signal) else None, None, of_window]


def _pieces(b: GradientBuilder, node: ir.Node, spectra: ir.Value, length: ir.Value) -> ir.Value:
    """The gradient in the pieces that were transformed, (batch, pieces, length, parts)."""
    signal, known = some(node.inputs[0]), numbers_of(length)
    parts, onesided = b.shape(signal)[2], bool(node.attributes.get_int("onesided", 1))
    if known is not None and isinstance(parts, int) and known[0] ** 2 <= LARGE:
        matrix = spectrum_matrix(known[0], known[0], parts, onesided=onesided)
        return by_matrix(b, spectra, matrix, 2, parts)
    back = b.op("Mul", transformed(b, spectra, length, 2, inverse=1), as_number(b, length, signal))
    return b.op("Slice", back, [0], [1], [3]) if parts == 1 else back


def _places(b: GradientBuilder, node: ir.Node, spectra: ir.Value, length: ir.Value) -> ir.Value:
    """Where the pieces were cut out, (pieces, length)."""
    zero, one = np.asarray(0), np.asarray(1)
    count = b.op("Range", zero, b.op("Squeeze", sizes_at(b, spectra, [1]), [0]), one)
    step = as_ints(b, b.op("Reshape", some(node.inputs[1]), [1]))
    starts = b.op("Unsqueeze", b.op("Mul", count, step), [1])
    return b.op("Add", starts, b.op("Range", zero, b.op("Squeeze", length, [0]), one))


_SIGNAL = arr(2, 20, 1)

OP = Op(
    "STFT",
    mx=(MxForm("FullyConnected", write=_write, direction="write"),),
    torch=_torch,
    gradient=_gradient,
    cases=(
        Case("window", (_SIGNAL, int64(3), arr(8, low=0.1)), const=(1,), dynamic=(0,)),
        Case("stored window", (_SIGNAL, int64(3), arr(8, low=0.1)), const=(1, 2)),
        Case(
            "halves",
            (_SIGNAL, int64(3), arr(8, low=0.1)),
            const=(1,),
            dtype="float16",
            grad=False,
            tol=Tol(float32=5e-3, reason="they are halves"),
        ),
        Case("length", (_SIGNAL, int64(4), None, int64(6)), const=(1, 3)),
        Case("both sides", (_SIGNAL, int64(5), arr(8, low=0.1), int64(8)), {"onesided": 0}, const=(1, 3)),
        Case("complex", (arr(2, 20, 2), int64(5), arr(8, low=0.1)), {"onesided": 0}, const=(1,)),
    ),
)
