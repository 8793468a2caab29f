"""What MXNet 1.9.1 changes in a symbol that an older MXNet wrote, before it uses it.

The steps and the versions they belong to are those of MXNet's own loader (``src/nnvm/legacy_json_util.cc``). Nothing is
upgraded after 0.9.5: later symbols are taken as they are, with today's defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.errors import FormatError
from graphkit.frameworks.mxnet import schema
from graphkit.ops.mxgraph import VARIABLE, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CURRENT", "UNSTATED", "upgrade"]

CURRENT = 10901
"""The MXNet version that symbols are upgraded to, major × 10000 + minor × 100 + patch."""
UNSTATED = 800
"""The version that MXNet takes symbols for which do not say any."""

_DROPPED = frozenset({"mkldnn_off"})
"""Parameters that chose among implementations in some MXNet before 1.9.1, which no longer has them."""
_MOST_MISSING = 64
"""Inputs that a node may lack; old symbols leave out auxiliary states, of which no operator has more than a few."""
_HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage")


def upgrade(nodes: Sequence[MxNode], version: int) -> list[MxNode]:
    """Bring a symbol up to MXNet 1.9.1.

    1. Before 1.9.1: ``lr_mult`` and its like become ``__lr_mult__``; ``weight_lr_mult`` on an operator moves to the
       variable that is its input ``weight``.
    2. Before 0.9.0: inputs that are missing at the end become variables, which have a copy of the operator's
       attributes: auxiliary states were not stored.
    3. Before 0.9.4: variables get the initialiser that the operator they feed wants.
    4. Before 0.9.5: ``axis=-1`` of argmax and argmin meant all axes.

    Besides, parameters go that only ever chose an implementation and that MXNet 1.9.1 would refuse.

    Args:
        nodes: All nodes in topological order, hidden attributes still among the others; they are changed.
        version: MXNet version that wrote them.

    Returns:
        The nodes, with added variables before the operators that read them.
    """
    if version < CURRENT:
        for node in nodes:
            _decorate(node)
            node.attrs = {name: value for name, value in node.attrs.items() if name not in _DROPPED}
    upgraded: list[MxNode] = []
    for node in nodes:
        if not node.is_variable:
            if version < 900:
                upgraded += _add_inputs(node)
            if version < 904:
                _set_initializers(node)
            if version < 905 and node.op in ("argmax", "argmin") and node.attrs.get("axis") == "-1":
                del node.attrs["axis"]
        upgraded.append(node)
    return upgraded


def _decorate(node: MxNode) -> None:
    for name in list(node.attrs):
        key = next((key for key in _HIDDEN if name.startswith(key) or name.endswith(key)), None)
        if name == key:
            node.attrs[f"__{key}__"] = node.attrs.pop(name)
        elif key and not node.is_variable and name.endswith(f"_{key}"):
            names = _arguments(node)
            slot = name.removesuffix(f"_{key}")
            position = names.index(slot) if slot in names else len(node.inputs)
            if position < len(node.inputs) and node.inputs[position].node.is_variable:
                node.inputs[position].node.attrs[f"__{key}__"] = node.attrs.pop(name)


def _add_inputs(node: MxNode) -> list[MxNode]:
    missing = _arguments(node)[len(node.inputs) :]
    if len(missing) > _MOST_MISSING:
        return []  # said where the node is validated
    added = [MxNode(VARIABLE, f"{node.name}_{slot}" if node.name else slot, dict(node.attrs)) for slot in missing]
    node.inputs += [MxRef(variable) for variable in added]
    return added


def _set_initializers(node: MxNode) -> None:
    try:
        texts = schema.initializers(node.op, node.attrs)
    except FormatError:
        return  # said where the node is validated
    for position, text in texts.items():
        if position < len(node.inputs) and node.inputs[position].node.is_variable:
            node.inputs[position].node.attrs.setdefault("__init__", text)


def _arguments(node: MxNode) -> tuple[str, ...]:
    found = schema.operator(node.op)
    try:
        return (found.arguments(node.attrs) if found else None) or ()
    except FormatError:
        return ()  # said where the node is validated
