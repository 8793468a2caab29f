"""``graphkit doctor``: what is installed, what works, and how to get the rest."""

from __future__ import annotations

import click

from graphkit.cli.console import results_only, stdout
from graphkit.cli.options import command, json_option
from graphkit.text import json_text

__all__ = ["COMMAND"]


@command
@json_option
def COMMAND(as_json: bool) -> int:  # noqa: N802
    """Show which runtimes work here, and how to install the others."""
    from graphkit.frameworks.doctor import examine
    from graphkit.report.environment import environment

    with results_only(as_json):
        findings = examine()
    if as_json:
        runtimes = [
            {
                "name": found.name,
                "label": found.label,
                "version": found.version,
                "works": found.works,
                "note": found.note,
            }
            for found in findings
        ]
        click.echo(json_text({"environment": environment(), "runtimes": runtimes}))
        return 0
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    console.print(Text(", ".join(f"{name} {value}" for name, value in environment().items())))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for found in findings:
        state = Text("works", "green") if found.works else Text("fails" if found.version else "missing", "yellow")
        told = ". ".join(filter(None, (found.version, found.note)))
        table.add_row(Text(found.name, "bold"), state, Text(told))
    console.print(table)
    return 0
