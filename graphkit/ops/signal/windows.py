"""Window functions of a constant length, and weights of mel filters: arrays that their inputs say all of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ops.gradients import flat
from graphkit.ops.spec import Case, MxForm, Op, Refusal, given, int64, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg

_COSINES: Final[Mapping[str, tuple[float, ...]]] = {
    "BlackmanWindow": (0.42, 0.5, 0.08),
    "HammingWindow": (25 / 46, 21 / 46),
    "HannWindow": (0.5, 0.5),
}
"""Windows as sums of cosines: a0 - a1 cos(2πn/N) + a2 cos(4πn/N), N the length, or one less for symmetric ones."""
_WHOLE = "it is a window of integers, which hold none of it but its peak; ask for floats"
_COMPUTED = "its length is computed while it runs; MXNet needs it in the symbol"


def _window(op: str, size: int, *, periodic: bool) -> npt.NDArray[np.float64]:
    turns = 2 * np.pi * np.arange(size) / (size if periodic else max(size - 1, 1))
    terms = [(-1) ** order * weight * np.cos(order * turns) for order, weight in enumerate(_COSINES[op])]
    total: npt.NDArray[np.float64] = np.sum(terms, axis=0)
    return total


def _write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef | Refusal:
    size = b.number(node.inputs[0])
    if size is None:
        return Refusal(_COMPUTED, needs=node.inputs)
    if not is_float(b.dtype(node.outputs[0])):
        return Refusal(_WHOLE)
    window = _window(node.op_type, int(size), periodic=bool(node.attributes.get_int("periodic", 1)))
    return b.const(window.astype(b.dtype(node.outputs[0])), name="window")


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    if not is_float(b.dtype(node.outputs[0])):
        return Refusal(_WHOLE)
    number = b.number(node.inputs[0])
    size: Arg = b.call("int", x[0]) if number is None else int(number)
    periodic = bool(node.attributes.get_int("periodic", 1))
    options: list[Arg] = [] if periodic else [False]
    if node.op_type == "HammingWindow":
        options = [periodic, *_COSINES["HammingWindow"]]
    function = {"BlackmanWindow": "blackman", "HammingWindow": "hamming", "HannWindow": "hann"}[node.op_type]
    dtype = b.torch_dtype(b.dtype(node.outputs[0]))
    return b.call(f"torch.{function}_window", size, *options, dtype=None if dtype.text == "torch.float32" else dtype)


def _mel_weights(bins: int, length: int, rate: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Triangles over the bins of a spectrum, evenly spaced in mel: (length // 2 + 1, bins)."""
    first, last = (2595 * np.log1p(edge / 700) / np.log(10) for edge in (low, high))
    mels = np.arange(bins + 2) * ((last - first) / (bins + 2)) + first
    hertz = 700 * np.expm1(mels / 2595 * np.log(10))
    corners = ((length + 1) * hertz // rate).astype(np.int64)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    place = np.arange(length // 2 + 1)[:, None]
    rising = np.where(centre == left, 1.0, (place - left) / np.maximum(centre - left, 1))
    falling = (right - place) / np.maximum(right - centre, 1)
    weights = np.where((place >= left) & (place <= centre), rising, 0.0)
    return np.where((place > centre) & (place < right), falling, weights)


def _given_mel(b: MxBuilder | TorchBuilder, node: ir.Node) -> npt.NDArray[Any] | Refusal:
    numbers = [b.number(value) for value in node.inputs]
    if None in numbers:
        return Refusal("what it is made of is computed while it runs; it has to be constants", needs=node.inputs)
    bins, length, rate, low, high = (float(some(number)) for number in numbers)
    if min(bins, length, rate) < 1 or not 0 <= low < high <= rate / 2:
        return Refusal(f"num_mel_bins={bins:g}, dft_length={length:g} and edges of {low:g} and {high:g} Hz do not fit")
    weights = _mel_weights(int(bins), int(length), int(rate), low, high)
    return weights.astype(b.dtype(node.outputs[0]))


def _write_mel(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> MxRef | Refusal:
    weights = _given_mel(b, node)
    return weights if isinstance(weights, Refusal) else b.const(weights, name="weights")


def _torch_mel(b: TorchBuilder, node: ir.Node, _x: Sequence[Any]) -> Arg | Refusal:
    weights = _given_mel(b, node)
    return weights if isinstance(weights, Refusal) else b.const(weights)


_DOUBLE = int(ir.DataType.DOUBLE)


def _windows(op: str) -> Op:
    return Op(
        op,
        mx=(MxForm("_copy", write=_write, direction="write"),),
        torch=_torch,
        cases=(
            Case("periodic", (int64(7),), const=(0,), grad=False, dtype="int64"),
            Case("symmetric", (int64(7),), {"periodic": 0}, const=(0,), grad=False, dtype="int64"),
            Case("doubles", (int64(6),), {"output_datatype": _DOUBLE}, const=(0,), grad=False),
        ),
    )


OPS = (
    *map(_windows, _COSINES),
    Op(
        "MelWeightMatrix",
        mx=(MxForm("_copy", write=_write_mel, direction="write"),),
        torch=_torch_mel,
        gradient=flat,
        cases=(
            Case(
                "speech",
                (int64(8), int64(16), int64(8192), given(0.0, "float32"), given(4096.0, "float32")),
                const=(0, 1, 2, 3, 4),
                grad=False,
            ),
            Case(
                "few bins",
                (int64(3), int64(64), int64(16000), given(80.0, "float32"), given(7600.0, "float32")),
                const=(0, 1, 2, 3, 4),
                grad=False,
            ),
        ),
    ),
)
