"""Heads of detectors as GluonCV and MXNet's examples write them: the same boxes in the same order, padded alike."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from realmxnet import mxnet

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet import symbol
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    Arrays = dict[str, np.ndarray]

CLASSES, BEST = 3, 12
SIZES = (8.0, 14.0)


def conv(x: Any, name: str, filters: int, *, kernel: int = 1, stride: int = 1) -> Any:
    pad = (kernel // 2,) * 2
    return mxnet().sym.Convolution(
        x, name=name, num_filter=filters, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=pad
    )


def features(x: Any, name: str = "body") -> Any:
    sym = mxnet().sym
    return sym.relu(conv(sym.relu(conv(x, f"{name}0", 6, kernel=3, stride=2)), f"{name}1", 6, kernel=3, stride=2))


def rows(x: Any, width: int) -> Any:
    return x.transpose((0, 2, 3, 1)).reshape((0, -1, width))


def parts(x: Any) -> Any:
    return mxnet().sym.split(x, axis=-1, num_outputs=4)


def anchors_on(feature: Any) -> Any:
    """A stored grid of centres and sizes, cut to the map."""
    sym = mxnet().sym
    return sym.slice_like(sym.var("anchors"), feature * 0, axes=(2, 3)).reshape((1, -1, 4))


def decoded(offsets: Any, anchors: Any, deviations: tuple[float, ...]) -> Any:
    sym = mxnet().sym
    moves, sizes = parts(offsets), parts(anchors)
    x, y = (sym.broadcast_add(sym.broadcast_mul(moves[k] * deviations[k], sizes[k + 2]), sizes[k]) for k in (0, 1))
    w, h = (sym.broadcast_mul(sym.exp(moves[k] * deviations[k]), sizes[k]) / 2 for k in (2, 3))
    return sym.concat(x - w, y - h, x + w, y + h, dim=-1)


def by_class(scores: Any, boxes: Any) -> Any:
    """Rows (class, score, corners) of each class after each other, class -1 where it is hardly likely."""
    sym = mxnet().sym
    zeros = sym.zeros_like(sym.slice_axis(scores, axis=-1, begin=0, end=1))
    ids = sym.concat(*[zeros + number for number in range(CLASSES)], dim=-1)
    likely = scores > 0.05
    ids = sym.where(likely, ids, sym.ones_like(ids) * -1)
    scores = sym.where(likely, scores, sym.zeros_like(scores))
    cut = [{"axis": -1, "begin": number, "end": number + 1} for number in range(CLASSES)]
    found = [sym.concat(sym.slice_axis(ids, **at), sym.slice_axis(scores, **at), boxes, dim=-1) for at in cut]
    return sym.concat(*found, dim=1)


def suppressed(found: Any, **attrs: Any) -> Any:
    sym = mxnet().sym
    attrs = {"id_index": 0, "score_index": 1, "coord_start": 2, "topk": 40, **attrs}
    found = sym.contrib.box_nms(found, **attrs).slice_axis(axis=1, begin=0, end=BEST)
    ends = (0, 1, 2, 6)
    return sym.Group([sym.slice_axis(found, axis=2, begin=begin, end=end) for begin, end in pairwise(ends)])


def ssd(valid: float = 0.35) -> Any:
    sym = mxnet().sym
    feature = features(sym.var("data"))
    scores = sym.softmax(rows(conv(feature, "cls", 2 * (CLASSES + 1)), CLASSES + 1), axis=-1)
    boxes = decoded(rows(conv(feature, "box", 8), 4), anchors_on(feature), (0.1, 0.1, 0.2, 0.2))
    found = by_class(sym.slice_axis(scores, axis=-1, begin=1, end=None), boxes)
    return suppressed(found, overlap_thresh=0.3, valid_thresh=valid)


def ssd_of_the_example() -> Any:
    sym = mxnet().sym
    feature = features(sym.var("data"))
    anchors = sym.contrib.MultiBoxPrior(feature, sizes=(0.3, 0.5), ratios=(1, 2))
    scores = rows(conv(feature, "cls", 3 * (CLASSES + 1)), CLASSES + 1).transpose((0, 2, 1))
    offsets = sym.flatten(rows(conv(feature, "box", 12), 4))
    return sym.contrib.MultiBoxDetection(sym.softmax(scores, axis=1), offsets, anchors, nms_topk=30, threshold=0.3)


def yolo() -> Any:
    sym = mxnet().sym
    feature = features(sym.var("data"))
    found = conv(feature, "out", 2 * (CLASSES + 5)).reshape((0, 2 * (CLASSES + 5), -1)).transpose((0, 2, 1))
    found = found.reshape((0, -1, 2, CLASSES + 5))
    middle, size, there, chances = (
        found.slice_axis(axis=-1, begin=begin, end=end) for begin, end in ((0, 2), (2, 4), (4, 5), (5, None))
    )
    grid = sym.slice_like(sym.var("offsets"), feature * 0, axes=(2, 3)).reshape((1, -1, 1, 2))
    middle = sym.broadcast_add(sym.sigmoid(middle), grid) * 4
    reach = sym.broadcast_mul(sym.exp(size), sym.var("sizes")) / 2
    boxes = sym.tile(sym.concat(middle - reach, middle + reach, dim=-1), reps=(CLASSES, 1, 1, 1, 1))
    scores = sym.broadcast_mul(sym.sigmoid(chances), sym.sigmoid(there)).transpose((3, 0, 1, 2)).expand_dims(axis=-1)
    ids = sym.broadcast_add(scores * 0, sym.arange(0, CLASSES).reshape((0, 1, 1, 1, 1)))
    found = sym.concat(ids, scores, boxes, dim=-1).transpose((1, 0, 2, 3, 4)).reshape((0, -1, 6))
    return suppressed(found, overlap_thresh=0.45, valid_thresh=0.1)


def faster_rcnn() -> Any:
    """Regions of a proposal network, the best of each class in them, and a mask for each."""
    sym = mxnet().sym
    feature = features(sym.var("data"))
    scores = sym.sigmoid(rows(conv(feature, "rpn_cls", 2), 1))
    boxes = sym.maximum(decoded(rows(conv(feature, "rpn_box", 8), 4), anchors_on(feature), (0.2,) * 4), 0.0)
    small = parts(boxes)[2] - parts(boxes)[0] < 3
    scores = sym.where(small, sym.ones_like(small) * -1, scores)
    found = sym.concat(scores, boxes, dim=-1)
    best = sym.contrib.box_nms(found, overlap_thresh=0.6, topk=30, coord_start=1, score_index=0, force_suppress=True)
    regions = sym.slice_axis(sym.slice_axis(best, axis=1, begin=0, end=BEST), axis=-1, begin=1, end=None)
    regions = regions.reshape((-1, 4))
    numbered = sym.concat(sym.repeat(sym.arange(0, 2), BEST).reshape((-1, 1)), regions, dim=-1)
    pooled = sym.contrib.ROIAlign(feature, numbered, pooled_size=(3, 3), spatial_scale=0.25, sample_ratio=2)
    hidden = sym.relu(sym.FullyConnected(pooled, name="top", num_hidden=8))
    chances = sym.softmax(sym.FullyConnected(hidden, name="cls", num_hidden=CLASSES + 1))
    chances = chances.reshape((2, BEST, -1)).slice_axis(axis=-1, begin=1, end=None)
    first, last = (sym.slice_axis(regions, axis=-1, begin=begin, end=begin + 2) for begin in (0, 2))
    centred = sym.concat((first + last) / 2, last - first, dim=-1).reshape((2, BEST, 4))
    moved = sym.FullyConnected(hidden, name="box", num_hidden=4).reshape((2, BEST, 4))
    found = by_class(chances, decoded(moved, centred, (0.1, 0.1, 0.2, 0.2)))
    kernel = {"kernel": (2, 2), "stride": (2, 2), "num_filter": 4}
    masks = sym.sigmoid(sym.Deconvolution(pooled, name="mask", no_bias=True, **kernel))
    return sym.Group([suppressed(found, overlap_thresh=0.3, valid_thresh=0.01), masks])


def proposal() -> Any:
    sym = mxnet().sym
    feature = features(sym.var("data"))
    chances = sym.softmax(conv(feature, "cls", 8).reshape((0, 2, -1, 0)), axis=1).reshape((0, 8, -1, 0))
    given = {"feature_stride": 4, "scales": (2, 4), "ratios": (0.5, 1), "rpn_min_size": 4}
    regions = sym.contrib.MultiProposal(
        chances, conv(feature, "box", 16) * 0.1, sym.var("info"), rpn_post_nms_top_n=BEST, **given
    )
    return sym.Group([regions, sym.ROIPooling(feature, regions, pooled_size=(2, 2), spatial_scale=0.25)])


def grid(cells: int) -> Arrays:
    """Constants for maps of up to so many cells along an axis, of 4 pixels each."""
    y, x = np.indices((cells, cells))
    centres = np.stack([x, y], -1)[:, :, None] * 4.0 + 2
    sizes = np.asarray(SIZES)[:, None].repeat(2, 1)
    both = [np.broadcast_to(array, (cells, cells, 2, 2)) for array in (centres, sizes)]
    anchors = np.concatenate(both, -1).reshape(1, 1, cells, cells, 8)
    offsets = np.stack([x, y], -1)[None, None]
    return {
        name: array.astype(np.float32)
        for name, array in {
            "anchors": anchors,
            "offsets": offsets,
            "sizes": np.reshape(SIZES * 2, (1, 1, 2, 2)),
        }.items()
    }


def model_of(made: Any, *, free: bool) -> ir.Model:
    """The canonical model of a symbol with random weights, which is noted as its source."""
    shapes = {"data": (2, 3, 32, 32), "info": (2, 3)}
    constants = grid(12)
    wanted = {name: shape for name, shape in shapes.items() if name in made.list_arguments()}
    known = {name: array.shape for name, array in constants.items() if name in made.list_arguments()}
    inferred, _, _ = made.infer_shape(**wanted, **known)
    args = {}
    for name, shape in zip(made.list_arguments(), inferred, strict=True):
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        weight = rng.standard_normal(shape) * (np.sqrt(3 / np.prod(shape[1:])) if len(shape) > 1 else 0.1)
        args[name] = constants.get(name, weight.astype(np.float32))
    mx = MxModel(symbol.loads(made.tojson()), {name: array for name, array in args.items() if name not in wanted})
    if free:
        wanted["data"] = (None, 3, None, None)  # type: ignore[assignment]  # sizes may be free
    options = ReadOptions(inputs=tuple(InputSpec(n, shape) for n, shape in wanted.items()), dynamic_batch=free)
    model = canonical(from_symbol(mx, options, "head"))
    return set_source(model, Source("mxnet", "head", mx)) or model


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_same(model: ir.Model, feeds: Arrays, *, written: bool = True) -> list[np.ndarray]:
    """What MXNet makes of its own symbol, if all others make the same of the converted model."""
    with runtimes()["mxnet"].open(model) as session:
        expected = session.forward(feeds)
    for runtime in ("torch", "ort", "mxnet") if written else ("torch", "ort"):
        with runtimes()[runtime].open(model, native=False) as session:
            found = session.forward(feeds)
        for name, array in expected.items():
            assert found[name].shape == array.shape
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4, err_msg=f"{runtime} {name}")
    return list(expected.values())


@pytest.mark.parametrize("head", [ssd, yolo])
def test_a_head_that_fits_any_image_gives_the_same_boxes_for_each(head: Callable[[], Any]) -> None:
    model = model_of(head(), free=True)
    for shape in ((2, 3, 32, 32), (3, 3, 48, 40)):
        ids, scores, _ = assert_same(model, {"data": drawn(shape[0], *shape)})
        kept = (ids >= 0).sum((1, 2))
        assert (np.diff(scores[..., 0]) <= 0).all()
        assert kept.min() >= 2
    assert_same(model, {"data": np.zeros((2, 3, 32, 32), np.float32)}, written=False)  # all scores are equal


def test_anchors_fit_any_image_where_its_size_is_free() -> None:
    model = model_of(ssd_of_the_example(), free=True)
    for shape in ((2, 3, 32, 32), (1, 3, 40, 24)):
        (found,) = assert_same(model, {"data": drawn(1, *shape)}, written=False)
        assert (found[..., 0] >= 0).any()


def test_rows_of_boxes_that_do_not_stay_are_minus_one() -> None:
    model = model_of(ssd(valid=0.9), free=False)
    data = drawn(2, 2, 3, 32, 32)
    data[1] /= 100
    ids, scores, boxes = assert_same(model, {"data": data})
    kept = (ids[..., 0] >= 0).sum(1)
    assert 0 < kept[0] < BEST
    assert kept[1] == 0
    for array in (ids, scores, boxes):
        assert (array[0, kept[0] :] == -1).all()
        assert (array[1] == -1).all()


@pytest.mark.parametrize("head", [ssd_of_the_example, faster_rcnn, proposal])
def test_a_head_for_one_size_gives_the_same_boxes(head: Callable[[], Any]) -> None:
    made = head()
    model = model_of(made, free=False)
    feeds = {"data": drawn(1, 2, 3, 32, 32), "info": np.float32([[32, 32, 1], [24, 30, 1]])}
    found = assert_same(model, {name: array for name, array in feeds.items() if name in made.list_arguments()})
    assert np.ptp(found[0]) > 0
