"""Reports as files."""

from __future__ import annotations

import pytest
from drawn import block
from reports import REPORT

from graphkit.errors import InputError
from graphkit.report.json import from_json
from graphkit.report.write import FORMS, form_of, write_report


@pytest.mark.parametrize(
    ("name", "begins"),
    [("r.json", "{"), ("r.xml", "<?xml"), ("r.html", "<!doctype html>"), ("r.md", "### ❌"), ("R.HTML", "<!doc")],
)
def test_the_suffix_chooses_the_form(tmp_path, name, begins):
    path = write_report(REPORT, tmp_path / name, block())
    assert path.read_text(encoding="utf-8").startswith(begins)


def test_json_reads_back(tmp_path):
    assert from_json(write_report(REPORT, str(tmp_path / "r.json")).read_text(encoding="utf-8")) == REPORT


@pytest.mark.parametrize("name", ["r.txt", "r", ".html", "r.json.gz"])
def test_another_suffix_is_an_error_that_names_the_four(tmp_path, name):
    with pytest.raises(InputError, match=r"\.json, \.xml, \.html or \.md"):
        form_of(name)
    with pytest.raises(InputError, match="does not say which form"):
        write_report(REPORT, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "r.md"
    path.write_text("old")

    def fails(*_arguments, **_more):
        raise OSError("full")

    monkeypatch.setattr("pathlib.Path.write_bytes", fails)
    with pytest.raises(InputError, match=r"cannot be written: full"):
        write_report(REPORT, path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["r.md"]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="its folder does not exist"):
        write_report(REPORT, tmp_path / "none" / "r.json")


def test_the_forms_are_four():
    assert FORMS == (".json", ".xml", ".html", ".md")
