"""``graphkit render``: draw a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from graphkit.cli.console import size, warn
from graphkit.cli.options import command, reading_options
from graphkit.errors import GraphkitError, InputError
from graphkit.render import DIRECTIONS, FORMATS, format_of, render

if TYPE_CHECKING:
    import networkx as nx
    import onnx_ir as ir

    from graphkit.cli.options import Reading
    from graphkit.render.overlay import Overlay

__all__ = ["COMMAND"]

_COSTS: Final = {
    "flops": "FLOPs",
    "backward-flops": "FLOPs of the backward pass",
    "memory": "Activations",
    "parameters": "Parameters",
}
"""Titles of the overlays of costs, by how ``--colour`` calls them."""


@command
@reading_options
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
    "--from", "start", multiple=True, metavar="NODE", help="Draw only what depends on a node, value or module."
)
@click.option(
    "--to", "end", multiple=True, metavar="NODE", help="Draw only what leads to one; with --from, what lies between."
)
@click.option("--around", multiple=True, metavar="NODE", help="Draw only what is around a node, value or module.")
@click.option("--hops", type=click.IntRange(0), metavar="N", help="How many edges around it.  [default: 2]")
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
@click.option("--backward", is_flag=True, help="Draw the gradients too: the model and what computes them.")
@click.option(
    "--parity",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="REPORT.json",
    help="Colour by error, as a share of its bound, in a report that `graphkit verify --report` wrote.",
)
@click.option("--colour", "cost", type=click.Choice(tuple(_COSTS)), help="Colour by what each operator costs.")
@click.option("--raw", is_flag=True, help="Draw the operators that the file spells, not their canonical form.")
@click.option("--title", default="", metavar="TEXT", help="Heading of the picture. Default: SOURCE's name.")
def COMMAND(  # noqa: N802
    reading: Reading,
    out: str,
    start: tuple[str, ...],
    end: tuple[str, ...],
    around: tuple[str, ...],
    hops: int | None,
    direction: str,
    backward: bool,
    parity: Path | None,
    cost: str | None,
    raw: bool,
    **options: Any,
) -> None:
    """Draw SOURCE as a graph: operators by colour, tensors' shapes, parameters, modules."""
    form = format_of(out)
    if parity is not None and cost is not None:
        raise InputError("A picture has one colour for each box; give --parity or --colour.")
    if raw and (backward or parity is not None):
        raise InputError(
            f"{'--backward' if backward else '--parity'} is about the canonical form of a model, and --raw draws the "
            "other; leave one out."
        )
    if hops is not None and not around:
        raise InputError("--hops says how far around a node to draw; say which with --around NODE.")
    model = _model(reading, raw=raw, backward=backward, parity=parity is not None)
    written = render(
        model,
        out,
        direction=direction.upper(),
        start=start,
        end=end,
        around=around,
        hops=2 if hops is None else hops,
        overlays=_overlays(model, form, parity, cost),
        warn=warn,
        **options,
    )
    click.echo(f"Wrote {written} ({size(written.stat().st_size)}).")


def _model(reading: Reading, *, raw: bool, backward: bool, parity: bool) -> ir.Model:
    """What to draw: the source as it can be looked at, or as it is converted where that is what is asked about."""
    if backward:
        from graphkit.frameworks.grad import grad
        from graphkit.ir.training import is_backward

        model = reading.load()
        return model if any(map(is_backward, model.graph.all_nodes())) else _sourced(grad(model), model)
    if parity:
        try:
            return reading.load()  # a report has the names of values that this has
        except GraphkitError:
            pass
    return reading.look(raw=raw)


def _sourced(made: ir.Model, model: ir.Model) -> ir.Model:
    """A model made of another, called as that is."""
    from graphkit.ir.origin import Source, set_source, source_of

    if (source := source_of(model)) is not None:
        set_source(made, Source(source.framework, f"{source.label}, with gradients", None))
    return made


def _overlays(model: ir.Model, form: str, parity: Path | None, cost: str | None) -> list[Overlay]:
    """The numbers that colour the picture; the viewer has all costs to choose from, the ones asked for first."""
    if parity is None and cost is None and form != "html":
        return []
    from graphkit.inspecting.overlays import overlays
    from graphkit.ir.view import nx_view

    view = nx_view(model)
    errors = [] if parity is None else [_errors(parity, view)]
    if parity is not None and form != "html":
        return errors
    found = overlays(model, view)
    title = _COSTS.get(cost or "", "")
    asked = [overlay for overlay in found if overlay.title == title]
    if cost is not None and not asked:
        raise InputError(f"There is nothing to colour: no operator has {title[:1].lower()}{title[1:]}.")
    return [*errors, *asked, *(overlay for overlay in found if form == "html" and overlay not in asked)]


def _errors(path: Path, view: nx.MultiDiGraph) -> Overlay:
    from graphkit.report.heat import parity_overlay
    from graphkit.report.json import from_json

    try:
        report = from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The report {path} cannot be read: {error}.") from error
    except GraphkitError as error:
        raise type(error)(f"{path}: {error}") from error
    found = parity_overlay(report, view)
    if not found.marks:
        raise InputError(
            f"None of the {len(report.checks)} checks in {path} is about a value or parameter of this model; give the "
            f"report of a verification of it."
        )
    if found.note:
        warn(f"{path}: {found.note}")
    return found
