"""``graphkit ops``: which operators are converted, and why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphkit.cli.console import stdout
from graphkit.cli.options import command, json_option
from graphkit.text import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.support import Support

__all__ = ["COMMAND"]


@command
@click.argument("pattern", default="")
@click.option("--framework", type=click.Choice(["mxnet", "onnx", "torch"]), help="Operators of this framework only.")
@click.option("--missing", is_flag=True, help="Only those that are not converted to everything.")
@click.option("--markdown", is_flag=True, help="Print the page docs/operators.md.")
@json_option
def COMMAND(pattern: str, framework: str | None, missing: bool, markdown: bool, as_json: bool) -> int:  # noqa: N802
    """Show which operators of MXNet, ONNX and PyTorch are converted, and to what.

    PATTERN is a part of an operator's name, or of another name of it.
    """
    from dataclasses import asdict

    from graphkit.errors import InputError
    from graphkit.frameworks.support import support

    found = support(framework, pattern)
    if not found:
        whose = "No framework has" if framework is None else f"{framework} does not have"
        raise InputError(f"{whose} an operator with {pattern!r} in its name; `graphkit ops` lists all.")
    rows = [row for row in found if row.reason or not missing]
    if markdown:
        from graphkit.frameworks.support_page import markdown as page

        click.echo(page(rows), nl=False)
    elif as_json:
        click.echo(json_text([asdict(row) for row in rows]))
    else:
        _print(rows)
    return 0


def _print(rows: Sequence[Support]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("operator", "converted to", "note"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        targets = [f"{name}: {', '.join(names)}" for name, names in row.becomes.items()]
        notes = [row.reason, *row.limits]
        state = Text("; ".join(targets) or "no", "yellow" if row.reason else "green")
        table.add_row(Text(f"{row.framework} {row.operator}"), state, Text("; ".join(filter(None, notes))))
    stdout().print(table)
