"""Functions that torch lacks, as the source that stands above the classes of a module that calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ops.detection.sources import SOURCES
from graphkit.ops.torchcasts import CASTS
from graphkit.ops.torchcomputed import COMPUTED
from graphkit.ops.torchprogram import walk
from graphkit.ops.torchrecurrent import RECURRENT

if TYPE_CHECKING:
    from graphkit.ops.torchprogram import TorchProgram

__all__ = ["FUNCTIONS", "functions_of"]

_DEFORM_CONV2D = '''
def deform_conv2d(
    x,
    offset,
    weight,
    bias=None,
    stride=(1, 1),
    padding=(0, 0),
    dilation=(1, 1),
    mask=None,
):
    """Convolution that takes every tap from where an offset moves it to.

    Args:
        x: (batch, channels, height, width); zeros lie around it.
        offset: Pixels down and right, (batch, offset groups * taps * 2, rows, columns).
        weight: (filters, channels / groups, kernel height, kernel width).
        bias: (filters,).
        stride: Pixels from one window to the next, down and right.
        padding: Pixels that the first window lies before the image.
        dilation: Pixels from one tap to the next.
        mask: Factors of the taps, (batch, offset groups * taps, rows, columns).
    """
    batch, channels, *lengths = x.shape
    kernel, size = weight.shape[2:], offset.shape[2:]
    taps = kernel[0] * kernel[1]
    groups = offset.shape[1] // (2 * taps)
    moves = offset.reshape(batch * groups, taps, 2, *size)
    places = []
    for axis in (1, 0):
        start = torch.arange(size[axis], device=x.device) * stride[axis] - padding[axis]
        tap = torch.arange(kernel[axis], device=x.device) * dilation[axis]
        tap = tap.repeat(kernel[0]) if axis else tap.repeat_interleave(kernel[1])
        start = start if axis else start[:, None]
        place = tap[:, None, None] + start + moves[:, :, axis]
        places.append((2 * place + 1) / lengths[axis] - 1)
    seen = torch.nn.functional.grid_sample(
        x.reshape(batch * groups, channels // groups, *lengths),
        torch.stack(places, -1).flatten(1, 2),
        align_corners=False,
    ).unflatten(2, (taps, size[0]))
    if mask is not None:
        seen = seen * mask.reshape(batch * groups, 1, taps, *size)
    parts = channels // weight.shape[1]
    columns = seen.reshape(batch, parts, -1, size[0] * size[1])
    y = weight.reshape(parts, -1, columns.shape[2]) @ columns
    y = y.reshape(batch, -1, *size)
    return y if bias is None else y + bias[:, None, None]
'''

_HAWKES_LOG_LIKELIHOOD = '''
def hawkes_log_likelihood(base, jump, decay, state, lags, marks, lengths, span):
    """Log likelihood of events of processes whose intensities jump and decay.

    Args:
        base: Intensities without events, (batch, processes).
        jump: What an event adds, times its decay, (processes,).
        decay: Of what was added, per time, (processes,).
        state: What is left of earlier events, (batch, processes).
        lags: Time since the event before, (batch, events).
        marks: Process of each event, (batch, events).
        lengths: Number of events, (batch,).
        span: Time over which they were looked for, (batch,).

    Returns:
        The likelihood, (batch,), and what is left of the events at the end.
    """
    total, now, last = 0, 0, torch.zeros_like(state)
    for number, (lag, mark) in enumerate(zip(lags.unbind(1), marks.unbind(1))):
        valid = number < lengths
        now = now + lag * valid
        here = torch.nn.functional.one_hot(mark, base.shape[1]).bool() & valid[:, None]
        passed = now[:, None] - last
        left = (-decay * passed).exp()
        intensity = base + jump * decay * state * left
        gain = torch.where(here, intensity, 1).log()
        gain = gain - base * passed - jump * state * (1 - left)
        total = total + torch.where(here, gain, 0).sum(1)
        last = torch.where(here, now[:, None], last)
        state = torch.where(here, 1 + state * left, state)
    passed = span[:, None] - last
    left = (-decay * passed).exp()
    rest = base * passed + jump * state * (1 - left)
    return total - rest.sum(1), left * state
'''

_NON_MAX_SUPPRESSION = '''
def non_max_suppression(
    boxes, scores, most, overlap=0.0, lowest=-torch.inf, center=False
):
    """(image, class, box) of each box that no better one overlaps, better ones first.

    Args:
        boxes: Opposite corners, or centers and sizes, (images, boxes, 4).
        scores: (images, classes, boxes).
        most: Boxes that may stay of each class.
        overlap: Ratio of intersection to union above which a worse box goes.
        lowest: Score above which boxes take part.
        center: Whether boxes are centers and sizes.
    """
    first, second = boxes.detach().chunk(2, -1)
    if center:
        first, second = first - second / 2, first + second / 2
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    area = (high - low).prod(-1)
    rows = []
    for image, label in torch.cartesian_prod(
        *map(torch.arange, scores.shape[:2])
    ).tolist():
        ranked, order = scores[image, label].sort(descending=True, stable=True)
        order = order[ranked > lowest]
        count = 0
        while len(order) and count < most:
            best, order = order[0], order[1:]
            rows.append((image, label, int(best)))
            count += 1
            sides = torch.minimum(
                high[image, best], high[image, order]
            ) - torch.maximum(low[image, best], low[image, order])
            shared = sides.clamp(min=0).prod(-1)
            ratio = shared / (area[image, order] + area[image, best] - shared)
            order = order[~(ratio > overlap)]
    return torch.tensor(rows, dtype=torch.int64, device=boxes.device).reshape(-1, 3)
'''

_ROI_ALIGN = '''
def roi_align(x, regions, images, size, scale=1.0, samples=0, aligned=True):
    """Average of interpolated samples in each bin of regions of images.

    Args:
        x: (images, channels, height, width).
        regions: Left, top, right and bottom, (regions, 4).
        images: Number of each region's image, (regions,).
        size: Bins along height and width.
        scale: From the regions' coordinates to those of x.
        samples: In each bin along an axis; 0 for one per pixel.
        aligned: Whether coordinates are those of pixels' edges, not of their centers.
    """
    corners = regions.detach() * scale - (0.5 if aligned else 0.0)
    first, last = corners.chunk(2, 1)
    extents = last - first if aligned else (last - first).clamp(min=1)
    weights = []
    for axis, bins, length in ((1, size[0], x.shape[2]), (0, size[1], x.shape[3])):
        start, step = first[:, axis, None, None], extents[:, axis, None, None] / bins
        count = torch.full_like(step, samples) if samples else step.detach().ceil()
        number = torch.arange(
            int(count.max()) if len(regions) else 0, dtype=x.dtype, device=x.device
        )
        bin_ = torch.arange(bins, dtype=x.dtype, device=x.device)[:, None]
        points = start + (bin_ + (number + 0.5) / count) * step
        taken = (points >= -1) & (points <= length) & (number < count)
        pixels = torch.arange(length, dtype=x.dtype, device=x.device)
        places = points.nan_to_num().clamp(0, length - 1)
        near = (1 - (places[..., None] - pixels).abs()).clamp(min=0)
        weights.append((near * taken[..., None]).sum(2) / count.clamp(min=1))
    rows, columns = weights
    pooled = x.new_zeros(len(regions), x.shape[1], *size)
    for image in images.unique().tolist():
        here = images == image
        pooled[here] = torch.einsum(
            "rhy,cyx,rwx->rchw", rows[here], x[image], columns[here]
        )
    return pooled
'''

_ROI_MAX_POOL = '''
def roi_max_pool(x, regions, size, scale=1.0):
    """Maximum of the pixels in each bin of regions of images; 0 where it has none.

    Args:
        x: (images, channels, height, width).
        regions: Number of the image, left, top, right and bottom, (regions, 5).
        size: Bins along height and width.
        scale: From the regions' coordinates to those of x.
    """
    corners = regions[:, 1:] * scale
    first, last = (corners.sign() * (corners.abs() + 0.5).floor()).long().chunk(2, 1)
    extents = (last - first + 1).clamp(min=1)
    within = []
    for axis, bins, length in ((1, size[0], x.shape[2]), (0, size[1], x.shape[3])):
        start, extent = first[:, axis, None], extents[:, axis, None]
        edges = torch.arange(bins + 1, device=x.device) * extent
        begin = start + edges[:, :-1].div(bins, rounding_mode="floor")
        end = start - (-edges[:, 1:]).div(bins, rounding_mode="floor")
        pixels = torch.arange(length, device=x.device)
        within.append((pixels >= begin[..., None]) & (pixels < end[..., None]))
    pooled = []
    for image, rows, columns in zip(regions[:, 0].long(), *within):
        highest = x[image, :, None].masked_fill(~rows[..., None], -torch.inf).amax(2)
        highest = highest[:, :, None].masked_fill(~columns, -torch.inf).amax(3)
        empty = ~(rows.any(1)[:, None] & columns.any(1))
        pooled.append(highest.masked_fill(empty, 0))
    return torch.stack(pooled) if pooled else x.new_zeros(0, x.shape[1], *size)
'''

FUNCTIONS: Final = {
    **SOURCES,
    **CASTS,
    **COMPUTED,
    **RECURRENT,
    "deform_conv2d": _DEFORM_CONV2D,
    "hawkes_log_likelihood": _HAWKES_LOG_LIKELIHOOD,
    "non_max_suppression": _NON_MAX_SUPPRESSION,
    "roi_align": _ROI_ALIGN,
    "roi_max_pool": _ROI_MAX_POOL,
}
"""Source by name. Each uses nothing but torch."""


def functions_of(program: TorchProgram) -> list[str]:
    """The source of each function that a program calls, in the order of their names."""
    called = {stmt.head for stmt in walk(program.stmts) if stmt.kind == "call"}
    return [source for name, source in FUNCTIONS.items() if name in called]
