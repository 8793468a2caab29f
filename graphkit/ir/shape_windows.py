"""Output shapes of convolutions, poolings and transforms of pieces over symbolic dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from graphkit.ir.symbols import Size, ceil_div, floor_div, numbers_of, product, shape_of, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

__all__ = ["WINDOWS"]

Shape: TypeAlias = "tuple[Size, ...]"


def _shape(node: ir.Node, index: int) -> Shape | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    return None if value is None else shape_of(value)


def _window(node: ir.Node, kernel: Sequence[int], *, ceil: bool = False) -> list[Size] | None:
    """Spatial sizes after a convolution or pooling window."""
    shape = _shape(node, 0)
    if shape is None:
        return None
    rank = len(shape) - 2
    strides = node.attributes.get_ints("strides", None) or [1] * rank
    dilations = node.attributes.get_ints("dilations", None) or [1] * rank
    pads = node.attributes.get_ints("pads", None) or [0] * (2 * rank)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    found: list[Size] = []
    for axis in range(rank):
        size = shape[axis + 2]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            found.append(ceil_div(size, strides[axis]))
            continue
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        margin = 0 if auto == "VALID" else pads[axis] + pads[axis + rank]
        room = None if size is None else tidy(size + margin - reach)
        if room is None:
            found.append(None)
        elif not ceil or strides[axis] == 1:
            found.append(tidy(floor_div(room, strides[axis]) + 1))
        else:
            # ONNX drops a last window that starts in the end padding; here none can.
            whole = auto == "VALID" or pads[axis + rank] + strides[axis] <= reach
            found.append(tidy(ceil_div(room, strides[axis]) + 1) if whole else None)
    return found


def _conv(node: ir.Node) -> Sequence[Shape | None] | None:
    shape, weight = _shape(node, 0), _shape(node, 1)
    if shape is None or weight is None or not all(isinstance(size, int) for size in weight[2:]):
        return None
    spatial = _window(node, [int(size) for size in weight[2:]])
    return None if spatial is None else [(shape[0], weight[0], *spatial)]


def _conv_transpose(node: ir.Node) -> Sequence[Shape | None] | None:
    shape, weight = _shape(node, 0), _shape(node, 1)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if shape is None or weight is None or "output_shape" in node.attributes:
        return None
    rank = len(shape) - 2
    strides = node.attributes.get_ints("strides", None) or [1] * rank
    dilations = node.attributes.get_ints("dilations", None) or [1] * rank
    extra = node.attributes.get_ints("output_padding", None) or [0] * rank
    pads = node.attributes.get_ints("pads", None) or [0] * (2 * rank)
    spatial: list[Size] = []
    for axis in range(rank):
        size, kernel = shape[axis + 2], weight[axis + 2]
        if size is None or not isinstance(kernel, int) or auto not in ("NOTSET", "VALID"):
            spatial.append(None)
            continue
        margin = 0 if auto == "VALID" else pads[axis] + pads[axis + rank]
        reach = (kernel - 1) * dilations[axis] + 1
        spatial.append(tidy(strides[axis] * (size - 1) + extra[axis] + reach - margin))
    group = node.attributes.get_int("group", 1)
    return [(shape[0], product([weight[1], group]), *spatial)]


def _pool(node: ir.Node) -> Sequence[Shape | None] | None:
    shape = _shape(node, 0)
    if shape is None:
        return None
    kernel = node.attributes.get_ints("kernel_shape", [])
    spatial = _window(node, kernel, ceil=bool(node.attributes.get_int("ceil_mode", 0)))
    return None if spatial is None else [(*shape[:2], *spatial)] * len(node.outputs)


def _stft(node: ir.Node) -> Sequence[Shape | None] | None:
    signal, window = _shape(node, 0), _shape(node, 2)
    steps, lengths = (numbers_of(value) for value in (node.inputs[1], node.inputs[3] if len(node.inputs) > 3 else None))
    length = lengths[0] if lengths else window[0] if window else None
    if signal is None or not steps or steps[0] < 1 or not isinstance(length, int) or signal[1] is None:
        return None
    bins = length // 2 + 1 if node.attributes.get_int("onesided", 1) else length
    return [(signal[0], tidy(floor_div(tidy(signal[1] - length), steps[0]) + 1), bins, 2)]


WINDOWS: dict[str, Callable[[ir.Node], Sequence[Shape | None] | None]] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "LpPool": _pool,
    "MaxPool": _pool,
    "STFT": _stft,
}
"""Rule of each operator that slides a window."""
