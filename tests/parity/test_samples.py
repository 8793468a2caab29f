"""Samples: what is fed, what it is called, and what stands in for it."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from fakes import model

from graphkit.frameworks.base import InputSpec
from graphkit.parity.data import Given
from graphkit.parity.inputs import draw_inputs
from graphkit.parity.samples import Sample, drawn, given


@pytest.mark.parametrize(
    ("seeds", "batches", "labels"),
    [
        ([0], [], ["seed 0"]),
        ([3], [8], ["seed 3"]),
        ([0, 1], [], ["seed 0", "seed 1"]),
        ([5], [1, 8], ["batch 1", "batch 8"]),
        ([0, 1], [2], ["seed 0", "seed 1"]),
        ([0, 1], [1, 8], ["seed 0, batch 1", "seed 1, batch 1", "seed 0, batch 8", "seed 1, batch 8"]),
    ],
)
def test_a_label_tells_what_varies(seeds, batches, labels):
    found = drawn(seeds, batches)
    assert [sample.label for sample in found] == labels
    assert {sample.seed for sample in found} == set(seeds)
    assert {sample.batch for sample in found} == set(batches or [None])


def test_a_drawn_sample_is_fed_what_its_seed_and_batch_size_give():
    found = Sample("s", 7, 3).feeds(model())
    assert found["x"].shape == (3, 5)
    assert np.array_equal(found["x"], draw_inputs(model(), 7, 3)["x"])
    assert Sample("s", 7).feeds(model(), [InputSpec("x", (4, 5))])["x"].shape == (4, 5)


def test_a_sample_stands_in_for_itself_first():
    sample = Sample("s", 7, 3)
    assert sample.stand_in(0) is sample


def test_a_drawn_sample_is_stood_in_for_by_others_of_its_shape():
    sample = Sample("s", 7, 3)
    arrays = [sample.stand_in(index).feeds(model())["x"] for index in range(5)]
    assert {array.shape for array in arrays} == {(3, 5)}
    assert len({array.tobytes() for array in arrays}) == 5
    assert sample.stand_in(1) == sample.stand_in(1)


def test_stand_ins_of_neighbouring_seeds_are_not_the_samples_themselves():
    seeds = [sample.stand_in(index).seed for sample in drawn(range(50), []) for index in range(5)]
    assert len(set(seeds)) == len(seeds)


def test_given_floats_are_moved_a_little_in_what_stands_in_for_them():
    x = np.array([[1.5, -2.25, 0.0], [np.nan, np.inf, 1e-30]], np.float32)
    sample = Sample("s", 0, None, {"x": x})
    first, second = (sample.stand_in(index).given["x"] for index in (1, 2))
    assert first.dtype == np.float32
    assert np.allclose(first, x, rtol=2.0**-6, atol=0, equal_nan=True)
    assert (first[0, :2] != x[0, :2]).all()
    assert first[0, 2] == 0
    assert not np.array_equal(first, second, equal_nan=True)
    assert sample.stand_in(1).seed != sample.seed
    assert np.array_equal(sample.given["x"], x, equal_nan=True)


@pytest.mark.parametrize(
    "array",
    [
        np.array([3, -4]),
        np.array([True, False]),
        np.array([1.0, 0.0, 7.0], np.float32),
        np.array(["a", "b"], object),
    ],
)
def test_what_counts_or_names_is_not_moved(array):
    assert Sample("s", 0, None, {"x": array}).stand_in(2).given["x"] is array


def test_floats_that_numpy_does_not_know_are_moved_too():
    x = np.array([1.3, 2.7] * 20, ml_dtypes.bfloat16)
    moved = Sample("s", 0, None, {"x": x}).stand_in(1).given["x"]
    assert moved.dtype == x.dtype
    assert (moved != x).any()


def test_two_inputs_of_the_same_numbers_are_moved_apart():
    x = np.linspace(0.1, 1.1, 9, dtype=np.float32)
    found = Sample("s", 0, None, {"x": x, "y": x}).stand_in(1).given
    assert not np.array_equal(found["x"], found["y"])


def test_data_are_read_when_their_turn_comes_and_have_seeds_of_their_own():
    read = []

    def data():
        for name in ("a", "b", "c"):
            read.append(name)
            yield Given(name, {"x": np.ones(2, np.float32)})

    found = given(data(), 10)
    assert not read
    first = next(found)
    assert (first.label, first.seed, first.batch, read) == ("a", 10, None, ["a"])
    assert [(sample.label, sample.seed) for sample in found] == [("b", 11), ("c", 12)]
    assert np.array_equal(first.feeds(model())["x"], [1, 1])
