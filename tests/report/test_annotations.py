"""What GitHub shows of reports."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from reports import BAD, EMPTY, GOOD, REPORT, hostile

from graphkit.errors import InputError
from graphkit.report.annotations import annotations, summary
from graphkit.report.report import Report

COMMAND = re.compile(r"::(error|warning) title=([^:,\r\n]*)::([^\r\n]*)")


def test_a_report_that_passed_has_no_errors():
    assert annotations(Report("net", (GOOD,))) == []


def test_a_failure_is_an_error_with_its_numbers_and_a_warning_a_warning():
    error, warning = annotations(REPORT)
    assert error.startswith(
        "::error title=parameter gradient fc.weight::torch | mxnet: error 2.5e-01, bound 1.0e-05; "
        "4 of 6 elements beyond the bound, first at [0, 2]: 2 instead of 1.5; "
    )
    assert warning == "::warning title=parity::Dropout is off."


def test_what_compared_nothing_is_an_error():
    assert annotations(EMPTY) == ["::error title=parity::Nothing was compared."]


@pytest.mark.parametrize(("count", "last"), [(10, "gradient t1"), (11, "2 further failures"), (500, "491 further")])
def test_of_many_failures_the_worst_are_shown_and_the_last_line_counts_the_rest(count, last):
    lines = annotations(Report("net", tuple(replace(BAD, name=f"t{i}", error=i + 1) for i in range(1, count + 1))))
    assert len(lines) == 10
    assert f"gradient t{count}::" in lines[0]
    assert last in lines[-1]


def test_every_command_is_one_line_whatever_names_hold():
    lines = annotations(hostile())
    assert len(lines) == 20
    assert all(COMMAND.fullmatch(line) for line in lines), lines


def test_percent_and_punctuation_are_escaped_as_github_asks():
    named = replace(BAD, name="a:b,c%0Ad", note="100%", sample="", samples=1)
    (line,) = annotations(Report("net", (named,)))
    assert line.startswith("::error title=parameter gradient a%3Ab%2Cc%250Ad::torch | mxnet: error")
    assert line.endswith("; 100%25")


def test_the_summary_is_appended_where_the_step_has_one(tmp_path):
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    assert summary(REPORT, {"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text().startswith("before\n")
    assert "Not in parity: 1 of 3 checks failed" in page.read_text()
    assert not summary(REPORT, {})


def test_a_summary_that_is_full_gets_the_verdict_only(tmp_path):
    page = tmp_path / "summary.md"
    page.write_text("x" * (1024 * 1024 - 200))
    summary(REPORT, {"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text().endswith("x\n**Not in parity: 1 of 3 checks failed; 2 not available.**\n\n")
    assert page.stat().st_size < 1024 * 1024


def test_a_summary_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    with pytest.raises(InputError, match="GITHUB_STEP_SUMMARY names"):
        summary(REPORT, {"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "summary.md")})
