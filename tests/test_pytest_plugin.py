"""What users of pytest see of graphkit's plugin: runs of pytest in a folder with tests of their own."""

from __future__ import annotations

import re

import onnx_ir as ir
import pytest
from fakes import model

from graphkit.report.json import from_json
from graphkit.report.write import FORMS, write_report
from graphkit.testing import assert_parity

pytest.importorskip("onnxruntime")

PASSING = """
def test_net(parity):
    report = parity("net.onnx", on="ort,reference")
    assert report.passed
"""
FAILING = """
def test_net(parity):
    parity("net.onnx", "other.onnx", on="ort")
"""


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """Import what comparisons need: runs of pytest in this process forget what they import, and it cannot be twice."""
    report = assert_parity(model(), on="ort,reference", backward=False)
    for form in FORMS:
        write_report(report, tmp_path_factory.mktemp("imported") / f"report{form}", model())


@pytest.fixture
def folder(pytester, monkeypatch):
    """A folder with two models, whose weights differ."""
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, seed in (("net", 0), ("other", 1)):
        ir.save(model(seed), pytester.path / f"{name}.onnx")
    return pytester


def text_of(result) -> str:
    return "\n".join([*result.outlines, *result.errlines])


def test_the_fixture_compares_and_the_summary_names_the_worst_error(folder):
    folder.makepyfile(PASSING)
    result = folder.runpytest()
    result.assert_outcomes(passed=1)
    assert re.search(
        r"= parity =+\n"
        r"test_the_fixture\S*\.py::test_net: In parity: 2 checks, all within their bounds\. "
        r"Worst: output y, ort \| reference: error \S+, bound 1\.0e-05\.",
        text_of(result),
    )


def test_the_plugin_is_there_without_being_asked_for(folder):
    result = folder.runpytest("--help")
    result.stdout.fnmatch_lines(["*--graphkit-report=DIR*", "*--graphkit-missing={error,skip}*"])
    result = folder.runpytest("--fixtures", "-q")
    result.stdout.fnmatch_lines(["*parity*pytest_plugin.py*", "*settings*pyproject.toml*nearest*"])


def test_a_failure_shows_the_worst_rows_and_nothing_of_graphkit_itself(folder):
    folder.makepyfile(FAILING)
    result = folder.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       parity("net.onnx", "other.onnx", on="ort")',
            "E       AssertionError: net.onnx and other.onnx in float32: x 2×5, seed 0",
            "E *y * FAIL",
            "E       Not in parity: 1 of 1 check failed.",
            "E       To find the first node that differs: graphkit bisect net.onnx other.onnx --on ort",
            "test_a_failure*.py:*: AssertionError",
            "*= parity =*",
            "*::test_net: Not in parity: 1 of 1 check failed. Worst: output y, ort | other.onnx on ort: error *",
        ]
    )
    assert "graphkit/" not in text_of(result)


def test_an_assertion_outside_of_the_fixture_is_shown_and_summed_up_the_same(folder):
    folder.makepyfile(
        """
        from graphkit.testing import assert_parity

        def test_net():
            assert_parity("net.onnx", "other.onnx", on="ort")
        """
    )
    result = folder.runpytest()
    result.stdout.fnmatch_lines(["E       Not in parity: 1 of 1 check failed.", "*= parity =*", "*::test_net: Not in*"])
    assert "graphkit/" not in text_of(result)


def test_the_summary_has_the_worst_first_and_counts_what_it_leaves_out(folder):
    folder.makepyfile(
        """
        import pytest
        from graphkit.parity import verify as module
        from graphkit.report.report import Check, Report

        @pytest.mark.parametrize("number", range(25))
        def test_net(parity, number, monkeypatch):
            check = Check("output", "y", "torch", "ort", "pass" if number < 24 else "fail", number / 24, tol=0.99)
            monkeypatch.setattr(module, "verify", lambda *_, **__: Report("net", (check,)))
            parity("net.onnx")
        """
    )
    lines = folder.runpytest("--tb=no").outlines
    start = next(i for i, line in enumerate(lines) if " parity " in line)
    assert "::test_net[24]: Not in parity" in lines[start + 1]
    assert "::test_net[23]: In parity" in lines[start + 2]
    assert lines[start + 21] == "and 5 more that are farther from their bounds (-v shows them)"
    verbose = text_of(folder.runpytest("--tb=no", "-v"))
    assert all(f"::test_net[{number}]: " in verbose for number in range(25))


def test_a_quiet_run_has_no_summary_of_parity(folder):
    folder.makepyfile(PASSING)
    assert " parity " not in text_of(folder.runpytest("-q"))


def test_tests_without_comparisons_see_nothing_of_it(folder):
    folder.makepyfile("def test_it(): assert 1 + 1 == 2")
    assert "parity" not in text_of(folder.runpytest())


def test_the_settings_nearest_to_the_test_are_applied(folder):
    folder.makepyprojecttoml(
        """
        [tool.graphkit.verify]
        on = ["ort", "reference"]
        seeds = [4, 5]
        batches = [1]
        optimizer = "adam"
        baseline = "of-another-model.npz"
        report = "of-another-model.xml"

        [tool.graphkit.verify.tolerances]
        output = 0.25
        """
    )
    folder.makepyfile(
        """
        import numpy as np

        def test_settings(parity):
            report = parity("net.onnx")
            assert {check.right for check in report.checks} >= {"reference"}
            assert {check.samples for check in report.checks if check.right == "reference"} == {2}
            assert {check.tol for check in report.checks} == {0.25}

        def test_what_is_given_wins(parity):
            report = parity("net.onnx", seeds=[7], tolerances={"output": 0.5})
            assert "seed 7" in report.title
            assert {check.tol for check in report.checks} == {0.5}

        def test_arrays_have_their_own_batch_size(parity):
            assert "x 4×5" in parity("net.onnx", inputs=np.ones((4, 5), np.float32)).title

        def test_tolerances_are_added(parity):
            report = parity("net.onnx", tolerances="gradient=1")
            assert {check.tol for check in report.checks} == {0.25}
        """
    )
    folder.runpytest().assert_outcomes(passed=4)
    assert not list(folder.path.rglob("of-another-model*"))


def test_settings_of_a_project_inside_a_project_are_its_own(folder):
    folder.makepyprojecttoml("[tool.graphkit.verify]\nseeds = 3\n")
    inner = folder.mkdir("inner")
    (inner / "pyproject.toml").write_text("[tool.graphkit.verify]\nseeds = 8\n", encoding="utf-8")
    (inner / "test_inner.py").write_text(
        'def test_it(parity): assert "seed 8" in parity("net.onnx", on="ort,reference").title\n', encoding="utf-8"
    )
    folder.runpytest().assert_outcomes(passed=1)


def test_settings_that_make_no_sense_are_told_in_a_sentence(folder):
    folder.makepyprojecttoml("[tool.graphkit.verify]\nseed = 3\n")
    folder.makepyfile(PASSING)
    result = folder.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*pyproject.toml: ?tool.graphkit.verify? has no key 'seed' (is 'seeds' meant?)*"])
    assert len(result.outlines) < 30
    assert "graphkit/parity/" not in text_of(result)


def test_reports_are_written_for_machines_and_people(folder):
    folder.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("other", ["net.onnx", "other.onnx"])
        def test_net(parity, other):
            parity("net.onnx", other, on="ort")
            parity("net.onnx", on="ort,reference")
        """
    )
    result = folder.runpytest("--graphkit-report=out/reports")
    result.assert_outcomes(passed=1, failed=1)
    written = sorted((folder.path / "out" / "reports").iterdir())
    assert sorted(path.suffix for path in written) == [".html"] * 3 + [".json"] * 3
    assert all(re.fullmatch(r"[\w.-]+-[0-9a-f]{8}\.(json|html)", path.name) for path in written)
    reports = [from_json(path.read_text(encoding="utf-8")) for path in written if path.suffix == ".json"]
    assert sorted(report.passed for report in reports) == [False, True, True]
    pages = [path.read_text(encoding="utf-8") for path in written if path.suffix == ".html"]
    assert all("MatMul" in page or "product" in page for page in pages), "the page draws the model"


def test_a_folder_that_cannot_be_made_is_told_before_tests_run(folder):
    folder.makepyfile(PASSING)
    (folder.path / "out").write_text("a file", encoding="utf-8")
    result = folder.runpytest("--graphkit-report=out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--graphkit-report:" in text_of(result)
    assert "cannot be made" in text_of(result)


def test_how_a_comparison_went_stands_in_junit_files(folder):
    folder.makepyfile(PASSING)
    folder.runpytest("--junitxml=junit.xml")
    assert '<property name="graphkit" value="In parity: 2 checks' in (folder.path / "junit.xml").read_text()


MISSING = """
    import pytest
    from graphkit.frameworks.onnx.reference import ReferenceRuntime

    @pytest.fixture(autouse=True)
    def absent(monkeypatch):
        monkeypatch.setattr(ReferenceRuntime, "missing", lambda self: "it is not installed; pip install it")

    def test_net(parity):
        parity("net.onnx", on="ort,reference")
"""


def test_a_runtime_that_is_missing_is_an_error_that_says_so(folder):
    folder.makepyfile(MISSING)
    result = folder.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       parity("net.onnx", on="ort,reference")',
            "E       graphkit.errors.MissingError: * is not available: it is not installed; pip install it.",
        ]
    )
    assert "graphkit/parity/" not in text_of(result)


def test_a_runtime_that_is_missing_skips_the_test_if_that_is_asked_for(folder):
    folder.makepyfile(MISSING)
    result = folder.runpytest("--graphkit-missing=skip", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*is not available: it is not installed; pip install it."])


def test_wrong_input_is_told_where_the_test_gives_it(folder):
    folder.makepyfile('def test_net(parity): parity("absent.onnx")')
    result = folder.runpytest()
    result.stdout.fnmatch_lines(["E *graphkit.errors.InputError: *absent.onnx*", "test_wrong_input*.py:1: InputError"])
    assert "graphkit/frameworks" not in text_of(result)
    assert "The above exception" not in text_of(result)


def test_the_whole_traceback_is_there_for_those_who_want_it(folder):
    folder.makepyfile('def test_net(parity): parity("absent.onnx")')
    assert "graphkit/frameworks" in text_of(folder.runpytest("--full-trace"))


def test_comparisons_made_in_other_processes_are_summed_up(folder):
    pytest.importorskip("xdist")
    folder.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("other", ["net.onnx", "other.onnx"])
        def test_net(parity, other):
            parity("net.onnx", other, on="ort")
        """
    )
    result = folder.runpytest_subprocess("-n1", "--graphkit-report=out")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*= parity =*", "*other.onnx?: Not in parity*", "*net.onnx?: In parity*"])
    assert len(list((folder.path / "out").iterdir())) == 4


def test_a_run_that_compares_nothing_imports_no_framework(folder):
    folder.makepyfile(
        """
        import sys

        def test_it():
            assert "graphkit.pytest_plugin" in sys.modules
            heavy = {"numpy", "onnx", "onnx_ir", "torch", "mxnet", "onnxruntime", "rich"}
            assert not heavy & set(sys.modules)
        """
    )
    result = folder.runpytest_subprocess("-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
