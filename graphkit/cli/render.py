"""``graphkit render``: draw a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphkit.cli.console import echo, size
from graphkit.cli.drawing import shown_options
from graphkit.cli.options import command, reading_options
from graphkit.render import DIRECTIONS, FORMATS, format_of, render

if TYPE_CHECKING:
    from graphkit.cli.drawing import Shown
    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]


@command
@reading_options
@shown_options
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE",
    help=f"What to write; its suffix says what: {', '.join('.' + form for form in FORMATS)}. A folder (x/) gets "
    "a graph for TensorBoard.",
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
@click.option("--shapes/--no-shapes", default=True, help="Write shapes of values.")
@click.option("--parameters/--no-parameters", default=True, help="Write what operators read from the model.")
@click.option("--attributes/--no-attributes", default=True, help="Write attributes of operators.")
def COMMAND(reading: Reading, shown: Shown, out: str, direction: str, **options: Any) -> None:  # noqa: N802
    """Draw SOURCE as a graph: operators by colour, tensors' shapes, parameters, modules."""
    explored = format_of(out) == "html"
    model = shown.model(reading)
    options |= {"direction": direction.upper()} | shown.options(model, explored=explored)
    written = render(model, out, **options)
    echo(f"Wrote {written} ({size(written.stat().st_size)}).")
