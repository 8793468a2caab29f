"""A report as a file, in the form that its suffix names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.errors import InputError
from graphkit.files import write_whole
from graphkit.provenance import recording
from graphkit.stamps import stamped

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.report.report import Report

__all__ = ["FORMS", "form_of", "write_report"]

FORMS: Final = (".json", ".xml", ".html", ".md")
"""Suffixes of the forms: all there is, JUnit, a page, Markdown."""


def form_of(path: str | Path) -> str:
    """The form that a file's suffix names, one of :data:`FORMS`; asking before a long run saves one for nothing.

    Raises:
        InputError: The suffix is not one of them.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMS:
        raise InputError(
            f"{path} does not say which form of report to write: its suffix is {suffix or 'missing'}; give it "
            f"{', '.join(FORMS[:-1])} or {FORMS[-1]}, for JSON, JUnit, a page or Markdown."
        )
    return suffix.lower()


def write_report(
    report: Report, path: str | Path, model: ir.Model | None = None, other: ir.Model | None = None
) -> Path:
    """Write a report into a file, whole or not at all, in the form that its suffix names.

    Args:
        report: What was found.
        path: The file, ending in ``.json``, ``.xml`` (JUnit), ``.html`` or ``.md``.
        model: The model whose value names the checks have; the page draws it, and every form names what it was read
            from, with hashes.
        other: The model that it was compared with, where that is another one.

    Returns:
        The path.

    Raises:
        InputError: The suffix is not a known one, or the file cannot be written.
    """
    path = Path(path)
    form = form_of(path)
    with recording(model, other) as record:
        made = record.record()
    told = {f"source {file.name}": f"SHA-256 {file.sha256 or 'not known'}" for file in made.files}
    named = replace(report, environment={**report.environment, **told})
    write_whole(path, stamped(_text(named, form, model).encode(), form[1:], made.text()))
    return path


def _text(report: Report, form: str, model: ir.Model | None) -> str:
    if form == ".json":
        from graphkit.report.json import to_json

        return to_json(report)
    if form == ".xml":
        from graphkit.report.junit import to_junit

        return to_junit(report)
    if form == ".md":
        from graphkit.report.markdown import to_markdown

        return to_markdown(report)
    from graphkit.report.html import to_html

    return to_html(report, model)
