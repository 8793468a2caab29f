"""Costs as overlays, for pictures and the viewer: what each node computes, hands on and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost.costs import GROUPED, costs
from graphkit.inspecting.cost.count import evaluate, shown, shown_bytes, times
from graphkit.ir.describe import constant_of
from graphkit.ir.symbols import names_in
from graphkit.ir.view import bodies_of
from graphkit.render.overlay import Mark, Overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import networkx as nx
    import onnx_ir as ir

    from graphkit.inspecting.cost.costs import Costs, NodeCost
    from graphkit.inspecting.cost.count import Count

__all__ = ["by_key", "overlays"]

_BACKWARD: Final = "FLOPs of the backward pass"


def by_key(found: Costs, model: ir.Model, view: nx.MultiDiGraph) -> dict[str, NodeCost]:
    """The cost of each operator by its key in a view of the model (:func:`graphkit.ir.view.nx_view`)."""
    nodes = found.by_node()
    keys = (key for key, kind in view.nodes(data="kind") if kind == "operator")
    return {key: nodes[node] for key, node in zip(keys, _in_order(model.graph), strict=True)}


def _in_order(graph: ir.Graph) -> Iterator[ir.Node]:
    """Operators as a view lists them: each followed by what is inside it."""
    for node in graph:
        if node.outputs and constant_of(node.outputs[0]) is not None:
            continue
        yield node
        for _, body in bodies_of(node):
            yield from _in_order(body)


def overlays(
    model: ir.Model, view: nx.MultiDiGraph, sizes: Mapping[str, int] | None = None, found: Costs | None = None
) -> list[Overlay]:
    """FLOPs, those of the backward pass, bytes of activations and bytes of parameters, for each operator of a view.

    Args:
        model: The model.
        view: Its view, whose keys the overlays have.
        sizes: Sizes of free dimensions; those that are not given are taken for 1, which the overlay's note says.
        found: Its costs, where they are counted already.

    Returns:
        Overlays in that order. One that would be 0 everywhere is left out.
    """
    found = found or costs(model)
    keyed = by_key(found, model, view)
    sizes = sizes or {}
    made = (
        _overlay("FLOPs", keyed, lambda each: each.flops, lambda count: shown(count, "FLOPs"), sizes),
        _overlay(
            _BACKWARD,
            keyed,
            lambda each: each.backward_flops,
            lambda count: shown(count, "FLOPs"),
            sizes,
        ),
        _overlay("Activations", keyed, lambda each: each.bytes, shown_bytes, sizes, "bytes"),
        _overlay("Parameters", keyed, lambda each: each.parameter_bytes, shown_bytes, sizes, "bytes"),
    )
    return [overlay for overlay in made if any(mark.value != 0 for mark in overlay.marks.values())]


def _overlay(
    title: str,
    keyed: Mapping[str, NodeCost],
    share: Callable[[NodeCost], Count | None],
    show: Callable[[Count | None], str],
    sizes: Mapping[str, int],
    unit: str = "",
) -> Overlay:
    marks: dict[str, Mark] = {}
    free: set[str] = set()
    unknown = 0
    for key, each in keyed.items():
        count = share(each)
        number = evaluate(count, sizes, 1)
        if number == 0:
            continue
        told = [f"{title}: {show(count)}"]
        if number is None:
            unknown += 1
            told += [each.why] if each.why else []
        elif count is not None and not isinstance(count, int):
            free |= names_in(count) - sizes.keys()
        if each.runs != 1:
            told.append(f"runs {'an unknown number of' if each.runs is None else shown(each.runs)} times")
        if title == _BACKWARD and each.backward != each.backward_exact:
            told += [f"computed are {shown(times(each.backward_exact, 2), 'FLOPs')}: {GROUPED}"]
        marks[key] = Mark(None if number is None else float(number), tuple(told))
    said = []
    if free:
        said.append(f"for {', '.join(f'{name} = 1' for name in sorted(free))}")
    if unknown:
        said.append(f"unknown for {unknown} node{'s' if unknown > 1 else ''}")
    return Overlay(title, marks, "log", unit, "; ".join(said))
