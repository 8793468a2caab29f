"""``graphkit diff``: what is different between two models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphkit.cli.console import echo, results_only, stdout, warn
from graphkit.cli.options import command, json_option, reading_options
from graphkit.inspecting.difference.difference import ASPECTS, check_aspects

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.cli.options import Reading
    from graphkit.inspecting.difference.difference import Aspect
    from graphkit.inspecting.difference.sides import Reader

__all__ = ["COMMAND"]


class _Aspects(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """Names of aspects, with commas."""

    name = "aspects"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> frozenset[Aspect]:
        if isinstance(value, frozenset):
            return value
        return check_aspects([word.strip() for word in str(value).split(",") if word.strip()])


@command
@reading_options
@click.argument("other")
@click.option(
    "--other-params",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Parameter file of OTHER, an MXNet symbol.",
)
@click.option(
    "--other-input",
    "other_inputs",
    multiple=True,
    metavar="[NAME:]SHAPE[:DTYPE]",
    help="Shape of an input that OTHER leaves open. Default: those of --input.",
)
@click.option(
    "--ignore",
    "ignored",
    type=_Aspects(),
    multiple=True,
    metavar="ASPECT,…",
    help=f"What does not count: {', '.join(ASPECTS)}.",
)
@click.option("--raw", is_flag=True, help="Compare nodes as the files spell them, not their canonical form.")
@click.option("--all", "unabridged", is_flag=True, help="Show every difference, and with --json what is the same.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the difference: .html to look through, .svg, .png, .pdf or .dot as one picture.",
)
@json_option
def COMMAND(  # noqa: N802
    reading: Reading,
    other: str,
    other_params: Path | None,
    other_inputs: tuple[str, ...],
    ignored: tuple[frozenset[Aspect], ...],
    raw: bool,
    unabridged: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Show what is different between two models, SOURCE and OTHER, of one framework or of two.

    Nodes meet by what they compute and read, not only by their names. The exit status is 0 if nothing differs that
    counts, 1 if something does, 2 if a model cannot be read.
    """
    from dataclasses import replace

    from graphkit.inspecting.difference.diff import compare_read
    from graphkit.inspecting.difference.json import to_json
    from graphkit.inspecting.difference.picture import check_form, draw_difference
    from graphkit.inspecting.difference.text import told

    if out is not None:
        check_form(out)
    second = replace(reading, source=other, params=other_params, inputs=other_inputs or reading.inputs)
    with results_only(as_json):
        labels = Path(reading.source).name, Path(other).name
        found = compare_read(
            _reader(reading), _reader(second), labels, raw=raw, ignore=frozenset().union(*ignored), warn=warn
        )
        if out is not None:
            draw_difference(found, out)
    if as_json:
        click.echo(to_json(found.difference, unabridged=unabridged))
    else:
        stdout().print(told(found.difference, unabridged=unabridged))
        if out is not None:
            echo(f"Wrote {out}.")
    return 0 if found.difference.same else 1


def _reader(reading: Reading) -> Reader:
    ways: dict[str, Callable[[], ir.Model]] = {
        "canonical": reading.load,
        "looked at": reading.look,
        "as spelled": lambda: reading.look(raw=True),
    }
    return lambda way: ways[way]()
