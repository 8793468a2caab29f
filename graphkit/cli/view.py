"""``graphkit view``: explore a model in the browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from graphkit.cli.drawing import shown_options
from graphkit.cli.options import command, reading_options

if TYPE_CHECKING:
    from graphkit.cli.drawing import Shown
    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]


@command
@reading_options
@shown_options
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port to serve on. Default: one that is free."
)
@click.option("--browser/--no-browser", default=True, help="Open the browser, or print the address only.")
def COMMAND(reading: Reading, shown: Shown, port: int, browser: bool) -> None:  # noqa: N802
    """Explore SOURCE in the browser: modules that open, search, parameters, paths, costs.

    The page is served to this machine alone, until Ctrl-C. `graphkit render SOURCE -o x.html` writes the same page into
    a file that needs no server.
    """
    from graphkit.render import picture
    from graphkit.render.viewer.server import PageServer

    model = shown.model(reading)
    with PageServer(picture(model, "html", **shown.options(model, explored=True)), port) as server:
        click.echo(f"{server.address} (Ctrl-C ends)")
        if browser and not _browses(server.address):
            click.echo("No browser could be opened; open the address yourself.", err=True)
        try:
            server.serve()
        except KeyboardInterrupt:
            click.echo("", err=True)


def _browses(address: str) -> bool:
    """Open the browser, which goes on when the command is over."""
    import webbrowser

    from graphkit.processes import DETACHED

    os.environ[DETACHED] = "1"
    return webbrowser.open(address)
