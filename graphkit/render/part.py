"""A part of a graph: what lies on paths between nodes, or around them, as a view of its own.

What is cut off ends in stubs: inputs and outputs that stand for the rest of the graph, marked ``cut``. The graph's own
inputs are read by whom they are read, and have none. Operators with bodies stay whole, so a node inside a body stands
for the operator that holds it.
"""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.text import several, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import networkx as nx

__all__ = ["named", "part"]

_GLOB: Final = frozenset("*?[")
_HINTS: Final = 5
_TOLD: Final = 3
"""Nodes beyond a cut that a stub names."""


def part(
    view: nx.MultiDiGraph,
    *,
    start: Sequence[str] = (),
    end: Sequence[str] = (),
    around: Sequence[str] = (),
    hops: int = 2,
) -> nx.MultiDiGraph:
    """Part of a view, with the same keys for the nodes that are in it.

    Args:
        view: As :func:`graphkit.ir.view.nx_view` makes it.
        start: Nodes where it begins: what depends on any of them. :func:`named` says how nodes are called.
        end: Nodes where it ends: what any of them depends on. With ``start`` as well: what lies on paths between.
        around: Nodes in its middle; with ``start`` or ``end`` as well, what they and this have in common.
        hops: How many edges around them, in either direction.

    Returns:
        A frozen view. Its graph also has ``part``, which says what it shows, and ``whole``, the number of operators
        that the given one has. A stub has ``cut``, which names what is beyond it.

    Raises:
        InputError: A name is of nothing, or nothing lies between the nodes.
    """
    import networkx as nx

    if hops < 0:
        raise InputError(f"A part reaches 0 hops or more around its nodes, not {hops}; give more.")
    if not (start or end or around):
        return view
    home = _homes(view)
    flow = nx.DiGraph()
    flow.add_nodes_from(key for key, data in view.nodes(data=True) if not data["body"])
    flow.add_edges_from((home[tail], home[head]) for tail, head in view.edges() if home[tail] != home[head])
    chosen = set(flow)
    starts, ends, middle = ({home[key] for key in named(view, names)} for names in (start, end, around))
    if start:
        chosen &= _reached(starts, flow.successors)
    if end:
        chosen &= _reached(ends, flow.predecessors)
    if start and end and not chosen:
        raise InputError(_apart(start, end, bool(_reached(ends, flow.successors) & starts)))
    if around:
        chosen &= _reached(middle, lambda key: (*flow.successors(key), *flow.predecessors(key)), hops)
        if not chosen:
            raise InputError(
                f"Nothing {_between(start, end)} is within {_hops(hops)} of {_listed(around)}; give more hops, or "
                "other nodes."
            )
    chosen |= {key for key in _beside(flow, chosen) if view.nodes[key]["kind"] != "operator"}
    told = " ".join(filter(None, (_between(start, end), _told_around(around, hops) if around else "")))
    return _cut(view, {key for key in view if home[key] in chosen}, told)


def named(view: nx.MultiDiGraph, names: Iterable[str]) -> list[str]:
    """Keys of the nodes that names are of, in the view's order.

    A name is a node's (its own, or that in the source), a module's with all that is in it (``layer1.0``), a value's
    (the node that computes it), a parameter's (those that read it), or a key of the view (``op:conv1``); where it is of
    several of these, the first counts. ``value:x`` and ``scope:x`` are those alone. A pattern (``layer1.*.conv2``) is
    of all nodes and modules it fits.

    Raises:
        InputError: A name is of nothing; the message has the nearest ones.
    """
    found: set[str] = set()
    tables = _tables(view)
    for name in names:
        keys = _meant(view, tables, name)
        if not keys:
            raise InputError(_unknown(name, tables))
        found |= keys
    return [key for key in view if key in found]


def _tables(view: nx.MultiDiGraph) -> tuple[dict[str, set[str]], dict[str, set[str]], dict[str, set[str]]]:
    """Keys of nodes by name, by module, and by the values that they compute and the parameters that they read."""
    nodes: dict[str, set[str]] = {}
    scopes: dict[str, set[str]] = {}
    values: dict[str, set[str]] = {}
    for key, data in view.nodes(data=True):
        if data["kind"] != "operator":
            nodes.setdefault(data["name"], set()).add(key)
            continue
        for name in filter(None, (data["name"], data["origin"].name)):
            nodes.setdefault(name, set()).add(key)
        for value in (*data["outputs"], *data["parameters"]):
            values.setdefault(value.name, set()).add(key)
        path = data["scope"]
        while path:
            scopes.setdefault(path, set()).add(key)
            path = path.rpartition(".")[0]
    return nodes, scopes, values


def _meant(view: nx.MultiDiGraph, tables: tuple[dict[str, set[str]], ...], name: str) -> set[str]:
    nodes, scopes, values = tables
    if name in view:
        return {name}
    for table in tables:
        if name and name in table:
            return table[name]
    for prefix, table in (("scope:", scopes), ("value:", values)):
        if name.startswith(prefix):
            return table.get(name.removeprefix(prefix), set())
    if not _GLOB & set(name):
        return set()
    return {key for table in (nodes, scopes) for text, keys in table.items() if fnmatchcase(text, name) for key in keys}


def _unknown(name: str, tables: tuple[dict[str, set[str]], ...]) -> str:
    """What to say of a name of nothing."""
    wanted = name.removeprefix("scope:").removeprefix("value:")
    known = list(dict.fromkeys(text for table in tables for text in table if text and len(text) < 200))
    near = [text for text in known if wanted and wanted.lower() in text.lower()]
    near.sort(key=lambda text: (not text.startswith(wanted), len(text)))
    if not near:
        near = difflib.get_close_matches(wanted[:200], known[:20_000], _HINTS, 0.5)
    hint = f"did you mean {' or '.join(repr(short(text, 80)) for text in near[:_HINTS])}?"
    if not near:
        some = ", ".join(repr(short(text, 80)) for text in (*tables[1], *tables[0])[:_HINTS])
        hint = f"there are {some} and others." if some else "the graph has no names."
    return f"{short(name, 80)!r} is the name of no node, module or value of the graph; {hint}"


def _homes(view: nx.MultiDiGraph) -> dict[str, str]:
    """The node of the main graph that is or holds each node."""
    bodies = view.graph["bodies"]
    found: dict[str, str] = {}
    for key in view:
        top = key
        while body := view.nodes[top]["body"]:
            top = bodies[body].owner
        found[key] = top
    return found


def _reached(begin: Iterable[str], step: Callable[[str], Iterable[str]], hops: int | None = None) -> set[str]:
    """Nodes that steps lead to, the first ones included."""
    seen = set(begin)
    front = list(seen)
    while front and (hops is None or hops > 0):
        hops = None if hops is None else hops - 1
        front = list({near for key in front for near in step(key)} - seen)
        seen.update(front)
    return seen


def _beside(flow: nx.DiGraph, chosen: set[str]) -> Iterator[str]:
    for key in chosen:
        yield from flow.successors(key)
        yield from flow.predecessors(key)


def _cut(view: nx.MultiDiGraph, kept: set[str], told: str) -> nx.MultiDiGraph:
    """The kept nodes, and a stub for each value that comes from the others or goes there."""
    import networkx as nx

    arriving: dict[tuple[str, int], list[tuple[str, dict[str, Any]]]] = {}
    leaving: dict[tuple[str, int], list[tuple[str, dict[str, Any]]]] = {}
    inside = []
    for tail, head, data in view.edges(data=True):
        if tail in kept and head in kept:
            inside.append((tail, head, data))
        elif head in kept:
            arriving.setdefault((tail, data["output"]), []).append((head, data))
        elif tail in kept and view.nodes[tail]["kind"] == "operator":
            leaving.setdefault((tail, data["output"]), []).append((head, data))
    operators = sum(data["kind"] == "operator" for _, data in view.nodes(data=True))
    bodies = {body: info for body, info in view.graph["bodies"].items() if info.owner in kept}
    graph = nx.MultiDiGraph(**view.graph | {"bodies": bodies, "part": told, "whole": operators})
    edges = []
    for (tail, output), uses in arriving.items():
        key = f"cut:{tail}#{output}"
        graph.add_node(key, **_stub("input", uses[0][1], _spoken(view, [tail])))
        edges += [(key, head, data | {"output": 0}) for head, data in uses]
    graph.add_nodes_from((key, data) for key, data in view.nodes(data=True) if key in kept)
    for (tail, output), uses in leaving.items():
        key = f"{tail}#{output}:cut"
        graph.add_node(key, **_stub("output", uses[0][1], _spoken(view, [head for head, _ in uses])))
        edges.append((tail, key, uses[0][1] | {"kind": "data", "input": 0}))
    graph.add_edges_from((*inside, *edges))
    return nx.freeze(graph)


def _stub(kind: str, edge: dict[str, Any], beyond: str) -> dict[str, Any]:
    word = "from" if kind == "input" else "to"
    return {
        "kind": kind,
        "name": edge["value"],
        "body": "",
        "dtype": edge["dtype"],
        "shape": edge["shape"],
        "parameters": (),
        "cut": f"{word} {beyond}",
    }


def _spoken(view: nx.MultiDiGraph, keys: Sequence[str]) -> str:
    """Nodes as operator and place, e.g. ``Conv layer1.0.conv1``."""
    words = []
    for key in dict.fromkeys(keys):
        data = view.nodes[key]
        is_operator = data["kind"] == "operator"
        name = data["scope"] or data["name"] if is_operator else data["name"]
        words.append(short(f"{data['op'] if is_operator else data['kind']} {name}".strip(), 48))
    return several(words, _TOLD)


def _listed(names: Sequence[str]) -> str:
    return several([short(name) for name in names], _TOLD)


def _between(start: Sequence[str], end: Sequence[str]) -> str:
    words = (f"from {_listed(start)}" if start else "", f"to {_listed(end)}" if end else "")
    return " ".join(filter(None, words))


def _told_around(around: Sequence[str], hops: int) -> str:
    return f"around {_listed(around)}, {_hops(hops)}"


def _hops(number: int) -> str:
    return f"{number} hop{'' if number == 1 else 's'}"


def _apart(start: Sequence[str], end: Sequence[str], reverse: bool) -> str:
    told = f"No path leads from {_listed(start)} to {_listed(end)}"
    if reverse:
        return f"{told}, but one leads back: exchange the two."
    return f"{told}; look at what is around one of them instead."
