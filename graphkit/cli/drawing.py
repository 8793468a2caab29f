"""What a drawing shows, as pictures and the viewer are asked: which part of a model, in which colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from graphkit.cli.console import warn
from graphkit.cli.options import with_options
from graphkit.errors import GraphkitError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import networkx as nx
    import onnx_ir as ir

    from graphkit.cli.options import Reading
    from graphkit.render import Options
    from graphkit.render.overlay import Overlay

__all__ = ["Shown", "shown_options"]

_COSTS: Final = {
    "flops": "FLOPs",
    "backward-flops": "FLOPs of the backward pass",
    "memory": "Activations",
    "parameters": "Parameters",
}
"""Titles of the overlays of costs, by how ``--colour`` calls them."""

_OPTIONS = (
    click.option(
        "--from", "start", multiple=True, metavar="NODE", help="Draw only what depends on a node, value or module."
    ),
    click.option(
        "--to",
        "end",
        multiple=True,
        metavar="NODE",
        help="Draw only what leads to one; with --from, what lies between.",
    ),
    click.option("--around", multiple=True, metavar="NODE", help="Draw only what is around a node, value or module."),
    click.option("--hops", type=click.IntRange(0), metavar="N", help="How many edges around it.  [default: 2]"),
    click.option("--backward", is_flag=True, help="Draw the gradients too: the model and what computes them."),
    click.option(
        "--parity",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="REPORT.json",
        help="Colour by error, as a share of its bound, in a report that `graphkit verify --report` wrote.",
    ),
    click.option("--colour", "cost", type=click.Choice(tuple(_COSTS)), help="Colour by what each operator costs."),
    click.option("--raw", is_flag=True, help="Draw the operators that the file spells, not their canonical form."),
    click.option("--title", default="", metavar="TEXT", help="Heading. Default: SOURCE's name."),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the user wants to see of a source.

    Attributes:
        start: Nodes to draw only what depends on.
        end: Nodes to draw only what they depend on.
        around: Nodes to draw only what is around.
        hops: How many edges around them; None for as many as usual.
        backward: Whether gradients are drawn, too.
        parity: Report whose errors are colours.
        cost: Cost that is colours; empty for none.
        raw: Whether operators are those that the file spells.
        title: Heading.
    """

    start: tuple[str, ...]
    end: tuple[str, ...]
    around: tuple[str, ...]
    hops: int | None
    backward: bool
    parity: Path | None
    cost: str
    raw: bool
    title: str

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: Options exclude each other.
        """
        if self.parity is not None and self.cost:
            raise InputError("A picture has one colour for each box; give --parity or --colour.")
        if self.raw and (self.backward or self.parity is not None):
            raise InputError(
                f"{'--backward' if self.backward else '--parity'} is about the canonical form of a model, and --raw "
                "draws the other; leave one out."
            )
        if self.hops is not None and not self.around:
            raise InputError("--hops says how far around a node to draw; say which with --around NODE.")

    def model(self, reading: Reading) -> ir.Model:
        """What to draw: the source as it can be looked at, or as it is converted where that is what is asked about."""
        if self.backward:
            from graphkit.frameworks.grad import grad
            from graphkit.ir.training import is_backward

            model = reading.load()
            return model if any(map(is_backward, model.graph.all_nodes())) else _sourced(grad(model), model)
        if self.parity is not None:
            try:
                return reading.load()  # a report has the names of values that this has
            except GraphkitError:
                pass
        return reading.look(raw=self.raw)

    def options(self, model: ir.Model, *, explored: bool) -> Options:
        """How to draw a model, as :func:`graphkit.render` takes it.

        Args:
            model: What :meth:`model` gave.
            explored: Whether readers choose among all costs themselves.
        """
        from graphkit.ir.view import nx_view

        view = nx_view(model)
        colours, offered = self._overlays(model, view, explored=explored)
        return {
            "view": view,
            "title": self.title,
            "start": self.start,
            "end": self.end,
            "around": self.around,
            "hops": 2 if self.hops is None else self.hops,
            "overlays": colours,
            "offered": offered,
            "warn": warn,
        }

    def _overlays(
        self, model: ir.Model, view: nx.MultiDiGraph, *, explored: bool
    ) -> tuple[list[Overlay], list[Overlay]]:
        """The numbers that colour the picture, and those that readers may choose instead."""
        if self.parity is None and not self.cost and not explored:
            return [], []
        from graphkit.inspecting.cost.overlays import overlays

        errors = [] if self.parity is None else [_errors(self.parity, view)]
        if errors and not explored:
            return errors, []
        costs = overlays(model, view)
        title = _COSTS.get(self.cost, "")
        asked = [overlay for overlay in costs if overlay.title == title]
        if self.cost and not asked:
            raise InputError(f"There is nothing to colour: no operator has {title[:1].lower()}{title[1:]}.")
        return [*errors, *asked], [overlay for overlay in costs if explored and overlay not in asked]


def shown_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what to see; it receives them as one :class:`Shown`."""

    def gather(
        reading: Reading,
        start: tuple[str, ...],
        end: tuple[str, ...],
        around: tuple[str, ...],
        hops: int | None,
        backward: bool,
        parity: Path | None,
        cost: str | None,
        raw: bool,
        title: str,
        **rest: Any,
    ) -> Any:
        shown = Shown(start, end, around, hops, backward, parity, cost or "", raw, title)
        shown.check()
        return function(reading, shown, **rest)

    return with_options(gather, function, _OPTIONS)


def _sourced(made: ir.Model, model: ir.Model) -> ir.Model:
    """A model made of another, called as that is."""
    from graphkit.ir.origin import Source, set_source, source_of

    if (source := source_of(model)) is not None:
        set_source(made, Source(source.framework, f"{source.label}, with gradients", None))
    return made


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
