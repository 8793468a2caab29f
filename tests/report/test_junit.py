"""Reports as CI systems read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from junitparser import JUnitXml, Skipped
from reports import BAD, EMPTY, GOOD, REPORT, hostile, real

from graphkit.report.junit import to_junit
from graphkit.report.report import Check, Report

SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[2] / "fixtures" / "report" / "junit.xsd")


def read(report: Report) -> JUnitXml:
    return JUnitXml.fromstring(to_junit(report).encode())


@pytest.mark.parametrize(
    "report", [REPORT, EMPTY, hostile(), pytest.param("real", id="real")], ids=["all", "empty", "hostile", "real"]
)
def test_the_file_is_valid(report):
    SCHEMA.validate(to_junit(real()[0] if report == "real" else report))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('tests="1"', 'tests="-1"'),
        ('time="0"', ""),
        ("<system-err />", ""),
        ("<properties>", "<properties><testcase/>"),
    ],
)
def test_the_schema_refuses_what_readers_do(right, wrong):
    text = to_junit(REPORT)
    assert right in text
    assert not SCHEMA.is_valid(text.replace(right, wrong, 1))


def test_there_is_a_suite_for_each_kind_pair_of_sides_and_step():
    assert [(suite.name, suite.tests, suite.failures, suite.skipped) for suite in read(REPORT)] == [
        ("outputs, torch | mxnet", 1, 0, 0),
        ("parameter gradients, torch | mxnet", 1, 1, 0),
        ("parameters, torch | mxnet", 1, 0, 1),
        ("parameters after step 2, torch | ort", 1, 0, 0),
        ("passes", 1, 0, 1),
    ]


def test_a_failure_tells_its_numbers_and_what_was_not_compared_is_skipped():
    cases = {case.name: case for suite in read(REPORT) for case in suite}
    assert not cases["y"].result
    failure = read(Report("net", (BAD,)))
    (case,) = next(iter(failure))
    (result,) = case.result
    assert result.type == "parameter gradient"
    assert result.message == (
        "error 2.5e-01, bound 1.0e-05; 4 of 6 elements beyond the bound, first at [0, 2]: 2 instead of 1.5; "
        "NaN or infinite elements: 1, 0 in the reference; seed 3, batch 8; fails in 3 of 50 samples; größer"
    )
    assert {"max abs: 2e-07", "ulps: 3.0", "shape: 2×3 float32"} <= set(result.text.splitlines())
    (skipped,) = cases["backward on ort"].result
    assert isinstance(skipped, Skipped)
    assert skipped.message == "no gradients"


def test_the_environment_is_properties_and_warnings_are_output():
    suite = next(iter(read(REPORT)))
    assert {item.name: item.value for item in suite.properties()} == REPORT.environment
    output = ET.fromstring(to_junit(REPORT)).findtext("testsuite/system-out")
    assert output == "inputs by order: x is data\nwarning: Dropout is off."


@pytest.mark.parametrize("checks", [(), (Check("forward", "", "", "ort", "unavailable", note="not installed"),)])
def test_a_report_that_compared_nothing_is_a_failure(checks):
    found = read(Report("net", checks))
    assert sum(suite.failures for suite in found) == 1


def test_a_name_reads_back_as_it_is_shown():
    names = [case.name for suite in read(hostile()) for case in suite]
    assert "</script><img src=x onerror=alert(1)>" in names
    assert "]]>&amp;<![CDATA[" in names
    assert "😀 層 é" in names


def test_the_time_stamp_is_in_utc():
    moment = datetime(2031, 5, 6, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    root = ET.fromstring(to_junit(Report("net", (GOOD,)), when=moment))
    assert [suite.get("timestamp") for suite in root] == ["2031-05-05T23:02:03"]
