"""``graphkit doctor``: what is installed, what works, and how to get the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option
from graphkit.text import json_text

if TYPE_CHECKING:
    from graphkit.doctor import Finding

__all__ = ["COMMAND"]


@command
@click.argument("names", nargs=-1, metavar="[NAME]…")
@json_option
def COMMAND(names: tuple[str, ...], as_json: bool) -> int:  # noqa: N802
    """Show which runtimes and tools work here, and how to install the others.

    NAME is a runtime (torch, mxnet, ort, ort-cuda, reference) or what a part of graphkit needs: torch-compile, graphviz
    (pictures of graphs), bench (charts), image (pictures as inputs), tensorboard. With names these alone are tried, and
    the exit status is 1 if one does not work.
    """
    from graphkit.doctor import TOOLS, examine
    from graphkit.report.environment import environment

    with results_only(as_json):
        findings = examine(names)
    status = int(bool(names) and not all(found.works for found in findings))
    if as_json:
        runtimes = [_document(found) for found in findings if found.name not in TOOLS]
        tools = [_document(found) for found in findings if found.name in TOOLS]
        click.echo(json_text({"environment": environment(), "runtimes": runtimes, "tools": tools}))
        return status
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    if not names:
        console.print(Text(", ".join(f"{name} {value}" for name, value in environment().items())))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for found in findings:
        state = Text(found.state, "green" if found.works else "yellow")
        told = [found.version, found.note, "" if found.works else f"It is for {found.purpose}"]
        table.add_row(Text(found.name, "bold"), state, Text(". ".join(filter(None, told))))
    console.print(table)
    return status


def _document(found: Finding) -> dict[str, str | bool]:
    return {
        "name": found.name,
        "label": found.label,
        "version": found.version,
        "works": found.works,
        "missing": found.state == "missing",
        "purpose": found.purpose,
        "note": found.note,
    }
