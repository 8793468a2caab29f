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

SOURCES: Final = {
    "bipartite_matching": _BIPARTITE_MATCHING,
    "multibox_target": _MULTIBOX_TARGET,
}
"""Source by name."""
