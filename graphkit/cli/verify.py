"""``graphkit verify``: run a model on several runtimes and compare what comes out."""

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
from graphkit.errors import InputError

if TYPE_CHECKING:
    from graphkit.cli.comparing import Comparing
    from graphkit.parity.sides import Precision

__all__ = ["COMMAND"]


@command
@reading_options
@comparing_options
@training_options
@dtype_option(
    "Precision: float64 proves semantics, float32 compares against the noise floor, and so does own, in the types that "
    "the model holds.  [default: own for models of float16 or bfloat16, float64 for those of float64, else float32]",
    own=True,
)
@click.option(
    "--taps/--no-taps",
    default=None,
    help="Compare every value between two nodes too, and with --backward the gradients in them.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Compare with numbers that were recorded, on the samples and as it was done then unless said otherwise.",
)
@click.option(
    "--save-baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Record the numbers of the reference, e.g. as b.npz.",
)
@report_option()
@click.option("--summary", is_flag=True, help="Print one line for each side that is compared, instead of its tensors.")
@json_option
def COMMAND(  # noqa: N802
    comparing: Comparing,
    training: dict[str, Any],
    dtype: Precision | None,
    taps: bool | None,
    baseline: Path | None,
    save_baseline: Path | None,
    reports: tuple[str, ...],
    summary: bool,
    as_json: bool,
) -> int:
    """Prove that SOURCE computes the same on several runtimes, or that OTHER computes the same as SOURCE."""
    from graphkit.parity.verify import verify
    from graphkit.report.progress import progress

    if summary and as_json:
        raise InputError("--summary shortens the table, and --json prints none; leave one of them out.")
    with results_only(as_json), progress() as bar:
        model, other = comparing.models()
        report = verify(
            model,
            other,
            dtype=dtype,
            taps=taps,
            baseline=baseline,
            save_baseline=save_baseline,
            progress=bar,
            **training,
            **comparing.arguments(),
        )
    write_reports(report, reports, model, other)
    if as_json:
        from graphkit.report.json import to_json

        click.echo(to_json(report))
    else:
        from graphkit.report.table import table

        stdout().print(table(report, summary=summary))
    publish(report)
    return 0 if report.passed else 1
