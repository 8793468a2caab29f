"""``graphkit inspect``: what a model is, made of and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from graphkit.cli.console import echo, results_only, stdout
from graphkit.cli.options import command, json_option, reading_options
from graphkit.text import json_text

if TYPE_CHECKING:
    from graphkit.cli.options import Reading
    from graphkit.inspecting.nodes import Order

__all__ = ["COMMAND"]

_ORDERS = ("order", "macs", "bytes", "parameters")


@command
@reading_options
@click.option("--nodes", is_flag=True, help="Tell of each operator: output, parameters, MACs, FLOPs, bytes.")
@click.option(
    "--sort",
    type=click.Choice(_ORDERS),
    default="order",
    show_default=True,
    help="What --nodes lists first: the model's order, or what has most.",
)
@click.option("--top", type=click.IntRange(1), metavar="N", help="The first N of --nodes only.")
@click.option("--tree", is_flag=True, help="Tell of each module: output, parameters, MACs and its share of them.")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Fold modules of --tree deeper than N. Default: 16.")
@click.option("--weights", is_flag=True, help="Read the parameters: mean, deviation, range, zeros, NaN, infinities.")
@click.option("--training", is_flag=True, help="Tell what a forward pass keeps for the backward pass.")
@click.option(
    "--for",
    "targets",
    multiple=True,
    metavar="FRAMEWORK",
    help="Ask whether mxnet, onnx or torch takes the model; exit with 1 if one does not. Repeatable.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="NAME=N",
    help="Count for a size of a free dimension, e.g. batch=32. Repeatable.",
)
@click.option("--raw", is_flag=True, help="Count operators as SOURCE spells them, not in canonical form.")
@click.option(
    "--provenance",
    is_flag=True,
    help="Tell instead which graphkit made SOURCE from which files, as the record in it says, and its hash. SOURCE may "
    "be any file that graphkit writes: pictures and reports, too.",
)
@click.option(
    "--source",
    "origins",
    multiple=True,
    type=click.Path(exists=True),
    metavar="FILE",
    help="With --provenance, ask whether FILE is what SOURCE was made from; exit with 1 if not. Repeatable.",
)
@json_option
def COMMAND(  # noqa: N802
    reading: Reading,
    nodes: bool,
    sort: str,
    top: int | None,
    tree: bool,
    depth: int | None,
    weights: bool,
    training: bool,
    targets: tuple[str, ...],
    sizes: tuple[str, ...],
    raw: bool,
    provenance: bool,
    origins: tuple[str, ...],
    as_json: bool,
) -> int:
    """Tell what SOURCE is, what it is made of and what it costs.

    Inputs and outputs, parameters, operators, multiply-adds, memory; every kind of operator, whether or not it can be
    converted, and without torch or MXNet. What is not known is called unknown, never 0.
    """
    from graphkit.errors import InputError
    from graphkit.inspecting.nodes import ordered
    from graphkit.inspecting.summary import inspect

    if provenance:
        if nodes or tree or weights or training or targets or sizes or raw:
            raise InputError("--provenance tells of a file and not of the model in it; ask for the other apart.")
        return _provenance(reading.source, origins, as_json)
    if origins:
        raise InputError("--source is about the record of a file; give --provenance, too.")
    if not nodes and (sort != "order" or top is not None):
        raise InputError("--sort and --top are about --nodes; give it, too.")
    if depth is not None and not tree:
        raise InputError("--depth is about --tree; give it, too.")
    with results_only(as_json):
        summary = inspect(
            reading.source,
            weights=weights,
            training=training,
            targets=targets,
            raw=raw,
            sizes=dict(map(_size, sizes)),
            **reading.arguments(),
        )
    table = ordered(summary.nodes, cast("Order", sort))[:top] if nodes else None
    if as_json:
        from graphkit.inspecting.json import as_json as document

        click.echo(json_text(document(summary, table, tree=tree)))
    else:
        from graphkit.inspecting.tables import ModuleTable, NodeTable, WeightTable
        from graphkit.inspecting.terminal import overview, verdict_text

        console = stdout()
        console.print(overview(summary))
        if table is not None:
            console.print(NodeTable(table, len(summary.nodes)))
        if tree:
            console.print(ModuleTable(summary.tree, depth))
        if summary.weights is not None:
            console.print(WeightTable(summary.weights))
        for verdict in summary.verdicts:
            console.print(verdict_text(verdict))
    return 0 if summary.fits else 1


def _provenance(source: str, origins: tuple[str, ...], as_json: bool) -> int:
    """Tell what a file says of where it comes from."""
    from graphkit.inspecting.provenance import as_json as document
    from graphkit.inspecting.provenance import history, lines

    found = history(source, origins)
    if as_json:
        click.echo(json_text(document(found)))
    else:
        echo("\n".join(lines(found)))
    return 0 if found.matches else 1


def _size(text: str) -> tuple[str, int]:
    """Parse ``NAME=N``."""
    from graphkit.errors import InputError

    name, equals, number = text.rpartition("=")
    if not name or not equals or not number.isdecimal():
        raise InputError(f"{text!r} gives no dimension a size; write NAME=N, e.g. batch=32.")
    return name, int(number)
