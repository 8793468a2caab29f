"""The full form of reports."""

from __future__ import annotations

import json
import math

import pytest

from graphkit.errors import FormatError
from graphkit.report.json import from_json, to_json
from graphkit.report.report import Check, Report

REPORT = Report(
    "net in float32",
    (
        Check("output", "y", "torch", "mxnet", "pass", 1e-7, 2.0, 5e-8, 1e-8, 1.0, 0, 6, (2, 3), "float32", 1e-5, 1e-8),
        Check("parameter gradient", "fc.weight", "torch", "mxnet", "fail", math.inf, l2=math.nan, note="größer"),
        Check("backward", "", "", "ort", "unavailable", note="no gradients"),
    ),
    {"numpy": "1.23.5"},
    ("free dimension",),
)


def test_a_report_reads_back_as_it_was():
    text = to_json(REPORT)
    again = from_json(text)
    assert to_json(again) == text
    assert again.checks[0] == REPORT.checks[0]
    assert again.checks[1].max_abs == math.inf
    assert math.isnan(again.checks[1].l2)
    assert (again.title, again.environment, again.warnings) == (REPORT.title, REPORT.environment, REPORT.warnings)


def test_the_text_is_strict_json_and_says_whether_it_passed():
    document = json.loads(to_json(REPORT), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert document["passed"] is False
    assert document["checks"][1]["max_abs"] == "inf"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"graphkit_report": 99}', '{"graphkit_report": 1, "title": "x"}'])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(FormatError):
        from_json(text)


@pytest.mark.parametrize(
    ("verdicts", "passed"),
    [
        (["pass"], True),
        (["pass", "unavailable"], True),
        (["pass", "fail"], False),
        (["unavailable"], False),
        ([], False),
    ],
)
def test_a_report_passes_if_something_was_compared_and_nothing_failed(verdicts, passed):
    checks = tuple(Check("output", "y", "a", "b", verdict) for verdict in verdicts)
    assert Report("net", checks).passed is passed
