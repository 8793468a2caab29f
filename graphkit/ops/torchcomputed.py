"""Torch source of what has axes, pads, bounds or sizes that are computed; see :mod:`graphkit.ops.torchfunctions`."""

from __future__ import annotations

from typing import Final

__all__ = ["COMPUTED"]

_CENTER_CROP_PAD = '''
def center_crop_pad(x, sizes, axes=None):
    """The middle of axes, or x in the middle of zeros, so that they have the sizes."""
    axes = range(x.dim()) if axes is None else axes
    for axis, size in zip(axes, sizes.tolist()):
        old = x.shape[axis]
        if size < old:
            x = x.narrow(axis, (old - size) // 2, size)
            continue
        before = (size - old) // 2
        edges = [
            x.new_zeros(
                [width if k == axis % x.dim() else n for k, n in enumerate(x.shape)]
            )
            for width in (before, size - old - before)
        ]
        x = torch.cat([edges[0], x, edges[1]], axis)
    return x
'''

_RESHAPE_BY_CODES = '''
def reshape_by_codes(x, codes):
    """x in another shape, in which 0 stands for the size that x has there."""
    sizes = [code or x.shape[axis] for axis, code in enumerate(codes.tolist())]
    return x.reshape(sizes)
'''

_COUNT_NGRAMS = '''
def count_ngrams(x, grams, columns, width, skips=0):
    """How often n-grams are in rows of integers.

    Args:
        x: (rows, tokens).
        grams: The n-grams, (grams, length).
        columns: Where each is counted, (grams,).
        width: Number of columns.
        skips: Most tokens left out between two of an n-gram, as many each time.
    """
    found = torch.zeros(len(x), width, device=x.device)
    length = grams.shape[1]
    for step in range(1, skips + 2):
        starts = x.shape[1] - step * (length - 1)
        if starts > 0:
            parts = [x[:, k * step : k * step + starts] for k in range(length)]
            equal = (torch.stack(parts, -1)[:, :, None] == grams).all(-1)
            found.index_add_(1, columns, equal.sum(1).float())
    return found
'''

_SLICE_ALONG = '''
def slice_along(x, starts, ends, axes=None, steps=None):
    """x[start:end:step] along each axis, steps below zero included.

    Args:
        x: Tensor.
        starts: First bound of each axis, (axes,).
        ends: Second bound of each axis, (axes,).
        axes: The axes, (axes,); None for the first ones.
        steps: Step of each axis, (axes,); None for 1.
    """
    axes = range(len(starts)) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes, steps):
        taken = list(range(x.shape[axis])[start:end:step])
        x = x.index_select(
            axis, torch.tensor(taken, dtype=torch.int64, device=x.device)
        )
    return x
'''

_PAD_WIDTHS = '''
def pad_widths(rank, pads, axes=None):
    """Pads, first ones before last ones, as F.pad takes them: the last axis first."""
    axes = range(rank) if axes is None else [axis % rank for axis in axes.tolist()]
    widths = dict(zip(axes, pads.view(2, -1).t().tolist()))
    return [
        width for axis in reversed(range(rank)) for width in widths.get(axis, (0, 0))
    ]
'''

_PAD_REPEATING = '''
def pad_repeating(x, mode, pads, axes=None):
    """Put elements of x before and after axes, or take some away.

    Args:
        x: Tensor.
        mode: "edge", "reflect" or "wrap".
        pads: What is put before each axis, then what is put after each, (2 * axes,).
        axes: The axes, (axes,); None for all.
    """
    axes = range(x.dim()) if axes is None else axes.tolist()
    for axis, (before, after) in zip(axes, pads.view(2, -1).t().tolist()):
        size = x.shape[axis]
        place = torch.arange(-before, size + after, device=x.device)
        if mode == "edge":
            place = place.clamp(0, size - 1)
        elif mode == "wrap":
            place = place % size
        else:
            period = max(2 * (size - 1), 1)
            place = torch.minimum(place % period, -place % period)
        x = x.index_select(axis, place)
    return x
'''

_PROD_ALONG = '''
def prod_along(x, axes, keepdim=False, dtype=None):
    """Product of the elements along axes, (axes,); along all where there are none."""
    axes = [axis % x.dim() for axis in axes.tolist()] or range(x.dim())
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keepdim, dtype=dtype)
    return x
'''

_EXTREME_ALONG = '''
def extreme_along(x, axes=None, keepdim=False, largest=True):
    """Largest or smallest element along axes; of none the other end of the numbers."""
    axes = range(x.dim()) if axes is None or not len(axes) else axes.tolist()
    axes = [axis % x.dim() for axis in axes]
    if all(x.shape[axis] for axis in axes):
        return x.amax(axes, keepdim) if largest else x.amin(axes, keepdim)
    if x.is_floating_point():
        number = -torch.inf if largest else torch.inf
    elif x.dtype == torch.bool:
        number = not largest
    else:
        number = torch.iinfo(x.dtype).min if largest else torch.iinfo(x.dtype).max
    sizes = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    kept = sizes if keepdim else [n for axis, n in enumerate(sizes) if axis not in axes]
    return x.new_full(kept, number)
'''

_COL2IM = '''
def col2im(columns, size, block, dilation, padding, stride):
    """Sum of blocks of an image where they overlap.

    Args:
        columns: Blocks, (images, channels * elements of a block, blocks).
        size: Sizes of the image's axes.
        block: Sizes of a block's axes.
        dilation: Distance between a block's elements along each axis.
        padding: What is put around the image: before each axis, then after each.
        stride: Distance between blocks along each axis.
    """
    rank = len(size)
    sizes = [n + padding[k] + padding[k + rank] for k, n in enumerate(size)]
    counts = [
        (n - step * (length - 1) - 1) // jump + 1
        for n, step, length, jump in zip(sizes, dilation, block, stride)
    ]
    columns = columns.unflatten(2, counts).unflatten(1, (-1, *block))
    image = columns.new_zeros(*columns.shape[:2], *sizes)
    elements = torch.ones(block).nonzero().tolist()
    for place in elements:
        spans = [
            slice(k * step, k * step + jump * (count - 1) + 1, jump)
            for k, step, jump, count in zip(place, dilation, stride, counts)
        ]
        image[(..., *spans)] += columns[(slice(None), slice(None), *place)]
    inner = [slice(padding[k], padding[k] + n) for k, n in enumerate(size)]
    return image[(..., *inner)]
'''

_RESIZE = '''
def resize(
    x,
    axes,
    scales=None,
    sizes=None,
    region=None,
    mode="nearest",
    coordinates="half_pixel",
    rounding="round_prefer_floor",
    cubic=-0.75,
    exclude_outside=False,
    antialias=False,
    policy="stretch",
    beyond=0.0,
):
    """Interpolate along axes, as ONNX's Resize does.

    Args:
        x: Tensor.
        axes: The axes.
        scales: Elements after for each one before, (axes,).
        sizes: Sizes after, (axes,), in place of scales.
        region: Where each axis begins, then where each ends, as fractions, (2 * axes,).
        mode: "nearest", "linear" or "cubic".
        coordinates: How elements after lie among those before.
        rounding: How "nearest" rounds.
        cubic: Parameter of the cubic.
        exclude_outside: Whether what lies outside has no weight.
        antialias: Whether the filter is widened where an axis shrinks.
        policy: "stretch", or "not_larger" or "not_smaller" at the same ratio.
        beyond: What a region has outside.
    """
    before = [x.shape[axis] for axis in axes]
    if sizes is None:
        scales = scales.tolist()
        after = [int(scale * size) for scale, size in zip(scales, before)]
    else:
        after = sizes.tolist()
        scales = [size / old for size, old in zip(after, before)]
        if policy != "stretch":
            scales = [min(scales) if policy == "not_larger" else max(scales)] * len(
                axes
            )
            after = [int(scale * old + 0.5) for scale, old in zip(scales, before)]
    ends = [0.0] * len(axes) + [1.0] * len(axes) if region is None else region.tolist()
    lost = torch.zeros((1,) * x.dim(), dtype=torch.bool, device=x.device)
    for k, (axis, old, new, scale) in enumerate(zip(axes, before, after, scales)):
        start, end = ends[k], ends[k + len(axes)]
        if scale == 1 and (start, end) == (0, 1):
            continue
        if abs(scale * old - new) < 1e-6 * new:
            scale = new / old
        place = torch.arange(new, dtype=torch.float64, device=x.device)
        if coordinates == "align_corners":
            place = place * (old - 1) / max(new - 1, 1)
        elif coordinates == "tf_crop_and_resize" and new == 1:
            place = place + (start + end) * (old - 1) / 2
        elif coordinates == "tf_crop_and_resize":
            place = start * (old - 1) + place * (end - start) * (old - 1) / (new - 1)
        elif coordinates == "asymmetric":
            place = place / scale
        elif coordinates == "pytorch_half_pixel" and new == 1:
            place = place * 0
        else:
            symmetric = coordinates == "half_pixel_symmetric"
            shift = old / 2 * (1 - new / (scale * old)) if symmetric else 0.0
            place = shift + (place + 0.5) / scale - 0.5
        if coordinates == "tf_crop_and_resize":
            out = (place < 0) | (place > old - 1)
            lost = lost | out.view([-1 if n == axis else 1 for n in range(x.dim())])
        if mode == "nearest":
            near = {
                "round_prefer_floor": (place - 0.5).ceil(),
                "round_prefer_ceil": (place + 0.5).floor(),
                "floor": place.floor(),
                "ceil": place.ceil(),
            }[rounding]
            x = x.index_select(axis, near.clamp(0, old - 1).long())
            continue
        shrink = min(scale, 1.0) if antialias else 1.0
        reach = int(-(-(1 if mode == "linear" else 2) // shrink))
        taps = place.floor()[:, None] + torch.arange(-reach, reach + 1, device=x.device)
        far = ((taps - place[:, None]) * shrink).abs()
        if mode == "linear":
            weights = (1 - far).clamp(min=0)
        else:
            near = ((cubic + 2) * far - (cubic + 3)) * far * far + 1
            tail = ((cubic * far - 5 * cubic) * far + 8 * cubic) * far - 4 * cubic
            weights = torch.where(far <= 1, near, torch.where(far < 2, tail, 0.0))
        if exclude_outside:
            weights = weights * ((taps >= 0) & (taps < old))
        if exclude_outside or antialias:
            weights = weights / weights.sum(1, keepdim=True)
        matrix = weights.new_zeros(new, old)
        matrix.scatter_add_(1, taps.clamp(0, old - 1).long(), weights)
        x = torch.nn.functional.linear(
            x.transpose(axis, -1), matrix.to(x.dtype)
        ).transpose(axis, -1)
    return x.masked_fill(lost, beyond) if region is not None else x
'''

_CHOSEN_PLACES = '''
def chosen_places(x, chosen, padded=None, before=None, column_major=False):
    """Which elements of x a pooling chose, counted over the whole of x.

    Args:
        x: (images, channels, ...).
        chosen: Their numbers in each channel's plane.
        padded: x with what was put around the planes, where chosen counts in that.
        before: What was put before each axis of the planes.
        column_major: Whether the first axis of a plane counts fastest.
    """
    sizes = x.shape[2:]
    if padded is not None or column_major:
        places = torch.unravel_index(
            chosen, sizes if padded is None else padded.shape[2:]
        )
        if padded is not None:
            places = [place - width for place, width in zip(places, before)]
        axes = list(zip(places, sizes))
        chosen = torch.zeros_like(chosen)
        for place, size in reversed(axes) if column_major else axes:
            chosen = chosen * size + place
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device)
    planes = planes.view(x.shape[0], x.shape[1], *(1,) * len(sizes))
    return planes * sizes.numel() + chosen
'''

COMPUTED: Final = {
    "center_crop_pad": _CENTER_CROP_PAD,
    "chosen_places": _CHOSEN_PLACES,
    "col2im": _COL2IM,
    "count_ngrams": _COUNT_NGRAMS,
    "extreme_along": _EXTREME_ALONG,
    "pad_repeating": _PAD_REPEATING,
    "pad_widths": _PAD_WIDTHS,
    "prod_along": _PROD_ALONG,
    "reshape_by_codes": _RESHAPE_BY_CODES,
    "resize": _RESIZE,
    "slice_along": _SLICE_ALONG,
}
"""Source by name. Each uses nothing but torch."""
