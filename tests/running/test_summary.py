"""What is said of outputs, whatever they hold."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphkit.running.summary import summaries, top


def one(array):
    (found,) = summaries({"y": array})
    return found


def test_numbers_are_measured():
    found = one(np.array([[1, -2, 3], [4, 5, 7]], np.float32))
    assert (found.name, found.dtype, found.shape) == ("y", "float32", (2, 3))
    assert (found.least, found.most, found.mean) == (-2, 7, 3)
    assert found.deviation == pytest.approx(np.std([1, -2, 3, 4, 5, 7]))
    assert found.first == (1, -2, 3, 4, 5)
    assert (found.nan, found.infinite) == (0, 0)


def test_numbers_that_are_none_are_counted_and_not_measured():
    found = one(np.array([np.nan, 2, np.inf, 4, -np.inf, np.nan]))
    assert (found.nan, found.infinite) == (2, 2)
    assert (found.least, found.most, found.mean, found.deviation) == (2, 4, 3, 1)
    empty = one(np.full(3, np.nan))
    assert (empty.nan, empty.least, empty.mean) == (3, None, None)


def test_ranges_beyond_double_precision_are_left_out():
    found = one(np.array([-1.7e308, 1.7e308]))
    assert (found.least, found.most) == (-1.7e308, 1.7e308)
    assert found.deviation is None


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.int8, np.uint64, bool])
def test_every_type_of_number(dtype):
    found = one(np.array([0, 1, 1, 0], dtype))
    assert found.dtype == np.dtype(dtype).name
    assert (found.least, found.most, found.mean) == (0, 1, 0.5)
    assert list(found.first) == [0, 1, 1, 0]


def test_complex_numbers_texts_and_empty_arrays():
    assert one(np.array([1 + 2j])).first == ("(1+2j)",)
    assert one(np.array(["a", "b"], object)).first == ("a", "b")
    assert one(np.zeros((0, 3), np.float32)).least is None
    assert one(np.float32(2).reshape(())).shape == ()


def test_sequences_and_absent_values():
    found = summaries({"boxes": [np.zeros(2), np.ones((1, 2))], "mask": None})
    assert [(line.name, line.dtype, line.shape) for line in found] == [
        ("boxes[0]", "float64", (2,)),
        ("boxes[1]", "float64", (1, 2)),
        ("mask", "absent", ()),
    ]


def test_the_largest_scores_of_each_row():
    scores = np.zeros((6, 12), np.float32)
    scores[0, [3, 7]] = 2, 5
    scores[1, 11] = np.nan
    found = top({"y": scores}, 2)
    assert len(found) == 4
    assert (found[0].classes, found[0].scores) == ((7, 3), (5, 2))
    assert top({"y": scores}, None)[0].classes[:2] == (7, 3)
    assert len(top({"y": scores}, None)[0].classes) == 5
    assert top({"y": scores}, 0) == []


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.zeros(12, np.float32)},
        {"y": np.zeros((2, 12), np.int64)},
        {"y": np.zeros((2, 0), np.float32)},
        {"y": np.zeros((2, 12)), "z": np.zeros(1)},
        {"y": [np.zeros((2, 12))]},
        {},
    ],
)
def test_what_is_not_one_matrix_of_scores_has_no_largest(outputs):
    assert top(outputs, 3) is None


def test_few_columns_are_taken_for_classes_only_if_asked_for():
    assert top({"y": np.zeros((2, 3))}, None) is None
    assert top({"y": np.zeros((2, 3))}, 2) is not None
