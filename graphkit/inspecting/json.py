"""The full form of a summary: exact numbers and names for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from graphkit._version import __version__
from graphkit.inspecting.cost.count import evaluate, plain
from graphkit.inspecting.operators import operator_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.inspecting.cost.costs import NodeCost, Sum
    from graphkit.inspecting.nodes import Node
    from graphkit.inspecting.summary import Summary
    from graphkit.inspecting.tree import Module

__all__ = ["FORMAT", "as_json"]

FORMAT: Final = 1
"""Version of the layout; it grows when a field changes its meaning, not when one is added."""


def as_json(summary: Summary, nodes: Sequence[Node] | None, *, tree: bool) -> dict[str, Any]:
    """A summary in the types that JSON has; ``docs/inspect.schema.json`` is its schema.

    Counts are integers, or polynomials in the names of free dimensions as text (``"1024*batch"``), and null where they
    are not known.

    Args:
        summary: The summary.
        nodes: The operators to tell of one by one; None for none of them, without a field for it.
        tree: Whether to tell of each module.
    """
    stored = summary.stored
    found: dict[str, Any] = {
        "graphkit_inspect": FORMAT,
        "graphkit": __version__,
        "source": asdict(summary.origin) | {"facts": dict(summary.origin.facts), "bytes": summary.origin.bytes},
        "name": summary.name,
        "inputs": [asdict(tensor) for tensor in summary.inputs],
        "outputs": [asdict(tensor) for tensor in summary.outputs],
        "stored": {
            **{
                kind: asdict(amount) | {"dtypes": {name: asdict(each) for name, each in stored.dtypes[kind].items()}}
                for kind, amount in stored.kinds.items()
            },
            "shared": [asdict(tie) for tie in stored.shared],
            "unused": list(stored.unused),
            "absent": list(stored.absent),
        },
        "operators": _operators(summary),
        "cost": _cost(summary),
    }
    if nodes is not None:
        found["nodes"] = [_node(node) for node in nodes]
    if tree:
        found["tree"] = _module(summary.tree, evaluate(summary.tree.macs, {}, 1))
    if summary.weights is not None:
        found["weights"] = [asdict(each) for each in summary.weights]
    if summary.verdicts:
        found["targets"] = [asdict(verdict) for verdict in summary.verdicts]
    return found


def _operators(summary: Summary) -> dict[str, Any]:
    found = summary.operators
    return {
        "count": found.nodes,
        "in_bodies": found.in_bodies,
        "backward": found.backward,
        "families": {family: dict(types) for family, types in found.families.items()},
        "depth": found.depth,
        "modules": found.modules,
        "module_depth": found.module_depth,
        "bodies": [asdict(body) for body in found.bodies],
        "untranslated": [asdict(node) for node in found.untranslated],
    }


def _sum(found: Sum) -> dict[str, Any]:
    return {"value": plain(found.value), "known": plain(found.known), "unknown": len(found.unknown)}


def _cost(summary: Summary) -> dict[str, Any]:
    cost, peak = summary.cost, summary.peak
    unknown = [each for each in (*cost.nodes, *cost.inner) if each.macs is None]
    largest = summary.largest
    return {
        "macs": _sum(cost.forward),
        "flops": _sum(cost.forward.doubled()),
        "backward_macs": _sum(cost.backward),
        "backward_flops": _sum(cost.backward.doubled()),
        "backward_macs_exact": _sum(cost.backward_exact),
        "has_backward": cost.has_backward,
        **({} if summary.kept is None else {"kept": {"bytes": plain(summary.kept.bytes), "why": summary.kept.why}}),
        "unknown": [_unknown(each) for each in unknown],
        "activations": _sum(cost.activations)
        | {
            "largest": None
            if largest is None
            else {"name": largest.name, "op": largest.op, "bytes": plain(largest.bytes)}
        },
        "inputs": plain(cost.inputs),
        "outputs": plain(cost.outputs),
        "peak": {
            "given": peak.given,
            "node": None if peak.node is None else peak.node.name or "",
            "best": peak.best,
            "bound": peak.bound,
            "proved": peak.proved,
            "sizes": dict(peak.sizes),
            "per": peak.per,
            "unknown": [value.name or "" for value in peak.unknown],
        },
    }


def _unknown(cost: NodeCost) -> dict[str, Any]:
    return {"op": operator_of(cost.node), "name": cost.node.name or "", "why": cost.why}


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op,
        "family": node.family,
        "scope": node.scope,
        "leaf": node.leaf,
        "inside": node.inside,
        "outputs": [asdict(tensor) for tensor in node.outputs],
        "parameters": node.parameters,
        "macs": plain(node.macs),
        "flops": plain(node.flops),
        "backward_macs": plain(node.backward),
        "bytes": plain(node.bytes),
        "runs": plain(node.runs),
        "in_backward": node.in_backward,
        "why": node.why,
        "untranslated": node.untranslated,
        "origin": asdict(node.origin),
    }


def _module(module: Module, whole: int | None) -> dict[str, Any]:
    return {
        "path": module.path,
        "name": module.name,
        "kind": module.kind,
        "is_layer": module.is_layer,
        "outputs": [asdict(tensor) for tensor in module.outputs],
        "operators": module.operators,
        "direct": module.direct,
        "in_bodies": module.in_bodies,
        "parameters": module.parameters,
        "own_parameters": module.own_parameters,
        "buffers": module.buffers,
        "unknown_parameters": module.unknown_parameters,
        "macs": plain(module.macs),
        "own_macs": plain(module.own_macs),
        "backward_macs": plain(module.backward),
        "unknown": module.unknown,
        "own_unknown": module.own_unknown,
        "share": module.share_of(whole),
        "children": [_module(child, whole) for child in module.children],
    }
