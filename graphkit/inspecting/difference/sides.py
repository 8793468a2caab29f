"""Reading two models so that they can be compared, and what is known of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphkit.errors import MissingError, ParameterError, ShapeNeededError, UnsupportedError
from graphkit.inspecting.difference.difference import Change, Side
from graphkit.inspecting.difference.pairs import holds_constant
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import graphs_of
from graphkit.ir.origin import origin_of, source_of
from graphkit.ir.params import kind_of
from graphkit.ir.untranslated import untranslated
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

__all__ = ["Reader", "metadata_changes", "read_both", "side_of"]

Reader: TypeAlias = "Callable[[str], ir.Model]"
"""Reads a source in one of the ways ``"canonical"``, ``"looked at"``, ``"as spelled"``."""
Reading: TypeAlias = Literal["canonical", "looked at", "as spelled"]

_OWN: Final = "graphkit."
_REASON: Final = 300
"""Characters of a reason."""


def read_both(
    left: Reader, right: Reader, *, raw: bool, warn: Callable[[str], None]
) -> tuple[ir.Model, ir.Model, Reading]:
    """Read both models in the same way: in canonical form, or to be looked at where one has none.

    Args:
        left: Reads the first.
        right: Reads the second.
        raw: Whether all nodes stay as the files spell them.
        warn: Is told why models are only looked at.
    """
    if raw:
        return left("as spelled"), right("as spelled"), "as spelled"
    try:
        return left("canonical"), right("canonical"), "canonical"
    except (MissingError, ParameterError, ShapeNeededError, UnsupportedError) as problem:
        reason = short(" ".join(str(problem).split()), _REASON)
    found = left("looked at"), right("looked at")
    warn(f"Both models are compared as far as they can be looked at, as one cannot be converted: {reason}")
    return *found, "looked at"


def side_of(model: ir.Model, label: str, reading: Reading) -> Side:
    """What is known of a model as a whole."""
    source = source_of(model)
    operators = [node for node in model.graph.all_nodes() if not holds_constant(node)]
    held = {value for graph in graphs_of(model.graph) for value in graph.initializers.values()}
    framework = source.framework if source is not None else ""
    if not framework:
        framework = next((name for node in operators if (name := origin_of(node).framework)), "")
    return Side(
        label=label or (source.label if source is not None else model.graph.name or "model"),
        framework=framework,
        reading=reading,
        operators=len(operators),
        untranslated=sum(bool(untranslated(node)) for node in operators),
        parameters=sum(_elements(value) for value in held if kind_of(value) == "parameter"),
        bytes=sum(value.const_value.nbytes for value in held if value.const_value is not None),
        opsets={domain: int(version) for domain, version in sorted(model.opset_imports.items())},
        metadata=_metadata(model),
    )


def _elements(value: ir.Value) -> int:
    return math.prod(dim if isinstance(dim, int) else 1 for dim in dims_of(value) or ())


def _metadata(model: ir.Model) -> dict[str, str]:
    known: dict[str, Any] = {
        "graph": model.graph.name,
        "producer": " ".join(filter(None, (model.producer_name, model.producer_version))),
        "domain": model.domain,
        "model version": model.model_version,
        "description": model.doc_string,
    }
    found = {name: str(value) for name, value in known.items() if value}
    return found | {name: value for name, value in model.metadata_props.items() if not name.startswith(_OWN)}


def metadata_changes(left: Side, right: Side) -> tuple[Change, ...]:
    """Notes on the files that differ."""
    changes = []
    for mapping, word in (("opsets", "opset "), ("metadata", "")):
        ours: Mapping[str, Any] = getattr(left, mapping)
        theirs: Mapping[str, Any] = getattr(right, mapping)
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            old, new = ours.get(name), theirs.get(name)
            if old != new:
                told = f"{word}{name or 'ai.onnx'}" if word else name
                changes.append(Change("metadata", told, *(None if each is None else str(each) for each in (old, new))))
    return tuple(changes)
