"""graphkit in pytest: the fixture ``parity``, report files, and a summary of how far from their bounds tests were.

Every run of pytest loads this module where graphkit is installed, so it imports no framework and next to nothing else.
"""

from __future__ import annotations

import re
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from graphkit.errors import GraphkitError, MissingError
from graphkit.testing import assert_parity, observed, shapes_and_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import onnx_ir as ir

    from graphkit.report.report import Report

__all__ = ["parity"]

_Compared = list[tuple[float, str]]
"""Error as a share of its bound, and a line about it, of each comparison of a test."""

_PROPERTY: Final = "graphkit"
"""Name of the property of a test, in JUnit files too, that says how a comparison went."""
_ATTRIBUTE: Final = "graphkit_compared"
"""Attribute of the report of a test that has its comparisons; reports travel between processes."""
_KEY: Final = pytest.StashKey[_Compared]()
_LISTED: Final = 20
"""Comparisons that the summary names, unless pytest is asked to be verbose."""
_OF_ONE_MODEL: Final = ("feed", "report", "baseline")
"""Settings that are about one model, which a command is given."""
_RULE: Final = ("optimizer", "lr", "momentum", "weight_decay")
_PACKAGE: Final = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("graphkit", "parity of models (graphkit)")
    group.addoption(
        "--graphkit-report",
        metavar="DIR",
        help="Write the report of every comparison into DIR, as JSON for machines and as a page to look at.",
    )
    group.addoption(
        "--graphkit-missing",
        choices=("error", "skip"),
        default="error",
        help="What becomes of a test that needs a runtime which is not installed. Default: error.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the reports, rather than fail once there is one to write."""
    if (folder := _folder(config)) is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--graphkit-report: {folder} cannot be made: {error.strerror}.") from error


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """:func:`graphkit.testing.assert_parity` with the settings of the ``pyproject.toml`` nearest to the test.

    What the test gives wins; its tolerances come after those of the settings, and arrays have their own batch sizes.
    ``feed``, ``report`` and ``baseline`` of the settings are about one model and are left to ``graphkit verify``.
    """

    def parity(model_a: Any, model_b: Any = None, inputs: Any = None, **options: Any) -> Report:
        __tracebackhide__ = True
        from graphkit.parity.settings import find, settings
        from graphkit.parity.tolerances import parse_tolerances

        path = find(request.path.parent)
        defaults = {} if path is None else _keywords(settings(path, "verify"))
        if shapes_and_samples(inputs)[1]:
            defaults.pop("batches", None)
        if options.get("tolerances") and "tolerances" in defaults:
            options["tolerances"] = (*defaults["tolerances"], *parse_tolerances(options["tolerances"]))
        return assert_parity(model_a, model_b, inputs, **{**defaults, **options})

    return parity


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note the comparisons that a test makes; skip it for want of a runtime where that was asked for."""
    compared = item.stash.setdefault(_KEY, [])
    folder = _folder(item.config)

    def note(report: Report, model: ir.Model) -> None:
        compared.append(_told(report))
        item.user_properties.append((_PROPERTY, compared[-1][1]))
        if folder is not None:
            try:
                _write(report, model, folder / _file_name(item.nodeid, len(compared)))
            except GraphkitError as problem:  # the verdict matters more
                warnings.warn(pytest.PytestWarning(f"--graphkit-report: {problem}"), stacklevel=1)

    with observed(note):
        try:
            return (yield)
        except MissingError as problem:
            if item.config.getoption("graphkit_missing") == "skip":
                pytest.skip(str(problem))
            raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what is wrong with input where the test gave it, rather than where graphkit found out."""
    problem = None if call.excinfo is None else call.excinfo.value
    if isinstance(problem, GraphkitError) and not item.config.getoption("fulltrace"):
        _cut(problem)
    report = yield
    if call.when == "call":
        setattr(report, _ATTRIBUTE, item.stash.get(_KEY, []))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how near its bound, or how far beyond, each comparison came: the worst first."""
    found = [
        (share, report.nodeid, text)
        for reports in terminalreporter.stats.values()
        for report in reports
        for share, text in getattr(report, _ATTRIBUTE, ())
    ]
    verbosity = terminalreporter.config.getoption("verbose")
    if not found or verbosity < 0:
        return
    terminalreporter.section("parity")
    found.sort(key=lambda one: -one[0])
    shown = found if verbosity > 0 else found[:_LISTED]
    for _, nodeid, text in shown:
        terminalreporter.line(f"{nodeid}: {text}")
    if rest := len(found) - len(shown):
        terminalreporter.line(f"and {rest} more that are farther from their bounds (-v shows them)")


def _keywords(found: dict[str, Any]) -> dict[str, Any]:
    """Settings as the arguments of :func:`assert_parity`."""
    from graphkit.parity.settings import rule_of
    from graphkit.parity.tolerances import parse_tolerances

    plain = {name: value for name, value in found.items() if name not in (*_OF_ONE_MODEL, *_RULE, "tol")}
    rule = rule_of(**{name: found[name] for name in _RULE if name in found})
    if rule is not None:
        plain["rule"] = rule
    return plain | ({"tolerances": parse_tolerances(found["tol"])} if "tol" in found else {})


def _folder(config: pytest.Config) -> Path | None:
    """Where reports go, if anywhere."""
    given = config.getoption("graphkit_report")
    return None if given is None else config.invocation_params.dir / given


def _told(report: Report) -> tuple[float, str]:
    """Share of its bound that the worst check takes, and the verdict with that check in a line."""
    from graphkit.report import wording

    worst = wording.worst_first(wording.tensors(report))
    if not worst or worst[0].verdict == "unavailable":
        return float("inf"), wording.verdict(report)
    first = worst[0]
    share = wording.closeness(first)
    numbers = f"error {wording.number(first.error)}, bound {wording.number(first.tol)}"
    place = f"{wording.title(first)}, {wording.between(first)}"
    return share, f"{wording.verdict(report)} Worst: {place}: {numbers}."


def _file_name(nodeid: str, number: int) -> str:
    """A name for the report of a test's comparison that suits every file system and is no other's."""
    readable = re.sub(r"[^\w.-]+", "-", nodeid, flags=re.ASCII).strip("-")[-100:]
    return f"{readable}-{zlib.crc32(f'{nodeid} {number}'.encode()):08x}"


def _write(report: Report, model: ir.Model, path: Path) -> None:
    from graphkit.report.write import write_report

    for suffix in (".json", ".html"):
        write_report(report, path.with_name(path.name + suffix), model)


def _cut(problem: GraphkitError) -> None:
    """End a traceback before graphkit's own frames, and leave out what led to the error: its message says all."""
    outside = problem.__traceback__
    while outside is not None and (following := outside.tb_next) is not None:
        code = following.tb_frame.f_code
        if _PACKAGE in Path(code.co_filename).parents and code.co_name != pytest_runtest_call.__name__:
            outside.tb_next = None
        outside = outside.tb_next
    problem.__cause__, problem.__suppress_context__ = None, True
