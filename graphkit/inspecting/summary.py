"""What a model is, made of and costs, as one value: :func:`inspect`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.inspecting.binding import bind_sizes
from graphkit.inspecting.cost.costs import costs
from graphkit.inspecting.cost.count import evaluate
from graphkit.inspecting.cost.peak import peak
from graphkit.inspecting.nodes import node_table
from graphkit.inspecting.operators import operators
from graphkit.inspecting.parameters import stored
from graphkit.inspecting.targets import verdicts
from graphkit.inspecting.tree import module_tree
from graphkit.inspecting.weights import weights_of
from graphkit.ir.describe import tensor_of
from graphkit.ir.origin import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.inspecting.cost.costs import Costs
    from graphkit.inspecting.cost.kept import Kept
    from graphkit.inspecting.cost.peak import Peak
    from graphkit.inspecting.nodes import Node
    from graphkit.inspecting.operators import Operators
    from graphkit.inspecting.parameters import Stored
    from graphkit.inspecting.targets import Verdict
    from graphkit.inspecting.tree import Module
    from graphkit.inspecting.weights import Weights
    from graphkit.ir.describe import Tensor

__all__ = ["File", "Provenance", "Summary", "inspect"]


@dataclass(frozen=True, slots=True)
class File:
    """A file that a model is made of.

    Attributes:
        path: Where it is.
        bytes: Its size; None where it is not there.
    """

    path: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model was read from.

    Attributes:
        label: What it is called: the file's name.
        framework: ``"torch"``, ``"mxnet"`` or ``"onnx"``; empty for a model that was not read.
        kind: What it is, e.g. ``"ONNX model"``.
        facts: What it says of itself, by what it is called: opset, producer, version, ….
        files: The files that it is made of.
    """

    label: str
    framework: str
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()

    @property
    def bytes(self) -> int | None:
        """Size of all files together; None where there is none, or one is not there."""
        sizes = [file.bytes for file in self.files]
        return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a model is, made of and costs. What is not known is None and named, never 0.

    Attributes:
        origin: What it was read from.
        name: Name of its graph.
        inputs: Its inputs; a dimension is a number, a name, or None where it is not known.
        outputs: Its outputs.
        stored: Its parameters, buffers and constants.
        operators: Its operators.
        nodes: Each operator, in the model's order.
        tree: Its modules.
        cost: Its multiply-adds and bytes of activations, with names of free dimensions in them.
        peak: Its peak of live memory.
        kept: What its forward pass keeps for the backward pass; None where that was not asked for.
        weights: What numbers its parameters hold; None where that was not asked for.
        verdicts: For each target that was asked for, whether it takes the model.
    """

    origin: Provenance
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    stored: Stored
    operators: Operators
    nodes: tuple[Node, ...]
    tree: Module
    cost: Costs
    peak: Peak
    kept: Kept | None = None
    weights: tuple[Weights, ...] | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def largest(self) -> Node | None:
        """The operator of the main graph with the largest outputs that are known, free dimensions taken for 1."""
        sizes = [
            (number, node)
            for node in self.nodes
            if not node.inside and (number := evaluate(node.bytes, {}, 1)) is not None
        ]
        return max(sizes, key=lambda size: size[0])[1] if sizes else None

    @property
    def fits(self) -> bool:
        """Whether every target that was asked for takes the model."""
        return all(verdict.takes for verdict in self.verdicts)

    def as_json(self, *, nodes: bool = True, tree: bool = True) -> dict[str, Any]:
        """The summary as plain data for JSON, whose layout ``docs/inspect.schema.json`` tells.

        Args:
            nodes: Whether to tell of each operator.
            tree: Whether to tell of each module.
        """
        from graphkit.inspecting.json import as_json

        return as_json(self, self.nodes if nodes else None, tree=tree)


def inspect(
    source: Any,
    *,
    weights: bool = False,
    training: bool = False,
    targets: Sequence[str] = (),
    raw: bool = False,
    sizes: Mapping[str, int] | None = None,
    **reading: Any,
) -> Summary:
    """Summarise a model of any framework, whether or not it can be converted; neither torch nor MXNet is imported.

    Args:
        source: What :func:`graphkit.look` reads, or a model that it or :func:`graphkit.load` gave.
        weights: Whether to look at the numbers of the parameters, which reads them all.
        training: Whether to find what a forward pass keeps for the backward pass, which builds the graph of gradients.
        targets: Frameworks, by name, to ask whether the model can be written for them.
        raw: Whether to count operators as the source spells them.
        sizes: Sizes of free dimensions by name, to count for; the others stay names in counts.
        **reading: Further arguments of :func:`graphkit.look`.

    Raises:
        InputError: The source is not there, is nothing that graphkit reads, or there is no such target or dimension.
        FormatError: It is damaged, or has a cycle.
        MissingError: A package that reads such a source is not installed.
    """
    from graphkit.frameworks.convert import load, look, writer_of

    for target in targets:
        writer_of(target)
    if targets and raw:
        raise InputError(
            "Which operators a target takes is asked of the canonical form, and a raw one has none of it; leave "
            "one out."
        )
    model = source if isinstance(source, ir.Model) else look(source, raw=raw, **reading)
    origin = _origin(source, model, reading.get("params"))
    is_source = model is not source

    def reread() -> ir.Model:
        return load(source, **{**reading, "warn": lambda _message: None})

    told = verdicts(model, targets, reread if is_source else None)
    held = stored(model)
    if sizes:
        model = model if is_source else model.clone()
        bind_sizes(model, sizes)
    found = costs(model)
    kept = None
    if training:
        from graphkit.inspecting.cost.kept import kept_for_backward

        kept = kept_for_backward(model)
    return Summary(
        origin=origin,
        name=model.graph.name or "",
        inputs=tuple(tensor_of(value) for value in model.graph.inputs if not value.is_initializer()),
        outputs=tuple(map(tensor_of, model.graph.outputs)),
        stored=held,
        operators=operators(model),
        nodes=node_table(model, found),
        tree=module_tree(model, found, origin.label),
        cost=found,
        peak=peak(model),
        kept=kept,
        weights=tuple(weights_of(model)) if weights else None,
        verdicts=told,
    )


def _origin(source: Any, model: ir.Model, params: str | Path | None) -> Provenance:
    from graphkit.frameworks.base import ReadOptions
    from graphkit.frameworks.convert import framework_of

    known = source_of(model)
    if isinstance(source, ir.Model):
        label, framework = (model.graph.name or "model", "") if known is None else (known.label, known.framework)
        return Provenance(label, framework, "model in memory")
    reader = framework_of(source)
    about = reader.about(source, ReadOptions(params=None if params is None else Path(params)), model)
    is_named = isinstance(source, str | Path)
    label = known.label if known is not None else Path(source).name if is_named else type(source).__name__
    files = tuple(File(str(path), path.stat().st_size if path.is_file() else None) for path in about.files)
    return Provenance(label, reader.name, about.kind, about.facts, files)
