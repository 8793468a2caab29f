"""Counts are exact, and read as people write them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
import sympy

from graphkit.inspecting.cost.count import evaluate, linear_in, plain, shown, shown_bytes, times, total
from graphkit.ir.symbols import size_of

N, T = (size_of(ir.SymbolicDim(name)) for name in ("batch", "time"))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 FLOPs"),
        (999, "999 FLOPs"),
        (194_560, "195 kFLOPs"),
        (1_820_000_000, "1.82 GFLOPs"),
        (1_820_000_000 * N, "1.82 GFLOPs × batch"),
        (N * T**2 * 5000 + 12 * N, "5.00 kFLOPs × batch × time² + 12 FLOPs × batch"),
        (2 * N * T - 3, "2 FLOPs × batch × time - 3 FLOPs"),
        (None, "unknown"),
    ],
)
def test_counts_are_shown_with_prefixes_and_powers(count: object, text: str) -> None:
    assert shown(count, "FLOPs") == text


def test_what_is_no_short_polynomial_is_said_to_depend_on_its_names() -> None:
    halved = sympy.floor(T / 2) * N * 3
    assert shown(halved) == "a function of batch, time"
    assert shown(sum(N**power for power in range(1, 7))) == "a function of batch"
    names = [size_of(ir.SymbolicDim(f"d{index}")) for index in range(6)]
    assert shown(sum(names)) == "a function of d0, d1, d2, d3, 2 more"
    # At time = 1 nothing would be left, which tells nothing of other sizes.
    assert (evaluate(halved, {}, 1), evaluate(halved, {"time": 5}, 1), evaluate(halved, {"time": 5, "batch": 2})) == (
        None,
        6,
        12,
    )


def test_bytes_are_shown_in_powers_of_two() -> None:
    assert [shown_bytes(count) for count in (12, 1536, 5 * 10**6 * N)] == ["12 B", "1.54 kB", "5.00 MB × batch"]


def test_sums_and_products_keep_the_unknown_apart_from_nothing() -> None:
    assert total([1, None, 2 * N, N]) == 3 * N + 1
    assert (times(None, 0), times(0, None), times(None, 2), times(N, 2)) == (0, 0, None, 2 * N)


def test_counts_are_evaluated_where_the_sizes_are_known() -> None:
    count = 3 * N * T + 1
    assert evaluate(count, {"batch": 2, "time": 5}) == 31
    assert evaluate(count, {"batch": 2}) is None
    assert evaluate(count, {"batch": 2}, 1) == 7
    assert evaluate(None, {}, 1) is None
    assert (plain(count), plain(7), plain(None)) == ("3*batch*time + 1", 7, None)
    assert [linear_in(each) for each in (3 * N, 3 * N + 1, N**2, N * T, 3, None)] == ["batch", "", "", "", "", ""]
