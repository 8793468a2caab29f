"""Statistics of tensors: every element type, special numbers, samples, and bounded memory."""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphkit.ir.statistics import statistics

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = [-1.5, 0.0, 0.5, 2.0, 0.0, 4.0]


@pytest.mark.parametrize(
    "dtype",
    [
        np.float64,
        np.float32,
        np.float16,
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e4m3fnuz,
        ml_dtypes.float4_e2m1fn,
    ],
)
def test_floats_of_every_width_are_added_up_in_double_precision(dtype: Any) -> None:
    found = statistics(np.asarray(NUMBERS, dtype).reshape(2, 3))
    assert (found.count, found.counted, found.zeros, found.nans, found.infinities) == (6, 6, 2, 0, 0)
    assert (found.minimum, found.maximum) == (-1.5, 4.0)
    assert found.mean == pytest.approx(np.mean(NUMBERS), rel=1e-15)
    assert found.std == pytest.approx(np.std(NUMBERS), rel=1e-15)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "int4", "uint4"])
def test_integers_keep_their_extremes_as_integers(dtype: str) -> None:
    array = np.asarray([0, 1, 3, 7], np.int64).astype(getattr(ml_dtypes, dtype, dtype))
    found = statistics(array)
    assert (found.minimum, found.maximum, found.zeros, found.mean) == (0, 7, 1, 2.75)
    assert isinstance(found.minimum, int)


def test_large_integers_are_exact_where_doubles_are_not() -> None:
    found = statistics(np.asarray([2**63 - 1, -(2**63), 2**53 + 1]))
    assert (found.minimum, found.maximum) == (-(2**63), 2**63 - 1)
    assert statistics(np.asarray([2**64 - 1], np.uint64)).maximum == 2**64 - 1


def test_booleans_are_zeros_and_ones() -> None:
    found = statistics(np.asarray([True, False, True, True]))
    assert (found.minimum, found.maximum, found.mean, found.zeros) == (0, 1, 0.75, 1)


def test_complex_numbers_are_told_by_their_magnitudes() -> None:
    found = statistics(np.asarray([3 + 4j, 0, complex(math.nan, 1), complex(math.inf, 0)], np.complex64))
    assert (found.maximum, found.zeros, found.nans, found.infinities) == (5.0, 1, 1, 1)


def test_nans_and_infinities_are_counted_and_left_out_of_the_rest() -> None:
    found = statistics(np.asarray([math.nan, -math.inf, math.inf, 1, 3, -0.0], np.float32))
    assert (found.nans, found.infinities, found.zeros) == (1, 2, 1)
    assert (found.minimum, found.maximum, found.mean) == (0, 3, pytest.approx(4 / 3))


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.full(5, np.nan), np.asarray(["a", "b"], object)])
def test_where_nothing_is_finite_there_are_no_moments(array: np.ndarray[Any, Any]) -> None:
    found = statistics(array)
    assert (found.mean, found.std, found.minimum, found.maximum, found.histogram) == (None,) * 5
    assert found.count == array.size


def test_strings_are_not_looked_at() -> None:
    assert statistics(ir.StringTensor([b"a", b"b"], shape=ir.Shape([2]))).counted == 0


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(max_dims=3, max_side=9),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    st.integers(1, 40),
)
def test_moments_and_histograms_are_those_of_numpy(array: np.ndarray[Any, Any], bins: int) -> None:
    found = statistics(array, bins=bins)
    wide = array.astype(np.float64)
    peak = np.abs(wide).max() or 1.0
    assert found.mean == pytest.approx(wide.mean(), abs=1e-12 * peak)
    assert found.std == pytest.approx(wide.std(), abs=1e-12 * peak)
    assert found.histogram is not None
    assert sum(found.histogram.counts) == array.size
    if wide.min() < wide.max():
        counts, edges = np.histogram(wide, bins, (found.histogram.low, found.histogram.high))
        gap = np.abs(np.cumsum(counts) - np.cumsum(found.histogram.counts))
        near = [np.isclose(wide, edge, rtol=1e-9, atol=1e-9 * peak).sum() for edge in edges[1:]]
        assert (gap <= near).all()


def test_blocks_add_up_to_the_whole() -> None:
    array = np.random.default_rng(0).normal(1000.0, 0.001, 400_001)
    found = statistics(array.reshape(1, -1).T)
    assert found.mean == pytest.approx(array.mean(), rel=1e-14)
    assert found.std == pytest.approx(array.std(), rel=1e-9)


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e200, 1.7e308])
def test_squares_of_extreme_doubles_neither_overflow_nor_vanish(scale: float) -> None:
    found = statistics(np.asarray([-scale, scale]))
    assert (found.mean, found.std) == (0.0, scale)
    assert found.histogram is not None
    assert found.histogram.counts[0] == found.histogram.counts[-1] == 1


def test_equal_elements_are_in_the_middle_bin() -> None:
    found = statistics(np.full(7, 0.25), bins=5).histogram
    assert found is not None
    assert (found.low, found.high, found.counts) == (0.25, 0.25, (0, 0, 7, 0, 0))


def test_no_bins_are_no_histogram() -> None:
    assert statistics(np.arange(3), bins=0).histogram is None


def test_layouts_other_than_rows_are_looked_at_as_they_lie() -> None:
    array = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    assert statistics(array).mean == pytest.approx(array.mean())
    assert statistics(np.broadcast_to(np.float32(2), (1000, 3))).counted == 3000


@pytest.mark.parametrize(("size", "limit"), [(10, 3), (100_000, 999), (1_000_003, 20_000), (1_000_003, 300_000)])
def test_samples_are_spread_over_the_whole_tensor_and_always_the_same(size: int, limit: int) -> None:
    array = np.arange(size)
    found = statistics(array, limit=limit, bins=3)
    assert 0.9 * limit <= found.counted <= limit
    assert found == statistics(array, limit=limit, bins=3)
    assert found.histogram is not None
    assert max(found.histogram.counts) - min(found.histogram.counts) <= 0.05 * limit + 2


def test_a_sample_meets_every_column() -> None:
    array = np.broadcast_to(np.arange(512), (4096, 512))
    found = statistics(array, limit=16_384)
    assert (found.minimum, found.maximum) == (0, 511)
    assert found.mean == pytest.approx(255.5, rel=0.02)


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    array = np.arange(10.0)
    assert statistics(array, limit=10) == statistics(array)
    assert statistics(array, limit=0).counted == 0


def test_a_mapped_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    np.ones(2**24, np.float32).tofile(path)
    with path.open("rb") as file:
        array = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.float32)
    before = _resident_files()
    assert statistics(array).mean == 1.0
    assert _resident_files() - before < 2**23


def _resident_files() -> int:
    """Bytes of files that are mapped and in memory."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssFile"))
