"""``graphkit render``: draw a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit.cli.console import size
from graphkit.cli.options import command, reading_options
from graphkit.render import DIRECTIONS, FORMATS, format_of, render

if TYPE_CHECKING:
    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]


@command
@reading_options
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"What to write; its suffix says what to draw: {', '.join('.' + form for form in FORMATS)}.",
)
@click.option(
    "--depth", type=click.IntRange(0), metavar="N", help="Fold modules nested deeper than N into one box each."
)
@click.option(
    "--direction",
    type=click.Choice(DIRECTIONS, case_sensitive=False),
    default="TB",
    show_default=True,
    help="Which way values flow: top to bottom, or left to right.",
)
@click.option("--title", default="", metavar="TEXT", help="Heading of the picture. Default: SOURCE's name.")
def COMMAND(reading: Reading, out: Path, depth: int | None, direction: str, title: str) -> None:  # noqa: N802
    """Draw SOURCE as a graph: operators by colour, tensors' shapes, parameters, modules."""
    format_of(out)
    render(reading.load(), out, title=title, depth=depth, direction=direction.upper())
    click.echo(f"Wrote {out} ({size(out.stat().st_size)}).")
