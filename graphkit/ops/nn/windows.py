"""What convolution and pooling share: strides, dilations and pads, in ONNX's and in MXNet's terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

from graphkit.limits import check_elements
from graphkit.ops.codec import ints
from graphkit.ops.spec import Refusal, per_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import Dim, MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Size

__all__ = [
    "CHANNELS_FIRST",
    "Window",
    "counts",
    "global_pool",
    "mx_window",
    "onnx_ints",
    "onnx_pads",
    "onnx_window",
    "pad_spatial",
    "pool",
    "torch_pad",
    "torch_pool",
    "torch_window",
    "torch_windows",
]

CHANNELS_FIRST = ("None", "NCW", "NCHW", "NCDHW")
"""The values of MXNet's ``layout`` that put the channels on axis 1, as ONNX always does."""


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves over the spatial axes; one number for each of them.

    Attributes:
        kernel: Taps.
        strides: Elements from one window to the next.
        dilations: Elements from one tap to the next.
        begins: Elements of padding before the first.
        ends: Elements of padding after the last.
        ceil: Whether a last window may overhang the padding, as long as it starts inside the input or the padding
            before it.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    ceil: bool = False

    @property
    def extents(self) -> tuple[int, ...]:
        """Elements from the first to the last tap, both included."""
        return tuple(dilation * (taps - 1) + 1 for dilation, taps in zip(self.dilations, self.kernel, strict=True))

    @property
    def whole_ends(self) -> tuple[int, ...]:
        """Padding after the last element with which the same windows fit without overhang."""
        if not self.ceil:
            return self.ends
        return tuple(
            max(end, min(end + stride - 1, extent - 1))
            for end, stride, extent in zip(self.ends, self.strides, self.extents, strict=True)
        )

    def is_blind(self, spatial: Sequence[Dim]) -> bool:
        """Whether a window sees nothing but padding, as far as the sizes are known."""
        axes = zip(spatial, self.kernel, self.strides, self.dilations, self.begins, self.whole_ends, strict=True)
        for size, taps, stride, dilation, begin, end in axes:
            if isinstance(size, int):
                starts = range(-begin, size + end - dilation * (taps - 1), stride)
                if starts and starts[-1] >= size:
                    return True
                before = starts[: -(-begin // stride)]
                check_elements(len(before))
                for start in before:
                    tap = -(start // dilation)  # the first that is not before the first element
                    if tap >= taps or start + dilation * tap >= size:
                        return True
        return False

    def convention(self, spatial: Sequence[Dim]) -> str | None:
        """MXNet's ``pooling_convention`` that gives the same windows, None where Pooling cannot.

        Its Pooling pads both sides alike and knows no dilation. ``full`` keeps a last window that lies in the padding
        entirely, which ONNX drops; and no kernel may exceed the padded image.
        """
        if set(self.dilations) != {1} or self.begins != self.ends:
            return None
        axes = list(zip(spatial, self.kernel, self.strides, self.begins, strict=True))
        if any(isinstance(size, int) and taps > size + 2 * pad for size, taps, _, pad in axes):
            return None
        if not self.ceil or all(
            stride == 1 or (isinstance(size, int) and (size + 2 * pad - taps) % stride == 0)
            for size, taps, stride, pad in axes
        ):
            return "valid"
        return "full" if all(_starts_inside(*axis) for axis in axes) else None


def _starts_inside(size: Dim, taps: int, stride: int, pad: int) -> bool:
    """Whether the last window that MXNet's ``full`` convention keeps starts before the padding at the end."""
    if stride <= taps - pad:
        return True
    return isinstance(size, int) and -(-(size + 2 * pad - taps) // stride) * stride < size + pad


def mx_window(node: MxNode, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A per-axis parameter of an MXNet node; absent and ``()`` mean ``default`` on every axis.

    Raises:
        ValueError: It has another length than the kernel.
    """
    given = ints(node.attrs[name]) if name in node.attrs else ()
    if not given:
        return (default,) * rank
    if len(given) != rank:
        raise ValueError(f"{name}={node.attrs[name]} does not have one number for each of the {rank} kernel axes")
    return given


def onnx_ints(node: ir.Node, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A per-axis attribute of an ONNX node, ``default`` on every axis where it is absent."""
    return tuple(node.attributes.get_ints(name, [default] * rank))


def onnx_pads(
    b: MxBuilder | TorchBuilder | GradientBuilder, node: ir.Node, extents: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]] | Refusal:
    """Pads before and after each spatial axis, ``auto_pad`` resolved as the ONNX operator texts define it."""
    rank = len(extents)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0,) * rank, (0,) * rank
    if auto == "NOTSET":
        pads = onnx_ints(node, "pads", 2 * rank, 0)
        return pads[:rank], pads[rank:]
    data = node.inputs[0]
    assert data is not None
    totals = []
    for size, extent, stride in zip(b.shape(data)[2:], extents, strides, strict=True):
        if stride == 1:
            totals.append(extent - 1)
        elif isinstance(size, int):
            totals.append(max(0, (-(-size // stride) - 1) * stride + extent - size))
        else:
            return Refusal(f"auto_pad={auto} with a stride needs a known image size; give it with --input")
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def onnx_window(
    b: MxBuilder | TorchBuilder | GradientBuilder, node: ir.Node, kernel: tuple[int, ...]
) -> Window | Refusal:
    """The window that the attributes of a Conv or pooling node describe."""
    rank = len(kernel)
    strides, dilations = onnx_ints(node, "strides", rank, 1), onnx_ints(node, "dilations", rank, 1)
    ceil = bool(node.attributes.get_int("ceil_mode", 0))
    window = Window(kernel, strides, dilations, (0,) * rank, (0,) * rank, ceil)
    pads = onnx_pads(b, node, window.extents, strides)
    if isinstance(pads, Refusal):
        return pads
    window = Window(kernel, strides, dilations, *pads, ceil)
    source = node.inputs[0]
    assert source is not None
    for size, extent, begin, end in zip(b.shape(source)[2:], window.extents, pads[0], window.whole_ends, strict=True):
        if isinstance(size, int) and extent > size + begin + end:
            return Refusal(f"its window of {extent} elements is larger than the {size} that it moves over")
    return window


def pad_spatial(b: MxBuilder, data: MxRef, begins: tuple[int, ...], ends: tuple[int, ...], value: float = 0.0) -> MxRef:
    """Pad the one to three spatial axes of an (N, C, …) array with a constant; negative pads crop.

    MXNet's Pad takes 4-D and 5-D arrays only, and leaves gradients unset where it crops.
    """
    cut = [(max(-begin, 0), min(end, 0)) for begin, end in zip(begins, ends, strict=True)]
    for axis, (first, last) in enumerate(cut, start=2):
        if first or last:
            data = b.op("slice_axis", data, axis=axis, begin=first, end=last or "None")
    begins, ends = tuple(max(pad, 0) for pad in begins), tuple(max(pad, 0) for pad in ends)
    if not any((*begins, *ends)):
        return data
    flat = [0, 0, 0, 0]
    if len(begins) == 1:
        flat += [0, 0]
    for begin, end in zip(begins, ends, strict=True):
        flat += [begin, end]
    if len(begins) == 1:
        data = b.op("expand_dims", data, axis=2)
    data = b.op("Pad", data, mode="constant", pad_width=tuple(flat), constant_value=value)
    return b.op("squeeze", data, axis=2) if len(begins) == 1 else data


def pool(b: MxBuilder, data: MxRef, spatial: Sequence[Dim], window: Window, kind: str) -> MxRef:
    """The maximum (``"max"``) or sum (``"sum"``) over every window of an (N, C, …) array; one to three spatial axes."""
    convention = window.convention(spatial)
    if convention is not None:
        return b.op(
            "Pooling",
            data,
            pool_type=kind,
            kernel=window.kernel,
            stride=window.strides,
            pad=window.begins,
            pooling_convention=convention,
        )
    outside = float("-inf") if kind == "max" else 0.0
    data = pad_spatial(b, data, window.begins, window.whole_ends, outside)
    if set(window.dilations) == {1}:
        return b.op("Pooling", data, pool_type=kind, kernel=window.kernel, stride=window.strides)
    combine = "broadcast_maximum" if kind == "max" else "elemwise_add"
    for axis in range(len(window.kernel)):
        data = reduce(lambda one, other: b.op(combine, one, other), _taps(b, data, window, axis))
    return data


def _taps(b: MxBuilder, data: MxRef, window: Window, axis: int) -> list[MxRef]:
    """What each tap along one spatial axis sees of a padded array, window by window."""
    extent, stride, dilation = window.extents[axis], window.strides[axis], window.dilations[axis]
    rank = 2 + len(window.kernel)
    found = []
    for tap in range(window.kernel[axis]):
        begin: list[int | None] = [None] * rank
        end: list[int | None] = [None] * rank
        step: list[int | None] = [None] * rank
        begin[2 + axis] = tap * dilation
        end[2 + axis] = (tap * dilation - extent + 1) or None
        step[2 + axis] = stride
        found.append(b.op("slice", data, begin=tuple(begin), end=tuple(end), step=tuple(step)))
    return found


def counts(b: MxBuilder, data: MxRef, spatial: Sequence[Dim], window: Window, *, padding: bool) -> MxRef:
    """Over how many elements each window extends, those of the padding included or not, as (1, 1, …)."""
    one = b.op("slice_axis", b.op("slice_axis", data, axis=0, begin=0, end=1), axis=1, begin=0, end=1)
    ones = b.op("ones_like", one)
    if not padding:
        return pool(b, ones, spatial, window, "sum")
    rank = len(window.kernel)
    ones = pad_spatial(b, ones, window.begins, window.ends, 1.0)
    sizes = [
        size + begin + end if isinstance(size, int) else None
        for size, begin, end in zip(spatial, window.begins, window.ends, strict=True)
    ]
    overhang = tuple(whole - end for whole, end in zip(window.whole_ends, window.ends, strict=True))
    rest = Window(window.kernel, window.strides, window.dilations, (0,) * rank, overhang)
    return pool(b, ones, sizes, rest, "sum")


def global_pool(b: MxBuilder, data: MxRef, rank: int, kind: str) -> MxRef:
    """The maximum (``"max"``), sum or mean (``"avg"``) over the spatial axes of an (N, C, …) array, which stay as 1."""
    if rank in (3, 4, 5):
        return b.op("Pooling", data, global_pool=True, pool_type=kind, kernel=(1,) * (rank - 2))
    return b.op("mean" if kind == "avg" else kind, data, axis=tuple(range(2, rank)), keepdims=True)


def torch_pad(
    b: TorchBuilder, data: Arg, begins: Sequence[int], ends: Sequence[int], value: float | None = None
) -> Arg:
    """Pad the last axes of a tensor with a constant, zero where none is given; negative pads crop."""
    if not any((*begins, *ends)):
        return data
    pairs = [pad for begin, end in zip(reversed(begins), reversed(ends), strict=True) for pad in (begin, end)]
    return b.call("F.pad", data, tuple(pairs), value=value)


def torch_window(b: TorchBuilder, data: Arg, window: Window, value: float | None = None) -> tuple[Arg, dict[str, Any]]:
    """The data and the keyword arguments with which torch moves the window over it.

    Torch pads both sides alike; uneven pads become a pad of their own, of zeros or of ``value``.
    """
    pads = window.begins
    if window.begins != window.ends:
        data, pads = torch_pad(b, data, window.begins, window.ends, value), (0,) * len(pads)
    options: dict[str, Any] = {}
    if set(window.strides) != {1}:
        options["stride"] = per_axis(window.strides)
    if any(pads):
        options["padding"] = per_axis(pads)
    if set(window.dilations) != {1}:
        options["dilation"] = per_axis(window.dilations)
    return data, options


def torch_pool(b: TorchBuilder, data: Arg, window: Window, outside: float | None = None) -> tuple[Arg, dict[str, Any]]:
    """The data and the keyword arguments with which torch pools it, kernel and dilation excepted.

    Torch moves a window by its own size where no stride is given, and pads both sides alike by half a window at most;
    other padding becomes a pad of its own, of zeros or of ``outside``.
    """
    pads, ceil = window.begins, window.ceil
    fits = all(2 * pad <= taps for pad, taps in zip(pads, window.kernel, strict=True))
    if pads != window.ends or not fits:
        data, pads, ceil = torch_pad(b, data, window.begins, window.whole_ends, outside), (0,) * len(pads), False
    options: dict[str, Any] = {}
    if window.strides != window.kernel:
        options["stride"] = per_axis(window.strides)
    if any(pads):
        options["padding"] = per_axis(pads)
    if ceil and any(stride > 1 for stride in window.strides):
        options["ceil_mode"] = True
    return data, options


def torch_windows(b: TorchBuilder, data: Arg, window: Window, channels: int | Size) -> tuple[Arg, int]:
    """Every window of an (N, C, …) tensor of one to three spatial axes added up, all padding included.

    Args:
        b: The builder.
        data: The tensor.
        window: The window; one that overhangs the padding sees zeros there.
        channels: Number of channels.

    Returns:
        The mean over each window and 1, or where torch has no pooling for it, the sum and the number of taps.
    """
    data, rank = torch_pad(b, data, window.begins, window.whole_ends), len(window.kernel)
    whole = Window(window.kernel, window.strides, window.dilations, (0,) * rank, (0,) * rank)
    if set(window.dilations) == {1}:
        data, options = torch_pool(b, data, whole)
        return b.call(f"F.avg_pool{rank}d", data, per_axis(window.kernel), **options), 1
    ones = b.method("new_ones", data, channels, 1, *window.kernel)
    _, options = torch_window(b, data, whole)
    if channels != 1:
        options["groups"] = channels
    return b.call(f"F.conv{rank}d", data, ones, **options), prod(window.kernel)
