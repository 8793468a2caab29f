"""The functions of boxes and regions that torch source defines, where there is nothing to work on."""

from __future__ import annotations

from typing import Any

import pytest

from graphkit.ops.torchfunctions import FUNCTIONS


def function(name: str) -> Any:
    torch = pytest.importorskip("torch")
    scope: dict[str, Any] = {"torch": torch}
    exec(FUNCTIONS[name], scope)
    return scope[name]


def test_no_regions_are_pooled_to_nothing() -> None:
    torch = pytest.importorskip("torch")
    x, none = torch.rand(1, 4, 4, 5), torch.zeros(0, 5)
    assert function("ps_roi_pool")(x, none, 1, 2, 2).shape == (0, 1, 2, 2)
    assert function("deform_ps_roi_pool")(x, none, 1, 2, 2).shape == (0, 1, 2, 2)
    assert function("deform_ps_roi_pool")(x, none, 1, 2, 2, torch.zeros(0, 2, 2, 2), 0.1).shape == (0, 1, 2, 2)
    assert function("rotated_roi_align")(x, torch.zeros(0, 6), (2, 3)).shape == (0, 4, 2, 3)
    images = torch.zeros(0, dtype=torch.int64)
    assert function("roi_align_max")(x, torch.zeros(0, 4), images, (2, 3)).shape == (0, 4, 2, 3)


def test_no_boxes_are_suppressed() -> None:
    torch = pytest.importorskip("torch")
    kept = function("nms_mask")(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5)
    assert kept.shape == (2, 0)
    assert kept.dtype == torch.bool


def test_boxes_of_other_classes_do_not_suppress() -> None:
    torch = pytest.importorskip("torch")
    boxes, scores = torch.tensor([[[0.0, 0, 1, 1]] * 3]), torch.tensor([[0.2, 0.9, 0.5]])
    assert function("nms_mask")(boxes, scores, 0.5).tolist() == [[False, True, False]]
    classes = torch.tensor([[1, 2, 1]])
    assert function("nms_mask")(boxes, scores, 0.5, classes).tolist() == [[False, True, True]]


def test_an_image_without_boxes_trains_nothing() -> None:
    torch = pytest.importorskip("torch")
    labels = torch.full((1, 2, 5), -1.0)
    offsets, mask, classes = function("multibox_target")(torch.rand(1, 3, 4), labels, torch.rand(1, 2, 3))
    assert not offsets.any()
    assert not mask.any()
    assert classes.tolist() == [[-1, -1, -1]]


def test_no_pair_is_better_than_the_threshold() -> None:
    torch = pytest.importorskip("torch")
    columns, rows = function("bipartite_matching")(torch.rand(2, 3), 2.0)
    assert columns.tolist() == [-1, -1]
    assert rows.tolist() == [-1, -1, -1]
