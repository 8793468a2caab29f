"""What a graph is made of: operators by family and type, bodies of control flow, how deep it goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphkit.errors import FormatError
from graphkit.ir.describe import constant_of
from graphkit.ir.edit import graphs_in, graphs_of
from graphkit.ir.family import FAMILIES, family_of
from graphkit.ir.scope import place_of
from graphkit.ir.training import is_backward
from graphkit.ir.untranslated import untranslated
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx_ir as ir

    from graphkit.ir.family import Family

__all__ = ["Body", "Operators", "Untranslated", "longest_path", "modules_of", "operator_of", "operators", "walk"]

_DEEPEST: Final = 63


@dataclass(frozen=True, slots=True)
class Body:
    """A graph inside a control-flow operator.

    Attributes:
        owner: Name of the operator.
        op: Its type.
        attribute: Name of the attribute that holds the graph, with an index where it holds several.
        nodes: Operators in it, those of graphs nested deeper among them.
    """

    owner: str
    op: str
    attribute: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A node that has no canonical form.

    Attributes:
        op: Its operator, with the domain that says of which framework.
        name: Its name.
        reason: Why, as a clause.
    """

    op: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Operators:
    """What a graph is made of. Constants are no operators.

    Attributes:
        nodes: Number of operators, those in bodies among them.
        in_bodies: Number of those in bodies, each once however often it runs.
        backward: Number of those that compute gradients.
        families: By family, how many there are of each type; the most frequent first.
        depth: Operators on the longest path from inputs to outputs; a path through an operator with bodies takes the
            longest path of one of them, once.
        modules: Number of modules that nodes lie in, and of those around these.
        module_depth: How deep they nest.
        bodies: The graphs inside control-flow operators.
        untranslated: The nodes that have no canonical form.
    """

    nodes: int
    in_bodies: int
    backward: int
    families: Mapping[Family, Mapping[str, int]]
    depth: int
    modules: int
    module_depth: int
    bodies: tuple[Body, ...]
    untranslated: tuple[Untranslated, ...]


def operators(model: ir.Model) -> Operators:
    """Look at what a graph is made of.

    Raises:
        FormatError: It has a cycle.
    """
    counts: dict[Family, Counter[str]] = {}
    scopes: set[tuple[str, ...]] = set()
    bodies: list[Body] = []
    refused: list[Untranslated] = []
    nodes = inner = backward = 0
    for node, depth in walk(model.graph):
        nodes += 1
        inner += depth > 0
        backward += is_backward(node)
        name = operator_of(node)
        counts.setdefault(family_of(node.op_type, node.domain), Counter())[name] += 1
        if scope := place_of(node)[0]:
            path = modules_of(scope)
            scopes.update(path[: end + 1] for end in range(len(path)))
        for attribute, graph in bodies_of(node):
            size = sum(not _is_constant(within) for each in graphs_of(graph) for within in each)
            bodies.append(Body(node.name or "", name, attribute, size))
        if reason := untranslated(node):
            refused.append(Untranslated(name, node.name or "", reason))
    families = sorted(counts, key=lambda family: (-counts[family].total(), FAMILIES.index(family)))
    return Operators(
        nodes=nodes,
        in_bodies=inner,
        backward=backward,
        families={
            family: dict(sorted(counts[family].items(), key=lambda item: (-item[1], item[0]))) for family in families
        },
        depth=longest_path(model.graph),
        modules=len(scopes),
        module_depth=max(map(len, scopes), default=0),
        bodies=tuple(bodies),
        untranslated=tuple(refused),
    )


def operator_of(node: ir.Node) -> str:
    """An operator's type, with its domain where it is not ONNX's own: ``Conv``, ``com.microsoft:FusedConv``."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}:{node.op_type}"


def modules_of(scope: str) -> tuple[str, ...]:
    """Names of the modules along a path, outermost first; what lies very deep is one name."""
    return tuple(filter(None, scope.split(".", _DEEPEST)))


def walk(graph: ir.Graph, depth: int = 0) -> Iterator[tuple[ir.Node, int]]:
    """The operators of a graph, each followed by those of its bodies, and in how many bodies each lies."""
    for node in graph:
        if _is_constant(node):
            continue
        yield node, depth
        for _, body in bodies_of(node):
            yield from walk(body, depth + 1)


def longest_path(graph: ir.Graph) -> int:
    """Operators on the longest path through a graph, whatever the order of its nodes.

    Raises:
        FormatError: It has a cycle.
    """
    nodes = list(graph)
    before = {node: _producers(node, graph) for node in nodes}
    after: dict[ir.Node, list[ir.Node]] = {node: [] for node in nodes}
    for node, producers in before.items():
        for producer in producers:
            after[producer].append(node)
    missing = {node: len(producers) for node, producers in before.items()}
    ready = [node for node in nodes if not missing[node]]
    depth: dict[ir.Node, int] = {}
    while ready:
        node = ready.pop()
        own = 0 if _is_constant(node) else 1 + max((longest_path(body) for _, body in bodies_of(node)), default=0)
        depth[node] = own + max((depth[producer] for producer in before[node]), default=0)
        for reader in after[node]:
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    if len(depth) < len(nodes):
        raise FormatError("The graph has a cycle: a node reads, directly or not, what it computes.")
    return max(depth.values(), default=0)


def _producers(node: ir.Node, graph: ir.Graph) -> set[ir.Node]:
    """The nodes of a graph that one of its nodes reads from, in its bodies too."""
    read = [*node.inputs]
    for inner in graphs_in(node):
        read.extend(inner.outputs)
        read.extend(value for within in inner for value in within.inputs)
    producers = (value.producer() for value in read if value is not None)
    return {producer for producer in producers if producer is not None and producer.graph is graph}


def _is_constant(node: ir.Node) -> bool:
    return bool(node.outputs) and constant_of(node.outputs[0]) is not None
