"""A benchmark as a file, in the form that its suffix names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphkit.errors import InputError, MissingError
from graphkit.files import write_whole
from graphkit.stamps import marked

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.bench.result import Benchmark

__all__ = ["FORMS", "form_of", "write_benchmark"]

FORMS: Final = (".json", ".md", ".html", ".svg", ".png")
"""Suffixes of the forms: every round, Markdown, a page with the chart, the chart."""
_DRAWN: Final = (".html", ".svg", ".png")


def form_of(path: str | Path) -> str:
    """The form that a file's suffix names, one of :data:`FORMS`; asking before a long run saves one for nothing.

    Raises:
        InputError: The suffix is not one of them, or there is no such folder.
        MissingError: What draws the chart is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMS:
        raise InputError(
            f"{path} does not say which form of report to write: its suffix is {suffix or 'missing'}; give it "
            f"{', '.join(FORMS[:-1])} or {FORMS[-1]}."
        )
    if not Path(path).absolute().parent.is_dir():
        raise InputError(f"There is no folder {str(Path(path).parent)!r} to write {Path(path).name!r} to.")
    if suffix in _DRAWN and find_spec("matplotlib") is None:
        raise MissingError(
            f"{path} is to hold a chart, which Matplotlib draws, and that is not installed; run: pip install "
            f"'graphkit[bench]', or write .json or .md."
        )
    return suffix


def write_benchmark(benchmark: Benchmark, path: str | Path, model: ir.Model | None = None) -> Path:
    """Write a benchmark into a file, whole or not at all, in the form that its suffix names.

    Args:
        benchmark: What was measured.
        path: The file.
        model: What of; the file carries the record of what that was read from.

    Returns:
        The path.

    Raises:
        InputError: The suffix is not a known one, or the file cannot be written.
        MissingError: What draws the chart is not installed.
    """
    path = Path(path)
    form = form_of(path)
    write_whole(path, marked(_content(benchmark, form), form[1:], model))
    return path


def _content(benchmark: Benchmark, form: str) -> bytes:
    if form == ".json":
        from graphkit.bench.json import to_json

        return (to_json(benchmark) + "\n").encode()
    if form == ".md":
        from graphkit.bench.markdown import to_markdown

        return to_markdown(benchmark).encode()
    if form == ".html":
        from graphkit.bench.page import to_html

        return to_html(benchmark).encode()
    from graphkit.bench.chart import to_picture

    return to_picture(benchmark, form[1:])
