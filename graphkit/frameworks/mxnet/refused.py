"""What MXNet 1.9.1 refuses when it binds a symbol, and rules of other formats let pass or make something else of.

Their rules of shape inference find most contradictions; these are the others.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias

from graphkit.ops.codec import BOOL, ints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphkit.ops.mxgraph import MxNode

    Dim: TypeAlias = int | str | None
    Dims: TypeAlias = tuple[Dim, ...]
    Rule: TypeAlias = Callable[[Mapping[str, str], Dims | None], str | None]

__all__ = ["refused"]

_IMAGES: Final = frozenset(
    {
        "LRN",
        "UpSampling",
        "_contrib_AdaptiveAvgPooling2D",
        "_contrib_BilinearResize2D",
        "depth_to_space",
        "space_to_depth",
    }
)
_IMAGES_RANK: Final = 4
_WINDOWS: Final = 3
"""Spatial axes that a convolution or pooling may have."""


def refused(node: MxNode, data: Dims | None) -> str | None:
    """Why MXNet refuses a node, as a clause, or None.

    Args:
        node: The node; its parameters are such as MXNet parses.
        data: Shape of its first input as far as it is known.

    Raises:
        ValueError: A parameter is not what MXNet writes.
    """
    if node.op in _IMAGES and data is not None and len(data) != _IMAGES_RANK:
        return f"it computes on images only, of {_IMAGES_RANK} axes, and reads {len(data)}"
    rule = _RULES.get(node.op)
    return None if rule is None else rule(node.attrs, data)


def _size(data: Dims | None, axis: int) -> int | None:
    size = data[axis] if data is not None and -len(data) <= axis < len(data) else None
    return size if isinstance(size, int) else None


def _window(kernel: tuple[int, ...], data: Dims | None) -> str | None:
    if not 1 <= len(kernel) <= _WINDOWS:
        return f"its kernel has {len(kernel)} axes, which MXNet only knows 1 to {_WINDOWS} of"
    if min(kernel) < 1:
        return f"its kernel is {kernel}"
    if data is not None and len(data) != len(kernel) + 2:
        return f"its kernel has {len(kernel)} axes, and what it reads {len(data)} where it needs {len(kernel) + 2}"
    return None


def _positive(attrs: Mapping[str, str], *names: str) -> str | None:
    for name in names:
        if name in attrs and min(ints(attrs[name]), default=1) < 1:
            return f"{name}={attrs[name]} is not positive"
    return None


def _convolution(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    filters, groups = int(attrs["num_filter"]), int(attrs.get("num_group", "1"))
    problem = _window(ints(attrs["kernel"]), data) or _positive(attrs, "stride", "dilate")
    if problem or min(filters, groups) < 1:
        return problem or f"num_filter={filters} and num_group={groups} have to be positive"
    channels = _size(data, -1 if _channels_last(attrs) else 1)
    for what, number in ((f"num_filter={filters}", filters), (f"the {channels} channels that it reads", channels)):
        if number is not None and number % groups:
            return f"num_group={groups} does not divide {what}"
    return None


def _forward_convolution(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    kernel, dilate = ints(attrs["kernel"]), ints(attrs.get("dilate", "()"))
    windows = [(size - 1) * step + 1 for size, step in zip(kernel, dilate or (1,) * len(kernel), strict=False)]
    return _convolution(attrs, data) or _overhang(windows, attrs, data)


def _overhang(windows: Sequence[int], attrs: Mapping[str, str], data: Dims | None) -> str | None:
    """Whether a window does not fit into what it moves over."""
    first = 1 if _channels_last(attrs) else 2
    for axis, (window, pad) in enumerate(
        zip(windows, ints(attrs.get("pad", "()")) or (0,) * len(windows), strict=False)
    ):
        size = _size(data, first + axis)
        if size is not None and window > size + 2 * pad:
            padded = f" with {2 * pad} of padding" if pad else ""
            return f"its window of {window} is larger than the {size} elements{padded} along axis {first + axis}"
    return None


def _channels_last(attrs: Mapping[str, str]) -> bool:
    return attrs.get("layout", "None") in ("NWC", "NHWC", "NDHWC")


def _pooling(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    kernel = ints(attrs.get("kernel", "()"))
    if BOOL.parse(attrs.get("global_pool", "False")) or not kernel:
        return None
    if problem := _window(kernel, data) or _positive(attrs, "stride"):
        return problem
    return _overhang(kernel, attrs, data)


def _split(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    pieces, axis = int(attrs["num_outputs"]), int(attrs.get("axis", "1"))
    size = _size(data, axis)
    if size is not None and (pieces < 1 or size % pieces):
        return f"{size} elements along axis {axis} cannot be cut into {pieces} equal pieces"
    return None


def _slice(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    size = _size(data, int(attrs["axis"]))
    begin, end = int(attrs["begin"]), attrs.get("end", "None")
    if size is None:
        return None
    stop = size if end == "None" else int(end) + size * (int(end) < 0)
    start = begin + size * (begin < 0)
    if not 0 <= start < stop <= size:
        return f"begin={begin} and end={end} do not cut a part out of the {size} elements along axis {attrs['axis']}"
    return None


def _tile(attrs: Mapping[str, str], _data: Dims | None) -> str | None:
    return _positive(attrs, "reps")


def _lrn(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    size, channels = int(attrs["nsize"]), _size(data, 1)
    if size % 2 == 0:
        return f"nsize={size} has to be odd"
    return f"nsize={size} is more than its {channels} channels" if channels is not None and size > channels else None


def _pad(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    widths = ints(attrs["pad_width"])
    if len(widths) not in (8, 10) or any(widths[:4]):
        return f"pad_width={attrs['pad_width']} has to leave two axes as they are and to pad two or three others"
    if data is not None and len(data) * 2 != len(widths):
        return f"pad_width={attrs['pad_width']} is for {len(widths) // 2} axes, and it reads {len(data)}"
    if attrs.get("mode") == "reflect":
        for axis in range(2, len(widths) // 2):
            size = _size(data, axis)
            if size is not None and max(widths[2 * axis : 2 * axis + 2]) >= size:
                return f"pad_width={attrs['pad_width']} reflects more than the {size} elements along axis {axis}"
    return None


def _depth_to_space(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    block, channels = int(attrs["block_size"]), _size(data, 1)
    if channels is not None and (block < 1 or channels % (block * block)):
        return f"{channels} channels cannot be spread over blocks of {block}×{block}"
    return None


def _space_to_depth(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    block = int(attrs["block_size"])
    for axis in (2, 3):
        size = _size(data, axis)
        if size is not None and (block < 1 or size % block):
            return f"{size} elements along axis {axis} cannot be cut into blocks of {block}"
    return None


def _batch_norm(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    axis = int(attrs.get("axis", "1"))
    if data is not None and not -len(data) <= axis < len(data):
        return f"it normalises along axis {axis} of {len(data)}"
    return None


def _reshape(attrs: Mapping[str, str], data: Dims | None) -> str | None:
    """Whether the numbers of the known axes of what it reads cannot fill the asked shape."""
    target = ints(attrs.get("shape", "()"))
    if not target or min(target) < 1 or data is None:
        return None
    known = prod(size for size in data if isinstance(size, int))
    whole = all(isinstance(size, int) for size in data)
    if (prod(target) != known) if whole else (known and prod(target) % known):
        return f"shape={attrs['shape']} does not have as many elements as what it reads"
    return None


_RULES: Final[Mapping[str, Rule]] = {
    "BatchNorm": _batch_norm,
    "Convolution": _forward_convolution,
    "Deconvolution": _convolution,
    "LRN": _lrn,
    "Pad": _pad,
    "Pooling": _pooling,
    "Reshape": _reshape,
    "SliceChannel": _split,
    "depth_to_space": _depth_to_space,
    "slice_axis": _slice,
    "space_to_depth": _space_to_depth,
    "tile": _tile,
}
