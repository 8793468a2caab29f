"""``graphkit verify``: run a model on several runtimes and compare what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit.cli.comparing import comparing_options, dtype_option, publish, report_option, write_reports
from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option, reading_options
from graphkit.parity.settings import OPTIMIZERS, rule_of

if TYPE_CHECKING:
    from graphkit.cli.comparing import Comparing
    from graphkit.parity.sides import Precision

__all__ = ["COMMAND"]


@command
@reading_options
@comparing_options
@click.option("--train-steps", type=click.IntRange(1), metavar="N", help="Make N steps of training and compare each.")
@click.option("--optimizer", type=click.Choice(tuple(OPTIMIZERS)), help="What makes these steps.  [default: momentum]")
@click.option("--lr", type=float, metavar="X", help="Their learning rate.  [default: 0.05; adam: 0.001]")
@click.option("--momentum", type=float, metavar="X", help="Their momentum.  [default: 0.9]")
@click.option("--weight-decay", type=float, metavar="X", help="Their weight decay.  [default: 0.0001; adam: 0]")
@click.option(
    "--loss",
    type=click.Choice(("given", "mse", "cross-entropy")),
    help="What they make smaller: the losses that the model has, or the distance of its outputs from random targets or "
    "classes.  [default: given, if it has some, else mse]",
)
@dtype_option("Precision: float64 proves semantics, float32 compares against the noise floor.  [default: float32]")
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
@report_option
@json_option
def COMMAND(  # noqa: N802
    comparing: Comparing,
    train_steps: int | None,
    optimizer: str | None,
    lr: float | None,
    momentum: float | None,
    weight_decay: float | None,
    loss: str | None,
    dtype: Precision | None,
    taps: bool | None,
    baseline: Path | None,
    save_baseline: Path | None,
    reports: tuple[str, ...],
    as_json: bool,
) -> int:
    """Prove that SOURCE computes the same on several runtimes, or that OTHER computes the same as SOURCE."""
    from graphkit.errors import InputError
    from graphkit.parity.verify import verify
    from graphkit.report.progress import progress
    from graphkit.report.write import form_of

    given = {"optimizer": optimizer, "lr": lr, "momentum": momentum, "weight-decay": weight_decay, "loss": loss}
    if train_steps is None and (said := [name for name, value in given.items() if value is not None]):
        raise InputError(f"--{said[0]} is for steps of training; say how many with --train-steps.")
    for path in reports:
        form_of(path)
    with results_only(as_json), progress() as bar:
        model, other = comparing.models()
        report = verify(
            model,
            other,
            train_steps=train_steps,
            rule=rule_of(optimizer, lr, momentum, weight_decay),
            loss=loss or "",
            dtype=dtype,
            taps=taps,
            baseline=baseline,
            save_baseline=save_baseline,
            progress=bar,
            **comparing.arguments(),
        )
    write_reports(report, reports, model)
    if as_json:
        from graphkit.report.json import to_json

        click.echo(to_json(report))
    else:
        from graphkit.report.table import table

        stdout().print(table(report))
    publish(report)
    return 0 if report.passed else 1
