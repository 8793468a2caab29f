"""The terminal's form of reports."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

import graphkit
from graphkit.report.report import Check, Report
from graphkit.report.table import table

GOOD = Check(
    "output", "y", "torch", "mxnet", "pass", error=1e-7, l2=1e-8, size=6, shape=(2, 3), dtype="float32", tol=1e-5
)
BAD = replace(
    GOOD,
    kind="parameter gradient",
    name="fc[0].weight",
    verdict="fail",
    error=0.5,
    bad=4,
    first=(0, 2),
    values=(1.5, 2.0),
)


def printed(*checks: Check, width: int = 100, summary: bool = False, **more) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table(Report("net in float32", checks, **more), summary=summary))
    return out.getvalue()


def line(text: str, part: str) -> int:
    return next(index for index, line in enumerate(text.splitlines()) if part in line)


def test_each_check_has_a_row_with_its_numbers():
    row = printed(GOOD).splitlines()[line(printed(GOOD), "  y ")]
    assert row.split() == ["y", "2×3", "1.0e-07", "1.0e-05", "1.0e-08", "0", "pass"]


def test_names_with_brackets_are_shown_as_they_are():
    assert "fc[0].weight" in printed(BAD)


def test_outputs_come_before_gradients_and_failures_before_passes():
    passed = replace(BAD, name="a", verdict="pass", bad=0, error=1e-9)
    text = printed(passed, BAD, GOOD)
    assert line(text, "outputs, torch | mxnet") < line(text, "parameter gradients") < line(text, "fc[0].weight")
    assert line(text, "fc[0].weight") < line(text, "  a ")


def test_of_many_that_pass_the_worst_are_shown_and_the_rest_counted():
    many = [replace(GOOD, name=f"t{index}", error=index * 1e-8) for index in range(100)]
    text = printed(*many)
    assert text.count("pass") == 9
    assert "t99" in text
    assert "t91" not in text
    assert text.splitlines()[line(text, "92 more")].split()[2] == "≤9.1e-07"


def test_every_failure_is_shown():
    text = printed(*[replace(BAD, name=f"t{index}") for index in range(50)])
    assert text.count("FAIL") == 50


def test_what_is_not_available_is_neither_pass_nor_failure():
    text = printed(GOOD, Check("backward", "", "", "ort", "unavailable", note="it has no gradients"))
    assert "backward on ort: not available, it has no gradients" in text
    assert "In parity: 1 check, all within their bounds; 1 not available." in text


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([GOOD], "In parity: 1 check, all within their bounds."),
        ([GOOD, BAD], "Not in parity: 1 of 2 checks failed."),
        ([Check("forward", "", "", "ort", "unavailable")], "Nothing was compared; 1 not available."),
    ],
)
def test_the_last_line_is_the_verdict(checks, verdict):
    assert printed(*checks).splitlines()[-1] == verdict


def test_a_note_is_shown_once_with_the_tensors_it_is_about():
    noted = [replace(GOOD, name=f"t{index}", note="in float32") for index in range(5)]
    assert "t0, t1, t2 and 2 more: in float32" in printed(*noted)


def test_warnings_and_the_environment_are_shown():
    text = printed(GOOD, warnings=("something deviates",), environment={"torch": "2.13"})
    assert "warning: something deviates" in text
    assert "torch 2.13" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_console(width):
    long = replace(GOOD, name="features.denseblock4.denselayer16.conv2.weight", shape=(1024, 1024, 3, 3))
    assert max(map(len, printed(long, BAD, width=width).splitlines())) <= width


def test_a_tensor_that_is_missing_has_no_numbers():
    missing = Check("output", "y", "torch", "mxnet", "fail", note="not returned by mxnet")
    text = printed(missing)
    assert text.splitlines()[line(text, "  y ")].split() == ["y", "FAIL"]
    assert "y: not returned by mxnet" in text


def test_what_lies_between_nodes_has_headings_of_its_own():
    text = printed(replace(GOOD, kind="value", name="h"), replace(GOOD, kind="value gradient", name="h"), GOOD)
    assert line(text, "outputs,") < line(text, "values between nodes,") < line(text, "gradients between nodes,")


def test_a_failure_names_its_first_element_beyond_the_bound_with_both_values():
    text = " ".join(printed(BAD).split())
    assert (
        "parameter gradient fc[0].weight: 4 of 6 elements beyond the bound, first at [0, 2]: 2 instead of 1.5" in text
    )


def test_of_many_failures_the_first_elements_of_the_worst_are_named():
    text = printed(*[replace(BAD, name=f"t{index}", error=index + 1) for index in range(20)])
    assert text.count("first at [0, 2]") == 8
    assert "gradient t19: 4 of 6" in text
    assert "and 12 more with elements beyond their bounds" in text


def test_a_row_says_which_sample_it_is_of_and_how_many_failed():
    text = printed(replace(BAD, sample="seed 3, batch 8", samples=50, failures=3), width=120)
    row = text.splitlines()[line(text, "seed 3") - 1]
    assert "fc[0].weight" in row
    assert "seed 3, batch 8; fails in 3 of 50 samples" in " ".join(text.split())


def test_what_met_what_is_told_before_the_numbers():
    text = printed(GOOD, matching=("inputs by order: x is data",))
    assert line(text, "x is data") < line(text, "  y ")


def test_what_is_not_available_in_a_group_is_counted():
    text = printed(GOOD, replace(GOOD, name="z", verdict="unavailable", note="no such parameter"))
    assert line(text, "  y ") < line(text, "1 not available")
    assert "z: no such parameter" in text


def test_names_cannot_control_the_terminal():
    text = printed(replace(BAD, name="a\x1b[31mb\rc", note="\x07"))
    assert not {"\x1b", "\r", "\x07"} & set(text)
    assert "a␛[31mb␍c" in text


@pytest.mark.parametrize(
    ("width", "numbers"), [(80, ["5.0e-01", "1.0e-05"]), (120, ["5.0e-01", "1.0e-05", "1.0e-08", "0"])]
)
def test_a_narrow_terminal_keeps_the_columns_that_decide(width, numbers):
    long = replace(BAD, name="features.denseblock4.denselayer16.conv2.weight", shape=(1024, 1024, 3, 3))
    text = printed(long, width=width)
    row = text.splitlines()[line(text, "5.0e-01")]
    assert row.split()[1:] == ["1024×1024×3×3", *numbers, "FAIL"]
    assert row.split()[0].startswith("features.denseblock4.dense")


def row(text: str, part: str) -> list[str]:
    return text.splitlines()[line(text, part)].split()


def test_a_summary_has_a_row_for_each_side_with_the_largest_error_of_each_quantity():
    gradient = replace(GOOD, kind="input gradient", name="x", error=4e-6)
    text = printed(GOOD, replace(GOOD, name="z", error=3e-7), gradient, replace(GOOD, right="ort"), summary=True)
    assert row(text, "torch | mxnet") == ["torch", "|", "mxnet", "3.0e-07", "4.0e-06", "4.0e-01", "pass"]
    assert row(text, "torch | ort") == ["torch", "|", "ort", "1.0e-07", "1.0e-02", "pass"]
    assert "  z " not in text


def test_a_summary_shows_what_fails_and_where_it_begins():
    text = printed(GOOD, replace(GOOD, name="z", error=0.9, tol=1.0), BAD, summary=True)
    assert row(text, "torch | mxnet")[3:] == ["9.0e-01", "5.0e-01", "5.0e+04", "FAIL"]
    assert "fc[0].weight: 4 of 6 elements beyond the bound" in " ".join(text.split())


def test_a_summary_fails_a_tensor_that_is_missing():
    text = printed(GOOD, Check("output", "z", "torch", "mxnet", "fail", note="not returned by mxnet"), summary=True)
    assert row(text, "torch | mxnet")[3:] == ["FAIL", "inf", "FAIL"]


def test_a_summary_tells_what_was_not_compared_from_what_agrees():
    text = printed(GOOD, replace(GOOD, right="ort", verdict="unavailable", note="no kernel"), summary=True)
    assert row(text, "torch | ort")[3:] == ["not", "available"]
    assert "y: no kernel" in text


def test_reports_are_summed_up_together_with_empty_cells_where_one_compared_less():
    gradient = replace(GOOD, kind="input gradient", name="x", left="ort", right="torch", error=2e-6)
    text = graphkit.summary(Report("a", (GOOD,)), Report("b", (gradient,)))
    assert row(text, "torch | mxnet")[3:] == ["1.0e-07", "1.0e-02", "pass"]
    assert row(text, "ort | torch")[3:] == ["2.0e-06", "2.0e-01", "pass"]
    assert "gradients" in row(text, "largest error")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_of_a_summary_is_wider_than_the_console(width):
    checks = [replace(GOOD, kind=kind) for kind in ("output", "input gradient", "loss", "running statistic")]
    assert max(map(len, printed(*checks, BAD, width=width, summary=True).splitlines())) <= width
