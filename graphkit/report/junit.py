"""A report as JUnit XML, the form in which CI systems read test results.

There is no standard. What is written here is valid under both schemas that tools validate with: the one of Ant's
JUnitReport task (``JUnit.xsd`` by Windy Road), which asks for attributes that have no meaning here, and the one of
Jenkins (``junit-10.xsd`` of its xUnit plugin).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from graphkit.report import wording
from graphkit.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.report.report import Check, Report

__all__ = ["to_junit"]

_SECONDS: Final = 12
"""Digits of more seconds than dates have."""


def to_junit(report: Report, *, when: datetime | None = None) -> str:
    """Write a report as JUnit XML.

    There is a suite for each kind of tensor, pair of sides and step of training, with a test case for each tensor, and
    one suite for whole passes that could not be made. What was not available is skipped. Times are 0, as they are of a
    whole comparison and not of a tensor.

    Args:
        report: What was found.
        when: When it was found, in UTC if it has a time zone; by default now, or what ``SOURCE_DATE_EPOCH`` says
            (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    moment = _now() if when is None else when
    stamp = (moment.astimezone(UTC) if moment.tzinfo else moment).strftime("%Y-%m-%dT%H:%M:%S")
    suites = wording.groups(report)
    if passes := wording.about_passes(report):
        suites.append(("passes", passes))
    if not report.passed and not any(check.verdict == "fail" for check in report.checks):
        suites.append(("comparison", []))
    root = ET.Element("testsuites")
    for number, (heading, checks) in enumerate(suites):
        root.append(_suite(report, heading, checks, number, stamp))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _now() -> datetime:
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdecimal() and len(given) < _SECONDS:
        return datetime.fromtimestamp(int(given), UTC)
    return datetime.now(UTC)


def _suite(report: Report, heading: str, checks: Sequence[Check], number: int, stamp: str) -> ET.Element:
    cases = [_case(report, heading, check) for check in checks] or [_nothing(report, heading)]
    failures = sum(case.find("failure") is not None for case in cases)
    suite = ET.Element(
        "testsuite",
        name=heading,
        package=clean(report.title),
        id=str(number),
        timestamp=stamp,
        hostname="localhost",
        tests=str(len(cases)),
        failures=str(failures),
        errors="0",
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time="0",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in report.environment.items():
        ET.SubElement(properties, "property", name=clean(name).strip() or "?", value=clean(value))
    suite.extend(cases)
    told = [*map(clean, report.matching), *(f"warning: {clean(warning)}" for warning in report.warnings)]
    ET.SubElement(suite, "system-out").text = "\n".join(told)
    ET.SubElement(suite, "system-err")
    return suite


def _case(report: Report, heading: str, check: Check) -> ET.Element:
    name = clean(check.name) or clean(f"{check.kind} on {check.right}")
    case = ET.Element("testcase", classname=_dotted(report.title, heading), name=name, time="0")
    told = wording.details(check)
    message = "; ".join(told) or "not in parity"
    if check.verdict == "unavailable":
        ET.SubElement(case, "skipped", message=message)
    elif check.verdict == "fail":
        judged = f"error {wording.number(check.error)}, bound {wording.number(check.tol)}; " if check.bad else ""
        failure = ET.SubElement(case, "failure", type=check.kind, message=judged + message)
        failure.text = "\n".join((f"{wording.title(check)}, {wording.between(check)}", *told, *_numbers(check)))
    return case


def _numbers(check: Check) -> list[str]:
    """Every number of a check, a line each."""
    if not check.dtype:
        return []
    numbers = {
        "error": check.error,
        "bound": check.tol,
        "noise floor": check.floor,
        "max abs": check.max_abs,
        "max rel": check.max_rel,
        "ulps": check.ulps,
        "max|reference|": check.peak,
        "l2": check.l2,
        "cosine": check.cosine,
    }
    told = [f"{name}: {value!r}" for name, value in numbers.items()]
    return [f"shape: {wording.shape(check)} {clean(check.dtype)}", *told]


def _nothing(report: Report, heading: str) -> ET.Element:
    """A failed test case for a report that compared nothing, which is no pass."""
    case = ET.Element("testcase", classname=_dotted(report.title, heading), name="something is compared", time="0")
    ET.SubElement(case, "failure", type="comparison", message=wording.verdict(report))
    return case


def _dotted(title: str, heading: str) -> str:
    """A class name; CI systems read what is before its last dot as the package."""
    return f"{clean(title).replace('.', '_')}.{heading.replace('.', '_')}"
