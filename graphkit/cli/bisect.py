"""``graphkit bisect``: find the node at which two runtimes, or two models, begin to differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphkit.cli.comparing import (
    comparing_options,
    dtype_option,
    publish,
    report_option,
    training_options,
    write_reports,
)
from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option, reading_options

if TYPE_CHECKING:
    from graphkit.cli.comparing import Comparing
    from graphkit.parity.sides import Precision

__all__ = ["COMMAND"]


@command
@reading_options
@comparing_options
@training_options
@dtype_option("Precision.  [default: float64, then float32 if nothing differs]")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write what reproduces the node: a model of it alone, its inputs and what it should give.  [default: "
    "SOURCE's name with -bisect, here]",
)
@report_option()
@json_option
def COMMAND(  # noqa: N802
    comparing: Comparing,
    training: dict[str, Any],
    dtype: Precision | None,
    out: Path | None,
    reports: tuple[str, ...],
    as_json: bool,
) -> int:
    """Find the node at which SOURCE begins to differ between runtimes, or OTHER from SOURCE."""
    from graphkit.parity.bisect import bisect
    from graphkit.report.progress import progress

    with results_only(as_json), progress() as bar:
        model, other = comparing.models()
        folder = out or Path(f"{_stem(comparing.reading.source)}-bisect")
        found = bisect(model, other, dtype=dtype, out=folder, progress=bar, **training, **comparing.arguments())
    write_reports(found.report, reports, model, other)
    if as_json:
        from graphkit.report.bisection import to_json

        click.echo(to_json(found))
    else:
        from graphkit.report.bisection import told

        stdout().print(told(found), crop=False)
    publish(found.report)
    return 0 if found.passed else 1


def _stem(source: str) -> str:
    return Path(source.rpartition(":")[2]).name.removesuffix("-symbol.json").partition(".")[0] or "model"
