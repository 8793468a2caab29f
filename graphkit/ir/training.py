"""What training must know and ONNX has no word for: stopped gradients, padding rows, losses, gradients, and updates.

All of it is kept in ``metadata_props``, so that it survives in ONNX files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx_ir as ir

__all__ = [
    "cotangents_of",
    "gradients_of",
    "is_backward",
    "losses",
    "mark_backward",
    "padding_row",
    "pass_gradient",
    "set_cotangents",
    "set_gradients",
    "set_losses",
    "set_padding_row",
    "set_targets",
    "set_updates",
    "stop_gradient",
    "stops_gradient",
    "targets_of",
    "updates_of",
]

_STOPS = "graphkit.stops_gradient"
_PADDING = "graphkit.padding_row"
_LOSSES = "graphkit.losses"
_BACKWARD = "graphkit.backward"
_GRADIENTS = "graphkit.gradients"
_COTANGENTS = "graphkit.cotangents"
_UPDATES = "graphkit.updates"
_TARGETS = "graphkit.targets"


def stop_gradient(node: ir.Node) -> None:
    """Note that no gradient flows back through an Identity node; the canonical form then keeps it.

    Raises:
        ValueError: The node is no Identity.
    """
    if node.op_type != "Identity" or node.domain:
        raise ValueError(f"{node.op_type} node {node.name!r} is no Identity")
    node.metadata_props[_STOPS] = "1"


def pass_gradient(node: ir.Node) -> None:
    """Let gradients through a node that stopped them, as there are none to come."""
    node.metadata_props.pop(_STOPS, None)


def stops_gradient(node: ir.Node) -> bool:
    """Whether the node hands its input on and no gradient back."""
    return node.op_type == "Identity" and not node.domain and _STOPS in node.metadata_props


def set_padding_row(node: ir.Node, row: int | None) -> None:
    """Note that a Gather along the first axis gives one row of its table no gradient; None lets it have one.

    Where an index is that row, no gradient flows back from what is looked up, as with ``padding_idx`` of torch's
    Embedding. Indices of such a node count from the front and lie in the table.

    Raises:
        ValueError: The node is no Gather along the first axis, or the row is negative.
    """
    if row is None:
        node.metadata_props.pop(_PADDING, None)
        return
    if not _looks_up_rows(node) or row < 0:
        raise ValueError(f"{node.op_type} node {node.name!r} looks up no row {row}")
    node.metadata_props[_PADDING] = str(row)


def padding_row(node: ir.Node) -> int | None:
    """The row of its table to which a Gather gives no gradient; None where it gives each its own."""
    noted = node.metadata_props.get(_PADDING, "")
    return int(noted) if noted.isdecimal() and _looks_up_rows(node) else None


def _looks_up_rows(node: ir.Node) -> bool:
    return node.op_type == "Gather" and not node.domain and node.attributes.get_int("axis", 0) == 0


def set_losses(model: ir.Model, names: Sequence[str]) -> None:
    """Note which outputs are losses: scalars whose sum training makes small."""
    if names:
        model.metadata_props[_LOSSES] = json.dumps(list(names))
    else:
        model.metadata_props.pop(_LOSSES, None)


def losses(model: ir.Model) -> list[str]:
    """Names of the outputs that are losses, in the model's order; none where the model is in inference form."""
    try:
        noted = json.loads(model.metadata_props.get(_LOSSES, "[]"))
    except ValueError:
        return []
    names = {name for name in noted if isinstance(name, str)} if isinstance(noted, list) else set()
    return [value.name for value in model.graph.outputs if value.name is not None and value.name in names]


def mark_backward(node: ir.Node) -> None:
    """Note that a node belongs to the computation of gradients."""
    node.metadata_props[_BACKWARD] = "1"


def is_backward(node: ir.Node) -> bool:
    """Whether a node belongs to the computation of gradients, rather than to that of outputs."""
    return _BACKWARD in node.metadata_props


def set_gradients(model: ir.Model, names: Mapping[str, str]) -> None:
    """Note which outputs are gradients: the name of each by that of what it is the gradient in."""
    _note(model, _GRADIENTS, names)


def gradients_of(model: ir.Model) -> dict[str, str]:
    """Names of the outputs that are gradients, by the name of what each is the gradient in; none in most models."""
    return _noted(model, _GRADIENTS, model.graph.outputs)


def set_cotangents(model: ir.Model, names: Mapping[str, str]) -> None:
    """Note which inputs are cotangents: the name of each by that of the output which it is for."""
    _note(model, _COTANGENTS, names)


def cotangents_of(model: ir.Model) -> dict[str, str]:
    """Names of the inputs that are cotangents, by the name of the output which each is for; none in most models."""
    return _noted(model, _COTANGENTS, model.graph.inputs)


def set_targets(model: ir.Model, names: Mapping[str, str]) -> None:
    """Note which inputs are targets: the name of each by that of the output which it is for."""
    _note(model, _TARGETS, names)


def targets_of(model: ir.Model) -> dict[str, str]:
    """Names of the inputs that are targets, by the name of the output which each is for; none without such a loss."""
    return _noted(model, _TARGETS, model.graph.inputs)


def set_updates(model: ir.Model, names: Mapping[str, str]) -> None:
    """Note which outputs are fed back in the next run: the name of each by that of the input."""
    _note(model, _UPDATES, names)


def updates_of(model: ir.Model) -> dict[str, str]:
    """Names of the outputs that are fed back, by the name of the input; none but in a graph that makes a step."""
    return _noted(model, _UPDATES, model.graph.outputs)


def _note(model: ir.Model, key: str, names: Mapping[str, str]) -> None:
    if names:
        model.metadata_props[key] = json.dumps(dict(names))
    else:
        model.metadata_props.pop(key, None)


def _noted(model: ir.Model, key: str, ends: Iterable[ir.Value]) -> dict[str, str]:
    """Names of inputs or outputs by others, without those that are none any more."""
    try:
        noted = json.loads(model.metadata_props.get(key, "{}"))
    except ValueError:
        return {}
    known = {value.name for value in ends}
    return {of: name for of, name in noted.items() if name in known} if isinstance(noted, dict) else {}
