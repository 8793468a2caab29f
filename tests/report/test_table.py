"""The terminal's form of reports."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from graphkit.report.report import Check, Report
from graphkit.report.table import table

GOOD = Check("output", "y", "torch", "mxnet", "pass", 1e-7, 1.0, 1e-7, 1e-8, 1.0, 0, 6, (2, 3), "float32", 1e-5, 1e-8)
BAD = replace(GOOD, kind="parameter gradient", name="fc[0].weight", verdict="fail", error=0.5, bad=4)


def printed(*checks: Check, width: int = 100, **more) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table(Report("net in float32", checks, **more)))
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
