"""The full form of reports."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest

from graphkit.errors import FormatError
from graphkit.report.json import from_json, to_json
from graphkit.report.report import Check, Report

FULL = Check(
    "parameter gradient",
    "fc.weight",
    "torch",
    "mxnet",
    "fail",
    error=0.25,
    max_abs=0.5,
    max_rel=math.inf,
    ulps=12.0,
    peak=2.0,
    l2=1e-3,
    cosine=0.75,
    bad=3,
    size=6,
    nonfinite=(1, 2),
    first=(0, 1),
    values=(1.5, -math.inf),
    histogram=(1, 2, 3),
    shape=(2, 3),
    dtype="float32",
    tol=1e-5,
    floor=1e-8,
    note="größer",
    step=2,
    sample="seed 3, batch 8",
    samples=50,
    failures=4,
)
REPORT = Report(
    "net in float32",
    (
        FULL,
        Check("output", "y", "torch", "mxnet", "fail", l2=math.nan),
        Check("backward", "", "", "ort", "unavailable", note="no gradients"),
    ),
    {"numpy": "1.23.5"},
    ("free dimension",),
    ("inputs by order: x is data",),
    {"torch": (1.0, 0.5), "mxnet": (1.0, math.inf)},
)


def test_the_example_has_every_field():
    plain = Check("output", "", "", "", "pass")
    assert not [field.name for field in fields(Check) if getattr(FULL, field.name) == getattr(plain, field.name)]


def test_a_report_reads_back_as_it_was():
    text = to_json(REPORT)
    again = from_json(text)
    assert to_json(again) == text
    assert again.checks[0] == REPORT.checks[0]
    assert again.checks[2] == REPORT.checks[2]
    assert math.isnan(again.checks[1].l2)
    for field in fields(Report):
        assert field.name == "checks" or getattr(again, field.name) == getattr(REPORT, field.name)


def test_the_text_is_strict_json_and_says_whether_it_passed():
    document = json.loads(to_json(REPORT), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert document["passed"] is False
    assert document["checks"][0]["max_rel"] == "inf"


def test_what_a_newer_version_adds_is_left_out_and_what_an_older_one_lacks_is_the_default():
    document = json.loads(to_json(REPORT))
    del document["checks"][0]["samples"], document["matching"]
    document["checks"][0]["colour"] = "red"
    again = from_json(json.dumps(document))
    assert (again.checks[0].samples, again.matching, again.checks[0].error) == (1, (), 0.25)


def test_another_layout_is_refused_with_what_to_do():
    text = to_json(REPORT).replace('"graphkit_report": 2', '"graphkit_report": 1')
    with pytest.raises(FormatError, match=r"layout 1, .* reads layout 2; run the verification again"):
        from_json(text)


WRONG = ['"verdict": "fail"', '"verdict": "good"'], ['"error": 0.25', '"error": "much"'], ['"step": 2', '"step": "2"']


@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_a_field_of_another_type_is_refused(right, wrong):
    text = to_json(REPORT)
    assert right in text
    with pytest.raises(FormatError, match="not a report"):
        from_json(text.replace(right, wrong, 1))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"graphkit_report": 99}', '{"graphkit_report": 2, "title": "x"}', "null", "[" * 100_000]
)
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
