"""``graphkit bench``: time a model on several runtimes, after checking that they compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphkit.cli.comparing import Numbers, report_option
from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option, reading_options

if TYPE_CHECKING:
    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]


@command
@reading_options
@click.option(
    "--on",
    multiple=True,
    metavar="NAME,…",
    help="Contestants: torch, torch-compile, mxnet, ort, ort-cuda.  [default: torch,torch-compile,mxnet,ort]",
)
@click.option(
    "--batch",
    "--batches",
    "batches",
    type=Numbers(1),
    metavar="N,…",
    help="Batch sizes, where free.  [default: 1, or as --input says]",
)
@click.option("--backward", is_flag=True, help="Time the gradients of every input and parameter too.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="Threads of each contestant.  [default: the processors that graphkit may use]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    metavar="N",
    help="How often each contestant has its turn.",
)
@click.option(
    "--seconds",
    "least",
    type=click.FloatRange(0, min_open=True),
    default=0.2,
    show_default=True,
    metavar="X",
    help="How long such a turn lasts at least.",
)
@report_option(
    "Write the report as .json, .md or .html, or its chart as .svg or .png; may be given several times.",
    "graphkit.bench.write",
)
@json_option
def COMMAND(  # noqa: N802
    reading: Reading,
    on: tuple[str, ...],
    batches: tuple[int, ...] | None,
    backward: bool,
    threads: int | None,
    rounds: int,
    least: float,
    reports: tuple[str, ...],
    as_json: bool,
) -> int:
    """Measure which runtime is fastest for a model.

    Each contestant runs in a process of its own. What it computes is checked before it is timed; one that computes
    something else is not, and the exit status is 1.
    """
    from graphkit.bench.benchmark import benchmark
    from graphkit.bench.write import write_benchmark
    from graphkit.report.progress import progress

    with results_only(as_json), progress() as bar:
        model = reading.load()
        found = benchmark(
            model,
            on=[name.strip() for group in on for name in group.split(",") if name.strip()],
            batches=batches or (),
            backward=backward,
            threads=threads,
            rounds=rounds,
            least=least,
            inputs=reading.open_specs(),
            progress=bar,
        )
    for path in reports:
        write_benchmark(found, path, model)
    if as_json:
        from graphkit.bench.json import to_json

        click.echo(to_json(found))
    else:
        from graphkit.bench.table import table

        stdout().print(table(found))
    return 0 if found.right else 1
