"""A report laid over the graph of its model: which checks each node has, and how near they are to their bounds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from graphkit.render.overlay import Mark, Overlay
from graphkit.report import wording
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import networkx as nx

    from graphkit.render.overlay import Verdict
    from graphkit.report.report import Check, Report

__all__ = ["checks_of_nodes", "parity_overlay", "strays"]

_ON_VALUES: Final = frozenset(("output", "value", "value gradient", "loss"))
_ON_PARAMETERS: Final = frozenset(("parameter gradient", "parameter", "running statistic"))
_GRADIENTS: Final = ("input gradient", "parameter gradient", "value gradient")
_GRADIENT: Final = ".grad"
_NAMED: Final = 3
"""Checks of no node that a note names."""


def parity_overlay(report: Report, view: nx.MultiDiGraph) -> Overlay:
    """The errors of a report, as shares of their bounds, by node.

    A node has the worst check on its outputs and on the parameters that it alone reads; where none of them could be
    compared, its verdict is ``"unknown"``.

    Args:
        report: What was found.
        view: View of the model whose value names the checks have.

    Returns:
        The overlay. Its note counts the checks that belong to no node.
    """
    marks = {}
    placed = checks_of_nodes(report, view)
    for key, found in placed.items():
        if checks := wording.worst_first(report.checks[index] for index in found):
            marks[key] = _mark(checks)
    return Overlay("Parity", marks, "bound", note=_note(strays(report, placed)))


def checks_of_nodes(report: Report, view: nx.MultiDiGraph) -> dict[str, list[int]]:
    """Positions of the checks on each node of a view: on its outputs, and on the parameters that it alone reads.

    Where a graph computes gradients, checks on gradients are on the nodes that compute them too.
    """
    about: dict[tuple[str, str], list[int]] = {}
    for index, check in enumerate(report.checks):
        about.setdefault((check.kind, check.name), []).append(index)
    readers = Counter(
        name
        for _, data in view.nodes(data=True)
        if data["kind"] == "operator"
        for name in {item.name for item in data["parameters"]}
    )
    found: dict[str, list[int]] = {}
    for key, data in view.nodes(data=True):
        tensors = [(kind, name) for kind, names in _subjects(data, readers) for name in dict.fromkeys(names)]
        found[key] = [index for tensor in tensors for index in about.get(tensor, ())]
    return found


def strays(report: Report, of_nodes: Mapping[str, list[int]]) -> list[Check]:
    """The checks of tensors that belong to no node, e.g. on parameters that several nodes read.

    Args:
        report: What was found.
        of_nodes: What :func:`checks_of_nodes` gave.
    """
    placed = {index for found in of_nodes.values() for index in found}
    tensors = {id(check) for check in wording.tensors(report)}
    return [check for index, check in enumerate(report.checks) if index not in placed and id(check) in tensors]


def _subjects(data: Mapping[str, Any], readers: Mapping[str, int]) -> Iterable[tuple[str, list[str]]]:
    if data["kind"] == "operator":
        outputs = [value.name for value in data["outputs"] if value.name]
        own = [item.name for item in data["parameters"] if readers[item.name] == 1]
        yield from ((kind, outputs) for kind in sorted(_ON_VALUES))
        yield from ((kind, own) for kind in sorted(_ON_PARAMETERS))
        if data["backward"]:
            yield from ((kind, _differentiated(outputs)) for kind in _GRADIENTS)
    elif data["kind"] == "input":
        yield "input gradient", [data["name"]]
    elif data["kind"] == "output":
        yield from ((kind, [data["name"]]) for kind in ("output", "loss"))
        yield from ((kind, _differentiated([data["name"]])) for kind in _GRADIENTS)


def _differentiated(names: Iterable[str]) -> list[str]:
    """What values are the gradients in, where they are called as :mod:`graphkit.passes.gradient` calls gradients."""
    return [name.removesuffix(_GRADIENT) for name in names if name.endswith(_GRADIENT)]


def _mark(checks: list[Check]) -> Mark:
    """What is said of a node that has these checks, the worst first."""
    worst = checks[0]
    verdict: Verdict = "unknown" if worst.verdict == "unavailable" else worst.verdict
    value = None if worst.verdict == "unavailable" else wording.closeness(worst)
    return Mark(value, tuple(map(_line, checks)), verdict)


def _line(check: Check) -> str:
    said = f"{wording.title(check)}, {wording.between(check)}: "
    if check.verdict == "unavailable":
        return said + "; ".join(["not compared", *wording.details(check)])
    numbers = f"{wording.number(check.error)} of {wording.number(check.tol)} allowed"
    return said + "; ".join([f"{'FAIL, ' if check.verdict == 'fail' else ''}{numbers}", *wording.details(check)])


def _note(left: list[Check]) -> str:
    if not left:
        return ""
    failed = sum(check.verdict == "fail" for check in left)
    named = several([wording.title(check) for check in wording.worst_first(left)], _NAMED)
    return (
        f"{wording.count(len(left), 'check')} ({failed} failed) {'belong' if len(left) > 1 else 'belongs'} to no node "
        f"that is drawn: {named}."
    )
