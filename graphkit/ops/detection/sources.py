"""Source of the functions of boxes and regions that torch lacks, each of which uses nothing but torch."""

from __future__ import annotations

from typing import Final

__all__ = ["SOURCES"]

_BIPARTITE_MATCHING = '''
def bipartite_matching(scores, threshold, ascending=False, most=None):
    """Pairs of rows and columns, the best first; -1 for those that are in none.

    Args:
        scores: (..., rows, columns).
        threshold: Scores that are not better make no pair.
        ascending: Whether lower scores are better.
        most: Largest number of pairs.

    Returns:
        The column of each row and the row of each column.
    """
    *batch, rows, columns = scores.shape
    rank = (-scores if ascending else scores).detach().reshape(-1, rows * columns)
    threshold = -threshold if ascending else threshold
    column_of, row_of = rank.new_full((len(rank), rows), -1), rank.new_full(
        (len(rank), columns), -1
    )
    for _ in range(min(rows, columns, most or rows)):
        place = rank.argmax(1, keepdim=True)
        better = rank.gather(1, place) > threshold
        row, column = place // columns, place % columns
        column_of = torch.where(
            better, column_of.scatter(1, row, column.to(rank.dtype)), column_of
        )
        row_of = torch.where(
            better, row_of.scatter(1, column, row.to(rank.dtype)), row_of
        )
        taken = (column_of >= 0)[:, :, None] | (row_of >= 0)[:, None]
        rank = rank.masked_fill(taken.flatten(1), -torch.inf)
    return column_of.reshape(*batch, rows), row_of.reshape(*batch, columns)
'''

_DEFORM_PS_ROI_POOL = '''
def deform_ps_roi_pool(
    x, regions, channels, size, groups, moves=None, factor=0.0, samples=1, scale=1.0
):
    """Mean of samples in each bin of regions, bins moved, with channels of their own.

    Args:
        x: (images, channels * groups * groups, height, width).
        regions: Number of the image, left, top, right and bottom, (regions, 5).
        channels: Channels of the result.
        size: Bins along height and width.
        groups: Groups of channels along height and width.
        moves: Right and down of some channels each, (regions, moves * 2, parts, parts).
        factor: What moves, in units of the regions' sizes, are multiplied by.
        samples: In each bin along an axis.
        scale: From the regions' coordinates to those of x.
    """
    corners = regions[:, 1:].sign() * (regions[:, 1:].abs() + 0.5).floor()
    first, last = corners[:, :2] * scale - 0.5, (corners[:, 2:] + 1) * scale - 0.5
    extents = (last - first).clamp(min=0.1)
    bins = torch.arange(size, dtype=x.dtype, device=x.device)
    if moves is None:
        moves = x.new_zeros(len(regions), 2, 1, 1)
    parts = (bins / size * moves.shape[-1]).long()
    moves = moves.unflatten(1, (-1, 2))[:, :, :, parts][..., parts] * factor
    weights, counts = [], []
    for axis, length in ((1, x.shape[2]), (0, x.shape[3])):
        extent = extents[:, axis, None, None, None]
        bin_ = bins[:, None] if axis else bins
        start = extent / size * bin_ + first[:, axis, None, None, None]
        start = start + moves[:, :, axis] * extent
        sample = torch.arange(samples, dtype=x.dtype, device=x.device)
        points = start[..., None] + extent[..., None] / size / samples * sample
        taken = ((points >= -0.5) & (points <= length - 0.5)).to(x.dtype)
        pixels = torch.arange(length, dtype=x.dtype, device=x.device)
        apart = (points.clamp(0, length - 1)[..., None] - pixels).abs()
        weights.append(((1 - apart).clamp(min=0) * taken[..., None]).sum(4))
        counts.append(taken.sum(4))
    rows, columns = weights
    own = torch.arange(size, device=x.device) * groups // size
    x = x.unflatten(1, (moves.shape[1], -1, groups, groups))[:, :, :, own][
        ..., own, :, :
    ]
    pooled = x.new_zeros(len(regions), *x.shape[1:5])
    images = regions[:, 0].long()
    for image in images.unique().tolist():
        here = images == image
        pooled[here] = torch.einsum(
            "rkijh,kcijhw,rkijw->rkcij", rows[here], x[image], columns[here]
        )
    count = (counts[0] * counts[1]).clamp(min=1)
    return (pooled / count[:, :, None]).flatten(1, 2)
'''

_MULTIBOX_TARGET = '''
def multibox_target(
    anchors,
    labels,
    scores,
    overlap=0.5,
    ignored=-1.0,
    negatives=None,
    negative_overlap=0.5,
    variances=(0.1, 0.1, 0.2, 0.2),
):
    """What SSD is trained to give for each anchor.

    Args:
        anchors: Corners, (1, anchors, 4).
        labels: Class and corners of boxes, rows of -1 at the end, (images, boxes, 5).
        scores: Of each class, the background first, (images, classes, anchors).
        overlap: Above it an anchor has the box that it overlaps most.
        ignored: Class of anchors that are not trained.
        negatives: Anchors trained as background per anchor with a box; None for all.
        negative_overlap: Below it an anchor may be trained as background.
        variances: What offsets are divided by.

    Returns:
        Offsets, whether there is a box, both (images, anchors * 4), and classes
        (images, anchors), 0 for the background.
    """
    low, high = anchors[0].detach().chunk(2, 1)
    size = high - low
    offsets = labels.new_zeros(len(labels), len(low), 4)
    mask = torch.zeros_like(offsets)
    classes = labels.new_full(offsets.shape[:2], ignored)
    for image, boxes in enumerate(labels.detach()):
        boxes = boxes[(boxes[:, 0] == -1).cumsum(0) == 0]
        if not len(boxes):
            continue
        first, last = boxes[:, 1:3], boxes[:, 3:5]
        ends = torch.minimum(high[:, None], last)
        sides = ends - torch.maximum(low[:, None], first)
        shared = sides.clamp(min=0).prod(2)
        union = size.prod(1)[:, None] + (last - first).prod(1) - shared
        ratio = torch.where(union == 0, 0.0, shared / union)
        most, box = ratio.max(1)
        matched = (most > overlap) & (overlap > 0)
        rest = ratio.clone()
        for _ in boxes:
            anchor, best = divmod(int(rest.argmax()), len(boxes))
            if not rest[anchor, best] > 1e-6:
                break
            matched[anchor], box[anchor] = True, best
            rest[anchor], rest[:, best] = -1, -1
        background = ~matched
        if negatives is not None:
            chance = scores[image].detach().softmax(0)[0]
            unfit = matched | (most >= negative_overlap)
            chance = chance.masked_fill(unfit, torch.inf)
            count = min(int(matched.sum() * negatives), int(background.sum()))
            order = chance.argsort(stable=True)[:count]
            background = torch.zeros_like(matched)
            background[order] = chance[order] < torch.inf
        classes[image, background] = 0
        classes[image, matched] = boxes[box[matched], 0] + 1
        mask[image, matched] = 1
        extent = (last - first)[box]
        moved = ((first + last)[box] - (low + high)) / 2 / size
        offset = torch.cat((moved, (extent / size).log()), 1)
        offset = offset / offset.new_tensor(variances)
        offsets[image, matched] = offset[matched]
    return offsets.flatten(1), mask.flatten(1), classes
'''

_NMS_MASK = '''
def nms_mask(boxes, scores, threshold, classes=None, center=False):
    """Which boxes stay of those that no better one of their class overlaps.

    Args:
        boxes: Corners, or centers and sizes, (images, boxes, 4).
        scores: (images, boxes); minus infinity for boxes that do not take part.
        threshold: Ratio of intersection to union above which a worse box goes.
        classes: (images, boxes); None where all boxes are of one class.
        center: Whether boxes are centers and sizes.
    """
    low, high = boxes.detach().chunk(2, -1)
    if center:
        low, high = low - high.clamp(min=0) / 2, low + high.clamp(min=0) / 2
    high = torch.maximum(low, high)
    area = (high - low).prod(-1)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for image, rank in enumerate(scores.detach()):
        order = rank.argsort(descending=True, stable=True)
        order = order[rank[order] > -torch.inf]
        while len(order):
            best, order = order[0], order[1:]
            kept[image, best] = True
            sides = torch.minimum(high[image, best], high[image, order])
            sides = sides - torch.maximum(low[image, best], low[image, order])
            shared = sides.clamp(min=0).prod(-1)
            ratio = shared / (area[image, order] + area[image, best] - shared)
            worse = ratio > threshold
            if classes is not None:
                worse = worse & (classes[image, order] == classes[image, best])
            order = order[~worse]
    return kept
'''

_PS_ROI_POOL = '''
def ps_roi_pool(x, regions, channels, size, groups, scale=1.0):
    """Mean of the pixels in each bin of regions, which has channels of its own.

    Args:
        x: (images, channels * groups * groups, height, width).
        regions: Number of the image, left, top, right and bottom, (regions, 5).
        channels: Channels of the result.
        size: Bins along height and width.
        groups: Groups of channels along height and width.
        scale: From the regions' coordinates to those of x.
    """
    corners = regions[:, 1:].sign() * (regions[:, 1:].abs() + 0.5).floor()
    first, last = corners[:, :2] * scale, (corners[:, 2:] + 1) * scale
    steps = (last - first).clamp(min=0.1) / size
    bins = torch.arange(size, dtype=x.dtype, device=x.device)
    weights = []
    for axis, length in ((1, x.shape[2]), (0, x.shape[3])):
        start, step = first[:, axis, None], steps[:, axis, None]
        begin, end = (step * bins + start).floor(), (step * (bins + 1) + start).ceil()
        pixels = torch.arange(length, dtype=x.dtype, device=x.device)
        within = (pixels >= begin[..., None]) & (pixels < end[..., None])
        weights.append(within / within.sum(2, keepdim=True).clamp(min=1).to(x.dtype))
    rows, columns = weights
    own = torch.arange(size, device=x.device) * groups // size
    x = x.unflatten(1, (channels, groups, groups))[:, :, own][:, :, :, own]
    pooled = x.new_zeros(len(regions), channels, size, size)
    images = regions[:, 0].long()
    for image in images.unique().tolist():
        here = images == image
        pooled[here] = torch.einsum(
            "rih,cijhw,rjw->rcij", rows[here], x[image], columns[here]
        )
    return pooled
'''

_ROI_ALIGN_MAX = '''
def roi_align_max(x, regions, images, size, scale=1.0, samples=0, aligned=True):
    """Largest of the weighted pixels around the samples in each bin of regions.

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
    shapes = (
        (slice(None), slice(None), None, slice(None), None),
        (slice(None), None, slice(None), None, slice(None)),
    )
    sides, used = [], True
    for axis, bins, shape in ((1, size[0], shapes[0]), (0, size[1], shapes[1])):
        start, step = first[:, axis, None, None], extents[:, axis, None, None] / bins
        count = torch.full_like(step, samples) if samples else step.detach().ceil()
        number = torch.arange(
            max(int(count.max()), 1) if len(regions) else 1,
            dtype=x.dtype,
            device=x.device,
        )
        bin_ = torch.arange(bins, dtype=x.dtype, device=x.device)[:, None]
        points = start + (bin_ + (number + 0.5) / count) * step
        length = x.shape[3 - axis]
        seen = (points >= -1) & (points <= length)
        place = points.nan_to_num().clamp(0, length - 1)
        low = place.floor()
        near, far = (1 - place + low) * seen, (place - low) * seen
        high = (low + 1).clamp(max=length - 1)
        sides.append(
            [(at.long()[shape], by[shape]) for at, by in ((low, near), (high, far))]
        )
        used = used & (number < count).expand_as(points)[shape]
    pixels = x.permute(0, 2, 3, 1)
    images = images[:, None, None, None, None]
    seen = [
        pixels[images, row, column] * (down * right)[..., None]
        for row, down in sides[0]
        for column, right in sides[1]
    ]
    best = torch.stack(seen).masked_fill(~used[..., None], -torch.inf).amax((0, 4, 5))
    return best.masked_fill(best == -torch.inf, 0).permute(0, 3, 1, 2)
'''

_ROTATED_ROI_ALIGN = '''
def rotated_roi_align(x, regions, size, scale=1.0, samples=0):
    """Average of interpolated samples in each bin of rotated regions of images.

    Args:
        x: (images, channels, height, width).
        regions: Number of the image, centre, width, height and degrees, (regions, 6).
        size: Bins along height and width.
        scale: From the regions' coordinates to those of x.
        samples: In each bin along an axis; 0 for one per pixel.
    """
    image, centers = regions[:, 0].long(), regions[:, 1:3] * scale
    extents = (regions[:, 3:5] * scale).clamp(min=1)
    angle = torch.deg2rad(regions[:, 5])[:, None, None, None, None]
    points, taken, total = [], [], 1
    for axis, bins in ((1, size[0]), (0, size[1])):
        step = extents[:, axis, None, None] / bins
        count = torch.full_like(step, samples) if samples else step.ceil()
        number = torch.arange(
            int(count.max()) if len(regions) else 0, dtype=x.dtype, device=x.device
        )
        bin_ = torch.arange(bins, dtype=x.dtype, device=x.device)[:, None]
        point = (bin_ + (number + 0.5) / count) * step - extents[
            :, axis, None, None
        ] / 2
        used = (number < count).expand_as(point)
        shape = (slice(None), slice(None), None, slice(None), None)
        shape = shape if axis else (slice(None), None, slice(None), None, slice(None))
        points.append(point[shape])
        taken.append(used[shape])
        total = total * count
    down, right = points
    across = right * angle.cos() + down * angle.sin()
    along = down * angle.cos() - right * angle.sin()
    weight = (taken[0] & taken[1]).to(x.dtype)
    corners = []
    for axis, place in ((1, along), (0, across)):
        place = place + centers[:, axis, None, None, None, None]
        length = x.shape[3 - axis]
        weight = weight * ((place >= -1) & (place <= length))
        place = place.clamp(0, length - 1)
        low = place.floor()
        high = (low + 1).clamp(max=length - 1)
        corners.append(((low, 1 - place + low), (high, place - low)))
    pixels = x.permute(0, 2, 3, 1)
    image = image[:, None, None, None, None]
    pooled = 0
    for row, vertical in corners[0]:
        for column, horizontal in corners[1]:
            seen = pixels[image, row.long(), column.long()]
            pooled = pooled + seen * (vertical * horizontal * weight)[..., None]
    return (pooled.sum((3, 4)) / total[..., None]).permute(0, 3, 1, 2)
'''

SOURCES: Final = {
    "deform_ps_roi_pool": _DEFORM_PS_ROI_POOL,
    "nms_mask": _NMS_MASK,
    "ps_roi_pool": _PS_ROI_POOL,
    "roi_align_max": _ROI_ALIGN_MAX,
    "rotated_roi_align": _ROTATED_ROI_ALIGN,
    "bipartite_matching": _BIPARTITE_MATCHING,
    "multibox_target": _MULTIBOX_TARGET,
}
"""Source by name."""
