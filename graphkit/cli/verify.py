"""``graphkit verify``: run a model on several runtimes and compare what comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option, reading_options

if TYPE_CHECKING:
    from graphkit.cli.options import Reading
    from graphkit.parity.sides import Precision

__all__ = ["COMMAND"]


@command
@reading_options
@click.argument("other", required=False)
@click.option(
    "--on",
    multiple=True,
    metavar="RUNTIME,…",
    help="Runtimes: torch, mxnet, ort, ort-cuda, reference. Default: those of torch, mxnet and ort that are there.",
)
@click.option("--backward", is_flag=True, help="Compare the gradients of every input and parameter too.")
@click.option("--train-steps", type=click.IntRange(1), metavar="N", help="Make N steps of SGD and compare each.")
@click.option("--lr", type=float, metavar="X", help="Learning rate of these steps.  [default: 0.05]")
@click.option("--momentum", type=float, metavar="X", help="Their momentum.  [default: 0.9]")
@click.option("--weight-decay", type=float, metavar="X", help="Their weight decay.  [default: 0.0001]")
@click.option(
    "--dtype",
    type=click.Choice(("float32", "float64")),
    default="float32",
    show_default=True,
    help="Precision: float64 proves semantics, float32 compares against the noise floor.",
)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Batch size, where it is free.  [default: 2]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the inputs.")
@json_option
def COMMAND(  # noqa: N802
    reading: Reading,
    other: str | None,
    on: tuple[str, ...],
    backward: bool,
    train_steps: int | None,
    lr: float | None,
    momentum: float | None,
    weight_decay: float | None,
    dtype: Precision,
    batch: int | None,
    seed: int,
    as_json: bool,
) -> int:
    """Prove that SOURCE computes the same on several runtimes, or that OTHER computes the same as SOURCE."""
    from graphkit.errors import InputError
    from graphkit.frameworks.base import Sgd
    from graphkit.parity.verify import verify

    given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    numbers = {name: number for name, number in given.items() if number is not None}
    if numbers and not train_steps:
        option = next(iter(numbers)).replace("_", "-")
        raise InputError(f"--{option} is for steps of training; say how many with --train-steps.")
    names = [name.strip() for group in on for name in group.split(",") if name.strip()]
    with results_only(as_json):
        report = verify(
            reading.load(),
            None if other is None else replace(reading, source=other, params=None).load(),
            on=names,
            backward=backward,
            train_steps=train_steps or 0,
            rule=Sgd(**numbers),
            dtype=dtype,
            batch=batch,
            seed=seed,
            inputs=reading.open_specs(),
        )
    if as_json:
        from graphkit.report.json import to_json

        click.echo(to_json(report))
    else:
        from graphkit.report.table import table

        stdout().print(table(report))
    return 0 if report.passed else 1
